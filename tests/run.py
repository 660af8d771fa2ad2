# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the stages of the tests and count them: python tests/run.py [all | fast | STAGE...]

``fast`` is what a person runs before each commit, ``all`` what there is. Without a word the stages run that ``make test`` has time for.

Two stages run at a time; what they print is shown in order, each under its heading. A stage that fails does not stop the
others. The last line is the plain count. A run of pytest counts by its own report; any other command is one test, passed when it
exits with 0. A skipped test, and a run of pytest that reports no test, make the whole fail.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from extensions.lab.kernels import NEWER
from tests.tools.environments import CONTROLLERS, OTHER_CONTROLLERS, OTHER_PYROUTE2, PYROUTE2, Controller

RESULTS = ROOT / ".cache/results"
PYTHON = ".venv/bin/python"
KUBE = ".cache/kube-venv/bin/python"
COLLECTION = Path(".cache/collections/ansible_collections/lvs/ipvs")
LAB = (PYTHON, "-m", "extensions.lab", "run", "--save", ".cache/results", "--mem", "1G", "--")

# The checkout's tools first, and nothing written into a home directory.
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
    "ANSIBLE_HOME": str(ROOT / ".cache/ansible"),
    "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".cache/hypothesis"),
    "NO_COLOR": "1",
    "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
}
FAST = ("unit", "lint", "roles", "kube-node", "integration", "integration-node")
LONG: tuple[str, ...] = (
    "hostile-random", "controllers-other", "integration-other", *(f"integration-{suite}" for suite in NEWER), "integration-slow", "machines-slow", "firewall",
    "distributions", "kube-real", "lab-slow", "outside-other", "molecule-failover", "molecule-networkd", "molecule-networkmanager", "molecule-tun",
    "molecule-two_directors",
)  # fmt: skip
"""Stages for which ``make test`` has no time."""
RUNNING: set[int] = set()  # process groups
INTERRUPTED = threading.Event()
SCENARIOS = sorted((path.parent.name for path in ROOT.glob("extensions/molecule/*/molecule.yml")), reverse=True)  # that has the longest first


@dataclass(frozen=True)
class Count:
    """The outcome of one stage; seconds of wall clock."""

    passed: int
    failed: int
    skipped: int
    seconds: float


@dataclass(frozen=True)
class Stage:
    """Commands that are run one after the other, all of them, from the root of the checkout."""

    name: str
    title: str
    commands: tuple[tuple[str, ...], ...]

    def shortened(self) -> Stage:
        """The same without the tests for which ``make test-fast`` has no time."""
        return replace(self, commands=tuple(tuple("not slow and not long" if word == "not slow" else word for word in command) for command in self.commands))

    def runs(self, names: list[str]) -> bool:
        """Whether these words of the command line choose the stage."""
        return self.name in names or "all" in names or ("fast" in names and self.name in FAST) or (not names and self.name not in LONG)


def report(name: str) -> str:
    return f".cache/results/{name}.xml"


def pytest(name: str, *arguments: str, python: tuple[str, ...] = (PYTHON,)) -> tuple[str, ...]:
    """A run of pytest, by this command for Python, that leaves its report under this name."""
    return (*python, "-m", "pytest", f"--junitxml={report(name)}", *arguments)


def with_controller(controller: Controller) -> tuple[str, ...]:
    """What needs no machine, with this version of ansible-core and its programs."""
    path = f"PATH={ROOT}/{controller.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return ("env", path, *pytest(controller.folder.removeprefix(".cache/"), *WITHOUT_MACHINES, python=controller.program("python")))


def with_pyroute2(version: str) -> tuple[str, ...]:
    """The tests on a real kernel, with this version of pyroute2 found before the one in .venv."""
    place = f"PYTHONPATH={ROOT}/.cache/pyroute2-{version}"
    return (*LAB, "env", place, *pytest(f"integration-{version}", "-m", "not once and not slow", "tests/integration"))


NODE = "tests/integration/node"
WITHOUT_MACHINES = ("tests/unit", *(f"tests/roles/test_{name}.py" for name in ("drain", "handover", "list", "lost_hosts", "rendering")))

