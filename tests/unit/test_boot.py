# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of the network, now and at boot: a node of the test's own, a disk in memory, a stand-in for systemd."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses, _boot, _managers, _network_lines, _own_files, _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._node._network_node import Address
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _node_tasks, _real_server_task
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from . import test_network
from .boot_node import Machine

OWNER = _boot.Owner("ipvs-x", "ipvs_x", "Of the tests", "Order.", " x.service")
UNIT = "/etc/systemd/system/ipvs-x.service"
VIP, OTHER = "address 203.0.113.80/32 dev eth0", "address 203.0.113.81/32 dev eth0"
RULE = "rule -4 priority 5198 from 198.51.100.12 lookup 5198"
SYSCTL = "sysctl net.ipv4.conf.all.arp_ignore 1"


class Network(test_network.Node):
    """What is put up is there afterwards. ``deaf``: parts of lines that seem to be put up and are not."""

    def __init__(self):
        super().__init__()
        self.deaf, self.closed = (), 0
        self.settings = {}
        self.local = [Address("127.0.0.1", 8, "lo", 254), Address("198.51.100.12", 24, "eth0", 0)]

    def change(self, group, is_up):
        failures = super().change(group, is_up)
        failed = {failure.line for failure in failures}
        for line in group:
            if line not in failed and not any(part in line.text for part in self.deaf):
                (self.found.add if is_up else self.found.discard)(_network_lines.identity(line))
        return failures

    def set(self, key, value):
        reason = super().set(key, value)
        if not reason:
            self.settings[key] = value
        return reason

    def there(self, asked):
        return self.found | {_network_lines.identity(each) for each in asked if each.kind == "sysctl" and self.settings.get(each.words[0]) == each.words[1]}

    def addresses(self):
        return self.local

    def interfaces(self):
        return ["lo", "eth0", "eth1"]

    def routes_to(self, literals):
        return dict.fromkeys(literals, "eth0")

    def close(self):
        self.closed += 1


class Host(Machine):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.network = Network()
        monkeypatch.setattr(_boot, "new_node", lambda: self.network)
        monkeypatch.setattr(_managers, "read", lambda context: _managers.Found(None, False))
        monkeypatch.setattr(_managers.glob, "glob", lambda pattern: [])
        monkeypatch.setattr(_addresses, "check_interface", lambda name, option: None)

    def plan(self, *lines, check=True, **words):
        text = _boot.render(OWNER, lines) if lines else ""
        return _boot.plan(OWNER, text, self.network, self.context(check), **words)

    def have(self, *lines, **words):
        """Have the lines at work; what was not as it should be."""
        todo = self.plan(*lines, **words)
        self.network.done.clear()
        _boot.apply(todo, self.network, self.context())
        return todo.differences

    def again(self, *lines, **words):
        todo = self.plan(*lines, **words)
        assert (todo.differences, todo.changes, todo.leaving, todo.coming) == ([], [], [], [])
        assert todo.before == todo.after


@pytest.fixture
def host(monkeypatch):
    return Host(monkeypatch)


def test_lines_come_with_files_and_a_unit(host):
    todo = host.plan(SYSCTL, VIP)
    assert todo.differences == [
        "kernel setting net.ipv4.conf.all.arp_ignore is not 1",
        "address 203.0.113.80/32 dev eth0 is missing",
        "/usr/local/lib/ipvs-x is missing",
        "/etc/ipvs-x.conf is missing",
        f"{UNIT} is missing",
        "ipvs-x.service is not enabled: nothing comes back after a reboot",
        "ipvs-x.service is not active: see journalctl -u ipvs-x.service",
    ]
    assert host.files == {} and host.network.done == []
    assert todo.before == "" and todo.after.startswith(f"{SYSCTL}\n{VIP}\n# /etc/ipvs-x.conf\n")
    assert "# /usr/local/lib" not in todo.after  # the program itself is the same every time, and long
    assert host.have(SYSCTL, VIP) == todo.differences
    assert host.network.done == ["net.ipv4.conf.all.arp_ignore = 1", VIP]
    assert [line.text for line in _boot.recorded(OWNER)] == [SYSCTL, VIP]
    assert host.done == ["systemctl daemon-reload", "systemctl enable ipvs-x.service", "systemctl reload-or-restart ipvs-x.service"]
    assert host.active == host.enabled == {"ipvs-x.service"}
    host.again(SYSCTL, VIP)


