# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings that cannot be: mistakes in the options, what another kernel has, what this one refuses, and a disk that is full."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _sysctl_plan, _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from . import plain_files
from .sysctl_node import Node, lines


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


# mistakes


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"net.ipv4.vs.conn_reuse_mod": 1}, "settings: 'net.ipv4.vs.conn_reuse_mod': no kernel has this setting; did you mean net.ipv4.vs.conn_reuse_mode?"),
        ({"net.ipv4.conf.*.arp_anounce": 1}, "did you mean net.ipv4.conf.*.arp_announce"),
        ({"net/ipv4/ip_forwrad": 1}, "did you mean net.ipv4.ip_forward"),
        ({"net.ipv4.conf.eth9.arp_ignor": 1}, "did you mean net.ipv4.conf.eth9.arp_ignore"),
        ({"ip_forward": 1}, "settings: 'ip_forward': give the name of a kernel setting"),
        ({"net/../../../etc/passwd": 1}, "give the name of a kernel setting"),
        ({"net.ipv4.ip_forward = 1": 1}, "give the name of a kernel setting"),
        ({"net.ipv4.ip_forward": " "}, "settings.net.ipv4.ip_forward: ' ': give the value as a number or a text"),
        ({"net.ipv4.ip_forward": None}, "settings.net.ipv4.ip_forward: None: give the value as a number or a text"),
        ({"net.ipv4.vs.sync_threshold": [3, 50]}, "several numbers as one text"),
        ({"net.ipv4.ip_forward": 1, "net/ipv4/ip_forward": 0}, "this setting is given twice"),
    ],
)
def test_mistakes_are_told_before_anything_is_touched(node, settings, text):
    before = node.state()
    for check in (True, False):
        with pytest.raises(OptionError) as error:
            node.run({"net.ipv4.vs.conn_reuse_mode": 0, **settings}, check=check)
        assert text in str(error.value)
    assert node.state() == before


@pytest.mark.parametrize(
    "path, text, words",
    [
        ("60.conf", None, "full path"),
        ("ROOT/etc/sysctl.d/60", None, "ends in .conf"),
        ("ROOT/etc/sysctl.d/60-test.conf", "net.ipv4.ip_forward = 1\n", "another program wrote this file"),
    ],
)
def test_a_path_that_cannot_be_meant(node, path, text, words):
    if text:
        node.path.parent.mkdir(parents=True)
        node.path.write_text(text)
    for state in ("present", "absent"):
        with pytest.raises(OptionError, match=f"path: .*{words}"):
            node.run({"net.ipv4.ip_forward": 1}, path=path.replace("ROOT", str(node.root)), state=state)


def test_what_only_another_kernel_has_is_skipped_with_a_warning(node):
    node.twice({"net.ipv4.vs.est_nice": 1, "net.ipv4.conf.eth9.arp_ignore": 1, "net.ipv4.ip_forward": 1})
    assert len(node.warnings) == 1
    assert "net.ipv4.conf.eth9.arp_ignore, net.ipv4.vs.est_nice" in node.warnings[0] and "when its modules are loaded" in node.warnings[0]
    assert lines(node) == ["# before: net.ipv4.ip_forward = 0", "net.ipv4.ip_forward = 1"]


def test_a_check_before_ipvs_is_loaded_takes_its_settings_to_come(node):
    for path in (node.root / "proc/sys/net/ipv4/vs").iterdir():
        path.unlink()
    (node.root / "proc/sys/net/ipv4/vs").rmdir()
    settings = {"net.ipv4.vs.conn_reuse_mode": 0, "net.ipv4.ip_forward": 1}
    foretold = node.run(settings, check=True)
    assert foretold.changed and not node.warnings and "conn_reuse_mode = None" not in foretold.after
    assert foretold.values["settings"] == {"net.ipv4.ip_forward": "1", "net.ipv4.vs.conn_reuse_mode": "0"}
    with pytest.raises(OptionError, match="did you mean net.ipv4.vs.conn_reuse_mode"):
        node.run({"net.ipv4.vs.conn_reuse_mod": 0}, check=True)
    assert "net.ipv4.vs.conn_reuse_mode" not in node.run(settings).values["settings"]
    assert len(node.warnings) == 1


def test_a_word_in_the_middle_that_is_mistyped():
    assert _sysctls.meant("net.ipv4.cnf.all.arp_ignore", 2, ["conf", "neigh"]) == "net.ipv4.conf.all.arp_ignore"
    assert _sysctls.meant("net.ipv4.other.all.arp_ignore", 2, ["conf", "neigh"]) is None


def test_a_name_of_few_words_that_is_not_there(tmp_path):
    (tmp_path / "proc/sys/vm").mkdir(parents=True)
    (tmp_path / "proc/sys/vm/swappiness").write_text("60\n")
    assert _sysctls.first_missing("vm.swapiness", str(tmp_path)) == (1, ["swappiness"])
    assert _sysctls.first_missing("vm.swappiness.other", str(tmp_path)) == (2, [])
    assert _sysctls.first_missing("wm.swappiness.other", str(tmp_path)) == (0, ["vm"])


