# SPDX-License-Identifier: GPL-3.0-or-later
"""A director with a fake kernel, for what ipvs_drain does."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _drain_files, _drain_tasks, _model, _netlink, _saved, _schema, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context

from .fake_kernel import FakeKernel

RS1, RS2, RS3 = (f"198.51.100.1{number}" for number in (1, 2, 3))
HTTP = {"address": "203.0.113.80", "port": 80}
MARK = {"fwmark": 7}
DEFAULTS = {
    "addresses": None, "state": "drained", "wait": True, "drain_timeout": 300, "drain_connections": 0, "drain_interval": 1.0,
    "allow_empty": False, "allow_missing": False, "netns": None,
}  # fmt: skip


def servers(*weights):
    return [{"address": f"198.51.100.1{number}", "forward_method": "nat", "weight": weight} for number, weight in enumerate(weights, 1)]


class Director:
    """A director with a fake kernel. ``sleeps``: a list of functions, one of which is called instead of each wait."""

    def __init__(self, monkeypatch, folder):
        self.kernel = FakeKernel(_model.created_table([dict(HTTP, servers=servers(3, 2)), dict(MARK, servers=servers(1, 1, 5))]))
        self.folder = folder
        self.loaded = True
        self.warnings = []
        self.sleeps = []
        self.now = 0.0
        monkeypatch.setattr(_session, "Kernel", lambda netns: self.kernel)
        monkeypatch.setattr(_netlink, "loaded", lambda netns: self.loaded)
        monkeypatch.setattr(_saved, "reweigh", self.reweigh)
        monkeypatch.setattr(_drain_files, "FOLDER", str(folder / "drain"))  # not this machine's
        self.saved = {}
        monkeypatch.setattr(_drain.wait_for_all, "__defaults__", (self,))
        monkeypatch.setattr(_drain.wait_for_weights, "__defaults__", (self,))

    def reweigh(self, table, context):
        """What the boot would restore: the weights of the tables that it was given."""
        weights = {(ident, server.id): server.weight for ident, entry in table.items() for server in entry.servers.values()}
        changed = any(self.saved.get(key, 0) != weight for key, weight in weights.items())
        if not context.check_mode:
            self.saved.update(weights)
        return changed

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.sleeps:
            self.sleeps.pop(0)()

    def run(self, *addresses, check=False, diff=True, **options):
        self.warnings.clear()
        options = {**DEFAULTS, "state_directory": str(self.folder), "addresses": list(addresses) or None, **options}
        return _drain_tasks.manage_drain(options, Context(check, diff, self.warnings.append))

    def check(self, *addresses, **options):
        """The answer in check mode, in which nothing is written."""
        self.kernel.read_only, before = True, self.recorded()
        try:
            return self.run(*addresses, check=True, **options)
        finally:
            self.kernel.read_only = False
            assert self.recorded() == before

    def foretold(self, *addresses, **options):
        """The answer of a real run, which a check before it foretold."""
        check = self.check(*addresses, **options)
        done = self.run(*addresses, **options)
        assert check == done
        return done

    def weights(self, service=None):
        return [server.weight for server in self.kernel.table[_model.service_id(service or HTTP)].servers.values()]

    def set(self, address, weight, service=None):
        known = self.kernel.table[_model.service_id(service or HTTP)].servers
        ident = next(each for each in known if each.address == address)
        if weight is None:
            del known[ident]
        else:
            known[ident] = known[ident]._replace(weight=weight)

    def connect(self, address, number, service=None):
        ident = _model.service_id(service or HTTP)
        known = next(each for each in self.kernel.table[ident].servers if each.address == address)
        self.kernel.counters[ident, known] = (_schema.Connections(number, 1, 0), _schema.Statistics())

    def recorded(self):
        """The record's text, None where there is none."""
        path = self.folder / "drained.json"
        return path.read_text() if path.exists() else None
