# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the program that holds max_unhealthy, and whether it could work here."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _checks, _guard_files, _pool_guard
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

from .keepalived_node import FIRST, SECOND, Node, services


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def test_settings_of_every_kind_of_service():
    services = [
        {"fwmark": 7, "family": "ipv6", "max_unhealthy": 30, "servers": [{"address": "2001:DB8::11"}]},
        {"address": "203.0.113.80", "port": 53, "protocol": "udp", "max_unhealthy": 100, "servers": [{"address": FIRST}]},
        {"address": "2001:db8::80", "port": 80, "max_unhealthy": 50, "servers": [
            {"address": "2001:db8::12", "forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080, "weight": 7, "upper_threshold": 9},
        ]},
    ]  # fmt: skip
    program, settings = _guard_files.files(_model.created_table(services), _checks.pools(services))[:2]
    assert compile(program.text, "program", "exec") and program.mode == 0o755
    found = {each["service"]: each for each in json.loads(settings.text)}
    assert set(found) == {"FWM 7", "[2001:db8::80]:tcp:80"}
    assert list(found["FWM 7"]["servers"]) == ["[2001:db8::11]:0"]
    (server,) = found["[2001:db8::80]:tcp:80"]["servers"].values()
    assert server["rule_in"] == "-e -t [2001:db8::80]:80 -r [2001:db8::12]:80 -i -w 7 -x 9 --tun-type gue --tun-port 6080 --tun-nocsum"
    assert server["rule_out"] == server["rule_in"].replace("-w 7", "-w 0")


def test_the_program_that_holds_a_share(node, monkeypatch):
    program, settings = node.root / "libexec/guard", node.root / "pool_guard.json"
    record = node.root / "pool_guard.record"
    record.write_text("of a program that no longer runs")
    half = {"services": services(FIRST, SECOND, max_unhealthy=50)}
    monkeypatch.setattr(_guard_files, "_problem", lambda: "install it")
    assert "services[0].max_unhealthy: 50: install it" in node.fails(**half)
    assert node.manage(check=True, **half).changed and node.warnings == ["services[0].max_unhealthy: install it"]
    node.manage(services=services(FIRST, SECOND, max_unhealthy=100))
    assert not program.exists() and not record.exists()
    record.write_text("of a program that had an event to write while it ended")

    monkeypatch.setattr(_guard_files, "_problem", lambda: None)
    done = node.manage(**half)
    assert f"{program} is missing" in done.values["differences"] and "lvs_notify_fifo_script" not in node.tested
    assert program.stat().st_mode & 0o777 == 0o755 and program.read_text().startswith("#!/")
    assert not record.exists()
    (pool,) = _pool_guard.read_pools(settings)
    assert (pool.service, pool.share, sorted(pool.servers)) == ("[203.0.113.80]:tcp:80", 50, [f"[{FIRST}]:80", f"[{SECOND}]:80"])
    assert not node.manage(**half).changed

    node.done.clear()
    name = node.named()
    record.write_text("kept")
    monkeypatch.setattr(_guard_files._programs, "source", lambda module: "another\n")
    node.manage(**half)  # keepalived starts it anew
    assert node.named() != name and "reload" in node.done and "lvs_notify_fifo_script" in node.tested
    assert record.exists()
    node.manage(services=services(FIRST, SECOND))
    assert not program.exists() and not settings.exists() and not record.exists()


# whether it could work here


def test_max_unhealthy_needs_ipvsadm_and_safe_folders(monkeypatch):
    there, unsafe, warnings = set(), [None], []
    monkeypatch.setattr(_guard_files._programs, "find", lambda program: program if program in there else None)
    monkeypatch.setattr(_guard_files, "_unsafe_folder", lambda path: unsafe[0])
    needs = [{"address": "203.0.113.80", "port": 80}, {"max_unhealthy": 100}, {"max_unhealthy": 50}, {"max_unhealthy": 40}]

    def check(is_check, services=tuple(needs)):
        _guard_files.check(services, Context(is_check, False, warnings.append))

    check(False, needs[:2])
    with pytest.raises(OptionError, match=r"^services\[2\].max_unhealthy: 50: it needs ipvsadm, which is not there; install the package ipvsadm$"):
        check(False)
    check(True)
    assert warnings == ["services[2].max_unhealthy: it needs ipvsadm, which is not there; install the package ipvsadm"]
    there.add("ipvsadm")
    check(False)
    unsafe[0] = "/usr/local"
    with pytest.raises(OptionError, match="keepalived starts no program below /usr/local, which others than root may write; run chmod go-w /usr/local"):
        check(False)


def test_where_keepalived_starts_no_program(monkeypatch):
    monkeypatch.setattr(_guard_files._programs, "find", lambda name: "/sbin/" + name)
    with monkeypatch.context() as patched:
        patched.setattr(_guard_files.os, "stat", lambda path: os.stat_result((0o40775 if path == "/usr/local" else 0o40755, 0, 0, 0, 0, 50, 0, 0, 0, 0)))
        problem = _guard_files._problem()
    assert problem == "keepalived starts no program below /usr/local, which others than root may write; run chmod go-w /usr/local"
    monkeypatch.setattr(_guard_files._programs, "find", lambda name: None)
    assert "install the package ipvsadm" in _guard_files._problem()


def test_without_the_program_there_is_nothing_that_changes():
    assert _guard_files.digest(_guard_files.files({}, {})) is None


@pytest.mark.parametrize(
    ("mode", "user", "group", "is_safe"),
    [(0o775, 0, 0, True), (0o775, 0, 50, False), (0o777, 0, 0, False), (0o755, 7, 0, False), (0o755, 0, 50, True)],
)
def test_folders_that_root_alone_may_write(monkeypatch, mode, user, group, is_safe):
    with monkeypatch.context() as patched:
        patched.setattr(_guard_files.os, "stat", lambda path: os.stat_result((0o40000 + mode, 0, 0, 0, user, group, 0, 0, 0, 0)))
        found = _guard_files._unsafe_folder("/usr/libexec")
    assert found == (None if is_safe else "/usr/libexec")
