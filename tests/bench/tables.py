# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables to measure with, as options of ``ipvs_table`` and as ipvsadm rules."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _plan, _rules

# Documentation prefixes; what is carved out of 2001:db8::/32 has room for any number of services.
_VIPS = int(ipaddress.ip_address("203.0.113.0"))
_REALS = int(ipaddress.ip_address("198.51.100.0"))


class Size(NamedTuple):
    """A number of virtual services and of real servers in each."""

    services: int
    servers: int

    @property
    def entries(self):
        return self.services * (1 + self.servers)

    def __str__(self):
        return f"{self.services:,} × {self.servers}"


def options(size):
    """A table as a list of services, as ``ipvs_table`` takes it: NAT services of a few addresses and many ports."""
    return [
        {
            "address": _address(_VIPS, 1 + service % 250),
            "port": 1000 + service // 250,
            "protocol": "tcp",
            "scheduler": "wrr",
            "servers": [
                {"address": _address(_REALS, 1 + (service + server) % 250), "port": 8000 + server, "forward_method": "nat", "weight": 1 + server % 3}
                for server in range(size.servers)
            ],
        }
        for service in range(size.services)
    ]


def change_one(services):
    """The same with the weight of one server changed, in the half that does not stay."""
    changed = list(services)
    middle = len(services) * 3 // 4
    service = dict(services[middle], servers=list(services[middle]["servers"]))
    service["servers"][0] = dict(service["servers"][0], weight=50)
    changed[middle] = service
    return changed


def rules(services):
    """A table as the rules that ``ipvsadm -R`` reads, rendered as a template would: in the order of the list."""
    operations = _plan.plan_present({}, _model.desired_table(services)).operations
    return "".join(_plan.command(operation).split(" ", 1)[1] + "\n" for operation in operations)


def removal_rules(services):
    """The rules that remove these services."""
    return "".join(f"-D {_rules.service_words(ident)}\n" for ident in _model.desired_table(services))


def edit_command(services):
    """The ipvsadm command line, as words, that change_one() comes to."""
    there = _plan.plan_present({}, _model.desired_table(services)).after
    (operation,) = _plan.plan_present(there, _model.desired_table(change_one(services))).operations
    return _plan.command(operation).split()


def _address(base, number):
    return str(ipaddress.ip_address(base + number))
