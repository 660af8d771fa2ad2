# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests for mutation.py: a plugin of pytest, and a server that saves each run the start of Python.

python -m tests.tools.mutation_run reads one JSON list a line: seconds, then pytest's arguments. It answers with one line: the exit
status, or ``timeout``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import hypothesis
import pytest

SECONDS = Path(".cache/seconds.json")


class Plugin:
    """No time for small examples, and the same examples each time. With coverage, notes which tests reach a line, and how long they take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        phases = [phase for phase in hypothesis.Phase if phase not in (hypothesis.Phase.shrink, hypothesis.Phase.explain)]
        hypothesis.settings.register_profile("mutation", hypothesis.settings(), phases=phases, derandomize=True, database=None)
        hypothesis.settings.load_profile("mutation")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        coverage = sys.modules.get("coverage")
        current = coverage.Coverage.current() if coverage else None
        name = item.nodeid.partition("[")[0]
        start = time.monotonic()
        if current:
            current.switch_context(name)
        yield
        if current:
            current.switch_context("")
        self.seconds[name] = self.seconds.get(name, 0) + time.monotonic() - start

    def pytest_sessionfinish(self) -> None:
        if "coverage" in sys.modules:
            SECONDS.write_text(json.dumps(self.seconds))


def run(arguments: list[str]) -> int:
    return int(pytest.main(["-q", "-x", *arguments], plugins=[Plugin()]))


def wait(child: int, seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return str(os.waitstatus_to_exitcode(status))
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def serve() -> None:
    for line in sys.stdin:
        seconds, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            null = os.open(os.devnull, os.O_RDWR)
            output = os.open(".cache/output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            for descriptor, place in ((null, 0), (output, 1), (output, 2)):
                os.dup2(descriptor, place)
            try:
                status = run(arguments)
            except BaseException:  # pylint: disable=broad-exception-caught  # the child must not go on as the server
                status = 3
            os._exit(status)
        print(wait(child, seconds), flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(run(sys.argv[1:]))
    serve()
