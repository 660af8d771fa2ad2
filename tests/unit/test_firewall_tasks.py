# SPDX-License-Identifier: GPL-3.0-or-later
"""What ipvs_firewall makes of its options, and what it does on a node with stand-ins. The real nftables is in tests/firewall."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _nftables
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _firewall_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .boot_node import Machine

VIP = "203.0.113.80"
NETWORKS = [ipaddress.ip_network(text) for text in ("198.51.100.0/24", "203.0.113.0/24", "2001:db8::/64")]


def service(*servers, **options):
    named = {} if "fwmark" in options else {"address": VIP, "port": 80}
    return {**named, "servers": [{"address": address, "forward_method": method} for address, method in servers], **options}


def mark(number, address=VIP, ports=None, protocol=None):
    return {"mark": number, "address": address, "ports": ports, "protocol": protocol}


def desired(services=(), marks=(), snat=False, notrack=False):
    options = {"services": list(services), "marks": list(marks), "snat": snat, "notrack": notrack}
    return _firewall_tasks.make_desired(options, lambda: NETWORKS)


def texts(items):
    return [str(each) for each in items]


def test_what_firewalld_is_to_let_in():
    found = desired([service(port=0, persistence_timeout=9), service(fwmark=7), service(fwmark=7, family="ipv6"), service(fwmark=8)], [mark(7, ports=["1-9"])])
    assert texts(found.open) == ["tcp to 203.0.113.80", "tcp to 203.0.113.80 port 1-9"]


@pytest.mark.parametrize(
    ("methods", "half", "nat"),
    [
        (["dr"], True, False),
        (["tun", "dr"], True, False),
        (["dr", "local"], True, False),
        (["local"], False, False),
        (["nat"], False, True),
        (["dr", "nat"], False, True),
        ([], False, False),
    ],
)
def test_which_services_are_seen_in_one_direction(methods, half, nat):
    services = [service(*[(f"198.51.100.{number + 11}", method) for number, method in enumerate(methods)])]
    found = desired(services)
    assert (bool(found.half), bool(found.nat), found.rules.notrack) == (half, nat, [])
    found = desired(services, notrack=True)
    assert (found.half, bool(found.rules.notrack)) == ([], half)


def test_packets_of_marks_stay_out_of_connection_tracking_too():
    found = desired([service(("198.51.100.11", "dr"), fwmark=7)], [mark(7, ports=["80"]), mark(9, ports=["81"])], notrack=True)
    assert texts(found.rules.notrack) == ["tcp to 203.0.113.80 port 80"]


def test_masquerading_is_for_networks_that_hold_servers():
    services = [service(("198.51.100.11", "nat"), ("198.51.100.12", "dr")), service(("2001:db8::11", "nat"), address="2001:db8::80")]
    found = desired(services, snat=True)
    assert texts(found.rules.clients) == ["198.51.100.0/24", "2001:db8::/64"]
    assert texts(found.rules.servers) == ["198.51.100.11/32", "2001:db8::11/128"]
    assert texts(desired(services, snat=["203.0.113.0/28"]).rules.clients) == ["203.0.113.0/28"]
    for snat in (False, [], None, "no"):
        assert desired(services, snat=snat).rules == ([], [], [], [])
    assert desired(services, snat="yes") == found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"marks": [mark(0)]}, "marks[0].mark: 0: a firewall mark is a number from 1 to 4294967295"),
        ({"marks": [mark(1, "example.org")]}, "marks[0].address: 'example.org': give an IPv4 or IPv6 address or network"),
        ({"marks": [mark(1, "203.0.113.80/24")]}, "marks[0].address: '203.0.113.80/24': the address has bits beyond the network's length: write"),
        ({"marks": [mark(1), mark(1, ports=["80", "http"])]}, "marks[1].ports[1]: 'http': give a port from 1 to 65535, or a range"),
        ({"marks": [mark(1, ports=["9-8"])]}, "marks[0].ports[0]: '9-8': give a port"),
        ({"marks": [mark(1, ports=["0"])]}, "marks[0].ports[0]: '0': give a port"),
        ({"marks": [mark(1, ports=["65536"])]}, "marks[0].ports[0]: '65536': give a port"),
        ({"marks": [mark(1), mark(2, ports=["80"])]}, "marks[1].mark: 2: marks[0] gives packets that this entry is for the mark 1 (tcp to 203.0.113.80)"),
        ({"snat": 7}, "snat: 7: give true, false, or a list of networks"),
        ({"snat": "198.51.100.0/24"}, "snat: '198.51.100.0/24': give true, false, or a list of networks"),
        ({"snat": [7]}, "snat: [7]: give true, false, or a list of networks"),
        ({"snat": ["lan"]}, "snat[0]: 'lan': give an IPv4 or IPv6 address or network"),
        ({"services": [service(), service()]}, "services[1].address: 'tcp 203.0.113.80:80': this service is listed twice"),
    ],
)
def test_bad_input_is_named(options, told):
    with pytest.raises(OptionError) as error:
        desired(**options)
    assert str(error.value).startswith(told)


def test_networks_that_this_machine_is_on(tmp_path):
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t016433C6\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth1\t007100CB\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0\n"
        "eth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    none, here = "0" * 32, "20010db8000000000000000000000000"
    (tmp_path / "ipv6_route").write_text(
        f"{here} 40 {none} 00 {none} 00000100 00000001 00000000 00000001     eth0\n"
        f"fe80{'0' * 28} 40 {none} 00 {none} 00000100 00000001 00000000 00000001     eth0\n"
        f"{none} 00 {none} 00 {here[:-1]}1 00000400 00000001 00000000 00000003     eth0\n"
        f"{here[:-2]}11 80 {none} 00 {none} 00000000 00000003 00000000 80200001     lo\n"
        f"ff{'0' * 30} 08 {none} 00 {none} 00000100 00000003 00000000 00000001     eth0\n"
    )
    assert texts(_firewall_tasks.connected_networks(str(tmp_path))) == ["198.51.100.0/24", "203.0.113.0/26", "2001:db8::/64"]
    assert _firewall_tasks.connected_networks(str(tmp_path / "none")) == []
    (tmp_path / "ipv6_route").unlink()
    (tmp_path / "route").write_text("Iface\tDestination\neth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    assert texts(_firewall_tasks.connected_networks(str(tmp_path))) == ["198.51.100.0/24"]


# On a node


FOLDER = "/etc/systemd/system/"
UNITS = ("ipvs-firewall.service", "ipvs-firewall-again.service")
NFT = ["/usr/sbin/nft"]


class Director(Machine):
    """With an nft that stands for the real one: it lists what it was given. ``refuses``: what it says against any rule."""

    def __init__(self, monkeypatch, tmp_path):
        super().__init__(monkeypatch)
        self.table, self.others, self.refuses, self.lists = "", "", "", True
        self.conntrack = tmp_path / "conntrack"
        self.conntrack.write_text("0\n")
        monkeypatch.setattr(_firewall_tasks, "_CONNTRACK", str(self.conntrack))
        monkeypatch.setattr(_firewall_tasks, "connected_networks", lambda: NETWORKS)
        self.firewalld = None
        monkeypatch.setattr(_firewall_tasks._firewalld, "running", lambda context: self.firewalld is not None)
        monkeypatch.setattr(_firewall_tasks._firewalld, "read_record", lambda: self.record)
        monkeypatch.setattr(_firewall_tasks._firewalld, "plan", self.firewalld_plan)
        monkeypatch.setattr(_firewall_tasks._firewalld, "apply", self.firewalld_apply)
        self.record = {}

    def firewalld_plan(self, opened, zones, context):
        rules = texts(opened)
        steps = [
            _firewall_tasks._firewalld.Step(verb, (), "public", some)
            for verb, some in (
                ("add", [each for each in rules if each not in self.firewalld]),
                ("remove", [each for each in self.firewalld if each not in rules]),
            )
            if some
        ]
        return _firewall_tasks._firewalld.Plan(steps, {"public": rules}, f"firewalld {self.firewalld}\n", f"firewalld {rules}\n")

    def firewalld_apply(self, plan, context):
        assert not self.checking
        self.done.append("firewalld")
        self.record = plan.opened
        self.firewalld = plan.opened["public"]

    def run_command(self, words, data=None):
        if words[0] == "unshare":
            assert words[1:4] == ["--net", "sh", "-c"] and words[5:] == NFT
            return (1, "", self.refuses) if self.refuses else (0, data[len(_nftables.REMOVAL) :], "")
        if words[:1] != NFT:
            answer = super().run_command(words, data)
            if words[1] == "reload-or-restart" and words[2] == UNITS[0]:
                self.load(self.text(_nftables.FILE).partition("\n")[2])
            return answer
        if words[-2:] == ["list", "ruleset"]:
            return 0, self.others + self.table, ""
        if words[1:] == ["list", "tables"]:
            return 0, "table inet lvs_ipvs\n" if self.table else "table ip filter\n", ""
        if "list" in words:
            return (0, self.table, "") if self.table and self.lists else (1, "", "no such table\n  a line\n")
        assert words[1:] == ["--file", "-"] and not self.checking
        if self.refuses:
            return 1, "", self.refuses
        self.done.append("nft")
        self.load(data)
        return 0, "", ""

    def load(self, text):
        assert text.startswith(_nftables.REMOVAL)
        self.table = text[len(_nftables.REMOVAL) :]

    def manage(self, check=False, **options):
        defaults = {
            "services": [], "marks": [], "snat": False, "notrack": False, "netns": None, "persist": True, "load": True, "firewalld": True, "zones": None,
            "state": "present",
        }  # fmt: skip
        return _firewall_tasks.manage_firewall({**defaults, **options}, self.context(check))

    def task(self, **options):
        """The Answer, which in check mode is the same and changes nothing."""
        found = (dict(self.files), set(self.enabled), set(self.active), self.table, self.record)
        foretold = self.manage(check=True, **options)
        assert (self.files, self.enabled, self.active, self.table, self.record) == found
        warnings = list(self.warnings)
        answer = self.manage(**options)
        assert answer == foretold and self.warnings == warnings == answer.values["conflicts"]
        return answer

    def again(self, **options):
        answer = self.task(**options)
        assert not answer.changed and answer.before == answer.after and self.done == []


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
