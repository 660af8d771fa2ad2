# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs of virtual services and real servers. Each function makes a new dict, so that a module can add to it."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._argspec import DICT, FLOAT, INT

CHECK_TYPES = ("tcp", "http", "https", "smtp", "dns", "udp", "ping", "script", "none")
DNS_RECORDS = ("A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT")


def service_id(prefix=""):
    """What names a virtual service; ``prefix`` goes in front of each option's name."""
    return {
        prefix + "address": {"type": "str"},
        prefix + "port": {"type": INT},
        prefix + "protocol": {"type": "str", "choices": list(_model.PROTOCOLS)},
        prefix + "fwmark": {"type": INT},
        prefix + "family": {"type": "str", "choices": list(_literals.FAMILIES)},
    }


def service_id_rules(prefix=""):
    """The rules of AnsibleModule that go with ``service_id``."""
    address, port, protocol, fwmark = [prefix + name for name in ("address", "port", "protocol", "fwmark")]
    return {
        "required_one_of": [(address, fwmark)],
        "required_together": [(address, port)],
        "mutually_exclusive": [(address, fwmark), (port, fwmark), (protocol, fwmark)],
    }


def check():
    """How the health of real servers is checked."""
    return {
        "check": {
            "type": DICT,
            "options": {
                "type": {"type": "str", "choices": list(CHECK_TYPES)},
                "port": {"type": INT},
                "path": {"type": "str"},
                "host": {"type": "str"},
                "status": {"type": "list", "elements": "str"},
                "digest": {"type": "str"},
                "text": {"type": "str"},
                "name": {"type": "str"},
                "record": {"type": "str", "choices": list(DNS_RECORDS)},
                "command": {"type": "str"},
                "interval": {"type": FLOAT},
                "timeout": {"type": FLOAT},
                "retries": {"type": INT},
                "delay": {"type": FLOAT},
            },
        }
    }


def service():
    """What a virtual service is made of, beside its servers.

    Modules of the table ignore what is keepalived's, from ``check`` to ``max_unhealthy``, and ``statistics``, which is there for what
    ``ipvs_info`` returns.
    """
    return {
        "scheduler": {"type": "str"},
        "scheduler_flags": {"type": "list", "elements": "str", "choices": list(_model.SCHEDULER_FLAGS)},
        "persistence_timeout": {"type": INT},
        "persistence_netmask": {"type": "str"},
        "persistence_engine": {"type": "str"},
        "one_packet": {"type": "bool"},
        **check(),
        "sorry_server": {
            "type": DICT,
            "options": dict(server_id(), forward_method={"type": "str", "choices": list(_model.FORWARD_METHODS)}),
        },
        "quorum": {"type": INT},
        "max_unhealthy": {"type": INT},
        "statistics": {"type": "dict"},
    }


def server():
    """What a real server is made of, beside what names it. ``check`` and ``statistics`` as in ``service``."""
    return {
        "forward_method": {"type": "str", "choices": list(_model.FORWARD_METHODS)},
        "weight": {"type": INT},
        "upper_threshold": {"type": INT},
        "lower_threshold": {"type": INT},
        "tunnel_type": {"type": "str", "choices": list(_model.TUNNEL_TYPES)},
        "tunnel_port": {"type": INT},
        "tunnel_checksum": {"type": "str", "choices": list(_model.TUNNEL_CHECKSUMS)},
        **check(),
        "statistics": {"type": "dict"},
    }


def server_id():
    """What names a real server within its service."""
    return {"address": {"type": "str", "required": True}, "port": {"type": INT}}


def servers():
    """The list of real servers of a service."""
    return {"servers": {"type": "list", "elements": "dict", "options": dict(server_id(), **server())}}


def services():
    """A list of services with their servers."""
    return {"type": "list", "elements": "dict", "options": dict(service_id(), **service(), **servers())}
