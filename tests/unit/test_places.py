# SPDX-License-Identifier: GPL-3.0-or-later
"""Which places a real server has, what it leaves behind, and what it gets back."""

from __future__ import annotations

import json

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _places, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._table._drain_record import Record
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _nearest
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

HTTP = {"address": "203.0.113.80", "port": 80}
MARK = {"fwmark": 7, "family": "ipv6"}


def server(last, **options):
    return {"address": f"198.51.100.{last}", "forward_method": "nat", **options}


def table(*services):
    return _model.created_table(list(services))


def http(*weights):
    """The table with one service, whose servers .11, .12, ... have these weights."""
    return table(dict(HTTP, servers=[server(number, weight=weight) for number, weight in enumerate(weights, 11)]))


def place(last, service=None, port=80):
    return _places.Place(_model.service_id(service or HTTP), _model.ServerId(f"198.51.100.{last}", port))


@pytest.mark.parametrize(
    ("taken", "weights", "expected"),
    [
        ([11], (1, 1), False),
        ([11], (1, 0), True),
        ([11], (1,), True),
        ([12], (1, 0), False),  # it takes nothing away
        ([11], (), False),
        ([11], (0, 0), False),
        ([11, 12], (1, 1), True),
        ([11, 12], (1, 0), True),
        ([11, 12], (1, 1, 1), False),
        ([99], (1,), False),
    ],
)
def test_services_that_would_have_no_server_left(taken, weights, expected):
    found = _places.bereft(http(*weights), {f"198.51.100.{last}" for last in taken})
    assert [str(each) for each in found] == (["tcp 203.0.113.80:80"] if expected else [])


def test_another_port_of_the_same_server_is_no_other_server():
    both = table(dict(HTTP, servers=[server(11), server(11, port=81)]))
    assert len(_places.bereft(both, {"198.51.100.11"})) == 1


def test_a_zero_may_be_ours():
    there = http(3, 0, 0)
    places = _places.find(there, {"198.51.100.11", "198.51.100.12", "198.51.100.13"})
    assert _places.weights(there, places, {place(11): 9, place(12): 5}) == {place(11): 3, place(12): 5, place(13): 0}


def test_what_comes_back():
    """What still has weight 0; nothing that has gone, or was given a weight."""
    recorded = {place(11): 3, place(12): 4, place(13): 5, place(14): 6, place(11, MARK): 7}
    assert _places.returning(http(0, 2, 0), recorded) == {place(11): 3, place(12): 2, place(13): 5}


def test_nothing_but_weights_changes():
    """Also of a server that the rules of our own modules would refuse."""
    odd = server(11, weight=2, upper_threshold=3, lower_threshold=2)
    there = table(dict(HTTP, servers=[odd, server(12)]), dict(HTTP, port=81, servers=[]))
    entry = there[_model.service_id(HTTP)]
    strange = entry.servers[place(11).server]._replace(forward_method="dr", lower_threshold=9, id=_model.ServerId("198.51.100.11", 8080))
    entry.servers[strange.id] = strange
    plan = _places.plan(there, dict.fromkeys(_places.find(there, {"198.51.100.11"}), 0))
    assert [_plan.command(operation) for operation in plan.operations] == [
        "ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0 -x 3 -y 2",
        "ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:8080 -g -w 0 -x 3 -y 9",
    ]
    assert list(plan.before) == list(plan.after) == [_model.service_id(HTTP)]
    assert plan.after[_model.service_id(HTTP)].servers[strange.id] == strange._replace(weight=0)


PLACES = [place(11), place(11, MARK, 0), _places.Place(_model.service_id({"address": "2001:db8::80", "port": 53, "protocol": "udp"}),
                                                       _model.ServerId("2001:db8::11", 5353))]  # fmt: skip


@pytest.mark.parametrize("each", PLACES, ids=str)
def test_a_place_as_options_and_back(each):
    assert _places.from_options(_places.options(each)) == each


