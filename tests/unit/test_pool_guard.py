# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that holds max_unhealthy: who goes out, and what is said to the table. It runs beside keepalived in tests/integration."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _checks, _guard_files, _pool_guard
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError
from tests.support import eventually

SERVICE = "[203.0.113.80]:tcp:80"
WEIGHTS = {f"198.51.100.{number}": 5 for number in (11, 12, 13, 14)}


def name(address):
    return f"[{address}]:80"


def pool(share=50, weights=WEIGHTS):
    servers = {name(address): _pool_guard.Server(address, weight, f"{address} in", f"{address} out") for address, weight in weights.items()}
    return _pool_guard.Pool(SERVICE, share, servers)


def line(address, state="DOWN"):
    return f"RS [{address}]:tcp:80 {SERVICE} {state}"


FIRST, SECOND, THIRD, FOURTH = WEIGHTS


@pytest.mark.parametrize(
    ("share", "failed", "drained", "expected"),
    [
        (50, [FIRST], [], []),
        (50, [THIRD, FIRST, SECOND], [], [SECOND]),
        (49, [THIRD, FIRST], [], [FIRST]),
        (24, [FIRST], [], [FIRST]),
        (99, WEIGHTS, [], [FOURTH]),
        (50, [FIRST, SECOND], [FOURTH], [SECOND]),  # three are left
        (50, WEIGHTS, [FIRST, SECOND], [FOURTH]),
        (50, WEIGHTS, WEIGHTS, []),
    ],
)
def test_who_stays(share, failed, drained, expected):
    assert _pool_guard.staying(pool(share), [name(each) for each in failed], set(drained)) == [name(each) for each in expected]


def test_a_heavy_server_stays_and_a_light_one_goes():
    assert _pool_guard.staying(pool(50, {FIRST: 8, SECOND: 2}), [name(FIRST), name(SECOND)], set()) == [name(FIRST)]


@given(
    st.integers(1, 99),
    st.lists(st.integers(0, 100), min_size=4, max_size=4),
    st.permutations(list(WEIGHTS)),
    st.integers(0, 4),
    st.sets(st.sampled_from(list(WEIGHTS))),
)
def test_the_share_is_never_exceeded(share, weights, order, failing, drained):
    whole = pool(share, dict(zip(WEIGHTS, weights, strict=True)))
    failed = [name(each) for each in order[:failing]]
    stay = _pool_guard.staying(whole, failed, drained)
    pool_weight = sum(each.weight for each in whole.servers.values() if each.address not in drained)
    out = sum(whole.servers[each].weight for each in failed if each not in stay and whole.servers[each].address not in drained)
    assert out * 100 <= share * pool_weight and not drained.intersection(whole.servers[each].address for each in stay)


def decided(guard, *lines, drained=()):
    for each in lines:
        guard.hear(each)
    rules = guard.decide(set(drained))[0]
    guard.settled()
    return rules


def test_what_is_said_to_the_table():
    guard = _pool_guard.Guard([pool()])
    assert decided(guard, "VS [203.0.113.80]:tcp:80 UP", "nonsense", line("198.51.100.99")) == []
    assert decided(guard, line(FIRST)) == [f"{FIRST} out"]  # it may have been in the table with its weight
    assert decided(guard, line(SECOND), line(THIRD)) == [f"{SECOND} out", f"{THIRD} in"]
    assert decided(guard) == []
    assert decided(guard, line(SECOND, "UP")) == [f"{THIRD} out", f"{SECOND} in"]
    assert decided(guard, line(THIRD, "UP"), line(THIRD)) == [f"{THIRD} out"]  # again, whatever keepalived has set meanwhile
    assert decided(guard, drained=[FOURTH]) == [f"{THIRD} in"]  # one of three
    assert decided(guard, drained=[FOURTH, THIRD]) == [f"{THIRD} out"]
    assert decided(guard, line(THIRD, "UP"), line(FIRST, "UP"), drained=[THIRD]) == [f"{FIRST} in", f"{THIRD} out"]
    assert decided(guard, line(FIRST, "UP")) == []


def test_the_order_survives_a_reload_and_servers_that_are_gone_do_not():
    guard = _pool_guard.Guard([pool()])
    decided(guard, line(THIRD), line(FIRST), line(SECOND))
    kept = json.loads(json.dumps(guard.record()))
    small = pool(weights={FIRST: 5, SECOND: 5, FOURTH: 5})
    after = _pool_guard.Guard([small], kept)
    assert decided(after) == [f"{FIRST} out", f"{SECOND} in"]


def test_who_is_drained_while_weights_are_set_stays_drained(monkeypatch):
    guard, answers, done = _pool_guard.Guard([pool()]), [set(), {SECOND}, {SECOND}], []
    monkeypatch.setattr(_pool_guard, "read_drained", lambda addresses: answers.pop(0))
    monkeypatch.setattr(_pool_guard, "_set", done.extend)
    for address in (FIRST, THIRD, SECOND):
        guard.hear(line(address))
    _pool_guard.settle(guard)
    assert done == [f"{FIRST} out", f"{THIRD} out", f"{SECOND} in", f"{FIRST} out", f"{THIRD} in", f"{SECOND} out"] and answers == []
    done.clear()
    answers += [{SECOND}, {SECOND}]
    _pool_guard.settle(guard)
    assert done == [] and answers == []  # that is done, and is not done again


