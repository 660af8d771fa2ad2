# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules' argument specs take, seen from the modules themselves."""

from __future__ import annotations

import importlib
import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils import basic
from ansible.module_utils.common.validation import check_type_int

from ansible_collections.lvs.ipvs.plugins.filter import to_ipvsadm
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec

MODULES = sorted(path.stem for path in (Path(__file__).parents[2] / "plugins/modules").glob("ipvs_*.py"))
ENDLESS = [float("inf"), float("-inf"), float("nan"), "inf", "nan", "1e400", "Infinity", 10**400]


class Specified(Exception):
    """What a module gave to AnsibleModule."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings


def settings_of(name, monkeypatch):
    """What the module gives to AnsibleModule."""
    module = importlib.import_module("ansible_collections.lvs.ipvs.plugins.modules." + name)

    def stop(**settings):
        raise Specified(settings)

    monkeypatch.setattr(module, "AnsibleModule", stop)
    with pytest.raises(Specified) as specified:
        module.main()
    monkeypatch.undo()
    return specified.value.settings


def spec_of(name, monkeypatch):
    return settings_of(name, monkeypatch)["argument_spec"]


def answer(name, options, monkeypatch):
    """What the module answers; an exception that it doesn't turn into an answer goes through."""
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": dict(options, _ansible_remote_tmp="/tmp")}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    output = io.StringIO()
    with redirect_stdout(output), pytest.raises(SystemExit):
        importlib.import_module("ansible_collections.lvs.ipvs.plugins.modules." + name).main()
    return json.loads(output.getvalue())


def with_numbers(spec, value):
    """For each option of a spec that is a number, wherever it stands: (its name, options in which it has this value)."""
    required = {option: about.get("choices", [7 if about["type"] == "int" else "198.51.100.1"])[0] for option, about in spec.items() if about.get("required")}
    named = {mark: 7 for mark in ("fwmark", "service_fwmark") if mark in spec}
    for option, about in spec.items():
        if about["type"] in ("int", "float"):
            yield option, dict(required, **{option: value})
        for inner, options in with_numbers(about.get("options", {}), value):
            value_of = options if about["type"] == "dict" else [options]
            yield inner, dict(required, **{option: value_of}, **named)


def differing(spec, documented):
    """Options, and options of options, whose spec says something else than their documentation; a fragment has the rest of those without a type."""
    for option, about in documented.items():
        if "type" not in about:
            continue
        said = {key: about[key] for key in ("required", "default", "choices", "elements") if about.get(key)}
        if said != {key: spec[option][key] for key in ("required", "default", "choices", "elements") if spec[option].get(key)}:
            yield option
        yield from differing(spec[option].get("options", {}), about.get("suboptions", {}))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_takes_what_its_documentation_says(name, monkeypatch):
    module = importlib.import_module("ansible_collections.lvs.ipvs.plugins.modules." + name)
    settings = settings_of(name, monkeypatch)
    assert list(differing(settings["argument_spec"], yaml.safe_load(module.DOCUMENTATION).get("options", {}))) == []
    assert settings["supports_check_mode"] is True


@pytest.mark.parametrize("name", MODULES)
def test_a_number_that_never_ends_is_an_error_that_names_it(name, monkeypatch):
    for value in ENDLESS:
        for option, options in with_numbers(spec_of(name, monkeypatch), value):
            result = answer(name, options, monkeypatch)
            assert result["failed"] and f"'{option}'" in result["msg"] and "unable to convert to " in result["msg"], (options, result["msg"])


@pytest.mark.parametrize("name", MODULES)
def test_a_module_carries_out_its_task(name, monkeypatch):
    module = importlib.import_module("ansible_collections.lvs.ipvs.plugins.modules." + name)
    carried_out = []
    monkeypatch.setattr(module, "AnsibleModule", lambda **settings: settings)
    monkeypatch.setattr(module, "run", lambda made, task: carried_out.append(task))
    module.main()
    (task,) = carried_out
    assert callable(task)


def test_numbers_are_taken_as_ansible_takes_them():
    """Versions of ansible-core differ: some take 7.0 and "1e3" for an int."""
    assert [_argspec.INT(value) for value in (7, "7", -7)] == [7, 7, -7]
    assert [_argspec.FLOAT(value) for value in (7, "0.5", -0.5)] == [7.0, 0.5, -0.5]
    for value in ("x", 1.5, None, [1], 7.0, "1e3"):
        assert outcome(_argspec.INT, value) == outcome(check_type_int, value)


def outcome(convert, value):
    try:
        return convert(value)
    except TypeError:
        return TypeError


def test_the_filter_refuses_them_too():
    for value in ENDLESS:
        for given in ({"timeouts": {"tcp": value}}, [{"fwmark": value}], {"sync_daemons": [{"role": "master", "interface": "lo", "sync_id": value}]}):
            with pytest.raises(AnsibleFilterError, match="unable to convert to int"):
                to_ipvsadm.to_ipvsadm(given)


@pytest.mark.parametrize(
    ("name", "option", "options"),
    [
        ("ipvs_table", "check", lambda value: {"services": [{"fwmark": 7, "check": value}]}),
        ("ipvs_table", "check", lambda value: {"services": [{"fwmark": 7, "servers": [{"address": "198.51.100.11", "check": value}]}]}),
        ("ipvs_service", "sorry_server", lambda value: {"fwmark": 7, "sorry_server": value}),
        ("ipvs_table", "prune_scope", lambda value: {"services": [], "prune_scope": value}),
        ("ipvs_keepalived", "failover", lambda value: {"failover": value}),
        ("ipvs_keepalived", "sync", lambda value: {"failover": {"priority": 100, "sync": value}}),
    ],
    ids=["check of a service", "check of a server", "sorry server", "scope", "failover", "sync of failover"],
)
def test_what_is_no_dict_is_an_error_that_names_it(name, option, options, monkeypatch):
    for value, found in ((False, "False"), (80, "80"), (1.5, "1.5"), ([80], "80")):
        assert f"Value '{found}' in the sub parameter field '{option}' must be a dict" in answer(name, options(value), monkeypatch)["msg"]


def test_dicts_are_taken_as_ansible_takes_them():
    assert _argspec.DICT({"port": 80}) == {"port": 80} and _argspec.DICT("port=80") == {"port": "80"} and _argspec.DICT('{"port": 80}') == {"port": 80}
    with pytest.raises(TypeError):
        _argspec.DICT("http")