def test_a_unit_that_has_changed_is_enabled_again(host):
    """It may be wanted by something else now."""
    host.have(VIP)
    host.put(UNIT, host.text(UNIT) + "# of a former version\n")
    assert host.have(VIP) == [f"{UNIT} is not as it should be"]
    assert host.done == ["systemctl daemon-reload", "systemctl enable ipvs-x.service"]
    host.again(VIP)


def test_only_what_is_new_comes_and_what_is_not_wanted_goes(host):
    host.have(VIP, RULE)
    assert host.have(OTHER, RULE) == [f"{VIP} is no longer needed", f"{OTHER} is missing", "/etc/ipvs-x.conf is not as it should be"]
    assert host.network.done == [f"- {VIP}", OTHER]
    assert host.done == []  # the unit is the same, enabled and active
    host.again(OTHER, RULE)


def test_what_is_up_and_was_not_recorded_needs_the_files_only(host):
    host.network.found.add(VIP)
    assert f"{VIP} is missing" not in host.have(VIP) and host.network.done == []


def test_a_line_of_ours_that_somebody_took_down_comes_back(host):
    host.have(VIP, RULE)
    host.network.found.remove(RULE)
    assert host.have(VIP, RULE) == [f"{RULE} is missing"] and host.network.done == [RULE]


def test_a_link_is_up_or_not(host):
    assert host.plan("link tunl0").differences[0] == "link tunl0 is not up"


@pytest.mark.parametrize(("taken", "what"), [("enabled", "is not enabled: nothing"), ("active", "is not active: see")])
def test_a_unit_that_was_switched_off(host, taken, what):
    host.have(VIP)
    getattr(host, taken).clear()
    (difference,) = host.have(VIP)
    assert what in difference and host.network.done == []
    host.again(VIP)


def test_in_an_image_build_the_unit_is_enabled_and_not_started(host):
    host.booted = False
    assert not [each for each in host.have(VIP) if "active" in each]
    assert host.enabled == {"ipvs-x.service"} and host.done == ["systemctl enable ipvs-x.service"]
    host.again(VIP)


def test_nothing_wanted_takes_everything_away(host):
    host.have(VIP, SYSCTL)
    todo = host.plan()
    assert todo.differences[0] == f"{VIP} is no longer needed" and todo.after == "" and VIP in todo.before
    _boot.apply(todo, host.network, host.context())
    assert host.files == {} and host.enabled == set() and host.active == set()
    assert VIP not in host.network.found and host.network.settings  # those stay
    assert host.done == ["systemctl stop ipvs-x.service", "systemctl disable ipvs-x.service", "systemctl daemon-reload"]
    host.again()
    assert host.plan().unit is None


def test_what_somebody_else_takes_over_stays_up(host):
    host.have(VIP, OTHER)
    todo = host.plan(released=VIP)
    assert todo.keeps and [line.text for line in todo.leaving] == [OTHER]
    stopped = []
    host.network.done.clear()
    run = host.run_command

    def look(words, data=None):
        if words[1] == "stop":
            stopped.append(host.text(OWNER.path))
        return run(words, data)

    host.run_command = look
    _boot.apply(todo, host.network, host.context())
    assert stopped == [""]  # so that the unit, which takes down what the file has, takes down nothing
    assert VIP in host.network.found and OTHER not in host.network.found and host.files == {}


def test_lines_that_fail_are_named(host):
    host.network.broken = {"203.0.113.81": "no such device"}
    with pytest.raises(IpvsError, match=r"^1 of the lines in /etc/ipvs-x.conf did not come up: address 203.0.113.81/32 dev eth0: no such device$"):
        host.have(VIP, OTHER)
    assert VIP in host.network.found and "ipvs-x.service" not in host.active
    host.network.broken = {}
    assert host.have(VIP, OTHER) == [f"{OTHER} is missing", "ipvs-x.service is not active: see journalctl -u ipvs-x.service"]


