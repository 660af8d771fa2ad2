# SPDX-License-Identifier: GPL-3.0-or-later
"""What ipvs_firewall does on a node with stand-ins. The real nftables is in tests/firewall."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _nftables
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _firewall_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .firewall_director import UNITS, Director, mark, service

FOLDER = "/etc/systemd/system/"


@pytest.fixture
def director(monkeypatch, tmp_path):
    return Director(monkeypatch, tmp_path)


MARKS = {"marks": [mark(7, ports=["80"])]}
TABLE = "nftables table inet lvs_ipvs is "


def test_the_table_its_file_and_its_units(director):
    answer = director.task(**MARKS)
    assert answer.values["differences"] == [
        TABLE + "missing",
        "/etc/ipvs-firewall.nft is missing",
        *(f"{FOLDER}{unit} is missing" for unit in UNITS),
        *(f"{unit} is not enabled" for unit in UNITS),
        "ipvs-firewall.service is not active",
    ]
    assert "meta mark set 7" in director.table and answer.values["rules"] == director.table
    file = director.files[_nftables.FILE]
    assert file.mode == 0o600 and file.text.startswith("# Made by") and file.text.endswith(director.table)
    assert "ExecStart=/usr/sbin/nft --file /etc/ipvs-firewall.nft\n" in director.text(FOLDER + UNITS[0])
    assert director.enabled == set(UNITS) and director.active == {UNITS[0]} and "nft" not in director.done
    assert answer.before == "" and answer.after.startswith(director.table) and f"# {FOLDER}{UNITS[1]}\n" in answer.after
    director.again(**MARKS)
    answer = director.task(marks=[mark(8, ports=["80"])])
    assert len(answer.values["differences"]) == 5 and "meta mark set 8" in director.table and "set 7" in answer.before
    assert director.done.count(f"systemctl reload-or-restart {UNITS[0]}") == 1


def test_a_mark_for_datagrams(director):
    director.task(marks=[mark(7, ports=["53"], protocol="udp")])
    assert "udp dport 53" in director.table and "tcp" not in director.table


def test_everything_goes_when_nothing_is_wanted(director):
    director.task(**MARKS)
    answer = director.task(state="absent", **MARKS)
    assert answer.values["differences"] == [
        TABLE + "there and is no longer needed",
        "/etc/ipvs-firewall.nft is there and is no longer needed",
        *(f"{FOLDER}{unit} is there and is no longer needed" for unit in UNITS),
        *(f"{unit} is enabled and no longer needed" for unit in UNITS),
    ]
    assert director.files == {} and director.enabled == director.active == set() and director.table == "" and answer.values["rules"] == ""
    assert director.done[-2:] == ["systemctl daemon-reload", "nft"]
    director.again(state="absent")
    director.task(**MARKS)
    del director.files[FOLDER + UNITS[1]]
    director.enabled.discard(UNITS[1])
    director.task(state="absent", **MARKS)
    assert f"systemctl stop {UNITS[0]}" in director.done and f"systemctl stop {UNITS[1]}" not in director.done  # it would fail
    director.programs = {"nft"}
    director.again()  # without systemd there is nothing to take away


def test_what_only_differs_in_the_kernel_is_put_back(director):
    director.task(**MARKS)
    director.table = ""
    assert director.task(**MARKS).values["differences"] == [TABLE + "missing"] and director.table


def test_what_only_differs_at_boot_is_put_back(director):
    director.task(**MARKS)
    director.enabled.remove(UNITS[1])
    assert director.task(**MARKS).values["differences"] == [f"{UNITS[1]} is not enabled"]
    director.active.clear()
    assert director.task(**MARKS).values["differences"] == [f"{UNITS[0]} is not active"]
    director.again(**MARKS)


def test_without_persist_only_the_kernel_has_it(director):
    assert director.task(persist=False, **MARKS).values["differences"] == [TABLE + "missing"]
    assert director.files == {} and director.done == ["nft"] and "set 7" in director.table
    director.again(persist=False, **MARKS)
    director.task(persist=False, state="absent")
    assert director.table == "" and director.done == ["nft"]


def test_without_load_only_the_boot_has_it(director):
    director.booted = False
    director.programs.remove("nft")
    answer = director.task(load=False, **MARKS)
    assert director.table == "" and answer.values["rules"].startswith(_nftables.REMOVAL) and UNITS[0] not in director.active
    assert director.enabled == set(UNITS) and "/usr/sbin/nft --file" in director.text(FOLDER + UNITS[0])
    director.again(load=False, **MARKS)
    director.booted = True
    director.again(load=False, **MARKS)  # that it is not active is as it should be
    director.enabled.discard(UNITS[1])
    assert director.task(load=False, **MARKS).changed and director.active == set()


def test_in_an_image_build_the_table_is_loaded_without_its_unit(director):
    director.booted = False
    director.task(**MARKS)
    assert "set 7" in director.table and director.active == set() and director.done[-1] == "nft"
    director.again(**MARKS)
    director.enabled.remove(UNITS[1])
    director.task(**MARKS)
    assert director.enabled == set(UNITS) and "nft" not in director.done  # the kernel had it


def test_what_keeps_it_from_being_done(director):
    with pytest.raises(OptionError, match="netns: 'x': only the rules of the initial network namespace are restored at boot: set persist to false"):
        director.manage(netns="x")
    director.refuses = "Error: no such hook\n  a line of the rules\n"
    with pytest.raises(IpvsError, match="^this node rejects the nftables rules: Error: no such hook$"):
        director.manage(**MARKS)
    director.refuses = " \n"
    with pytest.raises(IpvsError, match="^this node rejects the nftables rules: no reason was given$"):
        director.manage(**MARKS)
    director.refuses = ""
    director.programs = {"nft"}
    with pytest.raises(IpvsError, match="systemd, which restores the rules at boot, does not run on this node: set persist to false"):
        director.manage(**MARKS)
    director.programs = {"systemctl"}
    with pytest.raises(IpvsError, match="nft is not installed: install the package nftables"):
        director.manage(**MARKS)
    assert director.files == {} and director.table == "" and director.done == []


def test_a_table_that_is_there_and_cannot_be_listed(director):
    director.task(**MARKS)
    director.lists = False
    with pytest.raises(IpvsError, match="nft list table inet lvs_ipvs failed: no such table$"):
        director.manage(**MARKS)


def test_a_table_that_cannot_be_removed(director):
    director.task(persist=False, **MARKS)
    director.refuses = "Error: busy\n"
    with pytest.raises(IpvsError, match="^nft: Error: busy$"):
        director.manage(persist=False, state="absent")


def test_firewalld_is_opened_for_the_services(director):
    director.firewalld = []
    found = director.task(services=[service()])
    assert found.changed and director.firewalld == ["tcp to 203.0.113.80 port 80"] and director.done == ["firewalld"]
    assert found.before == "firewalld []\n" and found.after == "firewalld ['tcp to 203.0.113.80 port 80']\n"
    director.again(services=[service()])
    director.firewalld = []  # somebody has closed it again, which changes nothing of what is on record
    director.record = {"public": ["tcp to 203.0.113.80 port 80"]}
    assert director.task(services=[service()]).changed and director.firewalld == ["tcp to 203.0.113.80 port 80"]
    director.record = {"public": ["another"]}  # what is on record is told by nobody else
    assert not director.manage(services=[service()]).changed and director.done == ["firewalld"]


@pytest.mark.parametrize("options", [{"firewalld": False}, {"netns": "x", "persist": False}])
def test_firewalld_is_left_alone(director, options, monkeypatch):
    monkeypatch.setattr(_firewall_tasks._netns, "inside", contextlib.nullcontext)
    director.firewalld = []
    assert not director.task(services=[service()], **options).changed and director.firewalld == []


def test_firewalld_is_closed_again(director):
    director.firewalld = []
    director.task(services=[service()])
    assert director.task(services=[service()], state="absent").changed and director.firewalld == []


# What gets in the way

DROP = "table ip filter {\n\tchain INPUT {\n\t\tct state invalid drop\n\t}\n}\n"
PLACE = "table ip filter, chain INPUT: ct state invalid drop: drops packets of virtual services with "
NATTED, ROUTED = service(("198.51.100.11", "nat")), service(("198.51.100.11", "dr"), port=81)


def test_masquerading_needs_connection_tracking_in_ipvs(director):
    options = {"services": [NATTED], "snat": True}
    (told,) = director.task(**options).values["conflicts"]
    assert told.startswith("snat: needs net.ipv4.vs.conntrack=1")
    assert director.task(state="absent", **options).values["conflicts"] == []
    director.conntrack.write_text("1\n")
    assert director.task(**options).values["conflicts"] == []
    director.conntrack.unlink()  # IPVS is not loaded
    assert len(director.task(**options).values["conflicts"]) == 1


def test_rules_of_others_that_drop_what_is_only_seen_in_one_direction(director):
    assert director.task(services=[NATTED, ROUTED]).values["conflicts"] == []
    director.others = DROP
    half = PLACE + "dr and tun (tcp 203.0.113.80:81), whose answers this machine does not see: set notrack to true"
    nat = PLACE + "nat (tcp 203.0.113.80:80): set net.ipv4.vs.conntrack=1 with lvs.ipvs.ipvs_sysctls"
    assert director.task(services=[NATTED, ROUTED]).values["conflicts"] == [half, nat]
    assert director.task(services=[ROUTED]).values["conflicts"] == [half]
    assert director.task(services=[ROUTED, NATTED], notrack=True).values["conflicts"] == [nat]
    director.conntrack.write_text("1\n")
    assert director.task(services=[NATTED, ROUTED]).values["conflicts"] == [half]
    assert director.task(services=[service()]).values["conflicts"] == []


def test_three_services_are_named(director):
    director.others = DROP
    services = [service(("198.51.100.11", "dr"), port=port) for port in (81, 82, 83, 84)]
    assert "(tcp 203.0.113.80:81, tcp 203.0.113.80:82, tcp 203.0.113.80:83)" in director.task(services=services[:3]).values["conflicts"][0]
    assert "tcp 203.0.113.80:83, ...)" in director.task(services=services).values["conflicts"][0]


def test_texts_only_where_a_diff_is_wanted(director):
    options = {"services": [], "marks": [], "snat": False, "notrack": False, "netns": None, "persist": True, "load": True}
    options.update(firewalld=True, zones=None, state="present")
    answer = _firewall_tasks.manage_firewall(options, director.context()._replace(diff=False))
    assert (answer.before, answer.after) == (None, None)


def test_zones_of_firewalld(director):
    director.firewalld = []
    for zones, asked in ((None, []), (["internal"], ["internal"])):
        director.manage(**MARKS, zones=zones)
        assert director.zones == asked
