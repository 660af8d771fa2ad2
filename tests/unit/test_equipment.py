# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node has of what the collection needs: which Python has pyroute2, and where ipvsadm is."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _equipment
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context


def run_command(words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


CONTEXT = Context(True, False, None, run_command)


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """A Python without pyroute2."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    return str(folder / "bin/python")


def test_the_first_that_has_pyroute2(without):
    def found(*interpreters):
        return _equipment.look(interpreters, CONTEXT)["pyroute2_interpreter"]

    assert found("running") == sys.executable
    assert found(without) is None
    assert found("/there/is/none", without, sys.executable, "running") == sys.executable
    assert found() is None


def test_the_running_one_may_have_none(monkeypatch, without):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    seen = _equipment.look(["running", sys.executable], CONTEXT)
    assert (seen["interpreter"], seen["pyroute2_interpreter"]) == (sys.executable, sys.executable)
    assert _equipment.look(["running", without], CONTEXT)["pyroute2_interpreter"] is None


def test_what_is_lacking(monkeypatch, without):
    states = iter(["missing", "loadable"])
    monkeypatch.setattr(_equipment._kmod, "state", lambda name: next(states))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(_equipment._programs, "find", lambda name: None)
    monkeypatch.setattr(_equipment._firewalld, "running", lambda context: False)
    assert _equipment.look([without], CONTEXT)["lacks"] == ["kernel_module", "ipvsadm", "pyroute2_interpreter"]
    monkeypatch.setattr(_equipment._programs, "find", lambda name: "/usr/sbin/ipvsadm")
    assert _equipment.look(["running"], CONTEXT)["lacks"] == []


def test_whether_there_is_a_firewall_to_look_after(monkeypatch, tmp_path):
    monkeypatch.setattr(_equipment._firewalld, "RECORD", str(tmp_path / "record"))
    monkeypatch.setattr(_equipment._nftables, "FILE", str(tmp_path / "table"))
    monkeypatch.setattr(_equipment._units, "FOLDER", str(tmp_path) + "/")
    monkeypatch.setattr(_equipment._firewalld, "running", lambda context: False)
    assert _equipment.look([], CONTEXT)["firewall"] is False
    (tmp_path / "record").touch()
    assert _equipment.look([], CONTEXT)["firewall"] is True
    (tmp_path / "record").unlink()
    monkeypatch.setattr(_equipment._firewalld, "running", lambda context: True)
    assert _equipment.look([], CONTEXT)["firewall"] is True


def test_ipvsadm_is_found_where_the_path_of_a_login_lacks_sbin(monkeypatch, tmp_path):
    program = tmp_path / "ipvsadm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _equipment.look([], CONTEXT)["ipvsadm"] == str(program)
    monkeypatch.setenv("PATH", "/nowhere")
    assert _equipment.look([], CONTEXT)["ipvsadm"] in (None, "/usr/sbin/ipvsadm", "/sbin/ipvsadm")
    assert os.path.basename(_equipment.look([], CONTEXT)["interpreter"]).startswith("python")


def test_keepalived(monkeypatch, tmp_path):
    monkeypatch.setattr(_equipment._programs, "find", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr(_equipment._units, "FOLDER", f"{tmp_path}/")
    monkeypatch.setattr(_equipment._firewalld, "running", lambda context: False)
    seen = _equipment.look([], CONTEXT)
    assert (seen["keepalived"], seen["keepalived_managed"]) == ("/usr/sbin/keepalived", False)
    (tmp_path / "keepalived.service.d").mkdir()
    (tmp_path / "keepalived.service.d/ipvs-director.conf").touch()
    monkeypatch.setattr(_equipment, "_KEEPALIVED", str(tmp_path / "conf"))
    names = ("keepalived_managed", "keepalived_checks", "keepalived_vrrp")

    def told():
        return [_equipment.look([], CONTEXT)[name] for name in names]

    assert told() == [True, False, False]
    (tmp_path / "conf").write_text("global_defs {\n}\nvirtual_server 203.0.113.80 80 {\n}\n")
    assert told() == [True, True, False]
    (tmp_path / "conf").write_text("global_defs {\n}\nvrrp_instance front {\n}\n")
    assert told() == [True, False, True]