def test_lines_that_do_not_go(host):
    host.have(VIP, OTHER)
    files = dict(host.files)
    host.network.broken = {"203.0.113.80": "busy"}
    with pytest.raises(IpvsError, match="did not go: address 203.0.113.80/32 dev eth0: busy$"):
        host.have(OTHER)
    assert host.files == files


def test_a_line_that_nothing_refuses_and_that_is_not_there(host):
    host.network.deaf = ("203.0.113.81",)
    with pytest.raises(IpvsError, match=r"^1 of .* did not come up: address 203.0.113.81/32 dev eth0: it is not there, though nothing refused it$"):
        host.have(VIP, OTHER)


@pytest.mark.parametrize("number", [20, 21, 23])
def test_many_failures_are_shortened(host, number):
    host.network.broken = {"address": "no"}
    with pytest.raises(IpvsError) as failure:
        host.have(*[f"address 198.51.100.{last}/32 dev eth0" for last in range(100, 100 + number)])
    message = str(failure.value)
    assert message.startswith(f"{number} of the lines") and message.count(": no") == 20
    assert message.endswith(f"; and {number - 20} more") == (number > 20)


def test_files_that_cannot_be_written_undo_the_rest(host):
    host.have(VIP)
    host.full = OWNER.path
    todo = host.plan(OTHER)
    steps = []
    with pytest.raises(IpvsError, match=r"^/etc/ipvs-x.conf: No space left on device\. The rest was undone\.$"):
        _boot.apply(todo, host.network, host.context(), lambda: steps.append("between"), lambda: steps.append("undo") or "")
    assert steps == ["between", "undo"] and VIP in host.network.found and OTHER not in host.network.found
    host.network.broken = {}

    def go_bad():
        host.network.broken = {"203.0.113.80": "gone"}

    with pytest.raises(IpvsError, match=r"Undoing the rest failed in part: y is not x; address 203.0.113.80/32 dev eth0: gone$"):
        _boot.apply(host.plan(OTHER), host.network, host.context(), go_bad, lambda: "y is not x")


@pytest.mark.parametrize("was", ["active", "enabled", "neither"])
def test_a_unit_that_was_stopped_is_as_it_was_where_the_files_stay(host, was):
    host.have(VIP)
    files, host.full = dict(host.files), OWNER.path
    host.active, host.enabled = (({"ipvs-x.service"} if state == was else set()) for state in ("active", "enabled"))
    before = set(host.active), set(host.enabled)
    with pytest.raises(IpvsError, match=r"No space left on device\. The rest was undone\.$"):
        host.have()
    assert (host.active, host.enabled, host.files) == (*before, files) and VIP in host.network.found
    host.active, host.broken = {"ipvs-x.service"}, {"reload-or-restart": "no"}
    with pytest.raises(IpvsError, match=r"Undoing the rest failed in part: systemctl reload-or-restart ipvs-x\.service failed: a line$"):
        host.have()


def test_a_file_that_somebody_else_has_spoilt(host):
    host.put(OWNER.path, "adress 203.0.113.80/32 dev eth0\n")
    with pytest.raises(IpvsError, match=r"^/etc/ipvs-x.conf: unknown line 'adress.*; remove that line, which this collection did not write$"):
        host.plan(VIP)


def test_more_files_of_the_owners(host):
    extra = [_own_files.File("/etc/x", "x\n")]
    assert "/etc/x is missing" in host.have(VIP, extra=extra)
    assert host.text("/etc/x") == "x\n"
    host.again(VIP, extra=extra)


# ipvs_addresses

SERVICES = [{"address": "203.0.113.80", "port": 80}, {"address": "203.0.113.80", "port": 443}, {"fwmark": 7}, {"address": "2001:DB8::80", "port": 80}]


def addresses(host, check=False, **options):
    given = {"services": SERVICES, "addresses": None, "interface": None, "state": "present", "announce": True, "wait_for_service": True, **options}
    answer = _node_tasks.manage_addresses(given, host.context(check))
    assert host.network.closed
    return answer


