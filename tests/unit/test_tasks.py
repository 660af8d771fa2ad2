# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module does, on a fake kernel that raises on any write in check mode. The real one is in tests/integration."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _multicast, _netlink, _owners, _schema, _settings, _tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, NoIpvs, OptionError

from .fake_kernel import FakeKernel

SERVICE_NAMES = ("address", "port", "protocol", "fwmark", "family")
SERVER_NAMES = ("forward_method", "weight", "upper_threshold", "lower_threshold", "tunnel_type", "tunnel_port", "tunnel_checksum")
DEFAULTS = {
    _tasks.manage_service: dict.fromkeys((*SERVICE_NAMES, *_model.Service._fields[1:], "servers", "netns"), None)
    | {"state": "present", "purge_servers": False},
    _tasks.manage_server: dict.fromkeys(("service_" + name for name in SERVICE_NAMES), None)
    | dict.fromkeys(("address", "port", *SERVER_NAMES, "drain_timeout", "netns"), None)
    | {"state": "present", "drain_connections": 0, "drain_interval": 1.0},
    _tasks.manage_table: dict.fromkeys(("services", "rules", "prune_scope", "netns"), None)
    | {"state": "present", "purge_servers": False, "prune": False, "prune_force": False, "rollback": True},
    _tasks.manage_timeouts: dict.fromkeys(("tcp", "tcp_fin", "udp", "netns"), None),
    _tasks.manage_sync_daemon: dict.fromkeys((*_settings.Daemon._fields[1:], "netns"), None) | {"state": "present"},
    _tasks.zero_counters: dict.fromkeys((*SERVICE_NAMES, "netns"), None) | {"state": "zeroed"},
    _tasks.read_info: dict.fromkeys((*SERVICE_NAMES, "netns"), None) | {"statistics": False},
}
WEB = {"address": "203.0.113.80", "port": 80}
SERVER = {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11"}
NAT = {"address": "198.51.100.11", "forward_method": "nat"}


class Node:
    """A machine for a task to run on. ``loaded``: whether its kernel has loaded IPVS; ``modules``: states of kernel modules."""

    def __init__(self, monkeypatch):
        self.kernel = FakeKernel()
        self.loaded = True
        self.modules = {}
        self.warnings = []
        monkeypatch.setattr(_tasks, "Kernel", self.open)
        monkeypatch.setattr(_netlink, "loaded", lambda netns: self.loaded)
        monkeypatch.setattr(_kmod, "state", lambda name: self.modules.get(name, "loadable"))
        monkeypatch.setattr(_multicast, "check_daemon", lambda daemon, netns: None)

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


@pytest.fixture
def node(monkeypatch):
    return Node(monkeypatch)


CHANGES = [
    (_tasks.manage_service, dict(WEB, servers=[NAT])),
    (_tasks.manage_service, dict(WEB, port=81, servers=[], purge_servers=True)),
    (_tasks.manage_service, dict(WEB, port=81, state="absent")),
    (_tasks.manage_server, dict(SERVER, service_port=81, weight=9)),
    (_tasks.manage_server, dict(SERVER, service_port=81, state="absent")),
    (_tasks.manage_server, dict(SERVER, service_port=81, state="drained")),
    (_tasks.manage_server, dict(SERVER, service_port=81, state="absent", drain_timeout=5)),
    (_tasks.manage_table, dict(services=[WEB, {"fwmark": 7}])),
    (_tasks.manage_table, dict(services=[], prune=True, prune_force=True)),
    (_tasks.manage_table, dict(services=[dict(WEB, port=81, servers=[])], purge_servers=True)),
    (_tasks.manage_table, dict(services=[dict(WEB, port=81)], state="absent")),
    (_tasks.manage_table, dict(rules="-A -f 7\n-a -f 7 -r 198.51.100.11 -m\n")),
    (_tasks.manage_timeouts, dict(tcp=60)),
    (_tasks.manage_sync_daemon, dict(role="master", interface="eth0", max_length=1400)),
    (_tasks.zero_counters, {}),
]


@pytest.mark.parametrize("task, options", CHANGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_check_writes_nothing_and_foretells_the_answer(node, monkeypatch, task, options):
    monkeypatch.setattr(_owners, "find", lambda netns: [])
    node.run(_tasks.manage_service, **dict(WEB, port=81), servers=[NAT])
    ident = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 81, 0)
    node.kernel.counters[ident] = _schema.Statistics(connections=1)
    before = node.kernel.read()

    foretold = node.check(task, **options)
    assert node.kernel.read() == before
    done = node.run(task, **options)
    assert foretold == done
    assert done.changed and done.values["commands"] and done.before != done.after
    again = node.run(task, **options)
    assert not again.changed and again.values["commands"] == []
    assert again.before == again.after
    without = node.run(task, diff=False, **options)
    assert (without.before, without.after) == (None, None)


def test_the_check_of_check_mode_would_notice(node):
    node.kernel.read_only = True
    with pytest.raises(AssertionError, match="a write in check mode"):
        node.run(_tasks.manage_service, **WEB)


def test_a_kernel_that_has_not_loaded_ipvs(node):
    node.loaded = False
    answer = node.check(_tasks.manage_service, **WEB)
    assert answer.changed and not node.loaded
    assert "the table is taken as empty" in node.warnings[0] and len(node.warnings) == 1
    for task, options in [
        (_tasks.manage_service, dict(WEB, state="absent")),
        (_tasks.manage_table, dict(services=[], prune=True)),
        (_tasks.manage_timeouts, dict(tcp=0)),
        (_tasks.manage_sync_daemon, dict(role="backup", state="absent")),
        (_tasks.zero_counters, {}),
        (_tasks.read_info, {}),
    ]:
        assert not node.run(task, **options).changed
        assert not node.loaded and not node.warnings, task
    node.run(_tasks.manage_service, **WEB)
    assert node.loaded


def test_a_kernel_without_ipvs(node, monkeypatch):
    monkeypatch.setattr(_kmod, "missing_hint", lambda name: "it has no module " + name)
    node.loaded = False
    node.modules = {name: "missing" for name in ("ip_vs", "ip_vs_wlc", "ip_vs_rr")}
    with pytest.raises(NoIpvs):
        node.run(_tasks.manage_service, **WEB, scheduler="rr")
    # the scheduler is no error of its own where everything is missing
    assert node.check(_tasks.manage_service, **WEB, scheduler="rr").changed
    assert "this kernel has no IPVS: it has no module ip_vs" in node.warnings[1]
    assert node.run(_tasks.read_info).values["loaded"] is False


@pytest.mark.parametrize("check", [True, False])
def test_schedulers_and_engines_are_looked_up_before_anything_is_touched(node, monkeypatch, check):
    monkeypatch.setattr(_kmod, "missing_hint", lambda name: "it has no module " + name)
    node.modules = {"ip_vs_nosuch": "missing", "ip_vs_pe_nosuch": "missing"}
    node.kernel.read_only = True
    for options in (dict(scheduler="nosuch"), dict(persistence_engine="nosuch", persistence_timeout=60)):
        with pytest.raises(OptionError, match=r"'nosuch': there is no such .* \(service tcp 203.0.113.80:80\)"):
            node.run(_tasks.manage_service, check=check, **WEB, **options)
    node.modules = {"ip_vs_mh": "missing"}
    with pytest.raises(OptionError, match="'mh': this kernel does not have this scheduler .*: it has no module ip_vs_mh"):
        node.run(_tasks.manage_service, check=check, **WEB, scheduler="mh")


@pytest.mark.parametrize("state", ["loaded", "builtin", "loadable", "unknown"])
def test_a_scheduler_from_elsewhere_is_the_kernels_to_judge(node, state):
    node.modules = {"ip_vs_ours": state, "ip_vs_pe_ours": state}
    node.kernel.schedulers.add("ours")
    node.kernel.engines.add("ours")
    options = dict(WEB, scheduler="ours", persistence_engine="ours", persistence_timeout=60)
    assert node.check(_tasks.manage_service, **options).changed
    assert node.run(_tasks.manage_service, **options).values["service"]["scheduler"] == "ours"


def test_each_module_is_looked_up_once(node, monkeypatch):
    asked = []
    monkeypatch.setattr(_kmod, "state", lambda name: asked.append(name) or "loaded")
    services = [dict(WEB, port=port, scheduler=("rr", "wrr", "none")[port % 3], servers=[]) for port in range(1, 100)]
    node.run(_tasks.manage_table, services=services)
    assert sorted(asked) == ["ip_vs_rr", "ip_vs_wrr"]
    asked.clear()
    node.run(_tasks.manage_table, services=services)
    assert asked == []


def test_a_table_is_read_in_one_go_where_it_is_large(node):
    idents = []
    genuine = node.kernel.read
    node.kernel.read = lambda wanted=None: idents.append(wanted) or genuine(wanted)
    node.run(_tasks.manage_table, services=[dict(WEB, port=port) for port in range(1, 101)])
    node.run(_tasks.manage_table, services=[dict(WEB, port=port) for port in range(1, 102)])
    node.run(_tasks.manage_table, services=[WEB], prune=True, prune_force=True)
    assert [None if wanted is None else len(wanted) for wanted in idents] == [100, None, None]


def test_a_server_whose_service_is_missing(node):
    with pytest.raises(IpvsError, match="service tcp 203.0.113.80:80: there is no such virtual service; make it first"):
        node.run(_tasks.manage_server, **SERVER)
    answer = node.check(_tasks.manage_server, **SERVER, forward_method="nat")
    assert answer.changed and "an earlier task may make it" in node.warnings[0]
    assert answer.values["commands"] == ["ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1"]
    with pytest.raises(OptionError, match="port: 81"):
        node.check(_tasks.manage_server, **SERVER, port=81)


DAEMON = _settings.Daemon("master", "eth0", 7, 1472, "224.0.0.81", 8848, 1)


@pytest.mark.parametrize("check", [True, False])
def test_a_daemon_that_cannot_start_is_refused_before_the_one_that_runs_is_stopped(node, monkeypatch, check):
    node.kernel.running_daemons["master"] = DAEMON
    node.kernel.read_only = True
    asked = []

    def refuse(daemon, netns):
        asked.append((daemon, netns))
        raise OptionError("interface", daemon.interface, "there is no such interface")

    monkeypatch.setattr(_multicast, "check_daemon", refuse)
    with pytest.raises(OptionError, match="interface: 'eth1': there is no such interface"):
        node.run(_tasks.manage_sync_daemon, check=check, role="master", interface="eth1", netns="blue")
    assert asked == [(DAEMON._replace(interface="eth1"), "blue")]
    # nothing is asked where nothing is to start
    assert not node.run(_tasks.manage_sync_daemon, check=check, role="master", interface="eth0").changed
    assert not node.run(_tasks.manage_sync_daemon, check=check, role="backup", state="absent").changed
    assert len(asked) == 1


@pytest.mark.parametrize("check", [True, False])
def test_no_daemon_starts_beside_a_server_of_the_other_family(node, check):
    node.run(_tasks.manage_service, **WEB, servers=[{"address": "2001:db8::11", "forward_method": "tun"}])
    node.kernel.read_only = True
    with pytest.raises(IpvsError, match=r"another address family than its service: \[2001:db8::11\]:80 of service tcp 203.0.113.80:80. Remove"):
        node.run(_tasks.manage_sync_daemon, check=check, role="master", interface="eth0")


@pytest.mark.parametrize("back", [True, False])
def test_a_daemon_that_does_not_start_all_the_same(node, back):
    node.kernel.running_daemons["master"] = DAEMON
    node.kernel.refuse = {1: errno.EADDRINUSE} if back else {1: errno.EADDRINUSE, 2: errno.ENODEV}
    with pytest.raises(IpvsError, match="start daemon .master.: the kernel answered EADDRINUSE") as failure:
        node.run(_tasks.manage_sync_daemon, role="master", multicast_port=8849)
    assert node.kernel.running_daemons == ({"master": DAEMON} if back else {})
    if back:
        assert "The master sync daemon runs as before: ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7" in str(failure.value)
    else:
        assert "The master sync daemon that ran before does not run" in str(failure.value) and failure.value.details["changed"]


def test_filters_of_info(node):
    node.run(_tasks.manage_table, services=[WEB, dict(WEB, protocol="udp"), {"fwmark": 7}, {"fwmark": 7, "family": "ipv6"}])
    for criteria, number in (({}, 4), ({"protocol": "tcp"}, 1), ({"family": "ipv4"}, 3), ({"fwmark": 7}, 2), ({"port": 81}, 0)):
        assert len(node.run(_tasks.read_info, **criteria).values["services"]) == number, criteria


@pytest.mark.parametrize(
    "written, zeroed",
    [
        ({"protocol": "tcp"}, ["tcp 203.0.113.80:80", "tcp [2001:db8::80]:80"]),
        ({"family": "ipv4"}, ["tcp 203.0.113.80:80", "udp 203.0.113.80:80", "fwmark 7"]),
        ({"family": "ipv6", "protocol": "tcp"}, ["tcp [2001:db8::80]:80"]),
        ({"family": "ipv6", "protocol": "udp"}, []),
        ({"fwmark": 7}, ["fwmark 7"]),
        (WEB, ["tcp 203.0.113.80:80"]),
    ],
    ids=str,
)
def test_no_more_counters_are_zeroed_than_is_written(node, written, zeroed):
    node.run(_tasks.manage_table, services=[WEB, dict(WEB, protocol="udp"), {"address": "2001:db8::80", "port": 80}, {"fwmark": 7}])
    counted = list(node.kernel.table)
    node.kernel.counters = {ident: _schema.Statistics(connections=1) for ident in counted}
    foretold = node.check(_tasks.zero_counters, **written)
    assert node.run(_tasks.zero_counters, **written) == foretold
    assert [str(ident) for ident in counted if ident not in node.kernel.counters] == zeroed
    assert len(foretold.values["commands"]) == len(zeroed) and "ipvsadm -Z" not in foretold.values["commands"]
    assert not node.run(_tasks.zero_counters, **written).changed


def test_statistics_of_info(node):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    ident = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 80, 0)
    node.kernel.counters[ident] = _schema.Statistics(in_bytes=2**40)
    node.kernel.counters[ident, _model.ServerId("198.51.100.11", 80)] = (_schema.Connections(3, 2, 1), _schema.Statistics(connections=5))
    service = node.run(_tasks.read_info, statistics=True).values["services"][0]
    assert service["statistics"]["in_bytes"] == 2**40
    server = service["servers"][0]["statistics"]
    assert (server["active_connections"], server["inactive_connections"], server["persistent_connections"], server["connections"]) == (3, 2, 1, 5)


