# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings on made-up file trees. The real kernel is in tests/integration."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _sysctl_plan, _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _sysctl_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from . import plain_files

KERNEL = {
    "net.ipv4.ip_forward": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "net.ipv4.vs.conn_reuse_mode": "1",
    "net.ipv4.vs.sync_threshold": "3\t50",
    **{f"net.ipv4.conf.{name}.{key}": "0" for name in ("all", "default", "eth0", "eth0/100") for key in ("arp_ignore", "arp_announce", "rp_filter")},
}
NAT = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11", "forward_method": "nat"}]}]
NAT6 = [{"fwmark": 7, "family": "ipv6", "servers": [{"address": "2001:db8::11", "forward_method": "nat"}, {"address": "2001:db8::12"}]}]


class Node:
    """A file tree. ``refuse``: {key: errno} of writes; ``meddle``: a function (key, value) called after each write."""

    def __init__(self, root: Path, monkeypatch):
        self.root, self.refuse, self.meddle, self.warnings, self.written = root, {}, None, [], []
        self.path = root / "etc/sysctl.d/60-test.conf"
        for key, value in KERNEL.items():
            self[key] = value
        genuine = _sysctls.write

        def write(key, value, root):
            self.written.append(key)
            if key in self.refuse:
                raise OSError(self.refuse[key], "Invalid argument")
            genuine(key, value, root)
            if self.meddle:
                self.meddle(key, value)

        monkeypatch.setattr(_sysctls, "write", write)
        monkeypatch.setattr(_own_files.os, "chown", lambda *words: None)
        # whoever runs the tests
        monkeypatch.setattr(_own_files, "read", lambda path, read=_own_files.read: read(path)._replace(owner="0:0"))

    def __setitem__(self, key, value):
        file = Path(_sysctls.path_of(key, str(self.root)))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")

    def __getitem__(self, key):
        return _sysctls.read(key, str(self.root))

    def state(self):
        return {path: path.read_text() for path in self.root.rglob("*") if path.is_file()}

    def run(self, settings=None, check=False, diff=True, **options):
        self.warnings.clear()
        options = {"settings": settings, "services": None, "path": str(self.path), "state": "present", **options}
        context = Context(check, diff, self.warnings.append, write_files=plain_files.write_files)
        return _sysctl_tasks.manage_sysctls(options, context, str(self.root))

    def twice(self, settings=None, **options):
        """The answer, foretold in check mode, with a second run that changes nothing."""
        before = self.state()
        foretold = self.run(settings, check=True, **options)
        assert self.state() == before
        done = self.run(settings, **options)
        assert foretold == done
        again = self.run(settings, **options)
        assert (again.changed, again.values["differences"], again.values["settings"]) == (False, [], done.values["settings"])
        assert again.before == again.after
        return done


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def lines(node):
    return node.path.read_text().splitlines()[2:]


@pytest.mark.parametrize("check", [True, False])
def test_texts_are_only_made_where_a_diff_is_asked_for(node, check):
    done = node.run({"net.ipv4.vs.conn_reuse_mode": 0}, check=check, diff=False)
    assert done.changed and (done.before, done.after) == (None, None)


def test_set_and_recorded_and_put_back(node):
    done = node.twice({"net.ipv4.vs.conn_reuse_mode": False, "net/ipv4/conf/eth0.100/arp_ignore": 1, "net.ipv4.vs.sync_threshold": " 5  80 "})
    assert done.changed
    assert done.values["settings"] == {"net.ipv4.conf.eth0/100.arp_ignore": "1", "net.ipv4.vs.conn_reuse_mode": "0", "net.ipv4.vs.sync_threshold": "5 80"}
    assert done.values["differences"] == [
        "kernel setting net.ipv4.vs.conn_reuse_mode is 1, not 0",
        "kernel setting net.ipv4.conf.eth0/100.arp_ignore is 0, not 1",
        "kernel setting net.ipv4.vs.sync_threshold is 3 50, not 5 80",
        f"{node.path} is missing",
    ]
    assert node.path.read_text().startswith("# Written by lvs.ipvs.ipvs_sysctls; changes are overwritten.\n# A line \"before\"")
    assert lines(node) == [
        "# before: net.ipv4.conf.eth0/100.arp_ignore = 0",
        "net.ipv4.conf.eth0/100.arp_ignore = 1",
        "# before: net.ipv4.vs.conn_reuse_mode = 1",
        "net.ipv4.vs.conn_reuse_mode = 0",
        "# before: net.ipv4.vs.sync_threshold = 3 50",
        "net.ipv4.vs.sync_threshold = 5 80",
    ]
    assert "net.ipv4.vs.conn_reuse_mode = 1\n" in done.before and "net.ipv4.vs.conn_reuse_mode = 0\n" in done.after

    # another value, and one that is no longer listed: what was there before both is kept
    done = node.twice({"net.ipv4.vs.conn_reuse_mode": 2})
    assert lines(node) == ["# before: net.ipv4.vs.conn_reuse_mode = 1", "net.ipv4.vs.conn_reuse_mode = 2"]
    assert "kernel setting net.ipv4.vs.sync_threshold is 5 80, and was 3 50 before it was set" in done.values["differences"]
    assert (node["net.ipv4.vs.sync_threshold"], node["net.ipv4.conf.eth0/100.arp_ignore"]) == ("3 50", "0")

    node.twice(state="absent", settings={"net.ipv4.ip_forward": 1})
    assert not node.path.exists()
    assert {key: node[key] for key in KERNEL} == {key: " ".join(value.split()) for key, value in KERNEL.items()}


