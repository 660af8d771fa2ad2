# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_saved: what is written, switched on and off, and what of others stays. A fake kernel, a disk in memory, a stand-in for systemd."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import (
    _literals,
    _model,
    _netlink,
    _owners,
    _rules_reader,
    _saved,
    _saved_tasks,
    _session,
    _settings,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .boot_node import Machine
from .fake_kernel import FakeKernel

RULES = """\
-A -t 203.0.113.80:80 -s wlc
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
-A -f 7 -s rr
"""
DAEMON = _settings.Daemon("master", "eth0", 7, 1472, "224.0.0.81", 8848, 1)
DAEMON_LINE = "--start-daemon master --mcast-interface eth0 --syncid 7 --sync-maxlen 1472 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1\n"
DEBIAN = _saved.Place("/etc/ipvsadm.rules", "ipvsadm.service", "/etc/default/ipvsadm")
RED_HAT = _saved.Place("/etc/sysconfig/ipvsadm", "ipvsadm.service")
OWN = _saved.Place("/etc/ipvsadm.rules", "ipvs-table.service", own=True)
OWN_FILE = "/etc/systemd/system/ipvs-table.service"
GUARD = "/etc/systemd/system/ipvsadm.service.d/ipvs-director.conf"
OFF = '# a comment\nAUTO="false"\nDAEMON="none"\n'
LOST = "the table does not come back after a reboot"


OPTIONS = {"path": None, "state": "present", "services": None, "timeouts": True, "sync_daemons": False}


class Director(Machine):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.kernel, self.loaded, self.place = FakeKernel(_rules_reader.parse(RULES).table), True, DEBIAN
        monkeypatch.setattr(_session, "Kernel", lambda netns: self.kernel)
        monkeypatch.setattr(_netlink, "loaded", lambda netns: self.loaded)
        monkeypatch.setattr(_owners, "keepalived_services", lambda netns: ({}, []))
        monkeypatch.setattr(_saved, "place", lambda path=None: self.place._replace(path=path or self.place.path))
        self.put(DEBIAN.settings, OFF)
        self.kernel.read_only = True

    def task(self, check=False, **options):
        """The Answer, which in check mode is the same and changes nothing."""
        given = {**OPTIONS, **options}
        found = (dict(self.files), set(self.enabled), set(self.active))
        answer = _saved_tasks.manage_saved(given, self.context(check=True))
        assert (self.files, self.enabled, self.active) == found and self.done == []
        self.foretold = list(self.warnings)
        if not check:
            assert _saved_tasks.manage_saved(given, self.context()) == answer
        return answer

    def again(self, **options):
        answer = self.task(**options)
        assert not answer.changed and answer.values["differences"] == [] and self.done == []


@pytest.fixture
def director(monkeypatch):
    return Director(monkeypatch)


def test_debians_own_service_is_switched_on_and_guarded(director):
    answer = director.task()
    assert answer.changed
    assert answer.values == {
        "file": "/etc/ipvsadm.rules",
        "unit": "ipvsadm.service",
        "services": 2,
        "differences": [
            "/etc/ipvsadm.rules is missing",
            f"{GUARD} is missing",
            f"/etc/default/ipvsadm does not switch restoring on: {LOST}",
            f"ipvsadm.service is not enabled: {LOST}",
        ],
    }
    rules = director.files["/etc/ipvsadm.rules"]
    assert rules.text == _saved.HEADER + "--set 900 120 300\n" + RULES and rules.mode == 0o600
    assert director.text(DEBIAN.settings) == OFF.replace("false", "true")
    guard = director.text(GUARD)
    assert "\n# This service flushes the table when it stops" in guard
    assert "ExecStop=\n" in guard and "ExecCondition=" in guard and "ExecStart=" not in guard
    assert director.enabled == {"ipvsadm.service"} and director.active == set()
    assert director.done == ["systemctl daemon-reload"] * 2 + ["systemctl enable ipvsadm.service"]
    assert answer.before == "# /etc/default/ipvsadm\n" + OFF
    assert [line for line in answer.after.splitlines() if line.startswith("# /")] == [f"# {path}" for path in ("/etc/ipvsadm.rules", GUARD, DEBIAN.settings)]
    director.again()


