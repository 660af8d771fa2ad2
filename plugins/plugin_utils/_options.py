# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data that a user gives a filter, typed as a module would type it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_dict

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

SERVICES = _service_specs.services()
TIMEOUTS = {"type": "dict", "options": {name: {"type": _argspec.INT} for name in _settings.Timeouts._fields}}
SYNC_DAEMONS = {
    "type": "list",
    "elements": "dict",
    "options": {
        "role": {"type": "str", "choices": list(_settings.DAEMON_ROLES), "required": True},
        "interface": {"type": "str", "required": True},
        "sync_id": {"type": _argspec.INT},
        "max_length": {"type": _argspec.INT},
        "multicast_group": {"type": "str"},
        "multicast_port": {"type": _argspec.INT},
        "multicast_ttl": {"type": _argspec.INT},
    },
}


def typed(spec, given):
    """(values, [what is wrong]): ``given``, a dict, held to an argument spec; every option of the spec is in the values, None where left out."""
    values = _copy(given)
    errors = list(_misplaced(spec, values, ""))
    if errors:
        return values, errors
    result = ArgumentSpecValidator(spec).validate(values)
    return result.validated_parameters, result.error_messages


def _misplaced(spec, values, path):
    """What is wrong where a dict with options belongs and something else stands. ansible-core names the option, and not in which service."""
    for name, about in spec.items():
        value = values.get(name)
        if value is None or "options" not in about:
            continue
        places = [(path + name, value)]
        if about["type"] == "list":
            places = [("%s%s[%d]" % (path, name, number), each) for number, each in enumerate(value)] if isinstance(value, list) else []
        for place, each in places:
            try:
                inner = check_type_dict(each)
            except TypeError:
                yield str(OptionError(place, each, "give a dict of options, which are %s" % ", ".join(about["options"])))
            else:
                yield from _misplaced(about["options"], inner, place + ".")


def _copy(value):
    """A copy in which nothing occurs twice: the validator writes into what it gets, and YAML anchors make shared lists."""
    if isinstance(value, Mapping):
        return {name: _copy(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_copy(each) for each in value]
    return value
