# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ansible inventory of a lab's machines."""
from __future__ import annotations

import json
import shlex

from .network import BACK, FRONT, addresses


def inventory(machines, ssh_options):
    """Of these machines (a list of Machine) as YAML. ``ssh_options``: the words that ssh needs to reach them."""
    variables = {
        "ansible_connection": "ssh", "ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3", "ansible_pipelining": True,
        "ansible_ssh_common_args": shlex.join(ssh_options),
    }
    groups = {}
    for each in machines:
        for group in each.groups:
            groups.setdefault(group, {"hosts": {}})["hosts"][each.name] = {}
    hosts = {each.name: host_variables(each) for each in machines}
    return yaml({"all": {"vars": variables, "hosts": hosts, **({"children": groups} if groups else {})}})


def host_variables(machine):
    ipv4, ipv6 = addresses(BACK, machine.number)
    variables = {"ansible_host": ipv4, "lab_back_ipv4": ipv4, "lab_back_ipv6": ipv6}
    if machine.front:
        variables["lab_front_ipv4"], variables["lab_front_ipv6"] = addresses(FRONT, machine.number)
    return variables


def yaml(value, indent=0):
    """Nested dictionaries as YAML; scalars as JSON writes them, which YAML reads."""
    lines = []
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            lines.append(f"{' ' * indent}{name}:\n{yaml(inner, indent + 2)}")
        else:
            lines.append(f"{' ' * indent}{name}: {json.dumps(inner)}\n")
    return "".join(lines)