def test_whoever_is_killed_in_between_leaves_a_record_of_what_the_kernel_had(node):
    """The file comes before what is set, and after what is put back."""
    reuse, forward = "net.ipv4.vs.conn_reuse_mode", "net.ipv4.ip_forward"
    recorded = []
    node.meddle = lambda key, value: recorded.append((key, value, f"before: {key} = " in (node.path.read_text() if node.path.exists() else "")))
    node.run({reuse: 0})
    node.run({forward: 1})
    node.run(state="absent")
    assert recorded == [(reuse, "0", True), (reuse, "1", True), (forward, "1", True), (forward, "0", True)]


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


def test_nothing_wanted_and_nothing_there(node):
    assert not node.run().changed and not node.run({}, services=[], state="absent").changed
    assert not node.path.exists()


def test_a_value_that_was_right_already(node):
    node.twice({"net.ipv4.vs.conn_reuse_mode": 1})
    assert lines(node) == ["# before: net.ipv4.vs.conn_reuse_mode = 1", "net.ipv4.vs.conn_reuse_mode = 1"]
    assert node.written == []


def test_the_file_of_the_role_is_taken_over(node):
    node.path.parent.mkdir(parents=True)
    head = "# Written by the Ansible role lvs.ipvs.director; changes are overwritten.\n"
    node.path.write_text(head + "# before: net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n")
    node["net.ipv4.ip_forward"] = "1"
    assert node.twice({"net.ipv4.ip_forward": 1}).values["differences"] == [f"{node.path} is not as it should be"]
    node.twice({})
    assert node["net.ipv4.ip_forward"] == "0" and not node.path.exists()


# wildcards


def test_a_wildcard(node):
    node["net.ipv4.conf.eth0.arp_ignore"] = "1"
    done = node.twice({"net.ipv4.conf.*.arp_ignore": 1, "net.ipv4.conf.all.arp_ignore": 2})
    assert done.values["settings"] == {
        "net.ipv4.conf.all.arp_ignore": "2",
        "net.ipv4.conf.default.arp_ignore": "1",
        "net.ipv4.conf.eth0.arp_ignore": "1",
        "net.ipv4.conf.eth0/100.arp_ignore": "1",
    }
    assert lines(node) == [
        "# before: net.ipv4.conf.default.arp_ignore = 0",
        "# before: net.ipv4.conf.eth0/100.arp_ignore = 0",
        "net.ipv4.conf.*.arp_ignore = 1",
        "# before: net.ipv4.conf.all.arp_ignore = 0",
        "net.ipv4.conf.all.arp_ignore = 2",
    ]
    # an interface that comes, with what "default" says, and one that goes
    node["net.ipv4.conf.eth1.arp_ignore"] = "1"
    Path(_sysctls.path_of("net.ipv4.conf.eth0/100.arp_ignore", str(node.root))).unlink()
    assert not node.twice({"net.ipv4.conf.*.arp_ignore": 1, "net.ipv4.conf.all.arp_ignore": 2}).changed
    node["net.ipv4.conf.eth0/100.arp_ignore"] = "1"
    node.twice(state="absent")
    assert [node[f"net.ipv4.conf.{name}.arp_ignore"] for name in ("all", "default", "eth0", "eth0/100", "eth1")] == ["0", "0", "1", "0", "1"]


@pytest.mark.parametrize(
    "pattern, key, expected",
    [
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0/1.rp_filter", True),
        ("net.ipv4.conf.eth*.rp_filter", "net.ipv4.conf.eth0.rp_filter", True),
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.a.b.rp_filter", False),
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0.rp_filter2", False),
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward", True),
    ],
)
def test_what_a_wildcard_stands_for(pattern, key, expected):
    assert _sysctls.stands_for(pattern, key) == expected


