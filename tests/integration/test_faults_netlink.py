# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a node where the kernel's answers to a task are refused, lost or late."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from unittest import mock

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _netlink

from .conftest import ipvsadm, saved
from .modules import ModuleFailed, run_module
from .node_state import State, Task, clean_node, places, prepared, put_back

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture
def node(netns):
    with clean_node():
        yield


class Wire:
    """A socket to the kernel with one fault. ``count``: of the messages of this kind so far, of all sockets of a task."""

    def __init__(self, socket, fault):
        self._socket, self._fault, self._late, self._silent = socket, fault, [], False

    def __getattr__(self, name):
        return getattr(self._socket, name)

    def sendto(self, octets, address):
        if self._fault.kind == "refused" and self._fault.now():
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        if self._fault.kind == "lost" and self._fault.now():
            self._silent = True
            return len(octets)
        return self._socket.sendto(octets, address)

    def recv(self, size):
        if self._silent:
            self._silent = False
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))  # what the time limit comes to
        if self._late:
            return self._late.pop()
        octets = self._socket.recv(size)
        if self._fault.kind == "answer lost" and self._fault.now():
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        if self._fault.kind == "answer late" and self._fault.now():
            self._late.append(octets)
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return octets


@dataclass
class Fault:
    kind: str
    number: int
    count: int = 0

    def now(self):
        self.count += 1
        return self.count == self.number

    @contextlib.contextmanager
    def there(self):
        genuine = _netlink.Kernel.__init__

        def init(kernel, *words, **options):
            genuine(kernel, *words, **options)
            kernel._socket = Wire(kernel._socket, self)

        with mock.patch.object(_netlink.Kernel, "__init__", init):
            yield


SPOKEN = {
    "server gone": Task("ipvs_server", {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11", "state": "absent"}),
    "timeouts": Task("ipvs_timeouts", {"tcp": 800}),
}


def settings():
    daemons = [line.split()[:2] for line in ipvsadm("-L", "--daemon").splitlines()]
    return State(), ipvsadm("-L", "-n", "--timeout"), daemons


@pytest.mark.parametrize("alone", [False, True], ids=["many in one send", "each in a send of its own"])
@pytest.mark.parametrize("kind", ["refused", "lost", "answer lost", "answer late"])
@pytest.mark.parametrize("task", SPOKEN.values(), ids=SPOKEN)
def test_the_nth_message(node, monkeypatch, task, kind, alone):
    monkeypatch.setattr(_netlink, "_BATCH", 1 if alone else 16384)
    prepared(task)
    before = settings()
    assert task.run()["changed"]
    done = settings()

    def back():
        run_module("ipvs_sync_daemon", role="master", state="absent")
        run_module("ipvs_timeouts", tcp=900)
        put_back(before[0])

    number, failures = 0, 0
    reached = True
    while reached:
        back()
        number += 1
        fault = Fault(kind, number)
        with fault.there():
            try:
                result = task.run()
            except ModuleFailed as failure:
                result = failure.result
        reached = fault.count >= number
        assert "Traceback" not in result.get("exception", ""), (number, result)
        if not result.get("failed"):
            assert settings() == done, (number, result)
            continue
        assert reached, result
        failures += 1
        if task.name == "ipvs_drain" or task.options.get("state") == "drained":
            assert places(saved()) == places(before[0].table)  # what it has begun, it goes on with
        elif result.get("changed"):
            assert settings() == done, (number, result)  # all was done, and what came after failed
        else:
            assert settings() == before, (number, result)
        task.run()
        assert settings() == done, number
    back()
    assert failures, "no fault was noticed"
