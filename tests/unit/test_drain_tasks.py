# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_drain on a fake kernel: what is recorded, refused, done, put back. With traffic on the real one: tests/integration/test_drain.py."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _model, _saved
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .drain_director import HTTP, MARK, RS1, RS2, Director, servers


@pytest.fixture
def director(monkeypatch, tmp_path):
    return Director(monkeypatch, tmp_path / "state")


def test_out_and_back(director):
    done = director.foretold(RS1)
    assert done.changed and done.values["drained"]
    assert director.weights() == [0, 2] and director.weights(MARK) == [0, 1, 5]
    assert done.values["commands"] == [
        "ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0",
        "ipvsadm -e -f 7 -r 198.51.100.11:0 -m -w 0",
    ]
    idle = {"active": 0, "inactive": 0, "persistent": 0}
    named = {"service_address": "203.0.113.80", "service_port": 80, "service_protocol": "tcp"}
    assert done.values["places"] == [
        {**named, "address": RS1, "port": 80, "weight": 3, "weight_now": 0, "connections": idle},
        {"service_fwmark": 7, "service_family": "ipv4", "address": RS1, "port": 0, "weight": 1, "weight_now": 0, "connections": idle},
    ]
    assert "-r 198.51.100.11:80 -m -w 3" in done.before and "# recorded" not in done.before
    assert "-m -w 0" in done.after and "# recorded: 198.51.100.11:80 of tcp 203.0.113.80:80: weight 3\n" in done.after

    again = director.foretold(RS1)
    assert not again.changed and again.values["commands"] == [] and again.before == again.after == done.after
    assert again.values["places"] == done.values["places"]

    back = director.foretold(RS1, state="restored")
    assert back.changed and director.weights() == [3, 2] and director.weights(MARK) == [1, 1, 5] and director.recorded() is None
    assert [(place["weight"], place["weight_now"]) for place in back.values["places"]] == [(3, 3), (1, 1)]
    assert back.before == done.after and back.after == done.before and "msg" not in back.values
    nothing = director.foretold(RS1, state="restored")
    assert not nothing.changed and nothing.values["msg"] == f"No weights are recorded of {RS1}: there is nothing to put back."


def test_all_weights_change_in_one_send(director):
    sends = []
    apply = director.kernel.apply
    director.kernel.apply = lambda operations: sends.append(len(operations)) or apply(operations)
    director.run(RS1)
    director.run(RS1, state="restored")
    assert sends == [2, 2]


def test_any_spelling_and_any_order(director):
    director.kernel.table.update(_model.created_table([{"address": "2001:db8::80", "port": 80, "servers": [{"address": "2001:db8::11"}]}]))
    director.run("2001:DB8:0::11", RS1, RS1, allow_empty=True)
    assert director.weights({"address": "2001:db8::80", "port": 80}) == [0] and director.weights() == [0, 2]
    assert director.run("2001:db8:0:0::11", state="restored").values["commands"] == ["ipvsadm -e -t [2001:db8::80]:80 -r [2001:db8::11]:80 -g -w 1"]
    assert director.weights() == [0, 2]
    director.run(RS2, allow_empty=True)
    assert director.run(state="restored").changed  # all that is recorded
    assert director.weights() == [3, 2] and director.recorded() is None
    assert "nothing is drained" in director.run(state="restored").values["msg"]


def test_nobody_takes_the_last_one(director):
    for check in (director.run, director.check):
        for addresses in ((RS1, RS2), (RS2, RS1)):
            with pytest.raises(IpvsError, match="No server would accept new connections of tcp 203.0.113.80:80. Restore") as failure:
                check(*addresses)
            assert failure.value.details["bereft"] == [dict(HTTP, protocol="tcp")]
    assert director.recorded() is None and director.weights() == [3, 2]
    director.run(RS1)
    with pytest.raises(IpvsError, match="new connections of tcp 203.0.113.80:80"):
        director.run(RS2)
    assert director.weights() == [0, 2] and director.weights(MARK) == [0, 1, 5]
    director.run(RS1)  # again, after it is out, takes nothing away
    director.foretold(RS2, allow_empty=True)
    assert director.weights() == [0, 0]


def test_an_address_that_is_in_no_service(director):
    for check in (director.run, director.check):
        with pytest.raises(IpvsError, match=r"198.51.100.1: no virtual service .* Nearest: 198.51.100.11, 198.51.100.12, 198.51.100.13."):
            check("198.51.100.1", RS1)
        with pytest.raises(IpvsError, match="203.0.113.80 is a virtual address; give the address of a real server"):
            check("203.0.113.80")
    assert director.weights() == [3, 2]
    done = director.foretold("198.51.100.1", allow_missing=True)
    assert not done.changed and done.values["places"] == [] and done.values["drained"]
    assert director.foretold("198.51.100.1", RS1, allow_missing=True).changed
    assert "Nearest: 198.51.100.11" in director.foretold("198.51.100.1", state="restored").values["msg"]
    director.kernel.table.clear()
    with pytest.raises(IpvsError, match="The table is empty"):
        director.run("198.51.100.1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"addresses": []}, "addresses: []: give the address of at least one"),
        ({"addresses": [RS1, "web1"]}, r"addresses[1]: 'web1': give an IPv4 or IPv6 address"),
        ({"drain_timeout": -1}, "drain_timeout: -1: give a number from 0 to 2678400"),
        ({"drain_connections": -1}, "drain_connections: -1: give a number"),
        ({"drain_interval": 0.0}, "drain_interval: 0.0: give a number from 0.05"),
    ],
)
@pytest.mark.parametrize("state", ["drained", "restored"])
def test_bad_options(director, options, message, state):
    with pytest.raises(OptionError) as failure:
        director.run(**{"addresses": [RS1], "state": state, **options})
    assert message in str(failure.value)


