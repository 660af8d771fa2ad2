# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module in this process."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from unittest import mock

from ansible.module_utils import _internal, basic
from ansible.module_utils.common import warnings as module_warnings


class ModuleFailed(Exception):
    """A module ended with fail_json. ``result``: what it returned."""

    def __init__(self, result):
        super().__init__(result["msg"])
        self.result = result


def run_module(name, check=False, diff=False, **options):
    """Run the module ``lvs.ipvs.NAME`` here and return its result as a dict; raise ModuleFailed where it fails."""
    module = importlib.import_module("ansible_collections.lvs.ipvs.plugins.modules." + name)
    arguments = dict({"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": "/tmp"}, **options)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    if hasattr(basic, "_ANSIBLE_PROFILE"):
        basic._ANSIBLE_PROFILE = "legacy"
    module_warnings._global_warnings.clear()
    output = io.StringIO()
    # Whatever has imported code of the controller's, this is a module: its warnings belong into its answer.
    with contextlib.redirect_stdout(output), mock.patch.object(_internal, "is_controller", False):
        try:
            module.main()
        except SystemExit:
            pass
        finally:
            basic._ANSIBLE_ARGS = None
    result = json.loads(output.getvalue())
    if "warnings" in result:  # ansible-core 2.19 has objects for them
        result["warnings"] = [each if isinstance(each, str) else each["event"]["msg"] for each in result["warnings"]]
    if result.get("failed"):
        raise ModuleFailed(result)
    return result
