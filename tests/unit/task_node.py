# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine for tasks to run on, with a fake kernel that raises on any write in check mode. The real one is in tests/integration."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _info_task
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._table import (
    _info_tasks,
    _literals,
    _model,
    _multicast,
    _netlink,
    _owners,
    _session,
    _settings,
    _settings_tasks,
    _table_tasks,
    _tasks,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import NoIpvs

from .fake_kernel import FakeKernel

SERVICE_NAMES = ("address", "port", "protocol", "fwmark", "family")
SERVER_NAMES = ("forward_method", "weight", "upper_threshold", "lower_threshold", "tunnel_type", "tunnel_port", "tunnel_checksum")
DEFAULTS = {
    _tasks.manage_service: dict.fromkeys((*SERVICE_NAMES, *_model.Service._fields[1:], "servers", "netns"), None)
    | {"state": "present", "purge_servers": False},
    _tasks.manage_server: dict.fromkeys(("service_" + name for name in SERVICE_NAMES), None)
    | dict.fromkeys(("address", "port", *SERVER_NAMES, "drain_timeout", "netns"), None)
    | {"state": "present", "drain_connections": 0, "drain_interval": 1.0},
    _table_tasks.manage_table: dict.fromkeys(("services", "rules", "prune_scope", "drain_timeout", "netns"), None)
    | dict.fromkeys(("purge_servers", "prune", "prune_saved", "prune_force", "allow_empty", "postpone_removals"), False)
    | {"state": "present", "rollback": True},
    _settings_tasks.manage_timeouts: dict.fromkeys(("tcp", "tcp_fin", "udp", "netns"), None),
    _settings_tasks.manage_sync_daemon: dict.fromkeys((*_settings.Daemon._fields[1:], "netns"), None) | {"state": "present"},
    _info_tasks.zero_counters: dict.fromkeys((*SERVICE_NAMES, "netns"), None) | {"state": "zeroed"},
    _info_task.read_keepalived: {"netns": None},
    _info_tasks.read_info: dict.fromkeys((*SERVICE_NAMES, "netns"), None) | {"statistics": False, "table": True, "pyroute2_interpreters": ["running"]},
}
WEB = {"address": "203.0.113.80", "port": 80}
SERVER = {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11"}
NAT = {"address": "198.51.100.11", "forward_method": "nat"}
IDENT = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 80, 0)
SERVER_ID = _model.ServerId("198.51.100.11", 80)


class Node:
    """A machine for a task to run on. ``loaded``: whether its kernel has loaded IPVS; ``modules``: states of kernel modules."""

    def __init__(self, monkeypatch):
        self.kernel = FakeKernel()
        self.loaded = True
        self.modules = {}
        self.warnings = []
        monkeypatch.setattr(_session, "Kernel", self.open)
        monkeypatch.setattr(_netlink, "loaded", lambda netns: self.loaded)
        monkeypatch.setattr(_kmod, "state", lambda name: self.modules.get(name, "loadable"))
        monkeypatch.setattr(_multicast, "check_daemon", lambda daemon, netns: None)
        self.owned = {}
        monkeypatch.setattr(_owners, "keepalived_services", lambda netns: (self.owned, []))

    def open(self, _netns):
        if self.modules.get("ip_vs") == "missing":
            raise NoIpvs("this kernel has no IPVS")
        self.loaded = True
        return self.kernel

    def run(self, task, check=False, diff=True, **options):
        self.warnings.clear()
        return task({**DEFAULTS[task], **options}, Context(check, diff, self.warnings.append))

    def check(self, task, **options):
        """The answer in check mode, in which nothing is written."""
        self.kernel.read_only = True
        try:
            return self.run(task, check=True, **options)
        finally:
            self.kernel.read_only = False
