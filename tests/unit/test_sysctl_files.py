# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of sysctl.d undo what ours says. sysctl(8) goes by the same order: tests/integration/node/test_sysctls.py."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _sysctl_files

FORWARD, REUSE = "net.ipv4.ip_forward", "net.ipv4.vs.conn_reuse_mode"
ALL_DESIRED = {FORWARD: "1", REUSE: "0", "net.ipv4.conf.*.rp_filter": "2"}


@pytest.fixture
def told(tmp_path):
    """``told({FILE: TEXT})``: what is found beside etc/sysctl.d/60-ours.conf, as (file, key, value)."""

    def told(files, ours="etc/sysctl.d/60-ours.conf"):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = _sysctl_files.overrides(str(tmp_path / ours), ALL_DESIRED, str(tmp_path))
        return [(each.path[len(str(tmp_path)) + 1 :], each.key, each.value) for each in found]

    return told


def test_a_later_file_has_the_last_word(told):
    files = {"etc/sysctl.d/99-a.conf": f"{FORWARD} = 0\n", "usr/lib/sysctl.d/70-b.conf": f"-{REUSE}=1\n"}
    assert told(files) == [("etc/sysctl.d/99-a.conf", FORWARD, "0"), ("usr/lib/sysctl.d/70-b.conf", REUSE, "1")]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"etc/sysctl.d/50-a.conf": f"{FORWARD} = 0\n"},
        {"etc/sysctl.d/99-a.conf": f"{FORWARD} = 1\n"},
        {"etc/sysctl.d/99-a.conf": f"#{FORWARD} = 0\n; {FORWARD} = 0\n"},
        {"etc/sysctl.d/99-a.txt": f"{FORWARD} = 0\n"},
        {"etc/sysctl.d/99-a.conf": "net.ipv4.ip_forward_use_pmtu = 0\n"},
        # the same name in /etc hides it
        {"etc/sysctl.d/99-a.conf": "", "usr/lib/sysctl.d/99-a.conf": f"{FORWARD} = 0\n"},
        # the last one agrees
        {"etc/sysctl.d/98-a.conf": f"{FORWARD} = 0\n", "etc/sysctl.d/99-a.conf": f"{FORWARD} = 1\n"},
    ],
)
def test_what_does_not_undo_ours(told, files):
    assert told(files) == []


def test_other_spellings_and_wildcards_of_ours(told):
    text = "net/ipv4/ip_forward=0\nnet.ipv4.conf.eth0.rp_filter = 1\nnet.ipv4.conf.eth1.rp_filter = 2\n"
    name = "etc/sysctl.d/99-a.conf"
    assert told({name: text}) == [(name, "net.ipv4.conf.eth0.rp_filter", "1"), (name, FORWARD, "0")]


def test_a_file_that_the_boot_does_not_read_has_nothing_after_it(told):
    assert told({"etc/sysctl.d/99-a.conf": f"{FORWARD} = 0\n"}, ours="opt/60-ours.conf") == []


def test_what_our_own_file_said_before_undoes_nothing(told):
    assert told({"etc/sysctl.d/60-ours.conf": f"{FORWARD} = 0\n"}) == []