def test_the_record(tmp_path):
    record = Record(str(tmp_path))
    assert record.read() == {}
    record.write({})
    assert list(tmp_path.iterdir()) == []
    weights = {each: number for number, each in enumerate(PLACES)}
    record.write(weights)
    assert record.read() == weights and [path.name for path in tmp_path.iterdir()] == ["drained.json"]
    assert (tmp_path / "drained.json").stat().st_mode & 0o777 == 0o644
    assert Record(str(tmp_path), "blue").read() == Record(str(tmp_path), "/run/netns/blue").read() == {}
    record.write({})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[7]", "[{}]", '[{"service_fwmark": 7, "address": "198.51.100.11"}]', '{"a": 1}', "\0"])
def test_a_record_that_says_something_else(tmp_path, text):
    record = Record(str(tmp_path))
    (tmp_path / "drained.json").write_text(text)
    if text == "{}":
        assert record.read() == {}  # it says nothing
        return
    with pytest.raises(IpvsError, match=r"drained.json was not written by ipvs_drain .* remove the file"):
        record.read()


def test_the_record_is_readable(tmp_path):
    record = Record(str(tmp_path))
    record.write({PLACES[0]: 3, PLACES[1]: 0})
    assert json.loads((tmp_path / "drained.json").read_text()) == [
        {"service_address": "203.0.113.80", "service_port": 80, "service_protocol": "tcp", "address": "198.51.100.11", "port": 80, "weight": 3},
        {"service_fwmark": 7, "service_family": "ipv6", "address": "198.51.100.11", "port": 0, "weight": 0},
    ]


def test_nearest_services():
    there = _model.created_table([{"address": "203.0.113.80", "port": 80}, {"address": "203.0.113.81", "port": 80}, {"fwmark": 7}, {"fwmark": 8}])
    for asked, near in (
        ({"address": "203.0.113.80", "port": 8080}, ["tcp 203.0.113.80:80"]),
        ({"address": "203.0.113.82", "port": 80}, ["tcp 203.0.113.80:80", "tcp 203.0.113.81:80"]),
        ({"address": "203.0.113.82", "port": 81}, []),
        ({"fwmark": 7, "family": "ipv6"}, ["fwmark 7"]),
        ({"fwmark": 9}, []),
    ):
        assert sorted(_nearest.services(there, _model.service_id(asked))) == near


def test_nearest_addresses():
    there = http(1, 1, 1, 1)
    assert _nearest.addresses(there, "198.51.100.1") == ["198.51.100.11", "198.51.100.12", "198.51.100.13"]
    assert _nearest.addresses(there, "198.51.100.41")[0] in ("198.51.100.11", "198.51.100.14")
    assert _nearest.addresses({}, "198.51.100.1") == []


def test_nearest_servers_come_in_order():
    """The same server on another port, its neighbours on the same port, the same server elsewhere, its other neighbours."""
    service, asked = _model.service_id(HTTP), _model.ServerId("198.51.100.11", 80)
    there = table(
        dict(HTTP, servers=[server(11, port=81), server(12, port=80), server(13, port=82)]),
        dict(HTTP, port=443, servers=[server(11, port=80)]),
        {"address": "203.0.113.81", "port": 80, "servers": [server(11, port=80), server(12, port=80)]},
    )
    own, neighbour, same_address, elsewhere, other_port = (
        "198.51.100.11:81 of tcp 203.0.113.80:80",
        "198.51.100.12:80 of tcp 203.0.113.80:80",
        "198.51.100.11:80 of tcp 203.0.113.80:443",
        "198.51.100.11:80 of tcp 203.0.113.81:80",
        "198.51.100.13:82 of tcp 203.0.113.80:80",
    )
    order = [own, neighbour, same_address, elsewhere, other_port]
    while len(order) > 1:
        assert _nearest.servers(there, service, asked) == order[:3]
        gone = order.pop(0)
        for ident, entry in there.items():
            for each in [each for each in entry.servers if "%s of %s" % (each, ident) == gone]:
                del entry.servers[each]