@pytest.mark.parametrize(("settings", "after"), [("", 'AUTO="true"\n'), ('DAEMON="none"', 'DAEMON="none"\nAUTO="true"\n')])
def test_settings_without_the_line_get_one(director, settings, after):
    director.put(DEBIAN.settings, settings, 0o640)
    director.task()
    assert director.files[DEBIAN.settings][1:3] == (after, 0o640)
    director.again()


def test_only_what_differs_is_named_and_written(director):
    director.task()
    director.put(DEBIAN.settings, OFF)
    ident = next(iter(director.kernel.table))
    del director.kernel.table[ident]
    answer = director.task()
    assert answer.values["differences"] == [
        "/etc/ipvsadm.rules is not the table as it is now: after a reboot another one comes back",
        f"/etc/default/ipvsadm does not switch restoring on: {LOST}",
    ]
    assert answer.values["services"] == 1 and director.done == []  # no unit has changed
    director.put(GUARD, "[Service]\n")
    assert director.task().values["differences"] == [f"{GUARD} is not as it should be"]
    assert director.done == ["systemctl daemon-reload"]


def test_what_is_saved_beside_the_services(director):
    director.kernel.running_daemons = {"master": DAEMON}
    director.task(timeouts=False, sync_daemons=True)
    assert director.text("/etc/ipvsadm.rules") == _saved.HEADER + RULES + DAEMON_LINE
    director.task()
    assert director.text("/etc/ipvsadm.rules") == _saved.HEADER + "--set 900 120 300\n" + RULES


def test_only_the_services_that_are_listed_and_there(director):
    listed = [{"fwmark": 7}, {"fwmark": 9}]
    assert director.task(services=listed).values["services"] == 1
    assert director.text("/etc/ipvsadm.rules").endswith("300\n-A -f 7 -s rr\n")
    assert director.task(services=listed + [{"fwmark": mark} for mark in range(100, 200)]).values["services"] == 1  # all are read, and no more is saved
    assert director.task(services=[]).values["services"] == 0
    assert director.text("/etc/ipvsadm.rules") == _saved.HEADER + "--set 900 120 300\n"


def test_a_protocol_that_ipvsadm_does_not_know_is_left_out_with_a_word(director):
    odd = _model.ServiceId(_literals.IPV4, 50, "203.0.113.80", 80, 0)
    director.kernel.table[odd] = _model.Entry(_model.overlay_service(_model.Service(odd)), {})
    assert director.task().values["services"] == 2
    assert director.warnings == director.foretold == ["service 50 203.0.113.80:80: ipvsadm does not support its protocol, so it is not saved"]
    assert director.text("/etc/ipvsadm.rules").endswith(RULES)


def test_a_kernel_without_ipvs_has_an_empty_table_and_no_timeouts(director):
    director.loaded = False
    assert director.task().values["services"] == 0
    assert director.text("/etc/ipvsadm.rules") == _saved.HEADER


def test_red_hats_service_reads_no_comments_and_has_no_settings(director):
    director.place = RED_HAT
    assert director.task().changed
    assert "ExecStart=\n" in director.text(GUARD) and f"grep -v '^#' {RED_HAT.path} | ipvsadm -R" in director.text(GUARD)
    assert director.text(DEBIAN.settings) == OFF and director.enabled == {"ipvsadm.service"}
    director.again()
    answer = director.task(state="absent")
    assert answer.values["differences"] == [
        f"{GUARD} is there and is no longer needed",
        "/etc/sysconfig/ipvsadm is not as it should be",
        "ipvsadm.service is enabled",
    ]
    assert director.text(RED_HAT.path) == "" and director.text(GUARD) is None and director.enabled == set()
    director.again(state="absent")