def test_weights_that_others_give_meanwhile(director):
    """Who gives a server a weight, or takes it away, while it is drained, meant it."""
    director.run(RS1)
    director.set(RS1, 9)
    director.set(RS1, None, MARK)
    done = director.foretold(RS1, state="restored")
    assert done.changed and done.values["commands"] == [] and director.recorded() is None
    assert [place["weight_now"] for place in done.values["places"]] == [9, None]
    assert director.weights() == [9, 2]


def test_the_newest_weight_counts(director):
    director.run(RS1)
    director.set(RS1, 9)
    director.run(RS1)
    director.run(RS1, state="restored")
    assert director.weights() == [9, 2] and director.weights(MARK) == [1, 1, 5]


def test_a_weight_that_came_back_as_it_was_is_taken_away_again(director):
    director.run(RS1)
    director.set(RS1, 3)
    director.set(RS1, 1, MARK)
    again = director.foretold(RS1)
    assert again.changed and director.weights() == [0, 2]


def test_a_weight_of_0_that_was_there_before_stays(director):
    director.set(RS1, 0)
    director.run(RS1)
    director.run(RS1, state="restored")
    assert director.weights() == [0, 2]
    assert f"Others gave weight 0 to {RS1}:80 of tcp 203.0.113.80:80" in director.run(RS1, state="restored").values["msg"]


def test_what_is_recorded_and_gone_stays_recorded(director):
    """Such as a table that the boot has not restored yet: its weights of 0 come back, and ours with them."""
    director.run(RS1)
    kept = director.kernel.table[_model.service_id(HTTP)]
    director.set(RS1, None)
    assert [place["weight_now"] for place in director.foretold(RS1).values["places"]] == [None, 0]
    director.kernel.table[_model.service_id(HTTP)] = kept
    director.set(RS2, 2)
    director.kernel.table[kept.service.id].servers.update(_model.created_table([dict(HTTP, servers=servers(0))])[kept.service.id].servers)
    director.run(RS1, state="restored")
    assert sorted(director.weights()) == [2, 3]


def test_ipvs_is_not_loaded(director):
    director.run(RS1)
    director.loaded = False
    for check in (director.run, director.check):
        with pytest.raises(IpvsError, match="IPVS is not loaded, so no weight can be restored; the record"):
            check(RS1, state="restored")
        with pytest.raises(IpvsError, match="no virtual service has such a real server"):
            check(RS2)
    assert director.recorded()
    assert director.run("198.51.100.99", state="restored").values["msg"]
    assert [place["weight_now"] for place in director.check(RS1, allow_missing=True).values["places"]] == [None, None]


def test_a_table_without_any_server(director):
    director.kernel.table = _model.created_table([HTTP])
    with pytest.raises(IpvsError, match=r"there is nothing to drain\.\Z"):
        director.run("2001:db8::99")


def test_the_wait_is_for_all_together(director):
    director.connect(RS1, 2)
    director.connect(RS1, 1, MARK)
    director.sleeps = [lambda: director.connect(RS1, 0), lambda: director.connect(RS1, 0, MARK)]
    looks = []
    uses = director.kernel.uses
    director.kernel.uses = lambda idents: looks.append(len(list(idents))) or uses(idents)
    done = director.run(RS1)
    assert director.now == 2 and done.values["drained"]
    assert set(looks) == {2}


def test_what_is_counted_at_the_end_is_returned(director):
    """Not what comes after it: the counts belong to the moment at which the server was found drained."""
    director.connect(RS1, 1)
    looks = []
    uses = director.kernel.uses
    director.sleeps = [lambda: director.connect(RS1, 0)]
    director.kernel.uses = lambda idents: looks.append(1) or uses(idents)
    director.run(RS1)
    waited = len(looks)
    director.run(RS1)
    assert (waited, len(looks) - waited) == (3, 2)  # before it, and at each moment


def test_a_few_names_and_how_many_more(director):
    absent = [f"203.0.113.{number}" for number in range(1, 7)]
    with pytest.raises(IpvsError, match="203.0.113.5: no virtual service"):
        director.run(*absent[:5])
    with pytest.raises(IpvsError, match="203.0.113.5 and 1 more addresses: no virtual service"):
        director.run(*absent)


