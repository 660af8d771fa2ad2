# SPDX-License-Identifier: GPL-3.0-or-later
"""pyroute2 is imported in part, and wholly where that does not do. With packages of the test's own in its place."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _pyroute2
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import MissingLibrary

PARTS = {
    "netlink/__init__.py": "from pyroute2 import config\nclass genlmsg: pass\n",
    "netlink/exceptions.py": "class NetlinkError(Exception): pass\n",
    "netlink/generic.py": "class GenericNetlinkSocket: pass\n",
    "config.py": "",
}


@pytest.fixture
def not_imported():
    """As if nothing had imported pyroute2 yet."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "pyroute2"}
    yield
    for name in list(sys.modules):
        if name.partition(".")[0] == "pyroute2":
            del sys.modules[name]
    sys.modules.update(kept)


@pytest.fixture
def package(tmp_path, monkeypatch, not_imported):
    """A function that puts files (a dict, name -> text) in the place of the package pyroute2."""

    def make(files):
        for name, text in files.items():
            path = tmp_path / "pyroute2" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.syspath_prepend(tmp_path)
    return make


def test_init_waits_until_it_is_needed(package):
    package({**PARTS, "__init__.py": "import pyroute2.ran\nALL = 7\n", "ran.py": ""})
    socket, message, error = _pyroute2.load()
    assert (socket.__name__, message.__name__, error.__name__) == ("GenericNetlinkSocket", "genlmsg", "NetlinkError")
    assert "pyroute2.config" in sys.modules
    assert "pyroute2.ran" not in sys.modules
    assert _pyroute2.load()[0] is socket
    import pyroute2

    assert pyroute2.ALL == 7
    assert "pyroute2.ran" in sys.modules
    assert not hasattr(pyroute2, "nothing")


def test_init_that_modules_depend_on_runs(package):
    files = {f"parts_{name.replace('/', '_')}": text for name, text in PARTS.items()}
    hook = "import sys, types\n"
    for name in ("netlink", "netlink.exceptions", "netlink.generic"):
        hook += f"module = sys.modules['pyroute2.{name}'] = types.ModuleType('pyroute2.{name}')\n"
        hook += "module.genlmsg = module.NetlinkError = module.GenericNetlinkSocket = 5\n"
    package({**files, "__init__.py": hook})
    assert _pyroute2.load() == (5, 5, 5)


@pytest.mark.parametrize("files", [{"__init__.py": ""}, {**PARTS, "netlink/generic.py": "from pyroute2 import no_such\n", "__init__.py": ""}])
def test_incomplete_package(package, files):
    package(files)
    with pytest.raises(MissingLibrary):
        _pyroute2.load()


def test_no_package(monkeypatch, not_imported):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry and "pyroute2" not in entry])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(MissingLibrary):
        _pyroute2.load()


def test_the_real_one_stays_small():
    """A version whose modules drag in the whole package again is noticed here, though it would work."""
    program = (
        "import sys; from ansible_collections.lvs.ipvs.plugins.module_utils._task import _pyroute2; _pyroute2.load();"
        "print(sum(name.startswith('pyroute2') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40


def test_iproute_alone(package):
    package({"iproute/__init__.py": "class IPRoute: pass\n", "__init__.py": "import pyroute2.ran\n", "ran.py": ""})
    assert _pyroute2.load_iproute().__name__ == "IPRoute"
    assert "pyroute2.ran" not in sys.modules


@pytest.mark.parametrize("spec", [None, ModuleSpec("no_such_package", None)])
def test_a_package_that_cannot_be_loaded_is_left_to_the_import(monkeypatch, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    _pyroute2._put_off("no_such_package")
    assert "no_such_package" not in sys.modules
