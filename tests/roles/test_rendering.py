# SPDX-License-Identifier: GPL-3.0-or-later
"""The values and files of the role director on each distribution, those too that no machine of the lab runs."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from tests.support import ansible

from .test_network import network

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

DISTRIBUTIONS = {
    "debian11": ("Debian", "11", "Debian"),
    "debian12": ("Debian", "12", "Debian"),
    "debian13": ("Debian", "13", "Debian"),
    "ubuntu2204": ("Ubuntu", "22", "Debian"),
    "ubuntu2404": ("Ubuntu", "24", "Debian"),
    "rhel9": ("RedHat", "9", "RedHat"),
    "rocky9": ("Rocky", "9", "RedHat"),
    "fedora42": ("Fedora", "42", "RedHat"),
    "amazon2": ("Amazon", "2", "RedHat"),
    "amazon2023": ("Amazon", "2023", "RedHat"),
    "other": ("Other", "1", "Other"),
}
NODE = {
    "files": {"/etc/sysctl.d/60-ipvs-director.conf": "# before: net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n"},
    "sysctls": {"net.ipv4.ip_forward": "1", "net.ipv4.vs.conn_reuse_mode": "1"},
    "lacking_sysctls": {"net.ipv4.vs.est_nice": {"place": 3, "names": []}},
    "wrong_sysctls": [],
    "wrong_modes": {},
    "commands": {"unit": None, "boot_service": None, "pyroute2": ""},
    "vips": [{"where": "203.0.113.80/32 dev eth1"}, {"where": "2001:db8::80/128 dev eth0"}],
    "local": [],
    "ipvs": "loaded",
}
VARIABLES = {
    "node": NODE,
    "director_services": [
        {"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11", "forward_method": "nat", "weight": 0}]},
        {"fwmark": 7, "scheduler": "mh", "persistence_timeout": 60, "persistence_engine": "sip"},
    ],
    "director_sysctls": {"net.ipv4.vs.conn_reuse_mode": True, "net.ipv4.vs.est_nice": 1},
    "director_timeouts": {"tcp": 3600},
    "director_sync_daemons": [{"role": "master", "interface": "eth0", "sync_id": 7}],
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """What tests/roles/rendering.yml wrote, by distribution."""
    folder = tmp_path_factory.mktemp("rendering")
    hosts = {
        name: {"facts": dict(zip(("distribution", "major", "family"), facts, strict=True))} for name, facts in DISTRIBUTIONS.items()
    }
    inventory = {"distributions": {"hosts": hosts, "vars": {**VARIABLES, "output": str(folder), "ansible_python_interpreter": "/usr/bin/python3"}}}
    (folder / "inventory.yml").write_text(json.dumps(inventory))
    ansible("ansible-playbook", "-i", folder / "inventory.yml", HERE / "rendering.yml", home=folder, ANSIBLE_FORKS="4")
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in DISTRIBUTIONS}


@pytest.mark.parametrize(
    ("name", "pyroute2", "rules_file", "boot_service", "boot_settings", "kernel_packages"),
    [
        ("debian11", "pip", "/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm", []),
        ("debian12", "package", "/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm", []),
        ("debian13", "package", "/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm", []),
        ("ubuntu2204", "pip", "/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm", ["linux-modules-extra-KERNEL"]),
        ("ubuntu2404", "package", "/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm", ["linux-modules-extra-KERNEL"]),
        ("rhel9", "pip", "/etc/sysconfig/ipvsadm", "ipvsadm.service", "", ["kernel-modules-KERNEL", "kernel-modules-extra-KERNEL"]),
        ("rocky9", "pip", "/etc/sysconfig/ipvsadm", "ipvsadm.service", "", ["kernel-modules-KERNEL", "kernel-modules-extra-KERNEL"]),
        ("fedora42", "package", "/etc/sysconfig/ipvsadm", "ipvsadm.service", "", ["kernel-modules-KERNEL", "kernel-modules-extra-KERNEL"]),
        ("amazon2", "pip", "/etc/sysconfig/ipvsadm", "ipvsadm.service", "", []),
        ("amazon2023", "pip", "/etc/sysconfig/ipvsadm", "ipvsadm.service", "", ["kernel-modules-extra-KERNEL"]),
        ("other", "pip", "/etc/ipvsadm.rules", "", "", []),
    ],
)
def test_values(rendered, name, pyroute2, rules_file, boot_service, boot_settings, kernel_packages):
    values = rendered[name]
    assert values["packages"] == ["ipvsadm"]
    assert (values["pyroute2"], values["rules_file"], values["boot_service"]) == (pyroute2, rules_file, boot_service)
    assert (values["boot_settings"], values["kernel_packages"]) == (boot_settings, kernel_packages)
    assert values["python"] == ("/opt/lvs-ipvs/bin/python" if pyroute2 == "pip" else "/usr/bin/python3")
    assert values["guard_file"] == (f"/etc/systemd/system/{boot_service}.d/ipvs-director.conf" if boot_service else "")


def test_vars_files_define_the_same():
    files = [path for path in (ROOT / "roles/director/vars").glob("*.yml") if path.name != "main.yml"]
    names = {path.name: set(yaml.safe_load(path.read_text())) for path in files}
    assert len(names) == 9
    assert len({frozenset(each) for each in names.values()}) == 1


def lines(text):
    return [line for line in text.splitlines() if not line.startswith("#")]


AWAITED = ["await table", "await 203.0.113.80"]
ADDRESSES = ["address 203.0.113.80/32 dev eth1 announce", "address 2001:db8::80/128 dev eth0 announce"]
SYSCTL = "run /lib/systemd/systemd-sysctl /etc/sysctl.d/60-ipvs-director.conf"


def test_the_table_is_restored_before_the_addresses_where_the_distribution_has_no_service(rendered):
    restore = 'run /bin/sh -c "grep -q \'^[TUSF]\' /proc/net/ip_vs || exec ipvsadm -R </etc/ipvsadm.rules"'
    assert lines(rendered["other"]["network"]) == [SYSCTL, restore, *AWAITED, *ADDRESSES]
    assert lines(rendered["debian12"]["network"]) == [SYSCTL, *AWAITED, *ADDRESSES]
    assert "After=network-online.target systemd-modules-load.service systemd-sysctl.service ipvsadm.service\n" in rendered["debian12"]["unit"]
    assert "After=network-online.target systemd-modules-load.service systemd-sysctl.service\n" in rendered["other"]["unit"]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_program_knows_every_line(rendered, name):
    assert [line.text for line in network.parse(rendered[name]["network"])] == lines(rendered[name]["network"])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_unit_always_has_a_command_and_none_whose_failure_is_ignored(rendered, name):
    for command, word in (("ExecStart", "up"), ("ExecReload", "up"), ("ExecStop", "down")):
        given = [line for line in rendered[name]["unit"].splitlines() if line.startswith(command)]
        assert given == [f"{command}=/usr/bin/python3 -I /usr/local/lib/ipvs-director.py {word} /etc/ipvs-director.conf"]


def test_a_director_without_addresses_waits_for_nothing_and_has_a_unit(rendered):
    """Firewall marks alone, director_vips: [], and a table that is somebody else's: see rendering.yml."""
    assert lines(rendered["debian12"]["network_without_vips"]) == [SYSCTL, *AWAITED]
    assert lines(rendered["debian12"]["network_of_marks"]) == [SYSCTL, "await table"]
    assert lines(rendered["other"]["network_of_others"]) == [SYSCTL, *ADDRESSES]


