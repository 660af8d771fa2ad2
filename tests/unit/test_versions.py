# SPDX-License-Identifier: GPL-3.0-or-later
"""The README names the versions that the stages of the tests run with, and no others."""

from __future__ import annotations

import re

import pytest

from extensions.lab import kernels
from tests.support import ROOT
from tests.tools import versions
from tests.tools.environments import CONTROLLERS, OTHER_CONTROLLERS, OTHER_PYROUTE2, PYROUTE2

REPORT = """<testsuites><testsuite tests="2" failures="{failures}" errors="0" skipped="{skipped}"><properties>
<property name="python" value="{python}.2"/><property name="kernel" value="{kernel}"/>
<property name="ansible-core" value="{core}"/><property name="pyroute2" value="{pyroute2}"/></properties></testsuite></testsuites>"""


@pytest.fixture
def report(tmp_path):
    def report(name, failures=0, skipped=0, python="3.11", kernel="6.1.9", core="2.19.14", pyroute2="0.9.7"):
        (tmp_path / f"{name}.xml").write_text(
            REPORT.format(failures=failures, skipped=skipped, python=python, kernel=kernel, core=core, pyroute2=pyroute2)
        )
        return tmp_path

    for name in (*versions.WITHOUT_KERNEL, *versions.ON_KERNEL):
        report(name)
    return report


def test_the_table_has_each_version_once_in_the_order_of_their_numbers(report):
    report("ansible-core-2.17.14", core="2.17.14")
    report("sid-ansible-core-2.21.5", core="2.21.5", python="3.14")
    report("trixie-ansible-core-2.21.5", core="2.21.5", python="3.9")
    report("integration-0.6.13", pyroute2="0.6.13")
    report("firewall", kernel="6.1.11-nft")  # of our own making
    made = versions.table(report("integration-sid", kernel="6.1.10"))
    assert made.splitlines()[2:] == [
        "| ansible-core | 2.17.14 (Python 3.11), 2.19.14 (Python 3.11), 2.21.5 (Python 3.9 and 3.14) |",
        "| pyroute2 | 0.6.13, 0.9.7 |",
        "| Linux | 6.1.9, 6.1.10, 6.1.11 |",
    ]


@pytest.mark.parametrize("outcome", [{"failures": 1}, {"skipped": 1}])
def test_what_did_not_pass_does_not_count(report, outcome):
    with pytest.raises(versions.Missing, match=r"firewall.xml: not every test has passed"):
        versions.table(report("firewall", **outcome))


def test_what_did_not_run_does_not_count(report):
    results = report("unit")
    (results / "integration-sid.xml").unlink()
    with pytest.raises(versions.Missing, match=r"integration-sid.xml: run this stage first"):
        versions.table(results)


def row(name):
    text = versions.README.read_text()
    made = text[text.index(versions.BEGIN) : text.index(versions.END)]
    return re.search(rf"^\| {name} \| (.*) \|$", made, re.MULTILINE)[1].split(", ")


def pinned(package, file):
    return re.search(rf"^{package}==(.*)$", (ROOT / "tests" / file).read_text(), re.MULTILINE)[1]


def test_the_readme_names_what_the_stages_run_with():
    cores = [controller.core for controller in CONTROLLERS + OTHER_CONTROLLERS] + [pinned("ansible-core", "requirements.txt")]
    shown = {core: len(pythons.split(" and ")) for core, pythons in (re.fullmatch(r"(\S+) \(Python (.*)\)", each).groups() for each in row("ansible-core"))}
    assert shown == {core: cores.count(core) for core in cores}
    assert set(row("pyroute2")) == {*PYROUTE2, *OTHER_PYROUTE2, pinned("pyroute2", "requirements-unit.txt")}
    assert len(row("Linux")) == len(kernels.NAMES)