def test_a_path_of_the_users_has_a_unit_of_ours(director):
    director.place = OWN
    answer = director.task(path="/srv/ipvs/table@1.rules")
    assert answer.values["unit"] == "ipvs-table.service" and answer.values["file"] == "/srv/ipvs/table@1.rules"
    unit = director.text(OWN_FILE)
    assert "grep -v '^#' /srv/ipvs/table@1.rules | ipvsadm -R" in unit and "WantedBy=multi-user.target" in unit and "ExecCondition=" in unit
    assert director.text(DEBIAN.settings) == OFF and director.enabled == {"ipvs-table.service"}
    director.again(path="/srv/ipvs/table@1.rules")
    assert director.task(state="absent", path="/srv/ipvs/table@1.rules").values["differences"] == [
        f"{OWN_FILE} is there and is no longer needed",
        "/srv/ipvs/table@1.rules is there and is no longer needed",
        "ipvs-table.service is enabled",
    ]
    assert set(director.files) == {DEBIAN.settings} and director.enabled == set()
    assert director.done == ["systemctl disable ipvs-table.service", "systemctl daemon-reload"]
    director.again(state="absent", path="/srv/ipvs/table@1.rules")


def test_the_unit_of_ours_is_disabled_where_others_have_replaced_the_rules(director):
    director.place = OWN
    path = "/srv/ipvs/table@1.rules"
    director.task(path=path)
    director.put(path, "-A -f 9 -s rr\n")
    director.task(state="absent", path=path)
    assert director.text(path) == "-A -f 9 -s rr\n" and director.text(OWN_FILE) is None and director.enabled == set()


def test_a_unit_of_ours_whose_file_is_gone_is_switched_off(director):
    director.place = OWN
    director.task()
    del director.files[OWN_FILE]
    director.task(state="absent")
    assert director.enabled == set()


def test_the_service_of_the_distribution_stays_on_where_others_have_written_the_rules(director):
    director.place = RED_HAT
    director.put(RED_HAT.path, "-A -f 9 -s rr\n")
    director.enabled = {"ipvsadm.service"}
    director.again(state="absent")
    assert director.enabled == {"ipvsadm.service"}


@pytest.mark.parametrize("path", ["etc/rules", "/etc/a b", "/etc/../rules", "/etc/rules\n", "/etc/$x", ""])
def test_a_path_that_no_unit_could_read(director, path):
    with pytest.raises(OptionError, match="^path: .*give a full path of letters, digits"):
        director.task(path=path)


def test_debians_service_is_switched_off_again_and_its_other_work_stays(director):
    director.task()
    answer = director.task(state="absent")
    assert answer.values == {
        "file": "/etc/ipvsadm.rules",
        "unit": "ipvsadm.service",
        "services": 0,
        "differences": [
            f"{GUARD} is there and is no longer needed",
            "/etc/default/ipvsadm is not as it should be",
            "/etc/ipvsadm.rules is not as it should be",
        ],
    }
    assert director.text(DEBIAN.settings) == OFF and director.text("/etc/ipvsadm.rules") == "# ipvsadm.rules\n" and director.text(GUARD) is None
    assert director.enabled == {"ipvsadm.service"}
    director.again(state="absent")


def test_settings_that_are_gone_are_made_anew(director):
    del director.files[DEBIAN.settings]
    director.task()
    assert director.text(DEBIAN.settings) == 'AUTO="true"\n'


def test_absent_where_debians_settings_are_gone(director):
    director.task()
    del director.files[DEBIAN.settings]
    director.task(state="absent")
    assert DEBIAN.settings not in director.files


def test_rules_of_others_are_replaced_with_a_warning_and_not_removed(director):
    director.put("/etc/ipvsadm.rules", "# of others\n\n-A -f 9 -s rr\n-A -f 8 -s rr\n")
    director.put(DEBIAN.settings, OFF.replace("false", "true"))
    director.enabled = {"ipvsadm.service"}
    director.again(state="absent")
    director.task()
    held = "/etc/ipvsadm.rules held 2 rules that this module did not write; they %s replaced. Run with --diff to see them"
    assert director.foretold == [held % "would be"] and director.warnings == [held % "are"]
    director.again()
    assert director.warnings == []
    director.put("/etc/ipvsadm.rules", "# ipvsadm.rules\n\n")
    director.task()
    assert director.warnings == []


