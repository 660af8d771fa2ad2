# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings on made-up file trees: set, recorded and put back. The real kernel is in tests/integration."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .sysctl_node import KERNEL, Node, lines

NAT = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11", "forward_method": "nat"}]}]
NAT6 = [{"fwmark": 7, "family": "ipv6", "servers": [{"address": "2001:db8::11", "forward_method": "nat"}, {"address": "2001:db8::12"}]}]


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


@pytest.mark.parametrize("check", [True, False])
def test_texts_are_only_made_where_a_diff_is_asked_for(node, check):
    done = node.run({"net.ipv4.vs.conn_reuse_mode": 0}, check=check, diff=False)
    assert done.changed and (done.before, done.after) == (None, None)


def test_set_and_recorded_and_put_back(node):
    done = node.twice({"net.ipv4.vs.conn_reuse_mode": False, "net/ipv4/conf/eth0.100/arp_ignore": 1, "net.ipv4.vs.sync_threshold": " 5  80 "})
    assert done.changed
    assert done.values["settings"] == {"net.ipv4.conf.eth0/100.arp_ignore": "1", "net.ipv4.vs.conn_reuse_mode": "0", "net.ipv4.vs.sync_threshold": "5 80"}
    assert done.values["differences"] == [
        "kernel setting net.ipv4.vs.conn_reuse_mode is 1, not 0",
        "kernel setting net.ipv4.conf.eth0/100.arp_ignore is 0, not 1",
        "kernel setting net.ipv4.vs.sync_threshold is 3 50, not 5 80",
        f"{node.path} is missing",
    ]
    assert node.path.read_text().startswith("# Written by lvs.ipvs.ipvs_sysctls; changes are overwritten.\n# A line \"before\"")
    assert lines(node) == [
        "# before: net.ipv4.conf.eth0/100.arp_ignore = 0",
        "net.ipv4.conf.eth0/100.arp_ignore = 1",
        "# before: net.ipv4.vs.conn_reuse_mode = 1",
        "net.ipv4.vs.conn_reuse_mode = 0",
        "# before: net.ipv4.vs.sync_threshold = 3 50",
        "net.ipv4.vs.sync_threshold = 5 80",
    ]
    assert "net.ipv4.vs.conn_reuse_mode = 1\n" in done.before and "net.ipv4.vs.conn_reuse_mode = 0\n" in done.after

    # another value, and one that is no longer listed: what was there before both is kept
    done = node.twice({"net.ipv4.vs.conn_reuse_mode": 2})
    assert lines(node) == ["# before: net.ipv4.vs.conn_reuse_mode = 1", "net.ipv4.vs.conn_reuse_mode = 2"]
    assert "kernel setting net.ipv4.vs.sync_threshold is 5 80, and was 3 50 before it was set" in done.values["differences"]
    assert (node["net.ipv4.vs.sync_threshold"], node["net.ipv4.conf.eth0/100.arp_ignore"]) == ("3 50", "0")

    node.twice(state="absent", settings={"net.ipv4.ip_forward": 1})
    assert not node.path.exists()
    assert {key: node[key] for key in KERNEL} == {key: " ".join(value.split()) for key, value in KERNEL.items()}


def test_whoever_is_killed_in_between_leaves_a_record_of_what_the_kernel_had(node):
    """The file comes before what is set, and after what is put back."""
    reuse, forward = "net.ipv4.vs.conn_reuse_mode", "net.ipv4.ip_forward"
    recorded = []
    node.meddle = lambda key, value: recorded.append((key, value, f"before: {key} = " in (node.path.read_text() if node.path.exists() else "")))
    node.run({reuse: 0})
    node.run({forward: 1})
    node.run(state="absent")
    assert recorded == [(reuse, "0", True), (reuse, "1", True), (forward, "1", True), (forward, "0", True)]


def test_of_an_interface_that_has_gone_nothing_is_put_back(node):
    node.run({"net.ipv4.conf.eth0.arp_ignore": 1})
    (node.root / "proc/sys/net/ipv4/conf/eth0/arp_ignore").unlink()
    done = node.run(state="absent")
    assert done.changed and "arp_ignore" in done.before and done.after == "" and not node.path.exists()


def test_nothing_wanted_and_nothing_there(node):
    assert not node.run().changed and not node.run({}, services=[], state="absent").changed
    assert not node.path.exists()


def test_a_value_that_was_right_already(node):
    node.twice({"net.ipv4.vs.conn_reuse_mode": 1})
    assert lines(node) == ["# before: net.ipv4.vs.conn_reuse_mode = 1", "net.ipv4.vs.conn_reuse_mode = 1"]
    assert node.written == []


def test_the_file_of_the_role_is_taken_over(node):
    node.path.parent.mkdir(parents=True)
    head = "# Written by the Ansible role lvs.ipvs.director; changes are overwritten.\n"
    node.path.write_text(head + "# before: net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n")
    node["net.ipv4.ip_forward"] = "1"
    assert node.twice({"net.ipv4.ip_forward": 1}).values["differences"] == [f"{node.path} is not as it should be"]
    node.twice({})
    assert node["net.ipv4.ip_forward"] == "0" and not node.path.exists()


