# SPDX-License-Identifier: GPL-3.0-or-later
"""Random tasks one after the other on one kernel, each foretold in check mode, held against a plain account of what they promise.

ipvsadm tells what came of each. A neighbour changes the table between the tasks and during them, and the kernel refuses operations in the
middle of tasks. The seed is printed: STATEFUL_SEED=NUMBER runs the same steps again, STATEFUL_STEPS=NUMBER
so many.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, assume, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _netlink, _session

from . import reference
from .conftest import glance
from .modules import ModuleFailed, run_module
from .random_tables import ADDRESSES, any_entry, any_server, any_service, any_table, some_addresses

STEPS_OF_ONE = 50


class Machine(RuleBasedStateMachine):
    """``table``: what ipvsadm told after the last step; ``recorded``: the weights that drains keep; ``steps``: of all machines."""

    folder = netns = ipvsadm = None
    steps = tried = refused = 0

    def __init__(self):
        super().__init__()
        self.ipvsadm("-C")
        self.ipvsadm("--set", "900", "120", "300")
        self.table, self.recorded, self.timeouts = {}, {}, [900, 120, 300]
        self.state = os.path.join(self.folder, "drains-%d" % Machine.tried)
        Machine.tried += 1

    @initialize(number=st.integers(0, 10**6))
    def not_the_plainest(self, number):
        """Hypothesis begins with the simplest of all runs, which is one step again and again."""
        assume(number)

    # how a task is run

    def task(self, name, expected, possible, **options):
        """Check, run, run again; then ipvsadm has to tell the expected table. ``possible``: whether it may be done at all."""
        Machine.steps += 1
        before = glance()
        foretold = self.attempt(name, check=True, diff=True, **options)
        assert glance() == before, "check mode changed the table"
        done = self.attempt(name, diff=True, **options)
        # to a check, an earlier task may be about to make the service that is not there
        if not done.get("msg", "").endswith("create it first, with ipvs_service"):
            for part in ("failed", "msg", "changed", "commands", "service", "server", "services", "timeouts"):
                assert foretold.get(part) == done.get(part), (part, foretold, done)
            # what the kernel makes of the length of a sync daemon's packets is known when it runs
            assert name == "ipvs_sync_daemon" or foretold.get("diff") == done.get("diff"), (foretold, done)
        assert bool(done.get("failed")) is not possible, done
        Machine.refused += not possible
        self.look(expected)
        if possible and name != "ipvs_counters":
            again = self.attempt(name, **options)
            assert not again["changed"] and not again.get("commands"), again
        return done

    def attempt(self, name, **options):
        """A module's result, that of a failure, too. A traceback is never an answer."""
        try:
            return run_module(name, **options)
        except ModuleFailed as failure:
            assert "Traceback" not in failure.result.get("exception", ""), failure.result
            return failure.result

    def look(self, expected):
        self.table = self.observed(expected)
        assert self.table == expected

    def observed(self, former):
        """The table as ipvsadm shows it. It keeps silent about the third flag of sh and mh, which is taken from the former table."""
        table = reference.observed(self.ipvsadm)
        for words, service in table.items():
            if service.scheduler in ("sh", "mh") and words in former:
                service.flags |= former[words].flags & {"flag_3"}
        return table

    def made(self, change, *arguments):
        return reference.made(change, self.table, *arguments)

    # tasks

    @rule(options=any_entry, purge=st.booleans(), named=st.booleans())
    def service_present(self, options, purge, named):
        place = {"netns": self.netns} if named else {}
        self.task("ipvs_service", *self.made(reference.set_service, options, purge), purge_servers=purge, **options, **place)

    @rule(service=any_service)
    def service_absent(self, service):
        left = {words: each for words, each in self.table.items() if words != reference.words_of(service)}
        self.task("ipvs_service", left, True, state="absent", **service)

    @rule(named=any_server)
    def server_present(self, named):
        service, server = named
        place = {f"service_{key}": value for key, value in service.items()}
        self.task("ipvs_server", *self.made(reference.set_server, reference.words_of(service), server), **place, **server)

    @rule(named=any_server, state=st.sampled_from(["absent", "drained"]))
    def server_out(self, named, state):
        service, server = named
        server = {key: server[key] for key in ("address", "port") if key in server}
        words, name = reference.words_of(service), reference.server_words(reference.words_of(service), server)

        def out(table):
            there = words in table and name in table[words].servers
            if state == "drained" and not there:
                raise reference.Refused
            if there and state == "absent":
                del table[words].servers[name]
            elif there:
                table[words].servers[name].weight = 0

        place = {f"service_{key}": value for key, value in service.items()}
        self.task("ipvs_server", *self.made(out), state=state, **place, **server)

    @rule(services=any_table, purge=st.booleans(), prune=st.booleans(), drained=st.booleans())
    def table_present(self, services, purge, prune, drained):
        options = {"purge_servers": purge, "prune": prune, "prune_force": prune, **({"drain_timeout": 5} if drained else {})}
        if drained:  # its weights go to 0 in between, which a check tells, too
            assume(purge or prune)
        self.task("ipvs_table", *self.made(reference.set_table, services, purge, prune), services=services, **options)

    @rule(services=any_table)
    def table_absent(self, services):
        gone = {reference.words_of(service) for service in services}
        named = [{key: value for key, value in service.items() if key in ("address", "port", "protocol", "fwmark", "family")} for service in services]
        left = {words: each for words, each in self.table.items() if words not in gone}
        self.task("ipvs_table", left, True, services=named, state="absent")

    @rule(addresses=some_addresses)
    def drained(self, addresses):
        recorded = dict(self.recorded)
        expected, possible = self.made(reference.drain, addresses, recorded)
        self.task("ipvs_drain", expected, possible, addresses=sorted(addresses), allow_empty=True, state_directory=self.state)
        self.recorded = recorded if possible else self.recorded

    @rule(addresses=some_addresses)
    def restored(self, addresses):
        recorded = dict(self.recorded)
        expected, _possible = self.made(reference.restore, addresses, recorded)
        self.task("ipvs_drain", expected, True, addresses=sorted(addresses), state="restored", state_directory=self.state)
        self.recorded = recorded

    @rule(wanted=st.lists(st.sampled_from([None, 1, 900, 2678400]), min_size=3, max_size=3).filter(any))
    def timeouts_set(self, wanted):
        options = {name: value for name, value in zip(("tcp", "tcp_fin", "udp"), wanted, strict=True) if value}
        self.task("ipvs_timeouts", self.table, True, **options)
        self.timeouts = [new or old for new, old in zip(wanted, self.timeouts, strict=True)]
        assert [int(word) for word in re.findall(r"\d+", self.ipvsadm("-L", "-n", "--timeout"))] == self.timeouts

    @rule(service=any_service)
    def counters_zeroed(self, service):
        possible = reference.words_of(service) in self.table
        self.task("ipvs_counters", self.table, possible, **service)

    @rule()
    def told_and_made_of_it(self):
        """What ipvs_info returns makes the same table of an empty one."""
        told = run_module("ipvs_info")["services"]
        self.ipvsadm("-C")
        self.task("ipvs_table", self.table, True, services=told)

    @rule(role=st.sampled_from(["master", "backup"]), sync_id=st.sampled_from([1, 2, None]))
    def sync_daemon(self, role, sync_id):
        options = {"state": "absent"} if sync_id is None else {"interface": "lo", "sync_id": sync_id}
        self.task("ipvs_sync_daemon", self.table, True, role=role, **options)
        found = [line for line in self.ipvsadm("-L", "--daemon").splitlines() if line.startswith(role)]
        assert [re.search(r"syncid=(\d+)", line)[1] for line in found] == ([] if sync_id is None else [str(sync_id)])

    # what goes wrong

    @rule(
        service=any_service, server=st.sampled_from(ADDRESSES[4] + ADDRESSES[6]), words=st.sampled_from(["-D", "-d", "-A", "-a", "-e"]),
        weight=st.integers(0, 2),
    )  # fmt: skip
    def neighbour(self, service, server, words, weight):
        """Somebody changes the table by hand between two tasks."""
        Machine.steps += 1
        meddle(self.ipvsadm, service, server, words, weight)
        self.table = self.observed(self.table)

    @rule(options=any_entry, service=any_service, server=st.sampled_from(ADDRESSES[4]), words=st.sampled_from(["-D", "-d", "-A", "-a"]))
    def neighbour_meanwhile(self, options, service, server, words):
        """Between reading and writing, too: the task says so or succeeds, and the next one brings what was wanted."""
        Machine.steps += 1
        genuine = _netlink.Kernel.apply
        waiting = [words]

        def apply(kernel, operations):
            if waiting:
                meddle(self.ipvsadm, service, server, waiting.pop(), 1)
            return genuine(kernel, operations)

        with mock.patch.object(_netlink.Kernel, "apply", apply):
            self.attempt("ipvs_service", **options)
        gone = reference.words_of(service) if words == "-D" else None
        self.table = self.observed({words: each for words, each in self.table.items() if words != gone})
        expected, possible = self.made(reference.set_service, options)
        self.task("ipvs_service", expected, possible, **options)

    @rule(services=any_table, purge=st.booleans(), prune=st.booleans(), number=st.integers(0, 9), alone=st.booleans())
    def refused_in_the_middle(self, services, purge, prune, number, alone):
        """The kernel refuses the n-th operation: nothing is left of the others, and without the fault all of it is done."""
        Machine.steps += 1
        options = {"services": services, "purge_servers": purge, "prune": prune, "prune_force": prune}
        expected, possible = self.made(reference.set_table, services, purge, prune)
        with spoiled(number) as reached, mock.patch.object(_netlink, "_BATCH", 1 if alone else 16384):
            done = self.attempt("ipvs_table", **options)
        assert bool(done.get("failed")) is (not possible or bool(reached)), done
        self.look(self.table if done.get("failed") else expected)
        if possible:
            self.task("ipvs_table", expected, True, **options)


