# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_saved on a real kernel: what it writes is restored by the very commands that the boot runs, and says all that there was."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _distribution
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _saved

pytestmark = pytest.mark.once

FOLDER = Path("/etc/systemd/system")
GUARD = FOLDER / "ipvsadm.service.d/ipvs-director.conf"
UNIT = FOLDER / "ipvs-table.service"
RULES = """\
-A -t 203.0.113.80:80 -s wlc -p 60 -M 255.255.255.0
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0 -x 100 -y 50
-a -t 203.0.113.80:80 -r 198.51.100.12:8080 -m -w 2147483647
-A -t [2001:db8::80]:80 -s mh -b mh-fallback,mh-port
-a -t [2001:db8::80]:80 -r [2001:db8::11]:80 -m -w 2
-A -u 203.0.113.80:53 -s rr -o
-A --sctp-service 203.0.113.80:99 -s sh -b sh-port
-A -f 4294967295 -s rr
-a -f 4294967295 -r 198.51.100.11:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-A -f 7 -6 -s rr
-a -f 7 -6 -r [2001:db8::11]:0 -i -w 1 --tun-type gre
"""


@pytest.fixture(autouse=True)
def node():
    """The files of a node that nobody has touched yet; of the lab's kernel, of which nothing gets out."""
    for path in (Path("/etc/ipvsadm.rules"), Path("/etc/sysconfig/ipvsadm"), Path("/srv/table"), GUARD, UNIT):
        path.unlink(missing_ok=True)
    Path("/etc/default/ipvsadm").write_text('# settings\nAUTO="false"\nDAEMON="none"\n')
    subprocess.run(["systemctl", "disable", "ipvsadm.service"], check=True, capture_output=True)
    yield
    for path in (Path("/etc/ipvsadm.rules"), GUARD, UNIT):
        path.unlink(missing_ok=True)


@pytest.fixture
def saved(ipvs):
    """Run ipvs_saved in check mode, for real and again; the result of the real run."""

    def run(**options):
        foretold = ipvs.module("ipvs_saved", check=True, diff=True, **options)
        done = ipvs.module("ipvs_saved", diff=True, **options)
        for part in ("changed", "differences", "diff", "services", "file", "unit"):
            assert foretold[part] == done[part], part
        again = ipvs.module("ipvs_saved", diff=True, **options)
        assert not again["changed"] and again["differences"] == [] and again["diff"] == {"before": "", "after": ""}
        return done

    return run


def fill(ipvs, daemons=True):
    subprocess.run(["ip", "link", "add", "eth1", "type", "dummy"], check=True)
    subprocess.run(["ip", "link", "set", "eth1", "up"], check=True)
    ipvs.module("ipvs_table", rules=RULES)
    ipvs.module("ipvs_timeouts", tcp=800, tcp_fin=100, udp=200)
    if daemons:
        ipvs.module("ipvs_sync_daemon", role="master", interface="eth1", sync_id=7, max_length=1400, multicast_group="224.0.0.99", multicast_ttl=3)


def empty(ipvs):
    ipvs.module("ipvs_table", services=[], prune=True, prune_force=True)
    ipvs.module("ipvs_sync_daemon", role="master", state="absent")
    ipvs.module("ipvs_timeouts", tcp=900, tcp_fin=120, udp=300)


def restore(command):
    """What the boot runs, with the standard error that an operator would find in the journal."""
    return subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True).stderr


def command_of(file):
    """The command line of a unit, as systemd would run it in a shell."""
    (command,) = re.findall(r'^ExecStart=/bin/sh -c "(.*)"$', file.read_text(), re.MULTILINE)
    return command


# as /etc/init.d/ipvsadm of Debian does it
DEBIAN = "grep -v '^#' /etc/ipvsadm.rules | ipvsadm -R"
WAYS = {"debian": (["debian"], None), "rhel": (["rhel", "fedora"], None), "elsewhere": (["nowhere"], None), "path": (["debian"], "/srv/table")}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.long
def test_what_was_there_comes_back(ipvs, saved, monkeypatch, way):
    families, path = WAYS[way]
    monkeypatch.setattr(_distribution, "family", lambda root: families)
    fill(ipvs)
    before = ipvs.module("ipvs_info")
    done = saved(**({"path": path} if path else {}))
    assert done["changed"] and done["services"] == 6
    file = Path(done["file"])
    assert oct(file.stat().st_mode) == "0o100600" and file.read_text().startswith("# Written by lvs.ipvs.ipvs_saved: ")
    empty(ipvs)
    assert ipvs.module("ipvs_info") != before
    assert restore({"debian": DEBIAN, "rhel": command_of(GUARD) if way == "rhel" else ""}.get(way) or command_of(UNIT)) == ""
    assert ipvs.module("ipvs_info") == before
    assert not ipvs.module("ipvs_saved", **({"path": path} if path else {}))["changed"]
    enabled = subprocess.run(["systemctl", "is-enabled", done["unit"]], check=False, capture_output=True, text=True).stdout
    assert enabled.strip() == "enabled"
    empty(ipvs)