STAGES = [
    Stage("image", "the disks of the lab's machines, unless they are there already", tuple(
        (PYTHON, "-m", "extensions.lab", "image", "--suite", suite) for suite in ("bookworm", "trixie")
    )),
    Stage("unit", "pure logic, and the collection's archive", (pytest("unit", "tests/unit"),)),
    # With one seed, so that it depends on nothing but the code; the other one looks for more.
    Stage("hostile", "options and rule text that make little sense", (("env", "FUZZ_SEED=1", *pytest("hostile", "tests/hostile")),)),
    Stage("hostile-random", "the same, and each time something else", (pytest("hostile-random", "tests/hostile"),)),
    Stage("lint", "form of code, roles, documentation and licences", (
        ("ruff", "check"),
        ("yamllint", "--strict", "."),
        ("ansible-lint",),
        ("antsibull-changelog", "lint"),
        ("env", f"HOME={ROOT / '.cache/home'}", "antsibull-docs", "lint-collection-docs", "--plugin-docs", str(COLLECTION)),
        (PYTHON, "tests/tools/licences.py"),
    )),
    Stage("sanity", "ansible-test sanity", ((PYTHON, "tests/tools/sanity.py"),)),
    Stage("controllers", "what needs no machine with the oldest ansible-core and the newest", tuple(map(with_controller, CONTROLLERS))),
    Stage("controllers-other", "the same with those between, and with other Pythons", tuple(map(with_controller, OTHER_CONTROLLERS))),
    Stage("kube-node", "what of kube_node needs no machine", (pytest("kube-node", "tests/kube_node"),)),
    Stage("roles", "what of director and real_server needs no machine", (pytest("roles", "tests/roles"),)),
    Stage("galaxy", "the archive as Galaxy takes it, and a release", (pytest("galaxy", "tests/galaxy", python=(".cache/galaxy-venv/bin/python",)),)),
    Stage("docs", "the documentation site", (pytest("docs", "tests/site", python=(".cache/docs-venv/bin/python",)),)),
    Stage("kube", "kube_proxy against stand-ins for a cluster", (pytest("kube", "--ignore", "tests/kube/real", "tests/kube", python=(KUBE,)),)),
    Stage("kube-real", "kube_proxy on a real Kubernetes, which is built when it is asked for", (
        (PYTHON, "-m", "tests.kube.parts"),
        pytest("kube-real", "tests/kube/real", python=(KUBE,)),
    )),
    Stage("keepalived", "configurations, with keepalived as the oracle", (pytest("keepalived", "tests/keepalived"),)),
    Stage("integration", "modules of the table on a real IPVS kernel", (
        (*LAB, *pytest("integration", "-m", "not slow", "-k", "not keepalived", "--ignore", NODE, "tests/integration")),
    )),
    Stage("integration-keepalived", "modules beside the real keepalived", (
        (*LAB, *pytest("integration-keepalived", "-m", "not slow", "-k", "keepalived", "--ignore", NODE, "tests/integration")),
    )),
    Stage("integration-node", "modules of the node on it", (
        (*LAB, *pytest("integration-node", "-m", "not slow", NODE)),
    )),
    Stage("integration-slow", "those of its tests that take long", (
        (*LAB, *pytest("integration-slow", "-m", "slow", "tests/integration")),
    )),
    Stage("firewall", "ipvs_firewall on a kernel with nftables", (
        (*LAB[:-1], "--kernel", "nft", "--", *pytest("firewall", "tests/firewall")),
        pytest("firewall-machines", "-m", "nft", "tests/machines", "tests/lab"),
    )),
    Stage("integration-old", "the same with older versions of pyroute2", tuple(map(with_pyroute2, PYROUTE2))),
    Stage("integration-other", "the same with the versions between", tuple(map(with_pyroute2, OTHER_PYROUTE2))),
    *(
        Stage(f"integration-{suite}", f"the same on the kernel of Debian {suite}", (
            (*LAB[:-1], "--kernel", suite, "--", *pytest(f"integration-{suite}", "-m", "not slow", "tests/integration")),
        ))
        for suite in NEWER
    ),
    Stage("lab", "the lab itself", (pytest("lab", "-m", "not nft and not slow", "tests/lab"),)),
    Stage("lab-slow", "Debian's newest, and many machines", (pytest("lab-slow", "-m", "slow", "tests/lab"),)),
    Stage("outside", "the lab in a stranger's repository, by the guide", (pytest("outside", "tests/outside/test_guide.py"),)),
    Stage("outside-other", "the same for a role that has nothing to do with IPVS, and step by step", (
        pytest("outside-other", "--ignore", "tests/outside/test_guide.py", "tests/outside"),
    )),
    Stage("machines", "playbooks on whole machines", (pytest("machines", "-m", "not nft and not slow", "tests/machines"),)),
    Stage("machines-slow", "those that take long", (pytest("machines-slow", "-m", "slow", "tests/machines"),)),
    Stage("distributions", "all roles on machines that look like other distributions", (pytest("distributions", "tests/distributions", python=(KUBE,)),)),
    *(
        Stage(
            f"molecule-{name}",
            f"roles on whole machines: the scenario {name}",
            (pytest(f"molecule-{name}", "--capture=no", f"tests/molecule/test_scenarios.py::test_scenario[extensions-{name}]"),),
        )
        for name in SCENARIOS
    ),
]