def test_who_has_no_weight_when_the_limit_is_new(tmp_path, monkeypatch):
    monkeypatch.setattr(_pool_guard, "DRAIN_FOLDER", str(tmp_path))
    (tmp_path / FIRST).write_text("-100000\n")
    rule = "-e -t 203.0.113.80:80 -r {0}:80 -m -w 0 -x 9".format
    limited = pool()
    limited = limited._replace(servers={each: server._replace(rule_out=rule(server.address)) for each, server in limited.servers.items()})
    printed = "-A -t 203.0.113.80:80 -s wrr\n"
    for address, weight in zip(WEIGHTS, (0, 0, 10, 0), strict=True):
        printed += f"-a -t 203.0.113.80:80 -r {address}:80 -m -w {weight}\n"
    assert _pool_guard.without_weight([limited], printed) == [(SERVICE, name(SECOND)), (SERVICE, name(FOURTH))]


def test_drained_files(tmp_path, monkeypatch):
    monkeypatch.setattr(_pool_guard, "DRAIN_FOLDER", str(tmp_path))
    for address, text in ((FIRST, "-100000\n"), (SECOND, "0\n"), (THIRD, "")):
        (tmp_path / address).write_text(text)
    assert _pool_guard.read_drained(WEIGHTS) == {FIRST}


def test_it_reads_what_is_left_in_the_fifo_before_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(_pool_guard, "RECORD", str(tmp_path / "record"))
    monkeypatch.setattr(_pool_guard, "settle", lambda guard: None)
    (fifo, writer), (received, wake) = os.pipe(), os.pipe()
    guard = _pool_guard.Guard([pool()])
    os.write(writer, f"{line(FIRST)}\n{line(SECOND)}\nRS ".encode())
    os.write(wake, b"\x0f")
    thread = threading.Thread(target=_pool_guard.watch, args=(fifo, guard, "7 8", received))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert _pool_guard._recorded("7 8") == [[SERVICE, name(FIRST)], [SERVICE, name(SECOND)]] and _pool_guard._recorded("7 9") is None
    for each in (fifo, writer, received, wake):
        os.close(each)


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


# the program