def test_a_server_that_goes_and_comes_while_it_is_drained(node):
    """Gone when its weight is to be set, there again with connections a moment later: it isn't ours any more."""
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    ident = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 80, 0)
    server = _model.ServerId("198.51.100.11", 80)
    entry = node.kernel.read()[ident]
    node.kernel.counters[ident, server] = (_schema.Connections(3, 0, 0), _schema.Statistics())
    node.kernel.meddle = [lambda kernel: kernel.table[ident].servers.clear()]
    genuine = node.kernel.connections

    def connections(*idents):
        node.kernel.table[ident] = entry
        return genuine(*idents)

    node.kernel.connections = connections
    answer = node.run(_tasks.manage_server, **SERVER, state="drained", drain_timeout=0)
    assert not answer.changed and answer.values["server"] is None
    assert "removed by somebody else" in node.warnings[0]


DRAIN = dict(SERVER, state="drained", drain_timeout=0)
IDENT = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 80, 0)
SERVER_ID = _model.ServerId("198.51.100.11", 80)


def restore_weight(node, times):
    """Have somebody else give the server weight 9 right after each of the first so many changes by us."""
    genuine = node.kernel.connections

    def connections(ident, server):
        nonlocal times
        if times:
            times -= 1
            entry = node.kernel.table[ident]
            entry.servers[server] = entry.servers[server]._replace(weight=9)
        return genuine(ident, server)

    node.kernel.connections = connections


