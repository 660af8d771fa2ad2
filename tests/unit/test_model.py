# SPDX-License-Identifier: GPL-3.0-or-later
"""The model: normalising, overlays and rules. The wording of each error for a user is in tests/integration/test_bad_input.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _plan, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError
from tests import rule_tables

from . import strategies

WEB = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 80, 0)
NOTHING = dict.fromkeys(("address", "port", "protocol", "fwmark", "family"))


@pytest.mark.parametrize(
    "text, normal",
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::203.0.113.7", "2001:db8::cb00:7107"),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
    ],
)
def test_one_spelling_of_an_address(text, normal):
    assert _literals.normal_address(text) == normal


@pytest.mark.parametrize("name", ["", ".", "..", "blue/green", "../blue"])
def test_a_name_of_a_network_namespace_that_leaves_its_folder(name):
    with pytest.raises(OptionError, match="give a name that 'ip netns list' shows, or the full path"), _netns.inside(name):
        pass


def test_a_network_namespace_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(_netns, "_RUN", str(tmp_path / "netns"))
    for names, shown in (([], "none"), (["green", "blue"], "blue, green")):
        for name in names:
            (tmp_path / "netns").mkdir(exist_ok=True)
            (tmp_path / "netns" / name).touch()
        with pytest.raises(OptionError, match=rf"No such file or directory; give a name that 'ip netns list' shows \(here: {shown}\) or"), _netns.inside("red"):
            pass


def test_a_path_of_a_network_namespace_is_taken_as_it_is():
    with pytest.raises(OptionError, match=r"^netns: '/nowhere/blue': /nowhere/blue: No such file or directory"), _netns.inside("/nowhere/blue"):
        pass


@pytest.mark.parametrize(("option", "number"), [("port", -1), ("port", 65536), ("fwmark", 0), ("fwmark", 2**32)])
def test_numbers_that_no_service_has(option, number):
    with pytest.raises(OptionError) as error:
        _model.service_criteria({**NOTHING, option: number})
    assert (error.value.option, error.value.value) == (option, number)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_no_server_has(port):
    with pytest.raises(OptionError) as error:
        _model.server_id({"address": "198.51.100.11", "port": port}, WEB, "servers[1].")
    assert (error.value.option, error.value.value) == ("servers[1].port", port)


def test_a_server_that_is_no_tunnel_any_more_keeps_nothing_of_it():
    ident = _model.ServerId("198.51.100.11", 80)
    tunnel = _model.Server(ident, "tun", 1, 0, 0, "gue", 6080, "csum")
    assert _model.overlay_server(_model.Server(ident, "dr"), tunnel) == _model.Server(ident, "dr", 1, 0, 0, "ipip", 0, "none")


@pytest.mark.parametrize("text", ["", "www", "203.0.113", "203.0.113.256", "0x7f.1", "203.0.113.7 ", "fe80::1%eth0", "[2001:db8::1]", "a\0b", None, 7])
def test_what_is_no_address(text):
    with pytest.raises(OptionError) as error:
        _literals.normal_address(text, "services[3].address")
    assert error.value.option == "services[3].address" and error.value.value == text


@given(strategies.services)
def test_a_normal_netmask_is_normal(service):
    family, netmask = service.id.family, service.persistence_netmask
    assert _literals.normal_netmask(netmask, family) == netmask
    if family == _literals.IPV4:
        assert _literals.netmask_text(_literals.netmask_number(netmask)) == netmask


@pytest.mark.parametrize("text, normal", [("/24", "24"), (24, "24"), ("255.255.255.0", "24"), ("255.255.255.255", "32"), ("255.0.0.255", "255.0.0.255")])
def test_spellings_of_a_netmask(text, normal):
    assert _literals.normal_netmask(text, _literals.IPV4) == normal


@pytest.mark.parametrize("text", ["33", "", "-1", "\N{SUPERSCRIPT TWO}", "255.255.255", "ffff::"])
def test_what_is_no_netmask(text):
    with pytest.raises(OptionError, match="0 to 32"):
        _literals.normal_netmask(text, _literals.IPV4)


@pytest.mark.parametrize(
    ("family", "remedy"), [(_literals.IPV4, "from 0 to 32, or a dotted mask such as 255.255.255.0"), (_literals.IPV6, "from 1 to 128")]
)
def test_what_would_be_a_netmask(family, remedy):
    with pytest.raises(OptionError, match=f"give a prefix length {remedy}$"):
        _literals.normal_netmask("129", family)


@given(strategies.entries)
def test_options_and_back(entry):
    """What ipvs_info returns is what ipvs_table takes, and means the same."""
    options = _model.entry_options(entry)
    desired = _model.desired_entry(options)
    assert _model.overlay_service(desired.service) == entry.service
    assert {ident: _model.overlay_server(server) for ident, server in desired.servers.items()} == entry.servers
    _model.check_service(entry.service)
    for server in entry.servers.values():
        _model.check_server(server, entry.service.id, desired.servers[server.id])


@given(st.data())
def test_an_overlay_over_itself_is_itself(data):
    service = data.draw(strategies.services)
    assert _model.overlay_service(data.draw(strategies.all_desired(service)), service) == service
    server = data.draw(rule_tables.servers(service.id))
    assert _model.overlay_server(data.draw(strategies.all_desired(server)), server) == server


@given(strategies.services)
def test_what_is_left_out_is_left_alone(service):
    assert _model.overlay_service(_model.Service(service.id), service) == service


def test_defaults_are_those_of_ipvsadm():
    service = _model.overlay_service(_model.desired_service({"address": "203.0.113.80", "port": 80}))
    assert service == (WEB, "wlc", (), 0, "32", "", False)
    server = _model.overlay_server(_model.desired_server({"address": "198.51.100.11"}, WEB))
    assert server == (_model.ServerId("198.51.100.11", 80), "dr", 1, 0, 0, "ipip", 0, "none")


def test_nothing_and_zero_are_two_things():
    ten = _model.overlay_server(_model.desired_server({"address": "198.51.100.11", "weight": 10}, WEB))
    for weight, result in ((None, 10), (0, 0), (1, 1)):
        desired = _model.desired_server({"address": "198.51.100.11", "weight": weight}, WEB)
        assert _model.overlay_server(desired, ten).weight == result


@pytest.mark.parametrize(
    "tunnel_type, checksum, left",
    [
        ("gre", "remcsum", ("gre", 0, "none")),
        ("gre", "csum", ("gre", 0, "csum")),
        ("ipip", "remcsum", ("ipip", 0, "none")),
        ("ipip", "csum", ("ipip", 0, "none")),
        ("gue", "remcsum", ("gue", 6080, "remcsum")),
    ],
)
def test_another_type_of_tunnel_keeps_what_it_can_have_of_a_gue_tunnel(tunnel_type, checksum, left):
    gue = {"address": "198.51.100.11", "forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080, "tunnel_checksum": checksum}
    server = _model.overlay_server(_model.desired_server(gue, WEB))
    desired = _model.desired_server({"address": "198.51.100.11", "tunnel_type": tunnel_type}, WEB)
    changed = _model.overlay_server(desired, server)
    assert (changed.tunnel_type, changed.tunnel_port, changed.tunnel_checksum) == left
    _model.check_server(changed, WEB, desired)


def test_flags_have_one_order_and_none_is_not_empty():
    options = {"fwmark": 7, "scheduler_flags": ["flag_3", "fallback", "flag_3"]}
    desired = _model.desired_service(options)
    assert desired.scheduler_flags == ("fallback", "flag_3")
    assert _model.overlay_service(_model.Service(desired.id), desired).scheduler_flags == ("fallback", "flag_3")
    assert _model.overlay_service(_model.Service(desired.id, scheduler_flags=()), desired).scheduler_flags == ()


@given(strategies.tables)
def test_orders_tell_everything_apart(table):
    assert len({_model.service_order(ident) for ident in table}) == len(table)
    for entry in table.values():
        assert len({_model.server_order(ident) for ident in entry.servers}) == len(entry.servers)
    assert [str(ident) for ident in table] == list(dict.fromkeys(str(ident) for ident in table))


@pytest.mark.parametrize(
    "desired, group, expected",
    [
        ({"role": "master", "max_length": 1}, None, 1),
        ({"role": "master", "max_length": 65507}, None, 65507),
        ({"role": "backup", "max_length": 1}, None, 1024),
        ({"role": "master", "max_length": 65507}, "ff02::81", 65487),
        ({"role": "master"}, None, None),
    ],
)
def test_the_length_of_sync_messages_as_the_kernel_clamps_it(desired, group, expected):
    daemon = _settings.overlay_daemon(_settings.desired_daemon(dict(desired, interface="eth0", multicast_group=group)))
    assert daemon.max_length == expected


def test_a_daemon_keeps_what_is_left_out():
    running = _settings.Daemon("master", "eth0", 7, 1472, "224.0.0.81", 8848, 1)
    assert _settings.overlay_daemon(_settings.desired_daemon({"role": "master"}), running) == running
    assert _settings.overlay_daemon(_settings.desired_daemon({"role": "master", "sync_id": 0}), running).sync_id == 0


def test_timeouts_0_means_keep():
    current = _settings.Timeouts(1, 2, 3)
    assert _settings.overlay_timeouts(_settings.desired_timeouts({"tcp": 0, "udp": 9}), current) == (1, 2, 9)


def test_the_name_of_a_daemons_interface():
    for name in ("e", "lo", "bond0.4094", "a" * 15):
        assert _settings.desired_daemon({"role": "master", "interface": name}).interface == name
    for name in ("", "a" * 16, "a/b", "\N{LATIN SMALL LETTER E WITH ACUTE}th0"):
        with pytest.raises(OptionError, match="interface: .*at most 15 characters"):
            _settings.desired_daemon({"role": "master", "interface": name})


SERVER = {"address": "198.51.100.11"}


@pytest.mark.parametrize(
    ("make", "option", "value"),
    [
        (lambda: _model.service_id({}, "x."), "x.address", None),
        (lambda: _model.service_id({"fwmark": 7, "address": "203.0.113.80"}), "address", "203.0.113.80"),
        (lambda: _model.service_id({"fwmark": 7, "port": 0}), "port", 0),
        (lambda: _model.service_id({"fwmark": 7, "protocol": "tcp"}), "protocol", "tcp"),
        (lambda: _model.service_id({"fwmark": 0}, "x."), "x.fwmark", 0),
        (lambda: _model.service_id({"fwmark": 2**32}), "fwmark", 2**32),
        (lambda: _model.service_id({"address": "203.0.113.80"}, "x."), "x.port", None),
        (lambda: _model.service_id({"address": "203.0.113.80", "port": 65536}), "port", 65536),
        (lambda: _model.service_id({"address": "203.0.113.80", "port": -1}), "port", -1),
        (lambda: _model.service_id({"address": "203.0.113.80", "port": 80, "family": "ipv6"}), "family", "ipv6"),
        (lambda: _model.server_id({}, WEB, "x."), "x.address", None),
        (lambda: _model.server_id({**SERVER, "port": 65536}, WEB, "x."), "x.port", 65536),
        (lambda: _model.server_id({**SERVER, "port": -1}, WEB), "port", -1),
        (lambda: _model.service_criteria({**NOTHING, "port": 65536}), "port", 65536),
        (lambda: _model.service_criteria({**NOTHING, "port": -1}), "port", -1),
        (lambda: _model.service_criteria({**NOTHING, "fwmark": 0}), "fwmark", 0),
        (lambda: _model.service_criteria({**NOTHING, "address": "www"}), "address", "www"),
        (lambda: _model.desired_service({"fwmark": 7, "scheduler_flags": ["port", "x"]}, "x."), "x.scheduler_flags", "x"),
        (lambda: _model.desired_service({"fwmark": 7, "scheduler": "r r"}, "x."), "x.scheduler", "r r"),
        (lambda: _model.desired_service({"fwmark": 7, "scheduler": "rrä"}, "x."), "x.scheduler", "rrä"),
        (lambda: _model.desired_service({"fwmark": 7, "scheduler": "r" * 16}, "x."), "x.scheduler", "r" * 16),
        (lambda: _model.desired_service({"fwmark": 7, "persistence_engine": "s/p"}, "x."), "x.persistence_engine", "s/p"),
        (lambda: _model.desired_server({**SERVER, "weight": 2**31}, WEB, "x."), "x.weight", 2**31),
        (lambda: _model.desired_server({**SERVER, "weight": -1}, WEB), "weight", -1),
    ],
)
def test_identities_that_cannot_be(make, option, value):
    with pytest.raises(OptionError) as error:
        make()
    assert (error.value.option, error.value.value) == (option, value)


def test_identities_at_the_limits():
    assert _model.service_id({"fwmark": 2**32 - 1, "family": "ipv6"}) == (_literals.IPV6, 0, "", 0, 2**32 - 1)
    sctp = {"address": "203.0.113.80", "port": 65535, "family": "ipv4", "protocol": "sctp"}
    assert _model.service_id(sctp) == (_literals.IPV4, 132, "203.0.113.80", 65535, 0)
    assert _model.service_id({"address": "203.0.113.80", "port": 0}).port == 0
    assert _model.server_id({**SERVER, "port": 0}, WEB).port == 0 and _model.server_id({**SERVER, "port": 65535}, WEB).port == 65535
    assert _model.server_id(SERVER, WEB) == ("198.51.100.11", 80)
    assert _model.desired_server({**SERVER, "weight": 2**31 - 1}, WEB).weight == 2**31 - 1
    assert _model.service_criteria({**NOTHING, "address": "2001:DB8:0::1", "port": 0}) == {"address": "2001:db8::1", "port": 0}
    assert _model.service_criteria({**NOTHING, "fwmark": 1, "family": "ipv6"}) == {"fwmark": 1, "family": "ipv6"}
    assert _model.service_criteria(NOTHING) == {}


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.1.2.3", "an unspecified"),
        ("224.0.0.0", "a multicast"),
        ("239.255.255.255", "a multicast"),
        ("255.255.255.255", "the broadcast"),
        ("::", "the unspecified"),
        ("ff02::1", "a multicast"),
        ("ff0e:1::", "a multicast"),
        ("::ffff:203.0.113.7", "an IPv4-mapped"),
    ],
)
def test_an_address_of_no_host(address, kind):
    with pytest.raises(OptionError, match=f"^x: '{address}': a server needs the address of one host; this is {kind} address$"):
        _literals.check_host(address, "x", "a server")


@pytest.mark.parametrize("address", ["1.0.0.0", "223.255.255.255", "240.0.0.1", "255.255.255.254", "::1", "::198.51.100.1", "ff::1", "ff2::1", "::ffff:1"])
def test_an_address_of_a_host(address):
    _literals.check_host(address, "x", "a server")


@pytest.mark.parametrize(
    ("service", "server", "option"),
    [
        (WEB, {"forward_method": "dr", "tunnel_type": "ipip"}, "tunnel_type"),
        (WEB, {"forward_method": "nat", "tunnel_port": 0}, "tunnel_port"),
        (WEB, {"forward_method": "nat", "tunnel_checksum": "none"}, "tunnel_checksum"),
        (WEB, {"forward_method": "dr", "port": 81}, "port"),
        (WEB, {"address": "2001:db8::11"}, "address"),
        (WEB, {"upper_threshold": 1, "lower_threshold": 2}, "lower_threshold"),
        (WEB, {"forward_method": "tun", "tunnel_type": "gue"}, "tunnel_port"),
        (WEB, {"forward_method": "tun", "tunnel_type": "gre", "tunnel_port": 1}, "tunnel_port"),
        (WEB, {"forward_method": "tun", "tunnel_type": "gre", "tunnel_checksum": "remcsum"}, "tunnel_checksum"),
        (WEB, {"forward_method": "tun", "tunnel_checksum": "csum"}, "tunnel_checksum"),
    ],
)
def test_a_server_that_breaks_a_rule(service, server, option):
    """Also where it names what is the default: a server that is no tunnel has no type of one."""
    desired = _model.desired_server({**SERVER, **server}, service)
    with pytest.raises(OptionError) as error:
        _model.check_server(_model.overlay_server(desired), service, desired, "x.")
    assert error.value.option == "x." + option


def test_a_threshold_that_falls_below_what_is_there():
    current = _model.overlay_server(_model.desired_server({**SERVER, "upper_threshold": 9, "lower_threshold": 5}, WEB))
    desired = _model.desired_server({**SERVER, "upper_threshold": 4}, WEB)
    with pytest.raises(OptionError, match="^upper_threshold: 4: is below the server's lower_threshold, 5; give that too$"):
        _model.check_server(_model.overlay_server(desired, current), WEB, desired)
    unlimited = _model.desired_server({**SERVER, "upper_threshold": 0}, WEB)
    assert _model.overlay_server(unlimited, current)[3:5] == (0, 0)  # the lower one goes with it
    _model.check_server(current._replace(lower_threshold=9), WEB)
    with pytest.raises(OptionError, match="^lower_threshold: 10: must not be above upper_threshold, which is 9$"):
        _model.check_server(current._replace(lower_threshold=10), WEB)


@pytest.mark.parametrize(
    "server",
    [
        {"forward_method": "nat", "port": 81},
        {"forward_method": "tun", "address": "2001:db8::11"},
        {"forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080, "tunnel_checksum": "remcsum"},
        {"forward_method": "tun", "tunnel_type": "gre", "tunnel_checksum": "csum"},
    ],
)
def test_a_server_that_breaks_none(server):
    desired = _model.desired_server({**SERVER, **server}, WEB)
    _model.check_server(_model.overlay_server(desired), WEB, desired)


def test_a_tunnels_default_on_a_server_that_is_there_and_no_tunnel():
    """It changes nothing, and is refused all the same."""
    entry = _model.created_table([{"address": "203.0.113.80", "port": 80, "servers": [SERVER]}])
    wanted = _model.desired_table([{"address": "203.0.113.80", "port": 80, "servers": [{**SERVER, "tunnel_type": "ipip"}]}])
    with pytest.raises(OptionError, match="^tunnel_type: 'ipip': tunnel options need forward_method tun; this server's is dr$"):
        _plan.plan_present(entry, wanted)