def test_the_addresses_of_services_come_once_each_and_wait_for_them(host):
    foretold = addresses(host, check=True)
    assert host.files == {} and host.network.done == []
    answer = addresses(host)
    assert answer == foretold and answer.changed
    where = ["203.0.113.80/32 dev eth0", "2001:db8::80/128 dev eth0"]
    assert (answer.values["added"], answer.values["removed"], answer.values["announced"]) == (where, [], where)
    assert answer.values["addresses"] == [
        {"address": "203.0.113.80", "prefix_length": 32, "interface": "eth0"},
        {"address": "2001:db8::80", "prefix_length": 128, "interface": "eth0"},
    ]
    lines = [line.text for line in _boot.recorded(_addresses.OWNER)]
    assert lines == ["await table", "await 203.0.113.80", "await 2001:db8::80"] + [f"address {each} announce" for each in where]
    assert not addresses(host).changed


def test_addresses_that_are_listed_wait_for_the_table(host):
    answer = addresses(host, addresses=["203.0.113.99"], services=None)
    assert answer.values["added"] == ["203.0.113.99/32 dev eth0"]
    assert [line.text for line in _boot.recorded(_addresses.OWNER)] == ["await table", "address 203.0.113.99/32 dev eth0 announce"]


@pytest.mark.parametrize("options", [{"wait_for_service": False}, {"services": []}])
def test_addresses_that_wait_for_nothing(host, options):
    answer = addresses(host, addresses=["203.0.113.99"], announce=False, **options)
    assert answer.values["announced"] == []
    assert [line.text for line in _boot.recorded(_addresses.OWNER)] == ["address 203.0.113.99/32 dev eth0"]


def test_addresses_go_and_are_released(host):
    addresses(host)
    answer = addresses(host, services=SERVICES[:1])
    assert answer.values["removed"] == ["2001:db8::80/128 dev eth0"] and answer.values["added"] == []
    answer = addresses(host, state="released", services=SERVICES[:1])
    assert answer.changed and answer.values["removed"] == [] and VIP in host.network.found and host.files == {}
    assert not addresses(host, state="released", services=SERVICES[:1]).changed
    addresses(host)
    answer = addresses(host, state="absent")
    assert answer.values["addresses"] == [] and len(answer.values["removed"]) == 2 and VIP not in host.network.found and host.files == {}


def test_the_address_of_a_service_that_is_no_host(host):
    with pytest.raises(OptionError, match=r"services\[1\].address: '224.0.0.81'"):
        addresses(host, services=[{"fwmark": 7}, {"address": "224.0.0.81", "port": 80}])


# ipvs_real_server


class Settings:
    def __init__(self, root):
        self.root = root

    def get(self, key):
        return _sysctls.read(key, self.root)

    def __setitem__(self, key, value):
        _sysctls.write(key, value, self.root)


class RealServer:
    """Kernel modules, and settings in a made-up file tree, which the network's node sets too."""

    def __init__(self, host, monkeypatch, root):
        self.host, self.loaded, self.checks = host, set(), []
        real_plan, real_apply, real_undo = (getattr(_real_server_task._sysctl_plan, name) for name in ("plan", "apply", "undo"))
        monkeypatch.setattr(_real_server_task._sysctl_plan, "plan", lambda *words, **named: real_plan(*words, root=root, **named))
        monkeypatch.setattr(_real_server_task._sysctl_plan, "apply", lambda plan, context: real_apply(plan, context, root))
        monkeypatch.setattr(_real_server_task._sysctl_plan, "undo", lambda plan, context: real_undo(plan, context, root))
        monkeypatch.setattr(_real_server_task._modules, "ensure_modules", self.load)
        for interface in ("all", "default", "eth0", "lo", "tunl0"):
            folder = root / "proc/sys/net/ipv4/conf" / interface
            folder.mkdir(parents=True)
            for name in ("arp_ignore", "arp_announce", "rp_filter"):
                (folder / name).write_text("0\n")
        self.settings = root / "proc/sys/net/ipv4/conf"
        host.network.settings = Settings(root)

    def load(self, options, context):
        assert (options["state"], options["load"], options["persist"]) == ("present", True, False)
        lacking = [name for name in options["names"] if name not in self.loaded]
        if not context.check_mode:
            self.loaded.update(lacking)
        return _real_server_task.Answer(bool(lacking), {"loaded": lacking})

    def task(self, check=False, **options):
        defaults = {
            "services": [], "addresses": None, "fwmark_addresses": None, "state": "present", "purge": True, "vip_interface": "lo", "arp_interfaces": ["all"],
            "nat_route": "none", "nat_gateways": [], "nat_direct": [], "nat_table": 5198, "nat_priority": 5198,
        }  # fmt: skip
        return _real_server_task.manage_real_server({**defaults, **options}, self.host.context(check))


