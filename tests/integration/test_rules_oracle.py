# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule language against ipvsadm itself: each reads what the other writes, and the kernel's table is the judge."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _plan, _rules, _rules_reader, _rules_words
from ansible_collections.lvs.ipvs.plugins.module_utils._table._model import Entry
from ansible_collections.lvs.ipvs.plugins.module_utils._table._netlink import Kernel
from ansible_collections.lvs.ipvs.plugins.module_utils._table._settings import Timeouts
from tests import rule_tables
from tests.rule_tables import OURS_ALONE, REFUSED, REFUSED_BY_US_ALONE, SAME

# One namespace does for all examples of a test: each begins by clearing the table.
on_the_kernel = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def kernel(netns):
    """The kernel's table in a namespace of the test's own, as our netlink layer sees it."""
    with Kernel() as opened:
        yield opened


class Oracle:
    """ipvsadm in the test's namespace, started by a small shell: the lab's kernel starts programs slowly, from pytest very slowly."""

    def __init__(self):
        self.shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, words, rules=""):
        """(what ``ipvsadm WORDS`` prints, errors too; its exit status). ``rules``: text on its standard input."""
        self.shell.stdin.write(f"ipvsadm {words} 2>&1 <<'RULES'\n{rules}\nRULES\necho exit $?\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.startswith("exit "):
                return "".join(lines), int(line.split()[1])
            lines.append(line)
        raise AssertionError(f"ipvsadm {words}: the shell ended after {lines}")

    def tell(self, words):
        output, status = self.run(words)
        assert status == 0, output
        return output

    def restore(self, text):
        """Give the text to ``ipvsadm --restore``, on an empty table; whether it took every line without a word."""
        return self.run("-R", "-C\n" + text) == ("", 0)

    def saved(self):
        """What ``ipvsadm --save`` writes, read by us. A ``-b`` that it leaves without a name (flag_3 alone) it cannot read itself."""
        return _rules_reader.parse(re.sub(r" -b $", "", self.tell("-S -n"), flags=re.MULTILINE)).table


@pytest.fixture
def ipvsadm(netns):
    """ipvsadm as the oracle."""
    oracle = Oracle()
    with oracle.shell:
        yield oracle
        oracle.shell.stdin.close()


def as_saved(table):
    """What ``ipvsadm --save`` tells of a table: no thresholds, and no third flag of a scheduler that names its flags."""
    told = {}
    for ident, (service, servers) in table.items():
        if service.scheduler in ("sh", "mh"):
            service = service._replace(scheduler_flags=tuple(flag for flag in service.scheduler_flags if flag != "flag_3"))
        told[ident] = Entry(service, {key: server._replace(upper_threshold=0, lower_threshold=0) for key, server in servers.items()})
    return told


def operations(before, after):
    """What makes one table of another, planned from its options as a task would have them."""
    wanted = _model.desired_table([_model.entry_options(entry) for entry in after.values()])
    return _plan.plan_present(before, wanted, lambda ident: True, lambda ident: True).operations


@on_the_kernel
@given(table=rule_tables.tables())
def test_our_text_restored_by_ipvsadm(kernel, ipvsadm, table):
    assert ipvsadm.restore(_rules.render_table(table))
    assert kernel.read() == table
    assert ipvsadm.saved() == as_saved(table)


@on_the_kernel
@given(table=rule_tables.tables())
def test_table_applied_by_us_saved_by_ipvsadm(kernel, ipvsadm, table):
    assert ipvsadm.restore("")
    steps = operations({}, table)
    assert kernel.apply(steps) == [0] * len(steps)
    assert kernel.read() == table
    assert ipvsadm.saved() == as_saved(table)


@on_the_kernel
@given(data=st.data(), before=rule_tables.tables())
def test_commands_do_what_the_operations_do(kernel, ipvsadm, data, before):
    """The ``commands`` that a task returns, given to ipvsadm, make the same table: additions, edits, deletions."""
    after = {ident: data.draw(rule_tables.entries(ident)) for ident in before if data.draw(st.booleans())}
    steps = [*operations({}, before), *operations(before, after)]
    assert ipvsadm.restore("\n".join(_plan.command(step) for step in steps))
    assert kernel.read() == after


def test_thresholds_as_ipvsadm_lists_them(ipvsadm):
    assert ipvsadm.restore("-A -t 198.51.100.1:80\n-a -t 198.51.100.1:80 -r 198.51.100.11 -x 65535 -y 1")
    listed = ipvsadm.tell("-L -n --thresholds")
    assert re.search(r"198\.51\.100\.11:80 +65535 +1 ", listed), listed


@settings(on_the_kernel, max_examples=15)
@given(timeouts=rule_tables.timeouts)
def test_timeouts_restored_by_ipvsadm(kernel, ipvsadm, timeouts):
    assert ipvsadm.restore("--set 900 120 300\n" + _rules.render_timeouts(timeouts))
    expected = Timeouts(*[desired or default for desired, default in zip(timeouts, (900, 120, 300), strict=True)])
    assert kernel.timeouts() == expected
    assert ipvsadm.tell("-L --timeout").split(": ")[1].split() == [str(seconds) for seconds in expected]


@pytest.mark.parametrize("role", ["master", "backup"])
def test_sync_daemon_restored_by_ipvsadm(kernel, ipvsadm, role):
    for command in ("link add dummy0 type dummy", "link set dummy0 multicast on up", "addr add 198.51.100.2/24 dev dummy0"):
        subprocess.run(["ip", *command.split()], check=True)
    for options in (
        "--syncid 7 --sync-maxlen 1400 --mcast-group 224.0.0.90 --mcast-port 8849 --mcast-ttl 3",
        "--syncid 255 --sync-maxlen 65507 --mcast-group 239.255.255.255 --mcast-port 65535 --mcast-ttl 255",
        "--syncid 0 --sync-maxlen 9000 --mcast-group ff02::81 --mcast-port 1 --mcast-ttl 1",
        "",
    ):
        (daemon,) = _rules_reader.parse(f"--start-daemon {role} --mcast-interface dummy0 {options}").daemons
        assert ipvsadm.restore(_rules.render_daemon(daemon))
        running = kernel.daemons()[role]
        assert running == daemon._replace(max_length=daemon.max_length or running.max_length)
        assert _rules_reader.parse(_rules.render_daemon(running)).daemons == (running,)
        assert ipvsadm.tell("-L --daemon").strip() == (
            f"{role} sync daemon (mcast=dummy0, syncid={daemon.sync_id}, maxlen={running.max_length}, "
            f"group={daemon.multicast_group}, port={daemon.multicast_port}, ttl={daemon.multicast_ttl})"
        )
        ipvsadm.tell(f"--stop-daemon {role}")


def test_ipvsadm_reads_the_same(kernel, ipvsadm):
    for text, table in SAME:
        assert ipvsadm.restore(text), text
        assert _rules.render_table(kernel.read()) == table, text


def test_ipvsadm_refuses_the_same(ipvsadm):
    assert [text for text, *_where in REFUSED if ipvsadm.restore(text)] == []


def test_ipvsadm_refuses_what_we_alone_take(kernel, ipvsadm):
    for text, table in OURS_ALONE:
        assert not ipvsadm.restore(text), text
        assert ipvsadm.restore(table), table
        assert _rules.render_table(kernel.read()) == table


def test_ipvsadm_takes_what_we_alone_refuse(ipvsadm):
    for text, *_where in REFUSED_BY_US_ALONE:
        assert ipvsadm.run("-R", "-C\n" + text)[1] == 0, text


def test_hand_made_tables_are_read(kernel, ipvsadm):
    """What operators type, saved by ipvsadm and read by us, is what the kernel holds."""
    for line in (
        "-A -t 203.0.113.80:80 -s wrr -p 600 -M 255.255.255.0",
        "-a -t 203.0.113.80:80 -r 198.51.100.11:8080 -m -w 3",
        "-a -t 203.0.113.80:80 -r 198.51.100.12 -g",
        "-A -u 203.0.113.80:53 -o",
        "-A -t [2001:db8::80]:443 -s mh -b mh-port,mh-fallback",
        "-a -t [2001:db8::80]:443 -r [2001:db8::11]:8443 -m",
        "-a -t [2001:db8::80]:443 -r 198.51.100.11 -i --tun-type gue --tun-port 6080 --tun-csum",
        "-A -f 3000000000 -s sh",
        "-a -f 3000000000 -r 198.51.100.13 -i",
        "-A -f 3000000000 -6 -p",
    ):
        assert ipvsadm.tell(line) == "", line
    saved = ipvsadm.tell("-S -n")
    assert "-A -f -1294967296 -6 -s wlc -p 360" in saved.splitlines()
    assert ipvsadm.saved() == kernel.read()
    assert ipvsadm.restore(_rules.render_table(ipvsadm.saved()))
    assert ipvsadm.tell("-S -n") == saved


def test_names_instead_of_numbers(kernel, ipvsadm):
    """Without -n ipvsadm writes the names of ports, which we look up, and of hosts, which we refuse."""
    assert ipvsadm.restore("-A -t 198.51.100.1:80\n-a -t 198.51.100.1:80 -r 198.51.100.11:443 -m")
    saved = ipvsadm.tell("-S")
    assert "-r 198.51.100.11:https" in saved
    assert _rules_reader.parse(saved).table == kernel.read()
    assert ipvsadm.restore("-A -t 127.0.0.1:80")
    with pytest.raises(_rules_words.RuleError, match=r"line 1, column 7: 'localhost:http': host names are not resolved"):
        _rules_reader.parse(ipvsadm.tell("-S"))
