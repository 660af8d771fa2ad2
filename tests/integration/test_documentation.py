# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' documentation against what they do: their examples run, and what they return is what RETURN says.

Examples with templates are run by test_command_line.py.
"""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.once

ELSEWHERE = {"ipvs_firewall", "ipvs_handover", "ipvs_keepalived"}  # tests/firewall, tests/machines
MODULES = sorted({path.stem for path in Path(__file__).parents[2].glob("plugins/modules/ipvs_*.py")} - ELSEWHERE)
TEMPLATED = [
    ("ipvs_info", "Show the active connections of each real server"),
    ("ipvs_table", "The same from a file of ipvsadm rules"),
    ("ipvs_table", "Give back what was read before"),
]
# It names a kernel that is installed on one kind of machine.
NOT_HERE = [("ipvs_modules", "Prepare an image for the kernel that it will boot")]
TYPES = {"float": (float, int), "str": str, "int": int, "bool": bool, "list": list, "dict": dict}
GENERAL = {"changed", "invocation", "warnings", "diff"}


def document(module, part):
    return yaml.safe_load(getattr(importlib.import_module("ansible_collections.lvs.ipvs.plugins.modules." + module), part))


def examples(module):
    """The examples of a module that can run here: (name, module that it is about, its options)."""
    for task in document(module, "EXAMPLES"):
        name = task.pop("name")
        (action,) = [key for key in task if "." in key]
        if (module, name) not in TEMPLATED + NOT_HERE:
            assert "{{" not in str(task), f"{module}: {name}: it has templates, so add it to TEMPLATED and to test_command_line.py"
            yield name, action.removeprefix("lvs.ipvs."), task[action] or {}


def is_a(value, kind):
    """Whether the value is of a type as documentation names it; a bool is no int there."""
    return isinstance(value, TYPES[kind]) and (kind == "bool") == isinstance(value, bool)


def differences(value, documented, path):
    """What is returned and not documented, and the other way round."""
    found = [f"{path}{key}: not documented" for key in value if key not in documented]
    for key, entry in documented.items():
        where = path + key
        if key not in value:
            if entry["returned"] in ("always", "success"):
                found.append(f"{where}: documented as returned: {entry['returned']}")
            continue
        if value[key] is None:
            if "V(null)" not in str(entry["description"]):
                found.append(f"{where}: null, and the description doesn't speak of it")
            continue
        if not is_a(value[key], entry["type"]):
            found.append(f"{where}: {value[key]!r} is no {entry['type']}")
        if "contains" in entry:
            for part in value[key] if entry["type"] == "list" else [value[key]]:
                found += differences(part, entry["contains"], where + ".")
        elif entry["type"] == "list":
            found += [f"{where}: {part!r} is no {entry['elements']}" for part in value[key] if not is_a(part, entry["elements"])]
    return found


def assert_documented(module, result):
    value = {key: part for key, part in result.items() if key not in GENERAL}
    assert differences(value, document(module, "RETURN"), module + ": ") == []


# What has to be there for the first example of a module.
BEFORE = {
    "ipvs_addresses": "-A -t 203.0.113.80:80\n-A -t [2001:db8::80]:80\n",
    "ipvs_server": "-A -t 203.0.113.80:80 -s rr\n",
    "ipvs_counters": "-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11 -m\n",
    "ipvs_drain": "-A -t 203.0.113.80:80 -s rr\n" + "".join(f"-a -t 203.0.113.80:80 -r 198.51.100.{last} -m\n" for last in (11, 12, 13)),
    "ipvs_info": "-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11 -i --tun-type gre\n-A -f 7\n",
}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.long
def test_examples_run_and_return_what_is_documented(ipvs, module):
    subprocess.run(["ip", "-batch", "-"], input="link add eth1 type dummy\nlink set eth1 up\naddress add 198.51.100.11/24 dev eth1\n", text=True, check=True)
    ipvs.restore(BEFORE.get(module, ""))
    only_check = module == "ipvs_modules"  # it works on the machine, not on a namespace
    number = 0
    for name, action, options in examples(module):
        number += 1
        foretold = ipvs.module(action, check=True, diff=True, **options)
        assert_documented(action, foretold)
        if only_check:
            continue
        done = ipvs.module(action, diff=True, **options)
        assert_documented(action, done)
        assert (done["changed"], done.get("commands")) == (foretold["changed"], foretold.get("commands")), name
        assert not ipvs.module(action, **options)["changed"], name
    ipvs.module("ipvs_sync_daemon", role="master", state="absent")
    listed = [each for each in TEMPLATED + NOT_HERE if each[0] == module]
    assert number == len(document(module, "EXAMPLES")) - len(listed) > 0


def test_what_is_returned_of_everything(ipvs):
    """Objects with every key that there is."""
    servers = [
        {"address": "198.51.100.11", "forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080},
        {"address": "198.51.100.12", "forward_method": "nat"},
    ]
    services = [{"address": "203.0.113.80", "port": 80, "servers": servers}, {"fwmark": 7, "family": "ipv6", "servers": []}]
    assert_documented("ipvs_table", ipvs.module("ipvs_table", services=services))
    for service in services:
        assert_documented("ipvs_service", ipvs.module("ipvs_service", **service))
    assert_documented("ipvs_service", ipvs.module("ipvs_service", fwmark=9, state="absent"))
    ipvs.module("ipvs_sync_daemon", role="backup", interface="lo")
    for statistics in (True, False):
        assert_documented("ipvs_info", ipvs.module("ipvs_info", statistics=statistics))
    ipvs.module("ipvs_sync_daemon", role="backup", state="absent")
    names = {"service_address": "203.0.113.80", "service_port": 80}
    for server in servers:
        assert_documented("ipvs_server", ipvs.module("ipvs_server", **names, **server))
        drained = ipvs.module("ipvs_server", **names, address=server["address"], state="drained")
        assert_documented("ipvs_server", drained)
        assert drained["connections"] == {"active": 0, "inactive": 0, "persistent": 0}
    assert_documented("ipvs_server", ipvs.module("ipvs_server", service_fwmark=7, service_family="ipv6", address="2001:db8::1", state="absent"))