# what is undone


def test_a_value_that_the_kernel_refuses_undoes_everything(node):
    node.twice({"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.rp_filter": 2})
    before = node.state()
    node.refuse = {"net.ipv4.vs.conn_reuse_mode": errno.EINVAL}
    with pytest.raises(IpvsError, match="conn_reuse_mode: '9': the kernel refuses this value.*: Invalid argument. The rest was undone") as error:
        node.run({"net.ipv4.conf.*.arp_ignore": 1, "net.ipv4.vs.conn_reuse_mode": 9, "net.ipv4.ip_forward": 1})
    assert "Undoing" not in str(error.value)
    assert node.state() == before

    node.path.unlink()
    before = node.state()
    with pytest.raises(IpvsError, match="refuses"):
        node.run({"net.ipv4.vs.conn_reuse_mode": 9})
    assert node.state() == before


def test_a_value_that_the_kernel_makes_another_of(node):
    before = node.state()

    def clamp(key, value):
        if value == "99999":
            node[key] = "4096"

    node.meddle = clamp
    with pytest.raises(IpvsError, match="net.ipv4.vs.conn_reuse_mode: '99999': the kernel changes it to 4096; give that value. The rest was undone"):
        node.run({"net.ipv4.ip_forward": 1, "net.ipv4.vs.conn_reuse_mode": 99999})
    assert node.state() == before


def test_what_cannot_be_put_back_is_told_and_forgotten(node):
    node.twice({"net.ipv4.vs.conn_reuse_mode": 0, "net.ipv4.ip_forward": 1})
    node.refuse = {"net.ipv4.vs.conn_reuse_mode": errno.EINVAL}
    assert node.run(state="absent").changed
    assert node.warnings == ["net.ipv4.vs.conn_reuse_mode could not be put back to 1: Invalid argument"]
    assert node["net.ipv4.ip_forward"] == "0" and not node.path.exists()


def test_a_plan_that_was_carried_out_is_taken_back(node, monkeypatch):
    context = Context(False, True, node.warnings.append, write_files=plain_files.write_files)
    before = node.state()
    plan = _sysctl_plan.plan({"net.ipv4.ip_forward": "1", "net.ipv4.conf.*.arp_ignore": "2"}, str(node.path), "# x", root=str(node.root))
    _sysctl_plan.apply(plan, context, str(node.root))
    assert node["net.ipv4.ip_forward"] == "1" and node.path.exists()
    node.refuse = {"net.ipv4.conf.all.arp_ignore": errno.EINVAL}
    assert _sysctl_plan.undo(plan, context, str(node.root)).startswith("net.ipv4.conf.all.arp_ignore = 0: Invalid argument")
    assert node["net.ipv4.ip_forward"] == "0" and node["net.ipv4.conf.eth0.arp_ignore"] == "0" and not node.path.exists()
    node.refuse = {}
    assert _sysctl_plan.undo(plan, context, str(node.root)) == "" and node.state() == before

    def fail(changes, context):
        raise IpvsError("the disk is gone")

    monkeypatch.setattr(_own_files, "put_back", fail)
    assert _sysctl_plan.undo(plan, context, str(node.root)) == "the disk is gone"


def test_a_full_disk_undoes_what_was_put_back(node, monkeypatch):
    reuse = "net.ipv4.vs.conn_reuse_mode"
    node.run({reuse: 0})
    before = node.state()
    monkeypatch.setattr(_own_files, "write", lambda changes, context: changes and fail())

    def fail():
        raise IpvsError("/x: No space left on device")

    with pytest.raises(IpvsError, match="^/x: No space left on device. The rest was undone.$"):
        node.run({"net.ipv4.ip_forward": 1})
    assert node.state() == before


def test_ipvs_is_only_spoken_of_where_its_settings_are_skipped(node):
    node.run({"net.ipv4.conf.eth9.arp_ignore": 1})
    assert node.warnings == [f"the kernel {os.uname().release} does not have these settings, they are skipped: net.ipv4.conf.eth9.arp_ignore"]


def test_a_wildcard_for_settings_that_come_with_ipvs_sets_none_of_that_name(node):
    for path in (node.root / "proc/sys/net/ipv4/vs").iterdir():
        path.unlink()
    (node.root / "proc/sys/net/ipv4/vs").rmdir()
    done = node.run({"net.ipv4.vs.conn*": 0}, check=True)
    assert done.values["settings"] == {}


def test_a_value_that_cannot_be_put_back_a_second_time_either(node):
    """Another program has set it meanwhile."""
    reuse = "net.ipv4.vs.conn_reuse_mode"
    node.run({reuse: 0})

    def meddle(key, value):
        node[key] = "7"
        node.refuse = {key: errno.EINVAL}

    node.meddle = meddle
    assert node.run(state="absent").changed
    assert node.warnings == [f"{reuse} could not be put back to 1: Invalid argument"]
