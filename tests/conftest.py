# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout is the collection under test, whoever starts the tests; each report names the versions that ran."""

import contextlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

COLLECTIONS = str(Path(__file__).resolve().parents[1] / ".cache/collections")
os.environ["ANSIBLE_COLLECTIONS_PATH"] = COLLECTIONS
try:
    # Once more than the option of pyproject.toml does, and sooner: other conftest.py import from the collection.
    from pytest_ansible.units import inject_only
except ImportError:
    sys.path.insert(0, COLLECTIONS)
else:
    inject_only()


def pytest_addoption(parser, pluginmanager):
    """Take pytest-ansible's option where it is not installed: it refuses ansible-core 2.17, and only .venv has it."""
    if not pluginmanager.hasplugin("pytest-ansible"):
        parser.addoption("--ansible-unit-inject-only", action="store_true", help="pytest-ansible's; without effect here")


@pytest.fixture(scope="session", autouse=True)
def versions(record_testsuite_property):
    """What tests/tools/versions.py makes the README's table of."""
    record_testsuite_property("python", platform.python_version())
    record_testsuite_property("kernel", platform.release())
    for package in ("ansible-core", "pyroute2"):
        with contextlib.suppress(PackageNotFoundError):
            record_testsuite_property(package, version(package))
