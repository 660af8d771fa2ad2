# SPDX-License-Identifier: GPL-3.0-or-later
"""What network managers are given to keep, and how it is found out what they manage. Real ones are in the scenarios networkd and networkmanager."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses, _managers, _network_lines, _own_files, _real_server, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

DIRECTOR, SERVER = _addresses.OWNER, _real_server.OWNER
LAN = _managers.Network("/run/systemd/network/10-netplan-eth0.network", "", False)
VIP, VIP6 = "address 203.0.113.80/32 dev eth0 announce", "address 2001:db8::80/128 dev eth0 announce"
ROUTE, ROUTE6 = "route -4 default via 198.51.100.11 table 5198", "route -6 2001:db8:1::/64 via 2001:db8::11 table 5198"
RULE = "rule -4 priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198"
CONF = "/etc/systemd/networkd.conf.d/90-ipvs-%s.conf"
DROP_IN = "/etc/systemd/network/10-netplan-eth0.network.d/%d-ipvs-%s.conf"
STATUS = """\
* 1: lo
                     Link File: n/a
                  Network File: n/a
                         State: carrier (unmanaged)
                       Address: 127.0.0.1
                                ::1

\u25cf 3: eth0
                     Link File: /usr/lib/systemd/network/99-default.link
                  Network File: %s
                         State: routable (configured)
                       Address: fe80::ff:fe00:11
                                198.51.100.107 (DHCP4 via 198.51.100.12)
                       Gateway: 198.51.100.1
                                2001:db8::1

* 4: eth1
                  Network File: /etc/systemd/network/20-eth1.network
                         State: no-carrier (configuring)
                       Address: fe80::ff:fe00:12
                       Gateway: 198.51.100.1

* 5: ipvs0
                  Network File: /etc/systemd/network/05-ipvs-real-server.network
                         State: routable (unmanaged)
                       Address: 203.0.113.80
