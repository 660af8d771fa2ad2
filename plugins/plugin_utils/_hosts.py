# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of the addresses of hosts."""

from __future__ import annotations

import socket


def addresses(hosts, name):
    """The addresses by which the controller reaches a host, as texts, IPv4 first; none where its name has none.

    ``hosts``: the variables of all hosts, C(hostvars).
    """
    target = (hosts[name] if name in hosts else {}).get("ansible_host", name)
    try:
        found = socket.getaddrinfo(str(target), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [each[4][0] for each in sorted(found, key=lambda each: each[0] != socket.AF_INET)]