@pytest.fixture
def real_server(host, monkeypatch, tmp_path):
    return RealServer(host, monkeypatch, tmp_path)


def web(method, address="198.51.100.12", **named):
    return {"address": "203.0.113.80", "port": 80, **named, "servers": [{"address": address, "forward_method": method}]}


def test_a_node_that_is_no_real_server_is_left_alone(real_server, host):
    for options in ({"state": "absent"}, {"services": [web("dr", "198.51.100.99")]}):
        assert not real_server.task(**options).changed and (host.done, host.files, host.network.done) == ([], {}, [])


def test_a_real_server_by_direct_routing(real_server, host):
    foretold = real_server.task(check=True, services=[web("dr"), web("dr", address="198.51.100.13", port=81)])
    assert host.files == {} and (real_server.settings / "all/arp_ignore").read_text() == "0\n"
    answer = real_server.task(services=[web("dr"), web("dr", address="198.51.100.13", port=81)])
    assert answer.changed and answer.values == foretold.values
    assert answer.values["places"] == 1 and answer.values["leftovers"] == []
    assert answer.values["addresses"] == [{"address": "203.0.113.80", "prefix_length": 32, "interface": "lo"}]
    assert (real_server.settings / "all/arp_ignore").read_text().strip() == "1" and (real_server.settings / "all/arp_announce").read_text().strip() == "2"
    assert "address 203.0.113.80/32 dev lo" in host.network.found and host.network.closed == 2


def test_a_real_server_by_tunnel_gets_its_modules_first(real_server, host):
    answer = real_server.task(services=[web("tun")])
    assert answer.values["differences"][0] == "kernel module ipip is not loaded" and real_server.loaded == {"ipip"}
    assert host.text("/etc/modules-load.d/ipvs-real-server.conf").endswith("ipip\n")
    assert (real_server.settings / "tunl0/rp_filter").read_text().strip() == "0"
    assert answer.values["addresses"] == [{"address": "203.0.113.80", "prefix_length": 32, "interface": "tunl0"}]


def test_places_by_address_and_by_mark(real_server):
    marked = {"fwmark": 7, "servers": [{"address": "198.51.100.12"}]}
    answer = real_server.task(check=True, services=[marked, web("dr")], fwmark_addresses=["203.0.113.90", "2001:db8::90", "203.0.113.91"])
    assert [each["address"] for each in answer.values["addresses"]] == ["203.0.113.80", "203.0.113.90", "203.0.113.91"] and answer.values["places"] == 3
    answer = real_server.task(check=True, services=[marked, web("tun", "2001:db8:0::12")], addresses=["2001:DB8::12"])
    assert answer.values["places"] == 1
    assert real_server.task(check=True, services=[marked, web("dr")], state="absent").values["places"] == 0
    with pytest.raises(OptionError, match=r"^addresses\[1\]: 'host'"):
        real_server.task(addresses=["198.51.100.12", "host"])


def test_what_is_no_longer_needed_goes_or_with_purge_off_stays(real_server, host):
    real_server.task(services=[web("dr"), web("dr", address="198.51.100.12", port=81) | {"address": "203.0.113.81"}])
    foretold = real_server.task(check=True, services=[web("dr")], purge=False)
    assert "address 203.0.113.81/32 dev lo" in foretold.values["leftovers"] and not foretold.changed
    assert real_server.task(services=[web("dr")]).changed
    assert "address 203.0.113.81/32 dev lo" not in host.network.found and "address 203.0.113.80/32 dev lo" in host.network.found
    real_server.task(state="absent")
    assert "address 203.0.113.80/32 dev lo" not in host.network.found and OWNER.path not in host.files
