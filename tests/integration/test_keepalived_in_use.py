# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived with the real keepalived, which the test starts: systemd does not run here."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _use
from tests.support import eventually

from .keepalived import ADDITION, ADDRESSES, DRAIN, additions, web
from .modules import ModuleFailed, run_module

pytestmark = pytest.mark.once


def test_where_it_does_not_run(director):
    foretold = director.manage(web(), check=True, diff=True)
    assert not director.path.exists() and not DRAIN.exists() and additions() == []
    done = director.manage(web(), diff=True)
    assert done["changed"] and foretold["differences"] == done["differences"] and foretold["diff"] == done["diff"]
    assert done["version"] in director.path.read_text() or "virtual_server 203.0.113.80 80" in director.path.read_text()
    assert {path.name: path.read_text() for path in DRAIN.iterdir()} == dict.fromkeys(ADDRESSES[:2], "0\n")
    assert "Restart=on-failure" in ADDITION.read_text()
    assert subprocess.run(["systemctl", "is-enabled", "keepalived"], capture_output=True, text=True, check=False).stdout == "enabled\n"
    again = director.manage(web(), diff=True)
    assert not again["changed"] and again["differences"] == [] and again["diff"] == {"before": "", "after": ""}


def test_a_list_that_changes(director):
    director.start(web())
    eventually(lambda: director.weights() == dict.fromkeys(ADDRESSES[:2], 5))
    before = run_module("ipvs_keepalived_info")["processes"]
    new = web(ADDRESSES, weight=7, upper_threshold=100)
    foretold = director.manage(new, check=True)
    assert "keepalived works by another configuration" in foretold["differences"]
    done = director.manage(new)
    assert done["changed"] and run_module("ipvs_keepalived_info")["processes"] == before
    eventually(lambda: director.weights() == dict.fromkeys(ADDRESSES, 7))
    assert {server["upper_threshold"] for server in run_module("ipvs_info")["services"][0]["servers"]} == {100}
    assert director.manage(new)["differences"] == []
    director.manage(web(ADDRESSES[1:]))
    assert set(director.weights()) == set(ADDRESSES[1:]) and set(os.listdir(DRAIN)) == set(ADDRESSES[1:])
    assert run_module("ipvs_keepalived_info")["processes"] == before


def test_a_dead_server_that_keepalived_found_in_the_table(director, servers):
    servers[ADDRESSES[0]].close()
    director.start(web())
    eventually(lambda: {each["health"] for each in run_module("ipvs_keepalived_info")["services"][0]["servers"]} == {"up", "down"})
    assert director.weights()[ADDRESSES[0]] == 5  # that is why
    foretold = director.manage(web(), check=True)
    assert foretold["differences"] == director.manage(web())["differences"] == [
        "ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"
    ]
    assert director.weights() == {ADDRESSES[0]: 0, ADDRESSES[1]: 5}
    assert not director.manage(web())["changed"]


def test_what_keepalived_does_not_take_changes_nothing(director):
    director.start(web())
    message = director.fails(web(ADDRESSES), failover={"interface": "eth7", "priority": 100})
    assert "eth7" in message and "nothing was changed" in message
    director.path.write_text("global_defs {\n}\n")
    assert "was not written by this module" in director.fails(web(ADDRESSES))


def test_a_process_that_ends_over_it(director, monkeypatch):
    director.start(web())
    former = director.path.read_text()
    real = _daemon.reload

    def crash(*words):
        monkeypatch.setattr(_daemon, "reload", real)
        os.kill(_daemon.find(None, None).checker, signal.SIGKILL)
        return real(*words)

    monkeypatch.setattr(_use._daemon, "reload", crash)
    with pytest.raises(ModuleFailed) as failure:
        director.manage(web(ADDRESSES))
    message = failure.value.result["msg"]
    assert "the checker process of keepalived" in message and "The former configuration is restored, and keepalived works by it." in message
    assert director.path.read_text() == former and set(os.listdir(DRAIN)) == set(ADDRESSES[:2])
    assert {each["address"] for each in run_module("ipvs_keepalived_info")["services"][0]["servers"]} == set(ADDRESSES[:2])
    assert not [each for each in director.manage(web())["differences"] if "configuration" in each]


def test_one_that_does_not_take_it_up(director, monkeypatch, tmp_path):
    director.start(web())
    monkeypatch.setattr(_daemon, "ANSWER_PATIENCE", 2)
    other = director.path = tmp_path / "other.conf"
    message = director.fails(web(ADDRESSES))
    assert "has not loaded its configuration" in message and not other.exists()


def test_giving_up(director, servers):
    director.start(web(ADDRESSES))
    # checked once before it fails: one that keepalived has never found healthy keeps the weight of the table
    eventually(lambda: {each["health"] for each in run_module("ipvs_keepalived_info")["services"][0]["servers"]} == {"up"})
    servers[ADDRESSES[0]].close()
    eventually(lambda: director.weights()[ADDRESSES[0]] == 0)
    (DRAIN / ADDRESSES[1]).write_text("-100000\n")
    eventually(lambda: director.weights()[ADDRESSES[1]] == 0)
    before = director.ipvs.saved()
    foretold = director.manage(state="absent", check=True)
    assert director.path.exists() and director.keepalived.process.poll() is None
    done = director.manage(state="absent")
    assert done["changed"] and done["differences"] == foretold["differences"]
    assert director.ipvs.saved() == before and director.keepalived.process.wait() == 0
    assert not director.path.exists() and additions() == [] and os.listdir(DRAIN) == []
    assert [place["address"] for place in run_module("ipvs_drain", state="restored", check=True)["places"]] == [ADDRESSES[1]]
    assert not director.manage(state="absent")["changed"]


def test_a_configuration_of_others(director):
    director.path.write_text("vrrp_instance theirs {\n}\n")
    assert not director.manage(state="absent")["changed"] and director.path.exists()
    assert "replace=true" in director.fails(web())
    assert director.manage(web(), replace=True)["changed"]
    assert not director.manage(web())["changed"]
