# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for ``_netlink.Kernel``: a table in memory that refuses what the kernel refuses, with the kernel's error numbers.

It cannot show how the real one reads and writes messages; tests/integration has that.
"""

from __future__ import annotations

import errno

from ansible_collections.lvs.ipvs.plugins.module_utils import _model, _plan, _schema

IDLE = (_schema.Connections(0, 0, 0), _schema.Statistics())


class FakeKernel:
    """``table``: a Table to begin with. ``read_only``: any write is an AssertionError, the proof of check mode.

    ``refuse``: {index of an operation over the life of the kernel: outcome to give it}, an errno or None (the answer is lost,
    and so is the operation). ``meddle``: a list of functions ``(kernel) -> None``, one of which is called before each apply.
    """

    def __init__(self, table=None, timeouts=None, daemons=None, read_only=False):
        self.table = copy(table or {})
        self.known_timeouts = timeouts or _model.Timeouts(900, 120, 300)
        self.running_daemons = dict(daemons or {})
        self.counters = {}
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
            self.known_timeouts = after
            return 0
        if kind == _plan.ADD_SERVICE:
            if ident in self.table:
                return errno.EEXIST
            self.table[ident] = _model.Entry(after, {})
            return 0
        if kind == _plan.FLUSH:
            self.table.clear()
            return 0
        if kind == _plan.ZERO:
            if ident is not None and ident not in self.table:
                return errno.ESRCH
            for key in list(self.counters):  # a ServiceId, or one and a ServerId
                if ident is None or ident in (key, key[0]):
                    del self.counters[key]
            return 0
        if ident not in self.table:
            return errno.ESRCH
        entry = self.table[ident]
        if kind == _plan.EDIT_SERVICE:
            self.table[ident] = entry._replace(service=after)
        elif kind == _plan.DELETE_SERVICE:
            del self.table[ident]
        elif kind == _plan.ADD_SERVER and after.id in entry.servers:
            return errno.EEXIST
        elif kind != _plan.ADD_SERVER and (after or before).id not in entry.servers:
            return errno.ENOENT
        elif kind == _plan.DELETE_SERVER:
            del entry.servers[before.id]
        else:
            entry.servers[after.id] = after
        return 0

    def _daemon(self, kind, before, after):
        if kind == _plan.STOP_DAEMON:
            return 0 if self.running_daemons.pop(before.role, None) else errno.ESRCH
        if after.role in self.running_daemons:
            return errno.EEXIST
        self.running_daemons[after.role] = after._replace(max_length=after.max_length or 1472)
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


def copy(table):
    """A Table whose servers can be changed without changing the original."""
    return {ident: entry._replace(servers=dict(entry.servers)) for ident, entry in table.items()}
