# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that the boot restores: where it is kept, and keeping its weights in step."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules_reader, _saved
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from . import plain_files

RULES = """\
--set 800 100 200
-A -t 203.0.113.80:80 -s wlc
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3 -x 100 -y 50
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 1
-A -f 7 -6 -s rr
-a -f 7 -6 -r [2001:db8::11]:0 -i -w 2 --tun-type gue --tun-port 6080 --tun-nocsum
--start-daemon master --mcast-interface eth0 --syncid 7 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1
"""


def context(check_mode=False):
    return Context(check_mode, False, lambda text: None, write_files=plain_files.write_files)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The place of a saved table, which whoever runs the tests may own."""
    monkeypatch.setattr(_own_files.os, "chown", lambda *words: None)
    path = tmp_path / "ipvsadm.rules"
    path.write_text(_saved.HEADER + RULES)
    return path


# where


def system(root, os_release, *paths):
    for name, text in [("etc/os-release", os_release + "\n"), *((path, "") for path in paths)]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


DEBIAN = "ID=debian"
ALMA = 'ID="almalinux"\nID_LIKE="rhel centos fedora"'
PLACES = [
    (DEBIAN, ["usr/sbin/ipvsadm", "etc/init.d/ipvsadm"], ("/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm", False)),
    ("ID=ubuntu\nID_LIKE=debian", [], ("/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm", False)),
    (DEBIAN, ["usr/sbin/ipvsadm"], ("/etc/ipvsadm.rules", "ipvs-table.service", "", True)),
    (ALMA, ["usr/sbin/ipvsadm", "usr/lib/systemd/system/ipvsadm.service"], ("/etc/sysconfig/ipvsadm", "ipvsadm.service", "", False)),
    ("ID=fedora", [], ("/etc/sysconfig/ipvsadm", "ipvsadm.service", "", False)),
    ('ID="amzn"\nID_LIKE="fedora"', [], ("/etc/sysconfig/ipvsadm", "ipvsadm.service", "", False)),
    ("ID=nowhere", ["usr/lib/systemd/system/ipvsadm.service"], ("/etc/ipvsadm.rules", "ipvs-table.service", "", True)),
]


@pytest.mark.parametrize("os_release, paths, expected", PLACES)
def test_the_place_by_distribution(tmp_path, os_release, paths, expected):
    assert _saved.place(root=system(tmp_path, os_release, *paths)) == expected


def test_another_path_needs_a_unit_of_ours(tmp_path):
    root = system(tmp_path, DEBIAN, "etc/init.d/ipvsadm")
    assert _saved.place("/srv/table", root) == ("/srv/table", "ipvs-table.service", "", True)
    assert not _saved.place("/etc/ipvsadm.rules", root).own


# reading


def test_our_file_is_read_and_no_other(path):
    table = _saved.read(str(path))
    assert [str(ident) for ident in table] == ["tcp 203.0.113.80:80", "fwmark 7 (ipv6)"]
    for text in ("# ipvsadm.rules\n" + RULES, RULES, ""):
        path.write_text(text)
        assert _saved.read(str(path)) is None
    path.unlink()
    assert _saved.read(str(path)) is None


def test_without_a_path_the_distributions_own_is_read(path, monkeypatch):
    own = _saved.place(str(path))
    monkeypatch.setattr(_saved, "place", lambda: own)
    assert _saved.read() == _saved.read(str(path)) and len(_saved.read()) == 2


def test_a_file_of_ours_that_was_spoilt_is_named(path):
    path.write_text(_saved.HEADER + "-A -t\n")
    with pytest.raises(IpvsError, match=f"{path}: rules, line 2"):
        _saved.read(str(path))


def test_what_is_written_is_what_is_read(path):
    ruleset = _saved.load(str(path))
    text = _saved.render(ruleset.table, ruleset.timeouts, ruleset.daemons)
    assert text == _saved.HEADER + RULES
    assert _saved.render({}, None, ()) == _saved.HEADER


# weights


def test_weights_follow_the_kernel_and_nothing_else_does(path):
    kernel = _rules_reader.parse(
        "-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0\n-a -t 203.0.113.80:80 -r 198.51.100.13:80 -m -w 9\n"
        "-A -t 203.0.113.80:81 -s rr\n"
    ).table
    assert _saved.reweigh(kernel, context(check_mode=True), str(path))
    assert path.read_text() == _saved.HEADER + RULES
    assert _saved.reweigh(kernel, context(), str(path))
    assert path.read_text() == _saved.HEADER + RULES.replace("198.51.100.11:80 -m -w 3", "198.51.100.11:80 -m -w 0")
    assert oct(path.stat().st_mode) == "0o100600"
    assert not _saved.reweigh(kernel, context(), str(path))
    text = path.read_text().replace("-w 0", " -w 0")
    path.write_text(text)
    assert not _saved.reweigh(kernel, context(), str(path)) and path.read_text() == text


def test_weights_of_a_file_that_is_not_ours_are_left_alone(path):
    kernel = {ident: _model.Entry(entry.service, {}) for ident, entry in _saved.read(str(path)).items()}
    assert not _saved.reweigh(kernel, context(), str(path))
    path.write_text(RULES)
    assert not _saved.reweigh(_rules_reader.parse(RULES.replace("-w 3", "-w 0")).table, context(), str(path))
    assert path.read_text() == RULES
