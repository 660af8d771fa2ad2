# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a configuration in use is known by, and what the text in use says of its services. Pure.

keepalived says nowhere which text it works by. Its processes report the ``router_id`` of that text, a name of no other use here, so that
name is made from the text itself.
"""

from __future__ import annotations

import hashlib
import re

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration

_GLOBALS = "global_defs {\n"
_DIGITS = 16
_SERVICE = re.compile(r"^virtual_server (.+) \{$")
_FAMILY = re.compile(r"^    (?:ip_family|protocol) (\S+)$")
_SORRY_SERVER = re.compile(r"^    sorry_server (.+)$")


def named(text, more=None):
    """(name, text) of a configuration that says its name. ``more``: a text that it depends on too."""
    name = "ipvs-%s" % hashlib.sha256((text + (more or "")).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return name, text.replace(_GLOBALS, _GLOBALS + "    # by which the running processes can be asked for their configuration\n    router_id %s\n" % name, 1)


def is_ours(text):
    """Whether the text of a file (None: there is none) is one of the collection's."""
    return (text or "").startswith(_configuration.HEADER)


def lost_sorry_servers(old, new):
    """[(service, sorry server)] as keepalived writes them, that a text of ours has and the next one lacks or has otherwise."""
    kept = _sorry_servers(new)
    return sorted((service[0], server) for service, server in _sorry_servers(old).items() if kept.get(service) != server)


def _sorry_servers(text):
    """{(service, protocol or family): sorry server}."""
    found, service, kind = {}, None, None
    for line in text.splitlines():
        for pattern in (_SERVICE, _FAMILY, _SORRY_SERVER):
            match = pattern.match(line)
            if not match:
                continue
            if pattern is _SERVICE:
                service = match.group(1)
            elif pattern is _FAMILY:
                kind = match.group(1)
            else:
                found[service, kind] = match.group(1)
    return found