def test_the_unit_of_ours_goes_when_the_distribution_brings_one(director):
    director.place = OWN
    director.task()
    director.place = DEBIAN
    assert f"{OWN_FILE} is there and is no longer needed" in director.task().values["differences"]
    assert director.text(OWN_FILE) is None and director.enabled == {"ipvsadm.service"} and director.done[0] == "systemctl disable ipvs-table.service"
    director.again()


def test_a_unit_of_others_by_the_name_of_ours_stays(director):
    director.put(OWN_FILE, "[Unit]\n")
    director.task()
    assert director.text(OWN_FILE) == "[Unit]\n" and "systemctl disable ipvs-table.service" not in director.done


def test_a_unit_of_others_in_the_place_of_ours_is_not_removed(director):
    director.place = OWN
    director.put(OWN_FILE, "[Unit]\n")
    director.enabled.add("ipvs-table.service")
    assert not director.task(state="absent", path="/srv/ipvs/table@1.rules").changed
    assert director.text(OWN_FILE) == "[Unit]\n" and director.enabled == {"ipvs-table.service"}


def test_a_masked_unit_is_an_error_that_changes_nothing_and_is_no_matter_where_it_goes(director):
    director.place = RED_HAT
    director.masked = {"ipvsadm.service"}
    with pytest.raises(IpvsError, match="ipvsadm.service is masked, but it is needed at boot"):
        director.task()
    director.put(RED_HAT.path, _saved.HEADER)
    assert director.task(state="absent").values["differences"] == ["/etc/sysconfig/ipvsadm is not as it should be"]


def test_a_program_that_is_missing(director):
    director.programs.remove("ipvsadm")
    assert director.task(check=True).changed
    assert director.warnings == ["ipvsadm is not installed yet; an earlier task may install it"]
    with pytest.raises(IpvsError, match="ipvsadm, which restores the table at boot, is not installed: install the package ipvsadm"):
        _saved_tasks.manage_saved({"path": None, "state": "present", "services": None, "timeouts": True, "sync_daemons": False}, director.context())
    assert list(director.files) == [DEBIAN.settings]


@pytest.mark.parametrize("broken", ["systemctl enable", "systemctl daemon-reload"])
def test_where_systemd_refuses_the_files_are_as_they_were(director, broken):
    director.broken = {broken: "no  such\nthing"}
    before = dict(director.files)
    with pytest.raises(IpvsError, match=f"{broken}.* failed: no such thing$") as failure:
        director.task()
    assert director.files == before and "changed" not in failure.value.details


def test_where_the_files_cannot_be_put_back_the_error_says_so(director):
    director.broken = {"systemctl enable": "no"}
    write, calls = director.write, []

    def refuse_the_second(changes, context):
        calls.append(changes)
        if len(calls) == 2:
            raise IpvsError("the disk is gone")
        write(changes, context)

    _saved_tasks._own_files.write = refuse_the_second  # the fixture puts the real one back
    with pytest.raises(IpvsError, match="systemctl enable ipvsadm.service failed: no. Putting the files back failed: the disk is gone") as failure:
        director.task()
    assert failure.value.details["changed"]


def test_on_a_disk_that_is_full_nothing_is_enabled(director):
    director.full = "/etc/ipvsadm.rules"
    with pytest.raises(IpvsError, match="^/etc/ipvsadm.rules: No space left on device$"):
        director.task()
    assert director.enabled == set() and list(director.files) == [DEBIAN.settings]


def test_without_a_diff_no_files_are_shown(director):
    answer = _saved_tasks.manage_saved(OPTIONS, director.context(check=True)._replace(diff=False))
    assert answer.changed and (answer.before, answer.after) == (None, None)