def test_sysctls_remember_what_was_there_first_and_leave_out_what_the_kernel_lacks(rendered):
    lines = [line for line in rendered["debian12"]["sysctl"].splitlines() if "vs" in line or "forward" in line]
    assert lines[1:] == [
        "# before: net.ipv4.ip_forward = 0",
        "net.ipv4.ip_forward = 1",
        "# before: net.ipv4.vs.conn_reuse_mode = 1",
        "net.ipv4.vs.conn_reuse_mode = 1",
    ]


def test_rules_hold_the_whole_table(rendered):
    assert rendered["debian12"]["rules"].splitlines()[1:] == [
        "--set 3600 0 0",
        "-A -t 203.0.113.80:80 -s wlc",
        "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0",
        "-A -f 7 -s mh -p 60 --pe sip",
        "--start-daemon master --mcast-interface eth0 --syncid 7 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1",
    ]


def test_modules_follow_from_the_services(rendered):
    assert rendered["debian12"]["schedulers"] == ["wlc", "mh"]
    assert rendered["debian12"]["modules"] == ["ip_vs", ["nf_conntrack", "nf_conntrack_ipv4"], "ip_vs_pe_sip"]


@pytest.mark.parametrize("role", ["director", "real_server"])
def test_services_are_typed_as_ipvs_table_has_them(role):
    spec = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())
    given = spec["argument_specs"]["main"]["options"]["director_services"]
    assert {key: given[key] for key in ("type", "elements")} == {"type": "list", "elements": "dict"}
    assert typed(given["options"]) == typed(_service_specs.services()["options"])


def typed(options):
    """An argument spec without its descriptions."""
    return {
        name: {key: typed(value) if key == "options" else value for key, value in option.items() if key != "description"}
        for name, option in options.items()
    }
