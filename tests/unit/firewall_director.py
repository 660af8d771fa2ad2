# SPDX-License-Identifier: GPL-3.0-or-later
"""A director with a made-up nftables and a made-up firewalld, for what ipvs_firewall does."""

from __future__ import annotations

import ipaddress

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _nftables
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _firewall_tasks

from .boot_node import Machine

VIP = "203.0.113.80"
NETWORKS = [ipaddress.ip_network(text) for text in ("198.51.100.0/24", "203.0.113.0/24", "2001:db8::/64")]
UNITS = ("ipvs-firewall.service", "ipvs-firewall-again.service")
NFT = ["/usr/sbin/nft"]


def service(*servers, **options):
    named = {} if "fwmark" in options else {"address": VIP, "port": 80}
    return {**named, "servers": [{"address": address, "forward_method": method} for address, method in servers], **options}


def mark(number, address=VIP, ports=None, protocol=None):
    return {"mark": number, "address": address, "ports": ports, "protocol": protocol}


def texts(items):
    return [str(each) for each in items]


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
        self.zones = zones
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
