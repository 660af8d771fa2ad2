# SPDX-License-Identifier: GPL-3.0-or-later
"""A role that has nothing to do with IPVS, in a repository that has nothing of ours but the lab: a packet filter with nftables."""

from __future__ import annotations

START = "---\n"
FILES = {
    "roles/filter/tasks/main.yml": START + """\
- name: Install nftables
  ansible.builtin.apt:
    name: nftables
- name: Write the rules
  ansible.builtin.copy:
    dest: /etc/nftables.conf
    mode: "0644"
    content: |
      flush ruleset
      table inet filter {
        chain input {
          type filter hook input priority 0; policy accept;
          tcp dport 8000 reject with tcp reset
        }
      }
  notify: Reload the rules
- name: Load the rules now and at boot
  ansible.builtin.systemd_service:
    name: nftables
    enabled: true
    state: started
""",
    "roles/filter/handlers/main.yml": START + """\
- name: Reload the rules
  ansible.builtin.systemd_service:
    name: nftables
    state: reloaded
""",
    "molecule/filter/inventory/hosts.yml": START + """\
lab:
  hosts:
    filtered:
    plain:
  vars:
    lab_kernel: nft
    lab_suite: trixie
""",
    "molecule/filter/prepare.yml": START + """\
- name: Prepare
  hosts: lab
  gather_facts: false
  tasks:
    - name: Write a unit for a web server
      ansible.builtin.copy:
        dest: /etc/systemd/system/web.service
        mode: "0644"
        content: |
          [Service]
          ExecStart=/usr/bin/python3 -m http.server 8000
          [Install]
          WantedBy=multi-user.target
    - name: Start the web server
      ansible.builtin.systemd_service:
        name: web
        daemon_reload: true
        enabled: true
        state: started
""",
    "molecule/filter/converge.yml": START + """\
- name: Converge
  hosts: filtered
  gather_facts: false
  roles:
    - role: "{{ lookup('ansible.builtin.env', 'MOLECULE_PROJECT_DIRECTORY') }}/roles/filter"
""",
    "molecule/filter/verify.yml": START + """\
- name: Verify
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: The plain machine answers
      ansible.builtin.command:
        argv: "{{ lab_client + ['curl', '-sS', '--max-time', '60', 'http://' ~ hostvars.plain.lab_back_ipv4 ~ ':8000/'] }}"
      changed_when: false
      register: plain
      until: plain is succeeded
      retries: 20
      delay: 1
    - name: The filtered one refuses
      ansible.builtin.command:
        argv: "{{ lab_client + ['curl', '-sS', '--max-time', '60', 'http://' ~ hostvars.filtered.lab_back_ipv4 ~ ':8000/'] }}"
      changed_when: false
      register: filtered
      failed_when: filtered.rc != 7

- name: Look at the cause
  hosts: filtered
  gather_facts: false
  tasks:
    - name: It is the rules that refuse
      ansible.builtin.command: nft list table inet filter
      changed_when: false
""",
}


def test_a_packet_filter(stranger):
    stranger.run("ansible-playbook lvs.ipvs.lab_init -e lab_scenario=filter")
    for name, text in FILES.items():
        path = stranger.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    output = stranger.run("molecule test --scenario-name filter")
    assert output.count("filter > verify") >= 2