def test_without_waiting(director):
    director.connect(RS1, 2)
    done = director.foretold(RS1, wait=False)
    assert director.now == 0 and not done.values["drained"] and director.weights() == [0, 2]
    assert done.values["places"][0]["connections"]["active"] == 2
    assert director.run(RS1, wait=False, drain_connections=2).values["drained"]


def test_too_long(director):
    director.connect(RS1, 2)
    for changed in (True, False):
        with pytest.raises(IpvsError, match="3 seconds have passed and .* are left .*: 198.51.100.11:80 of tcp 203.0.113.80:80 has 2.") as failure:
            director.run(RS1, drain_timeout=3)
        details = failure.value.details
        assert details["changed"] is changed and not details["drained"] and [place["weight_now"] for place in details["places"]] == [0, 0]
        assert len(details["commands"]) == (2 if changed else 0)
    assert director.weights() == [0, 2] and director.recorded()
    assert director.foretold(RS1, state="restored").changed and director.weights() == [3, 2]


def test_somebody_sets_it_back(director):
    director.connect(RS1, 2)
    director.sleeps = [lambda: director.set(RS1, 8), lambda: director.connect(RS1, 0)]
    done = director.run(RS1)
    assert director.warnings == ["another program set the weight of 198.51.100.11:80 of tcp 203.0.113.80:80 while it was drained; it was set to 0 again"]
    assert len(done.values["commands"]) == 3 and director.weights() == [0, 2] and "# recorded" not in done.before
    director.run(RS1, state="restored")
    assert director.weights() == [8, 2]

    director.connect(RS1, 2)
    director.sleeps = [lambda: director.set(RS1, 8), lambda: director.set(RS1, 9)]
    with pytest.raises(IpvsError, match="gave a weight twice while it was drained: .* has weight 9. So new connections come") as failure:
        director.run(RS1)
    assert failure.value.details["changed"] and failure.value.details["places"][0]["weight_now"] == 9


def test_somebody_removes_it(director):
    director.connect(RS1, 2)
    director.sleeps = [lambda: director.set(RS1, None)]
    done = director.run(RS1)
    assert director.warnings == ["198.51.100.11:80 of tcp 203.0.113.80:80 was removed by another program while it was drained"]
    assert [place["weight_now"] for place in done.values["places"]] == [None, 0]


def test_a_change_between_reading_and_writing(director):
    """The table is read and planned again, and the record of what has gone meanwhile does no harm."""
    director.kernel.meddle = [lambda kernel: (director.set(RS1, None), director.set(RS1, 6, MARK))]
    director.run(RS1)
    assert director.weights() == [2] and director.weights(MARK) == [0, 1, 5]
    director.run(RS1, state="restored")
    assert director.weights() == [2] and director.weights(MARK) == [1, 1, 5]


def test_a_refusal_of_the_kernel_undoes_all(director):
    director.kernel.refuse = {1: errno.EPERM}
    with pytest.raises(IpvsError, match="EPERM.*The rest was undone"):
        director.run(RS1)
    assert director.weights() == [3, 2] and director.weights(MARK) == [1, 1, 5]
    director.run(RS1)
    director.run(RS1, state="restored")
    assert director.weights() == [3, 2] and director.weights(MARK) == [1, 1, 5]


def test_a_folder_that_cannot_be(director, tmp_path):
    (tmp_path / "file").write_text("")
    director.folder = tmp_path / "file"
    with pytest.raises(IpvsError, match="state_directory: .*file"):
        director.run(RS1)
    assert director.weights() == [3, 2]


def test_what_the_boot_restores_is_kept_in_step(director):
    """Also by a task that goes on where another was broken off before it came to that, and not for another namespace."""
    ident = (_model.service_id(HTTP), _model.ServerId(RS1, 80))
    director.saved[ident] = 3
    director.run(RS1, netns="blue")
    assert director.saved[ident] == 3
    director.run(RS1, state="restored", netns="blue")
    director.run(RS1)
    assert director.saved[ident] == 0
    director.saved[ident] = 3
    assert director.foretold(RS1).changed and director.saved[ident] == 0
    director.set(RS1, 9)
    director.run(RS1, state="restored")
    assert director.saved[ident] == 9


def test_a_saved_table_that_cannot_be_written(director, monkeypatch):
    def refuse(table, context):
        raise IpvsError("/etc/ipvsadm.rules: Read-only file system")

    monkeypatch.setattr(_saved, "reweigh", refuse)
    with pytest.raises(IpvsError, match="Read-only") as failure:
        director.run(RS1)
    assert failure.value.details["changed"] and director.recorded() and director.weights() == [0, 2]


def test_the_longest_times_and_most_connections_that_a_drain_may_have():
    limits = {"drain_timeout": 2678400, "drain_connections": 2**31 - 1, "drain_interval": 2678400}
    _drain.check_numbers(limits)
    for name, value in limits.items():
        with pytest.raises(OptionError, match=name):
            _drain.check_numbers({name: value + 1})