"""


def subject(*lines):
    return _managers.subject(_network_lines.parse("\n".join(lines)))


def wanted(*lines, owner=DIRECTOR, networks=None, network_manager=False, ways=None):
    return _managers.wanted(owner, subject(*lines), ways or {}, _managers.Found(networks, network_manager))


def said(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_tunnels_are_those_of_real_servers():
    assert set(_real_server.ENDS) == _managers.TUNNELS


def test_nothing_is_written_where_nothing_runs_or_nothing_is_there():
    assert wanted(VIP, VIP6) == {}
    assert wanted(networks={"eth0": LAN}, network_manager=True) == {}


def test_addresses_on_the_loopback_interface_are_in_nobodys_way():
    assert wanted("address 203.0.113.80/32 dev lo", owner=SERVER, networks={"eth0": LAN}, network_manager=True) == {}


def test_networkd_keeps_the_addresses_of_an_interface_that_it_manages():
    texts = wanted(VIP, networks={"eth0": LAN, "eth1": LAN})
    assert sorted(texts) == [DROP_IN % (90, "director"), CONF % "director"]
    assert said(texts[DROP_IN % (90, "director")][0]) == ["[Network]", "KeepConfiguration=static"]
    assert said(texts[CONF % "director"][0]) == ["[Network]", "ManageForeignRoutes=no", "ManageForeignRoutingPolicyRules=no"]
    assert {mode for _text, mode in texts.values()} == {0o644}
    assert wanted(VIP, networks={"eth1": LAN}) == {}


@pytest.mark.parametrize(
    ("keep", "dhcp", "ipv6", "value"),
    [
        ("", False, False, "static"),
        ("no", False, False, "static"),
        ("", False, True, "yes"),  # ours of IPv6 are deprecated, and static keeps none of those
        ("", True, False, "yes"),
        ("static", False, False, None),
        ("static", False, True, "yes"),
        ("dhcp", False, False, "yes"),
        ("dhcp-on-stop", False, False, "yes"),
        ("dynamic", False, False, "yes"),
        ("yes", True, True, None),
        ("True", True, True, None),
    ],
)
def test_what_the_interface_keeps_already_stays(keep, dhcp, ipv6, value):
    assert _managers.keep(LAN._replace(keep=keep, dhcp=dhcp), ipv6) == value


def test_an_ipv6_address_is_kept_by_the_file_that_counts_last():
    assert DROP_IN % (91, "director") in wanted(VIP, VIP6, networks={"eth0": LAN})


def test_routes_become_those_of_networkd():
    ways = {"198.51.100.11": "eth0", "2001:db8::11": "eth0"}
    texts = wanted(ROUTE, ROUTE6, RULE, owner=SERVER, networks={"eth0": LAN}, ways=ways)
    assert sorted(texts) == [DROP_IN % (90, "real-server"), CONF % "real-server"]
    routes = ["[Route]", "Gateway=198.51.100.11", "Table=5198", "[Route]", "Destination=2001:db8:1::/64", "Gateway=2001:db8::11", "Table=5198"]
    assert said(texts[DROP_IN % (90, "real-server")][0]) == ["[Network]", "KeepConfiguration=static", *routes]


def test_a_route_without_a_gateway_needs_no_interface():
    throw = _network_lines.parse("route -4 198.51.100.2/32 type throw table 5198\n")
    assert _managers.subject(throw) == _managers.Subject([], {}, [], True)


def test_a_file_for_several_interfaces_has_no_routes():
    texts = wanted(ROUTE, RULE, owner=SERVER, networks={"eth0": LAN, "eth1": LAN}, ways={"198.51.100.11": "eth0"})
    assert said(texts[DROP_IN % (90, "real-server")][0]) == ["[Network]", "KeepConfiguration=static"]


def test_rules_are_kept_though_networkd_manages_no_interface_of_theirs():
    assert sorted(wanted(ROUTE, RULE, owner=SERVER, networks={}, ways={"198.51.100.11": "eth7"})) == [CONF % "real-server"]


def test_routes_are_given_to_an_interface_that_keeps_everything_already():
    network = {"eth0": LAN._replace(keep="yes")}
    text = wanted(ROUTE, owner=SERVER, networks=network, ways={"198.51.100.11": "eth0"})[DROP_IN % (90, "real-server")][0]
    assert said(text) == ["[Route]", "Gateway=198.51.100.11", "Table=5198"]


def test_interfaces_of_ours_belong_to_no_manager():
    lines = ["dummy ipvs0", "link ipvs0", "link tunl0", "link eth0", "address 203.0.113.80/32 dev ipvs0", "address 203.0.113.81/32 dev tunl0"]
    texts = wanted(*lines, owner=SERVER, networks={"eth0": LAN}, network_manager=True)
    assert {mode for _text, mode in texts.values()} == {0o644}
    assert {path: said(text) for path, (text, _mode) in texts.items()} == {
        "/etc/systemd/network/05-ipvs-real-server.network": ["[Match]", "Name=ipvs0 tunl0", "[Link]", "Unmanaged=yes"],
        "/etc/NetworkManager/conf.d/90-ipvs-real-server.conf": ["[keyfile]", "unmanaged-devices+=interface-name:=ipvs0;interface-name:=tunl0"],
    }


def dispatched(tmp_path, hook, interface, event, failed=False):
    """What the hook has systemctl do."""
    (tmp_path / "hook").write_text(hook)
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\ncase "$*" in *is-failed*) exit {int(not failed)};; esac\necho "$@"\n')
    (tmp_path / "systemctl").chmod(0o755)
    command = ["/bin/sh", tmp_path / "hook", interface, event]
    return subprocess.run(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True, capture_output=True, text=True).stdout.strip()


def test_networkmanager_has_the_unit_put_back_what_is_missing(tmp_path):
    hook, mode = wanted(VIP, "address 203.0.113.81/32 dev br*", network_manager=True)["/etc/NetworkManager/dispatcher.d/50-ipvs-director"]
    assert mode == 0o755  # others are not run
    again = "--no-block try-reload-or-restart ipvs-director.service"
    for event in ("up", "reapply", "dhcp4-change", "dhcp6-change"):
        assert dispatched(tmp_path, hook, "eth0", event) == again
    assert dispatched(tmp_path, hook, "br*", "up") == again
    assert dispatched(tmp_path, hook, "eth0", "up", failed=True) == "--no-block start ipvs-director.service"
    for interface, event in (("eth0", "down"), ("eth0", "pre-up"), ("eth1", "up"), ("br0", "up"), ("none", "hostname"), ("", "connectivity-change")):
        assert dispatched(tmp_path, hook, interface, event, failed=True) == ""


def test_what_networkctl_says():
    assert _managers.managed_by(STATUS % LAN.path) == {"eth0": (LAN.path, True), "eth1": ("/etc/systemd/network/20-eth1.network", False)}


def test_the_last_setting_of_the_section_counts():
    texts = ["[Match]\nDHCP=no\n[Network]\nDHCP = ipv4\n", "[Network]\n# DHCP=no\nDHCP=yes\n[DHCPv4]\nDHCP=no\n", "nothing"]
    assert _managers.setting(texts, "DHCP") == "yes"
    assert _managers.setting(texts[:1], "DHCP") == "ipv4"
    assert _managers.setting(texts, "KeepConfiguration") == ""
    assert _managers.setting(["[Network]\nDHCP=yes\nDHCP\n"], "DHCP") == "yes", "without a sign it is no setting"


class Machine:
    """Answers to commands, and what was asked; folders of systemd-networkd below ``root``."""

    def __init__(self, root, monkeypatch):
        self.root, self.asked, self.warnings = root, [], []
        self.active, self.eth0 = {_managers.NETWORKD}, root / "10-lan.network"
        self.eth0.write_text("[Match]\nName=eth0\n[Network]\nDHCP=no\n")
        monkeypatch.setattr(_units, "running", lambda: True)
        monkeypatch.setattr(_managers, "_NETWORKS", f"{root}/")
        monkeypatch.setattr(_managers, "_FOLDERS", [str(root)])
        self.context = Context(False, True, self.warnings.append, self.run)

    def run(self, argv):
        self.asked.append(" ".join(argv))
        if argv[0] == "networkctl" and argv[-1] == "status":
            return 0, STATUS % self.eth0, ""
        if argv[:2] == ["systemctl", "is-active"]:
            return int(argv[2] not in self.active) * 3, "", ""
        return 0, "", ""

    def drop_in(self, name, text):
        path = self.root / "10-lan.network.d" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return _own_files.Change(_own_files.File(str(path), None, None), _own_files.File(str(path), text))

    def done(self):
        return [command for command in self.asked if not command.startswith(("networkctl --", "systemctl is-"))]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_settings_of_others_are_read_and_ours_are_not(machine):
    machine.drop_in("20-dhcp.conf", "[Network]\nDHCP=ipv4\nKeepConfiguration=dhcp\n")
    machine.drop_in("91-ipvs-director.conf", "[Network]\nKeepConfiguration=yes\n")
    found = _managers.read(machine.context)
    assert found.networks["eth0"] == _managers.Network(str(machine.eth0), "dhcp", True, True)
    assert not found.network_manager


def test_networkd_is_started_again_where_that_loses_nothing(machine):
    _managers.take_up([machine.drop_in("90-ipvs-director.conf", "[Network]\nKeepConfiguration=static\n")], machine.context)
    assert machine.done() == ["systemctl restart systemd-networkd.service"]
    assert machine.warnings == []


def test_networkd_is_left_alone_where_something_would_be_lost(machine):
    machine.drop_in("20-dhcp.conf", "[Network]\nDHCP=ipv4\n")
    _managers.take_up([machine.drop_in("90-ipvs-director.conf", "[Network]\nKeepConfiguration=static\n")], machine.context)
    assert machine.done() == []
    assert ["eth0" in warning for warning in machine.warnings] == [True]


def test_what_is_removed_is_not_taken_up(machine):
    file = _own_files.File(str(machine.root / "10-lan.network.d/90-ipvs-director.conf"), None)
    (machine.root / "10-lan.network.d").mkdir()
    _managers.take_up([_own_files.Change(file._replace(text="x"), file)], machine.context)
    assert machine.done() == []
    assert not (machine.root / "10-lan.network.d").exists()
    other = machine.root / "conf.d"
    other.mkdir()
    file = _own_files.File(str(other / "90-ipvs-director.conf"), None)
    _managers.take_up([_own_files.Change(file._replace(text="x"), file)], machine.context)
    assert other.exists(), "a folder that others made stays"


def test_an_interface_of_ours_is_unmanaged_before_it_is_there(machine):
    path = str(machine.root / "05-ipvs-real-server.network")
    _managers.take_up([_own_files.Change(_own_files.File(path, None, None), _own_files.File(path, "x"))], machine.context)
    assert machine.done() == ["networkctl reload"]


def test_networkmanager_reads_its_configuration_again(machine):
    path = "/etc/NetworkManager/conf.d/90-ipvs-real-server.conf"
    _managers.take_up([_own_files.Change(_own_files.File(path, None, None), _own_files.File(path, "x"))], machine.context)
    assert machine.done() == ["nmcli general reload conf"]


@pytest.mark.parametrize(
    ("answer", "why"), [((1, "", "not  running\n"), "not running"), ((1, "not running\n", ""), "not running"), ((4, "", ""), "exit status 4")]
)
@pytest.mark.parametrize(
    ("name", "command"), [("/etc/NetworkManager/conf.d/90-ipvs.conf", "nmcli general reload conf"), ("05-ipvs.network", "networkctl reload")]
)
def test_a_manager_that_does_not_read_its_configuration_again_is_an_error(machine, name, command, answer, why):
    path = str(machine.root / name)
    context = machine.context._replace(run_command=lambda argv: answer)
    with pytest.raises(IpvsError) as error:
        _managers.take_up([_own_files.Change(_own_files.File(path, None, None), _own_files.File(path, "x"))], context)
    assert str(error.value) == f"{command} failed: {why}"


def test_files_that_are_no_longer_needed_go(machine):
    machine.drop_in("91-ipvs-director.conf", "")
    path = str(machine.root / "10-lan.network.d/91-ipvs-director.conf")
    assert _own_files.File(path, None) in _managers.files(DIRECTOR, [], None, machine.context)
    lines = _network_lines.parse(VIP)
    assert path in [file.path for file in _managers.files(DIRECTOR, lines, None, machine.context) if file.text is None]
    machine.active = set()
    assert _managers.files(DIRECTOR, lines, None, machine.context) == []  # it does not run just now, and keeps what it was given
    assert _managers.files(DIRECTOR, [], None, machine.context) == [_own_files.File(path, None)], "what is for nothing goes all the same"


def test_a_manager_that_does_not_answer_is_an_error(machine):
    context = machine.context._replace(run_command=lambda argv: (1, "", "no bus\n") if argv[0] == "networkctl" else (0, "", ""))
    with pytest.raises(IpvsError, match="networkctl status failed.*no bus"):
        _managers.read(context)


@pytest.mark.parametrize(
    ("active", "asked"), [({_managers.NETWORK_MANAGER}, [["198.51.100.11"]]), ({_managers.NETWORKD}, [["198.51.100.11"]]), (set(), [])]
)
def test_either_manager_needs_the_interface_that_leads_to_a_gateway(machine, active, asked):
    machine.active, questions = active, []
    node = SimpleNamespace(routes_to=lambda gateways: questions.append(gateways) or {"198.51.100.11": "eth0"})
    texts = {file.path: file.text for file in _managers.files(SERVER, _network_lines.parse(ROUTE), node, machine.context)}
    assert questions == asked
    hook = texts.get("/etc/NetworkManager/dispatcher.d/50-ipvs-real-server", "")
    assert ("\neth0) ;;" in hook) == (_managers.NETWORK_MANAGER in active)


def test_networkd_is_started_again_for_settings_of_its_own(machine):
    path = str(machine.root / "networkd.conf.d/90-ipvs-director.conf")
    machine.drop_in("20-keep.conf", "[Network]\nKeepConfiguration=static\n")
    _managers.take_up([_own_files.Change(_own_files.File(path, None, None), _own_files.File(path, "x"))], machine.context)
    assert machine.done() == ["systemctl restart systemd-networkd.service"]


def test_an_interface_that_keeps_everything_already_needs_no_file():
    assert sorted(wanted(VIP, networks={"eth0": LAN._replace(keep="yes")})) == [CONF % "director"]


def test_what_networkctl_says_of_an_interface_without_addresses():
    status = "* 3: eth0\n                  Network File: /etc/systemd/network/10-eth0.network\n                         State: no-carrier (configuring)\n"
    assert _managers.managed_by(status) == {"eth0": ("/etc/systemd/network/10-eth0.network", False)}


def test_a_file_of_ours_that_goes_meanwhile_keeps_nothing(machine):
    (machine.root / "10-lan.network.d").mkdir()
    (machine.root / "10-lan.network.d/90-ipvs-other.conf").symlink_to("gone")
    _managers.take_up([machine.drop_in("91-ipvs-director.conf", "[Network]\nKeepConfiguration=yes\n")], machine.context)
    assert machine.done() == ["systemctl restart systemd-networkd.service"]


def test_networkd_is_left_alone_where_an_address_that_somebody_has_added_would_be_lost(machine):
    _managers.take_up([machine.drop_in("90-ipvs-director.conf", "[Route]\nGateway=198.51.100.1\n")], machine.context)
    assert machine.done() == [] and "eth0" in machine.warnings[0]


def test_a_file_that_is_still_needed_is_listed_once(machine):
    machine.drop_in("90-ipvs-director.conf", "")
    listed = [(file.path, bool(file.text)) for file in _managers.files(DIRECTOR, _network_lines.parse(VIP), None, machine.context)]
    assert listed.count((str(machine.root / "10-lan.network.d/90-ipvs-director.conf"), True)) == 1 and len({path for path, _text in listed}) == len(listed)


def test_where_systemd_does_not_run_nobody_manages_the_network(monkeypatch):
    monkeypatch.setattr(_units, "running", lambda: False)
    assert _managers.read(None) == (None, False)