def run(stage: Stage) -> Count:
    """Run a stage's commands, with what they print in log(stage)."""
    start = time.monotonic()
    counts = []
    with log(stage).open("wb", buffering=0) as output:
        for command in stage.commands:
            if INTERRUPTED.is_set():
                counts.append((0, 1, 0))
                continue
            output.write(f"$ {' '.join(command)}\n".encode())
            reports = [ROOT / word.split("=", 1)[1] for word in command if word.startswith("--junitxml=")]
            for path in reports:
                path.unlink(missing_ok=True)
            status = execute(command, output)
            counts.append(count_report(reports[0], status) if reports else (int(status == 0), int(status != 0), 0))
            if status:
                output.write(f"exit status {status}: {' '.join(command)}\n".encode())
    return Count(*(sum(column) for column in zip(*counts, strict=True)), time.monotonic() - start)


def execute(command: tuple[str, ...], output: IO[bytes]) -> int:
    """Run one command in a process group of its own, so that interrupt() reaches it once and whole; its exit status."""
    try:
        with subprocess.Popen(
            command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0
        ) as process:
            RUNNING.add(process.pid)
            try:
                return process.wait()
            finally:
                RUNNING.discard(process.pid)
    except OSError as error:
        output.write(f"{error}\n".encode())
        return 127


def interrupt(*_signal) -> None:
    """End what runs the way Ctrl-C does, and wait for it to clear up behind itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("\nInterrupted; clearing up", flush=True)
    INTERRUPTED.set()
    for group in list(RUNNING):
        os.killpg(group, signal.SIGINT)


def count_report(path: Path, status: int) -> tuple[int, int, int]:
    """Passed, failed and skipped tests in pytest's report; a run that failed without a failed test is one."""
    try:
        suites = xml.etree.ElementTree.parse(path).getroot().findall("testsuite")
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, 1, 0
    tests, failures, errors, skipped = (sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    if not failed and (status or not tests):
        failed = 1
    return max(tests - failures - errors - skipped, 0), failed, skipped


def log(stage: Stage) -> Path:
    return RESULTS / f"{stage.name}.log"


def show(stage: Stage, outcome: Future) -> None:
    """Print what the stage prints, as it comes, until it ends."""
    while not (outcome.running() or outcome.done()):
        time.sleep(0.1)
    while not log(stage).exists():
        time.sleep(0.1)
    with log(stage).open("rb") as output:
        over = False
        while not over:
            over = outcome.done()
            while chunk := output.read(1 << 16):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            if not over:
                time.sleep(0.1)


def main(names: list[str]) -> int:
    unknown = set(names) - {stage.name for stage in STAGES} - {"all", "fast"}
    if unknown:
        sys.exit(f"no such stage: {', '.join(sorted(unknown))}; there are all, fast, {', '.join(stage.name for stage in STAGES)}")
    stages = [stage.shortened() if names == ["fast"] else stage for stage in STAGES if stage.runs(names)]
    for directory in (RESULTS, ROOT / ".cache/home"):
        directory.mkdir(parents=True, exist_ok=True)
    for stage in stages:
        log(stage).unlink(missing_ok=True)
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    counts = []
    with ThreadPoolExecutor(max_workers=2) as workers:
        outcomes = [workers.submit(run, stage) for stage in stages]
        for stage, outcome in zip(stages, outcomes, strict=True):
            print(f"\n==== {stage.name}: {stage.title}", flush=True)
            show(stage, outcome)
            counts.append(outcome.result())
    print(f"\n{'stage':<26}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for stage, count in zip(stages, counts, strict=True):
        print(f"{stage.name:<26}{count.passed:>8}{count.failed:>8}{count.skipped:>9}{count.seconds:>9.0f}")
    passed, failed, skipped = (sum(getattr(count, key) for count in counts) for key in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
