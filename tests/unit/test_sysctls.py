# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings that a kernel does not have: mistyped, or another kernel's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.filter import sysctl_problems as plugin

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def read_node():
    spec = importlib.util.spec_from_file_location("read_node", ROOT / "roles/director/files/read_node.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def warnings(monkeypatch):
    seen = []
    monkeypatch.setattr(plugin.Display, "warning", lambda self, text, *more, **named: seen.append(text))
    return seen


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("net.ipv4.vs.conn_reuse_mod", "net.ipv4.vs.conn_reuse_mode"),
        ("net.ipv4.vs.expire_nodest_con", "net.ipv4.vs.expire_nodest_conn"),
        ("net.ipv4.vs.nosuch", "net.ipv4.vs."),
        ("net.ipv4.ip_forwrad", "net.ipv4.ip_forward"),
        ("net.ipv4.conf.all.arp_ignor", "net.ipv4.conf.all.arp_ignore"),
        ("net.ipv4.conf.*.arp_anounce", "net.ipv4.conf.*.arp_announce"),
        ("net.ipv4.conf.nosuch0.arp_anounce", "net.ipv4.conf.nosuch0.arp_announce"),
    ],
)
def test_a_mistyped_key_is_named_with_the_nearest_one(read_node, warnings, key, nearest):
    lacking = read_node.compare_sysctls({key: 1})[2]
    assert list(lacking) == [key]
    problems = plugin.sysctl_problems(lacking, kernel="6.1.0")
    assert len(problems) == 1 and problems[0].startswith(key + ": ") and nearest in problems[0]
    assert not warnings


@pytest.mark.parametrize(
    "key",
    ["net.ipv4.vs.est_nice", "net.ipv4.tcp_tw_recycle", "net.ipv4.conf.nosuch0.arp_ignore", "net.ipv6.neigh.nosuch0.gc_stale_time", "net.nosuch.key"],
)
def test_a_key_of_another_kernel_is_a_warning(read_node, warnings, monkeypatch, key):
    monkeypatch.setattr(read_node, "paths_of", lambda pattern: [])  # whatever the kernel here has
    lacking = read_node.compare_sysctls({key: 1})[2]
    assert plugin.sysctl_problems(lacking, kernel="6.1.0") == []
    assert len(warnings) == 1 and key in warnings[0] and "6.1.0" in warnings[0]
    assert plugin.sysctl_problems(lacking) == [] and len(warnings) == 1


def test_a_key_that_is_there_is_not_lacking(read_node):
    values, _wrong, lacking = read_node.compare_sysctls({"net.ipv4.ip_forward": None, "net.ipv4.conf.*.arp_ignore": None})
    assert not lacking and {"net.ipv4.ip_forward", "net.ipv4.conf.all.arp_ignore"} <= set(values)


def test_modes_and_owners(read_node, tmp_path):
    (tmp_path / "right").touch(0o644)
    (tmp_path / "open").touch()
    (tmp_path / "open").chmod(0o666)
    wishes = {str(tmp_path / name): "0644" for name in ("right", "open", "missing")}
    owner = "%d:%d" % ((tmp_path / "right").stat().st_uid, (tmp_path / "right").stat().st_gid)
    found = read_node.wrong_modes(wishes)
    assert found[str(tmp_path / "open")] == f"mode and owner are 0666 {owner}, not 0644 0:0"
    assert str(tmp_path / "missing") not in found
    assert (str(tmp_path / "right") in found) == (owner != "0:0")