def meddle(ipvsadm, service, server, words, weight):
    """One command of ipvsadm, which may well fail."""
    named = reference.words_of(service).split()
    method = [] if words in ("-A", "-D") else ["-r", reference.server_words(" ".join(named), {"address": server})]
    method += ["-m", "-w", str(weight)] if words in ("-a", "-e") else []
    ipvsadm(words, *named, *method, check=False)


@contextlib.contextmanager
def spoiled(number):
    """The n-th request to the kernel is one that it refuses, whatever the operation; yields a list that is empty until then."""
    genuine, reached, count = _netlink._request, [], iter(range(10**6))

    def request(operation):
        command, attributes = genuine(operation)
        if next(count) != number or not attributes:
            return command, attributes
        reached.append(operation)
        return command, attributes[:4] + b"\xff\xff" + attributes[6:]  # the first attribute within, AF, becomes another

    with mock.patch.object(_netlink, "_request", request):
        yield reached


class Kept(_netlink.Kernel):
    """A socket for all tasks: to open one takes longer than most of them."""

    def close(self):
        pass


@pytest.fixture
def steps(netns, tmp_path, capsys, monkeypatch):
    """``steps(number)``: so many, of one seed."""
    kernels = {None: Kept(), netns: Kept(netns)}
    monkeypatch.setattr(_session, "Kernel", kernels.get)
    Machine.ipvsadm = reference.Ipvsadm()
    Machine.netns, Machine.folder, Machine.steps, Machine.refused = netns, str(tmp_path), 0, 0

    def run(number):
        first = int(os.environ.get("STATEFUL_SEED") or random.SystemRandom().randrange(10**9))
        with capsys.disabled():
            print(f"\nSTATEFUL_SEED={first}")
        numbers = random.Random(first)
        while Machine.steps < number:
            bounds = settings(
                max_examples=max(1, min(20, (number - Machine.steps) // STEPS_OF_ONE)), stateful_step_count=STEPS_OF_ONE, deadline=None,
                phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None, print_blob=False,
            )  # fmt: skip
            run_state_machine_as_test(seed(numbers.randrange(2**32))(Machine), settings=bounds)
        with capsys.disabled():
            print(f"{Machine.steps} steps, {Machine.refused} of them refused as they should be")

    yield run
    for role in ("master", "backup"):
        run_module("ipvs_sync_daemon", role=role, state="absent")
    Machine.ipvsadm.close()
    for kernel in kernels.values():
        _netlink.Kernel.close(kernel)


@pytest.mark.once
@pytest.mark.slow
def test_many_steps(steps):
    steps(int(os.environ.get("STATEFUL_STEPS") or 5000))
