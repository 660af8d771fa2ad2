# SPDX-License-Identifier: GPL-3.0-or-later
"""What ipvs_keepalived adds to keepalived's unit: how it is started, and what becomes of addresses and the table where it ends."""

from __future__ import annotations

import re

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _units

from .keepalived_node import FAILOVER, FIRST, SECOND, SORRY, Node, services


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def test_the_addition_to_the_unit(node):
    node.manage(services=services(FIRST), failover=FAILOVER)
    lines = node.addition.read_text().splitlines()
    assert "Restart=on-failure" in lines and lines.index("After=ipvsadm.service ipvs-table.service") < lines.index("[Service]")
    ends = [line for line in lines if line.startswith("ExecStopPost=")]
    assert ends[:2] == ["ExecStopPost=-ip address delete 203.0.113.80/32 dev eth0", "ExecStopPost=-ip address delete 2001:db8::80/128 dev eth0"]
    assert ends[2].startswith("ExecStopPost=-/bin/sh -c ") and len(ends) == 3  # the table is the last: no address answers without it
    node.manage(services=services(FIRST), failover={**FAILOVER, "sync": {}})
    assert "ExecStopPost=-ipvsadm --stop-daemon master" in node.addition.read_text()
    node.manage(services=services(FIRST))
    assert "ip address" not in node.addition.read_text() and "--stop-daemon" not in node.addition.read_text()


def started(node):
    """What the addition that comes last says."""
    assert "ExecStart=" not in node.addition.read_text()
    last = node.addition.with_name("zz-ipvs-director.conf")
    return re.findall("(?m)^ExecStart=(.*)$", last.read_text().partition("[Service]\n")[2]) if last.exists() else []


def test_an_administrators_own_command_line_is_completed(node):
    """Of additions with one name that in the first folder counts, and of the others the last one."""
    for path, start in (
        ("lib/keepalived.service", "/sbin/keepalived"),
        ("lib/keepalived.service.d/override.conf", "/sbin/keepalived -X"),
        ("lib/keepalived.service.d/20-a.conf", "/sbin/keepalived -Y"),
        ("etc/keepalived.service.d/override.conf", "\nExecStart=/sbin/keepalived -D"),
        ("etc/keepalived.service.d/other.txt", "/sbin/keepalived -Z"),
    ):
        (node.root / path).parent.mkdir(parents=True, exist_ok=True)
        (node.root / path).write_text(f"[Service]\nExecStart={start}\n")
    node.monkeypatch.setattr(_units, "addition", lambda unit: str(node.root / f"etc/{unit}.d/ipvs-director.conf"))
    node.addition = node.root / "etc/keepalived.service.d/ipvs-director.conf"
    for _time in range(2):
        node.manage(services=services(FIRST))
        assert started(node) == ["", "/sbin/keepalived -D --dont-release-ipvs"]
    (node.root / "etc/keepalived.service.d/override.conf").unlink()
    node.manage(services=services(FIRST))
    assert started(node) == ["", "/sbin/keepalived -X --dont-release-ipvs"]
    node.manage(state="absent")
    assert sorted(path.name for path in node.addition.parent.iterdir()) == ["other.txt"]


@pytest.mark.parametrize("unit, start", [
    ("ExecStart=/usr/sbin/keepalived --dont-fork $DAEMON_ARGS\n", "/usr/sbin/keepalived --dont-fork $DAEMON_ARGS --dont-release-ipvs"),
    ("ExecStart=/bin/false\nExecStart=/sbin/keepalived \\\n -n\nType=notify\n", "/sbin/keepalived   -n --dont-release-ipvs"),
    ("ExecStart=/sbin/keepalived -n --dont-release-ipvs", "/sbin/keepalived -n --dont-release-ipvs"),
    ("Type=notify\n", None),
    (None, None),
])  # fmt: skip
def test_how_the_unit_starts_keepalived(node, unit, start):
    (node.root / "lib").mkdir()
    if unit:
        (node.root / "lib/keepalived.service").write_text("[Service]\n" + unit)
    node.manage(services=services(FIRST))
    assert started(node) == ([] if start is None else ["", start])
    # the administrator's unit stands before the distribution's
    (node.root / "etc").mkdir()
    (node.root / "etc/keepalived.service").write_text("[Service]\nExecStart=/opt/keepalived -n\n")
    node.manage(services=services(FIRST))
    assert started(node) == ["", "/opt/keepalived -n --dont-release-ipvs"]
    # a table that is not keepalived's is none of its business
    node.processes = None
    node.manage(services=services(FIRST), checks=False, failover=FAILOVER)
    assert started(node) == [] and "--restore" not in node.addition.read_text()
    assert not (node.root / "stopped.rules").exists() and not (node.root / "failed.rules").exists()


def test_what_becomes_of_the_table(node):
    listed = services(SECOND, FIRST, sorry_server=SORRY)
    listed[0]["servers"][0].update(weight=7, upper_threshold=100)
    tunnel = {"address": FIRST, "forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080}
    node.manage(services=[{"fwmark": 9, "family": "ipv6", "servers": [{"address": "2001:db8::1", "forward_method": "dr"}]}, *listed,
                          {"address": "203.0.113.80", "port": 53, "protocol": "udp", "servers": [{**tunnel, "port": 53}]}])  # fmt: skip
    assert (node.root / "stopped.rules").read_text().splitlines() == ["-D -t 203.0.113.80:80", "-D -u 203.0.113.80:53", "-D -f 9 -6"]
    assert (node.root / "failed.rules").read_text().splitlines() == [
        f"-e -t 203.0.113.80:80 -r {FIRST}:80 -m -w 0",
        f"-e -t 203.0.113.80:80 -r {SECOND}:80 -m -w 0 -x 100",
        "-d -t 203.0.113.80:80 -r 198.51.100.99:80",
        f"-e -u 203.0.113.80:53 -r {FIRST}:53 -i -w 0 --tun-type gue --tun-port 6080 --tun-nocsum",
        "-e -f 9 -6 -r [2001:db8::1]:0 -g -w 0",
    ]