def test_a_weight_that_comes_back_while_draining_is_taken_once_more(node):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    restore_weight(node, 1)
    answer = node.run(_tasks.manage_server, **DRAIN)
    assert answer.values["server"]["weight"] == node.kernel.table[IDENT].servers[SERVER_ID].weight == 0
    assert answer.values["commands"] == ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"] * 2
    assert "-w 1" in answer.before and "-w 0" in answer.after
    assert node.warnings == ["somebody else gave 198.51.100.11:80 of tcp 203.0.113.80:80 a weight while it was drained; it was set to 0 again"]


@pytest.mark.parametrize("state", ["drained", "absent"])
def test_a_weight_that_comes_back_twice_is_told_as_it_is(node, state):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    restore_weight(node, 2)
    with pytest.raises(IpvsError, match="twice while it was drained. Its weight is 9") as error:
        node.run(_tasks.manage_server, **dict(DRAIN, state=state))
    details = error.value.details
    assert details["changed"] and len(details["commands"]) == 2 and details["server"]["weight"] == 9
    assert node.kernel.table[IDENT].servers[SERVER_ID].weight == 9


def test_a_removal_that_fails_after_the_drain_says_what_the_drain_changed(node):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    node.kernel.refuse = {len(node.kernel.applied) + 1: errno.EBUSY}
    with pytest.raises(IpvsError, match="delete server .* Nothing was changed") as error:
        node.run(_tasks.manage_server, **dict(DRAIN, state="absent"))
    assert error.value.details == {"changed": True, "commands": ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"]}


NEAR = [
    # the server on another port, then others on the same port, nearest first, then the same server elsewhere
    (
        dict(SERVER, address="198.51.100.12"),
        "198.51.100.12:80 is not a server of tcp 203.0.113.80:80: there is nothing to drain. "
        "Nearest: 198.51.100.12:8080 of tcp 203.0.113.80:80; 198.51.100.11:80 of tcp 203.0.113.80:80; "
        "198.51.100.12:443 of tcp 203.0.113.80:443.",
    ),
    (dict(SERVER, address="198.51.100.111"), "Nearest: 198.51.100.11:80 of tcp 203.0.113.80:80; 198.51.100.12:8080 of tcp 203.0.113.80:80."),
    (
        dict(SERVER, service_port=8443),
        "service tcp 203.0.113.80:8443: there is no such virtual service, and nothing to drain. Nearest: 198.51.100.11:80 of tcp 203.0.113.80:80.",
    ),
    (dict(SERVER, service_address="203.0.113.81", address="198.51.100.77"), "Nearest: tcp 203.0.113.80:80."),
    (dict(SERVER, service_port=81, address="198.51.100.77"), "Nearest: tcp 203.0.113.80:80; tcp 203.0.113.80:443."),
    (dict(service_fwmark=7, address="198.51.100.77"), "service fwmark 7: there is no such virtual service, and nothing to drain."),
]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("options, text", NEAR, ids=range(len(NEAR)))
def test_what_is_not_there_cannot_be_drained(node, options, text, check):
    other = dict(NAT, address="198.51.100.12")
    node.run(_tasks.manage_service, **WEB, servers=[NAT, dict(other, port=8080)])
    node.run(_tasks.manage_service, **dict(WEB, port=443), servers=[other])
    node.kernel.read_only = True
    with pytest.raises(IpvsError) as error:
        node.run(_tasks.manage_server, check=check, **options, state="drained")
    assert str(error.value).endswith(text)
    # to remove it is no error: it isn't there, as was asked for
    assert not node.run(_tasks.manage_server, check=check, **options, state="absent", drain_timeout=5).changed


@pytest.mark.parametrize("check", [True, False])
def test_a_server_on_another_port_is_not_added_a_second_time(node, check):
    node.run(_tasks.manage_service, **WEB, servers=[dict(NAT, port=8080), dict(NAT, port=8081)])
    node.kernel.read_only = True
    there = "198.51.100.11 is a server of tcp 203.0.113.80:80 on port 8080 and 8081"
    with pytest.raises(OptionError) as error:
        node.run(_tasks.manage_server, check=check, **SERVER, weight=2)
    assert str(error.value) == f"port: None: {there}; give that port to manage it, or port: 80 to add another"
    assert not node.run(_tasks.manage_server, check=check, **SERVER, state="absent").changed
    assert node.warnings == [f"{there}; nothing was removed, because without port the service's port, 80, is meant"]
    with pytest.raises(AssertionError, match="a write in check mode"):
        node.run(_tasks.manage_server, **SERVER, port=80, forward_method="nat")