# wildcards


def test_a_wildcard(node):
    node["net.ipv4.conf.eth0.arp_ignore"] = "1"
    done = node.twice({"net.ipv4.conf.*.arp_ignore": 1, "net.ipv4.conf.all.arp_ignore": 2})
    assert done.values["settings"] == {
        "net.ipv4.conf.all.arp_ignore": "2",
        "net.ipv4.conf.default.arp_ignore": "1",
        "net.ipv4.conf.eth0.arp_ignore": "1",
        "net.ipv4.conf.eth0/100.arp_ignore": "1",
    }
    assert lines(node) == [
        "# before: net.ipv4.conf.default.arp_ignore = 0",
        "# before: net.ipv4.conf.eth0/100.arp_ignore = 0",
        "net.ipv4.conf.*.arp_ignore = 1",
        "# before: net.ipv4.conf.all.arp_ignore = 0",
        "net.ipv4.conf.all.arp_ignore = 2",
    ]
    # an interface that comes, with what "default" says, and one that goes
    node["net.ipv4.conf.eth1.arp_ignore"] = "1"
    Path(_sysctls.path_of("net.ipv4.conf.eth0/100.arp_ignore", str(node.root))).unlink()
    assert not node.twice({"net.ipv4.conf.*.arp_ignore": 1, "net.ipv4.conf.all.arp_ignore": 2}).changed
    node["net.ipv4.conf.eth0/100.arp_ignore"] = "1"
    node.twice(state="absent")
    assert [node[f"net.ipv4.conf.{name}.arp_ignore"] for name in ("all", "default", "eth0", "eth0/100", "eth1")] == ["0", "0", "1", "0", "1"]


@pytest.mark.parametrize(
    "pattern, key, expected",
    [
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0/1.rp_filter", True),
        ("net.ipv4.conf.eth*.rp_filter", "net.ipv4.conf.eth0.rp_filter", True),
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.a.b.rp_filter", False),
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0.rp_filter2", False),
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward", True),
    ],
)
def test_what_a_wildcard_stands_for(pattern, key, expected):
    assert _sysctls.stands_for(pattern, key) == expected


def test_brackets_are_no_wildcards(node):
    node["net.ipv4.conf.e[0].arp_ignore"] = "0"
    assert _sysctls.matching("net.ipv4.conf.e[0*.arp_ignore", str(node.root)) == ["net.ipv4.conf.e[0].arp_ignore"]
    assert _sysctls.matching("net.ipv4.conf.eth[0].arp_ignore", str(node.root)) == []


# what the services need


@pytest.mark.parametrize(
    "services, expected",
    [
        (NAT, {"net.ipv4.ip_forward": "1"}),
        (NAT6, {"net.ipv6.conf.all.forwarding": "1"}),
        (NAT + NAT6, {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}),
        ([{"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11"}]}, {"fwmark": 1}], {}),
    ],
)
def test_forwarding_for_servers_behind_nat(node, services, expected):
    assert node.twice(services=services).values["settings"] == expected


def test_the_users_word_counts(node):
    assert node.twice({"net/ipv4/ip_forward": 0}, services=NAT).values["settings"] == {"net.ipv4.ip_forward": "0"}


# settings that change others


def test_a_setting_that_changes_others(node):
    """As ip_forward sets what interfaces have to defaults."""

    def forward(key, value):
        if key == "net.ipv4.ip_forward":
            node["net.ipv4.conf.eth0.rp_filter"] = node["net.ipv4.conf.default.arp_announce"] = value  # what was right before, too
        if key == "net.ipv4.conf.all.rp_filter":
            node["net.ipv4.conf.eth0.arp_ignore"] = "0"

    node.meddle = forward
    desired = {"net.ipv4.conf.eth0.rp_filter": 5, "net.ipv4.conf.*.arp_announce": 0, "net.ipv4.conf.eth0.arp_ignore": 1}
    desired.update({"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.rp_filter": 2})
    before = node.state()
    node.refuse = {"net.ipv4.conf.eth0.arp_ignore": errno.EINVAL}
    with pytest.raises(IpvsError, match="refuses"):
        node.run(desired)
    assert node.state() == before
    node.refuse = {}
    node.written.clear()
    node.twice(desired)
    assert node.written[:2] == ["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"]
    node.twice(state="absent")
    assert node.state() == before


def test_a_setting_that_a_later_one_resets_is_written_again(node):
    first, second, times = "net.ipv4.conf.all.arp_ignore", "net.ipv4.vs.conn_reuse_mode", []

    def reset(key, value):
        if key == second and not times:
            times.append(value)
            node[first] = "0"

    node.meddle = reset
    node.run({first: 1, second: 9})
    assert node.written == [first, second, first] and (node[first], node[second]) == ("1", "9")


def test_a_value_that_somebody_has_changed_is_put_right_without_a_new_file(node):
    node.run({"net.ipv4.ip_forward": 1})
    (node.root / "proc/sys/net/ipv4/ip_forward").write_text("0\n")
    text = node.path.read_text()
    assert node.run({"net.ipv4.ip_forward": 1}).changed and node.path.read_text() == text
