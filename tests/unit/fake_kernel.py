# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for ``_netlink.Kernel``: a table in memory that refuses what the kernel refuses, with the kernel's error numbers.

tests/integration/test_fake_kernel.py holds it against the real one. It cannot show how that reads and writes messages.
"""

from __future__ import annotations

import errno
import ipaddress

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _plan, _schema, _settings
from tests import rule_tables

IDLE = (_schema.Connections(0, 0, 0), _schema.Statistics())


class FakeKernel:
    """``table``: a Table to begin with. ``read_only``: any write is an AssertionError, the proof of check mode.

    ``refuse``: {index of an operation over the life of the kernel: outcome to give it}, an errno or None (the answer is lost,
    and so is the operation). ``meddle``: a list of functions ``(kernel) -> None``, one of which is called before each apply.
    ``schedulers``, ``engines``: the names that it knows.
    """

    def __init__(self, table=None, timeouts=None, daemons=None, read_only=False):
        self.table = copy(table or {})
        self.known_timeouts = timeouts or _settings.Timeouts(900, 120, 300)
        self.running_daemons = dict(daemons or {})
        self.counters = {}
        self.schedulers = set(rule_tables.SCHEDULERS)
        self.engines = {"", "sip"}
        self.read_only = read_only
        self.refuse = {}
        self.meddle = []
        self.applied = []

    # reading

    def read(self, idents=None):
        return {ident: entry for ident, entry in copy(self.table).items() if idents is None or ident in idents}

    def statistics(self, idents=None):
        return {
            ident: (
                self.counters.get(ident, _schema.Statistics()),
                {server: self.counters.get((ident, server), IDLE) for server in entry.servers},
            )
            for ident, entry in self.read(idents).items()
        }

    def connections(self, ident, server_id):
        if ident not in self.table or server_id not in self.table[ident].servers:
            return None
        return self.table[ident].servers[server_id], self.counters.get((ident, server_id), IDLE)[0]

    def uses(self, idents):
        found = {ident: {} for ident in idents}
        for ident, entry in self.read(idents).items():
            found[ident] = {server.id: self.connections(ident, server.id) for server in entry.servers.values()}
        return found

    def timeouts(self):
        return self.known_timeouts

    def daemons(self):
        return dict(self.running_daemons)

    def info(self):
        return "1.2.1", 4096

    # writing

    def apply(self, operations):
        assert not self.read_only, "a write in check mode: %s" % (operations,)
        if self.meddle:
            self.meddle.pop(0)(self)
        outcomes = []
        for operation in operations:
            number = len(self.applied)
            self.applied.append(operation)
            # the kernel goes on after a message that failed
            outcomes.append(self.refuse[number] if number in self.refuse else self._carry_out(*operation))
        return outcomes

    def _carry_out(self, kind, ident, before, after):
        if kind in (_plan.START_DAEMON, _plan.STOP_DAEMON):
            return self._daemon(kind, before, after)
        if kind == _plan.SET_TIMEOUTS:
            self.known_timeouts = _settings.Timeouts(*[new or old for new, old in zip(after, self.known_timeouts, strict=True)])
            return 0
        if kind == _plan.FLUSH:
            self.table.clear()
            return 0
        if kind == _plan.ZERO and ident is None:
            self.counters.clear()
            return 0
        if kind == _plan.ADD_SERVICE:
            if ident in self.table:
                return errno.EEXIST
        elif ident not in self.table:
            return errno.ESRCH
        if kind == _plan.ZERO:
            self._zero(ident)
        elif kind == _plan.DELETE_SERVICE:
            del self.table[ident]
        elif kind in (_plan.ADD_SERVICE, _plan.EDIT_SERVICE):
            if after.scheduler not in self.schedulers or after.persistence_engine not in self.engines:
                return errno.ENOENT
            self.table[ident] = _model.Entry(after, self.table[ident].servers if kind == _plan.EDIT_SERVICE else {})
        else:
            return self._server(kind, self.table[ident], before, after)
        return 0

    def _zero(self, ident):
        for key in list(self.counters):  # a ServiceId, or one and a ServerId
            if ident in (key, key[0]):
                del self.counters[key]

    def _server(self, kind, entry, before, after):
        if kind == _plan.DELETE_SERVER:
            return 0 if entry.servers.pop(before.id, None) else errno.ENOENT
        if _literals.family_of(after.id.address) != entry.service.id.family and (self.running_daemons or after.forward_method != "tun"):
            return errno.EINVAL
        if after.weight > _model.MAX_WEIGHT or after.lower_threshold > after.upper_threshold:
            return errno.ERANGE
        if after.forward_method == "tun" and after.tunnel_type == "gue" and not after.tunnel_port:
            return errno.EINVAL
        if kind == _plan.EDIT_SERVER and after.id not in entry.servers:
            return errno.ENOENT
        if kind == _plan.ADD_SERVER:
            if after.id in entry.servers:
                return errno.EEXIST
            address = ipaddress.ip_address(after.id.address)
            if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
                return errno.EINVAL
        entry.servers[after.id] = after
        return 0

    def _daemon(self, kind, before, after):
        if kind == _plan.STOP_DAEMON:
            return 0 if self.running_daemons.pop(before.role, None) else errno.ESRCH
        if after.role in self.running_daemons:
            return errno.EEXIST
        if any(_literals.family_of(server.address) != ident.family for ident, entry in self.table.items() for server in entry.servers):
            return errno.EINVAL
        self.running_daemons[after.role] = after._replace(max_length=after.max_length or 1472)
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


def copy(table):
    """A Table whose servers can be changed without changing the original."""
    return {ident: entry._replace(servers=dict(entry.servers)) for ident, entry in table.items()}