def test_debians_service_is_switched_on_and_guarded_and_off_again(ipvs, saved):
    fill(ipvs, daemons=False)
    done = saved()
    assert done["differences"] == [
        "/etc/ipvsadm.rules is missing",
        f"{GUARD} is missing",
        "/etc/default/ipvsadm does not switch restoring on: the table does not come back after a reboot",
        "ipvsadm.service is not enabled: the table does not come back after a reboot",
    ]
    assert Path("/etc/default/ipvsadm").read_text() == '# settings\nAUTO="true"\nDAEMON="none"\n'
    assert "ExecStop=\n" in GUARD.read_text() and "ExecStart" not in GUARD.read_text()
    table = ipvs.saved()
    saved(state="absent")
    assert ipvs.saved() == table
    assert Path("/etc/ipvsadm.rules").read_text() == "# ipvsadm.rules\n" and not GUARD.exists()
    assert Path("/etc/default/ipvsadm").read_text() == '# settings\nAUTO="false"\nDAEMON="none"\n'


def test_the_guard_leaves_a_table_in_use_alone(ipvs, saved):
    saved()
    (condition,) = re.findall(r'^ExecCondition=/bin/sh -c "(.*)"$', GUARD.read_text(), re.MULTILINE)
    condition = condition.replace("/proc/net/", "/proc/thread-self/net/")

    def runs():
        return subprocess.run(["sh", "-c", condition], check=False).returncode == 0

    assert runs()
    for rule in ("-A -t 203.0.113.80:80", "-A -u 203.0.113.80:80", "-A --sctp-service 203.0.113.80:80", "-A -f 7", "-A -f 7 -6", "-A -t [2001:db8::80]:80"):
        ipvs.restore(rule + " -s rr\n")
        assert not runs(), rule
        ipvs.ipvsadm("-C")


def test_only_the_listed_services_and_neither_timeouts_nor_daemons(ipvs, saved):
    fill(ipvs)
    desired = [{"fwmark": 7, "family": "ipv6"}, {"address": "203.0.113.80", "port": 80, "servers": []}, {"address": "203.0.113.90", "port": 80}]
    assert saved(services=desired, timeouts=False, sync_daemons=False)["services"] == 2
    lines = Path("/etc/ipvsadm.rules").read_text().splitlines()
    assert lines[1:] == [line for line in RULES.splitlines() if "203.0.113.80:80" in line] + [
        "-A -f 7 -6 -s rr", "-a -f 7 -6 -r [2001:db8::11]:0 -i -w 1 --tun-type gre --tun-nocsum",
    ]  # fmt: skip
    assert [str(ident) for ident in _saved.read()] == ["tcp 203.0.113.80:80", "fwmark 7 (ipv6)"]
    assert "after a reboot another one comes back" in saved(services=desired[:1])["differences"][0]
    empty(ipvs)


def test_rules_of_others_are_replaced_with_a_word_and_kept_when_nothing_is_to_be_saved(ipvs, saved):
    file = Path("/etc/ipvsadm.rules")
    file.write_text("# by hand\n-A -f 1 -s rr\n")
    assert not saved(state="absent")["changed"] and file.read_text() == "# by hand\n-A -f 1 -s rr\n"
    done = saved()
    assert done["warnings"] == ["/etc/ipvsadm.rules held 1 rules that this module did not write; they are replaced. Run with --diff to see them"]
    assert "-A -f 1 -s rr" in done["diff"]["before"] and "-A -f 1" not in done["diff"]["after"]


@pytest.mark.long
def test_a_unit_of_ours_goes(ipvs, saved, monkeypatch):
    monkeypatch.setattr(_distribution, "family", lambda root: ["nowhere"])
    saved()
    assert UNIT.exists()
    saved(state="absent")
    assert not UNIT.exists() and not list(FOLDER.rglob(UNIT.name)) and not Path("/etc/ipvsadm.rules").exists()
    saved()
    monkeypatch.setattr(_distribution, "family", lambda root: ["debian"])
    assert f"{UNIT} is there and is no longer needed" in saved()["differences"]
    assert not UNIT.exists() and not list(FOLDER.rglob(UNIT.name))


def test_a_path_that_a_shell_would_misread(ipvs, run_module):
    result = run_module("ipvs_saved", path="/srv/a table;")
    assert result["failed"] and "path: '/srv/a table;': give a full path" in result["msg"]