class Program:
    """The program in a thread, with files of the test's own, an ipvsadm that writes down what it is given, and a FIFO.

    ``printed``: what ipvsadm -S prints; ``age``: of the checker, in seconds.
    """

    def __init__(self, root, monkeypatch):
        self.root, self.done, self.logged, self.printed, self.age = root, [], [], "", 0.0
        self.is_open = False
        monkeypatch.setattr(_pool_guard, "RECORD", str(root / "record"))
        monkeypatch.setattr(_pool_guard, "SETTINGS", str(root / "settings"))
        monkeypatch.setattr(_pool_guard, "DRAIN_FOLDER", str(root))
        monkeypatch.setattr(_pool_guard, "_LOOK", 0.01)
        monkeypatch.setattr(_pool_guard, "_ipvsadm", self.ipvsadm)
        monkeypatch.setattr(_pool_guard, "_checker", self.opened)
        monkeypatch.setattr(_pool_guard, "_age", lambda checker: self.age)
        monkeypatch.setattr(_pool_guard.signal, "signal", lambda number, handler: None)
        monkeypatch.setattr(_pool_guard.signal, "set_wakeup_fd", self.wake_by)
        monkeypatch.setattr(_pool_guard.ctypes, "CDLL", lambda name: self)
        monkeypatch.setattr(_pool_guard.syslog, "syslog", lambda level, line: self.logged.append(line))
        servers = {each: server._asdict() for each, server in pool().servers.items()}
        (root / "settings").write_text(json.dumps([{"service": SERVICE, "share": 50, "servers": servers}]))
        os.mkfifo(root / "fifo")
        self.writer, self.thread, self.wake = None, None, None

    def wake_by(self, descriptor):
        self.wake = descriptor

    def opened(self):
        self.is_open = True  # this is asked for behind the FIFO
        return "7 8"

    def prctl(self, option, number):
        assert (option, number) == (1, 15)

    def ipvsadm(self, *words, **options):
        if words == ("-S", "-n"):
            return self.printed
        assert words == ("-R",)
        self.done += options["input"].splitlines()
        return ""

    def start(self):
        reader = os.open(self.root / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        self.writer = os.open(self.root / "fifo", os.O_WRONLY)
        self.thread = threading.Thread(target=_pool_guard.main, args=(["program", str(self.root / "fifo")],))
        self.thread.start()
        eventually(lambda: self.is_open)
        os.close(reader)

    def say(self, *lines):
        os.write(self.writer, "".join(each + "\n" for each in lines).encode())

    def ends(self):
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None
        self.thread.join(10)
        return not self.thread.is_alive()

    def record(self):
        return json.loads((self.root / "record").read_text())


@pytest.fixture
def program(tmp_path, monkeypatch):
    made = Program(tmp_path, monkeypatch)
    yield made
    if made.thread:
        assert made.ends()


def test_from_the_first_failure_to_the_end_of_the_fifo(program):
    program.start()
    program.say(line(FIRST), line(SECOND), line(THIRD))
    eventually(lambda: len(program.done) == 3)
    assert program.done == [f"{FIRST} out", f"{SECOND} out", f"{THIRD} in"]
    assert program.logged == [f"{SERVICE}: more than 50% of the weight fails; {name(THIRD)} stays in service"]
    program.say(line(FIRST, "UP"))
    eventually(lambda: len(program.done) == 5)
    assert program.done[3:] == [f"{THIRD} out", f"{FIRST} in"]
    assert program.ends()
    assert program.record() == {"checker": "7 8", "failed": [[SERVICE, name(SECOND)], [SERVICE, name(THIRD)]]}
    assert not os.path.exists(program.root / "record.new")


def test_a_drain_is_noticed_while_somebody_fails(program):
    program.start()
    program.say(line(FIRST), line(SECOND))
    eventually(lambda: len(program.done) == 2)
    (program.root / FOURTH).write_text("-100000\n")
    # Three are left, one of which may be out. Where the first decision was not through yet, the other one is set once more.
    eventually(lambda: program.done[2:] in ([f"{SECOND} in"], [f"{FIRST} out", f"{SECOND} in"]))


def test_a_signal_ends_it(program):
    program.start()
    eventually(lambda: program.wake is not None)
    os.write(program.wake, b"\x0f")
    program.thread.join(10)
    assert not program.thread.is_alive()


def test_a_reload_forgets_nobody(program):
    (program.root / "record").write_text(json.dumps({"checker": "7 8", "failed": [[SERVICE, name(THIRD)], [SERVICE, name(FIRST)], ["gone", "x"]]}))
    program.age = 100.0
    program.start()
    eventually(lambda: len(program.done) == 2)
    assert program.done == [f"{THIRD} out", f"{FIRST} out"]
    program.say(line(SECOND))
    eventually(lambda: len(program.done) == 3)
    assert program.done[2] == f"{SECOND} in"


@pytest.mark.parametrize("record", [None, "nonsense", '{"checker": "7 7", "failed": []}'])
@pytest.mark.parametrize("age", [1.0, 100.0])
def test_a_checker_that_has_run_without_it(program, record, age):
    """Who has weight 0 then has failed, unless the checker is new: that one says of every server how it is."""
    if record:
        (program.root / "record").write_text(record)
    servers = {each: server._replace(rule_out=f"-e -t 203.0.113.80:80 -r {server.address}:80 -m -w 0")._asdict() for each, server in pool().servers.items()}
    (program.root / "settings").write_text(json.dumps([{"service": SERVICE, "share": 50, "servers": servers}]))
    program.printed = f"-a -t 203.0.113.80:80 -r {SECOND}:80 -m -w 0\n"
    program.age = age
    program.start()
    assert program.ends()
    failed = [[SERVICE, name(SECOND)]] if age > 5 else []
    assert program.record() == {"checker": "7 8", "failed": failed}
    assert program.done == [f"-e -t 203.0.113.80:80 -r {SECOND}:80 -m -w 0" for _each in failed]


def test_the_checker_is_the_parent_and_has_an_age():
    number, start = _pool_guard._checker().split()
    assert int(number) == os.getppid() and int(start) > 0
    assert 0 <= _pool_guard._age(f"{os.getpid()} {_own_start()}") < 24 * 3600 * 365
    assert _pool_guard._age("1 100") == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) - 100 / os.sysconf("SC_CLK_TCK"), abs=5)


def _own_start():
    with open("/proc/self/stat") as stream:
        return stream.read().rpartition(")")[2].split()[19]


def test_ipvsadm_is_found_and_given_its_rules(tmp_path, monkeypatch):
    run = []

    def fake(words, **options):
        run.append((words, options["env"]["PATH"], options.get("input"), options["check"]))
        return subprocess.CompletedProcess(words, 1, "printed")

    monkeypatch.setattr(_pool_guard.subprocess, "run", fake)
    assert _pool_guard._ipvsadm("-S", "-n") == "printed"
    _pool_guard._set(["one", "two"])
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    assert run == [(["ipvsadm", "-S", "-n"], path, None, False), (["ipvsadm", "-R"], path, "one\ntwo\n", False)]


def test_an_ipvsadm_that_is_not_there_is_logged(monkeypatch):
    logged = []

    def missing(words, **options):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(_pool_guard.subprocess, "run", missing)
    monkeypatch.setattr(_pool_guard.syslog, "syslog", lambda level, text: logged.append(text))
    assert _pool_guard._ipvsadm("-S", "-n") == "" and logged == ["ipvsadm: No such file or directory"]


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