def test_brackets_are_no_wildcards(node):
    node["net.ipv4.conf.e[0].arp_ignore"] = "0"
    assert _sysctls.matching("net.ipv4.conf.e[0*.arp_ignore", str(node.root)) == ["net.ipv4.conf.e[0].arp_ignore"]
    assert _sysctls.matching("net.ipv4.conf.eth[0].arp_ignore", str(node.root)) == []


# what the services need


@pytest.mark.parametrize(
    "services, expected",
    [
        (NAT, {"net.ipv4.ip_forward": "1"}),
        (NAT6, {"net.ipv6.conf.all.forwarding": "1"}),
        (NAT + NAT6, {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}),
        ([{"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11"}]}, {"fwmark": 1}], {}),
    ],
)
def test_forwarding_for_servers_behind_nat(node, services, expected):
    assert node.twice(services=services).values["settings"] == expected


def test_the_users_word_counts(node):
    assert node.twice({"net/ipv4/ip_forward": 0}, services=NAT).values["settings"] == {"net.ipv4.ip_forward": "0"}


# errors


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
    [("60.conf", None, "full path"), ("/etc/sysctl.d/60", None, "ends in .conf"), (None, "net.ipv4.ip_forward = 1\n", "another program wrote this file")],
)
def test_a_path_that_cannot_be_meant(node, path, text, words):
    if text:
        node.path.parent.mkdir(parents=True)
        node.path.write_text(text)
    for state in ("present", "absent"):
        with pytest.raises(OptionError, match=f"path: .*{words}"):
            node.run({"net.ipv4.ip_forward": 1}, path=path or str(node.path), state=state)


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
    assert foretold.changed and not node.warnings
    assert foretold.values["settings"] == {"net.ipv4.ip_forward": "1", "net.ipv4.vs.conn_reuse_mode": "0"}
    with pytest.raises(OptionError, match="did you mean net.ipv4.vs.conn_reuse_mode"):
        node.run({"net.ipv4.vs.conn_reuse_mod": 0}, check=True)
    assert "net.ipv4.vs.conn_reuse_mode" not in node.run(settings).values["settings"]
    assert len(node.warnings) == 1


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


def test_a_setting_that_changes_others(node):
    """As ip_forward sets what interfaces have to defaults."""

    def forward(key, value):
        if key == "net.ipv4.ip_forward":
            node["net.ipv4.conf.eth0.rp_filter"] = node["net.ipv4.conf.default.arp_announce"] = value  # what was right before, too
        if key == "net.ipv4.conf.all.rp_filter":
            node["net.ipv4.conf.eth0.arp_ignore"] = "0"

    node.meddle = forward
    desired = {"net.ipv4.conf.eth0.rp_filter": 5, "net.ipv4.conf.*.arp_announce": 0, "net.ipv4.conf.eth0.arp_ignore": 1}
    desired.update({"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.rp_filter": 2})
    before = node.state()
    node.refuse = {"net.ipv4.conf.eth0.arp_ignore": errno.EINVAL}
    with pytest.raises(IpvsError, match="refuses"):
        node.run(desired)
    assert node.state() == before
    node.refuse = {}
    node.written.clear()
    node.twice(desired)
    assert node.written[:2] == ["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"]
    node.twice(state="absent")
    assert node.state() == before


def test_what_cannot_be_put_back_is_told_and_forgotten(node):
    node.twice({"net.ipv4.vs.conn_reuse_mode": 0, "net.ipv4.ip_forward": 1})
    node.refuse = {"net.ipv4.vs.conn_reuse_mode": errno.EINVAL}
    assert node.run(state="absent").changed
    assert node.warnings == ["net.ipv4.vs.conn_reuse_mode could not be put back to 1: Invalid argument"]
    assert node["net.ipv4.ip_forward"] == "0" and not node.path.exists()


def test_a_setting_that_a_later_one_resets_is_written_again(node):
    first, second, times = "net.ipv4.conf.all.arp_ignore", "net.ipv4.vs.conn_reuse_mode", []

    def reset(key, value):
        if key == second and not times:
            times.append(value)
            node[first] = "0"

    node.meddle = reset
    node.run({first: 1, second: 9})
    assert node.written == [first, second, first] and (node[first], node[second]) == ("1", "9")


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


def test_a_word_in_the_middle_that_is_mistyped():
    assert _sysctls.meant("net.ipv4.cnf.all.arp_ignore", 2, ["conf", "neigh"]) == "net.ipv4.conf.all.arp_ignore"
    assert _sysctls.meant("net.ipv4.other.all.arp_ignore", 2, ["conf", "neigh"]) is None
