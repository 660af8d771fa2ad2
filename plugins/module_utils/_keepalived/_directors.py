# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a group of directors says of each one's failover: its peers, its own address, its priority. Pure."""

from __future__ import annotations

import ipaddress

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

HIGHEST, STEP = 150, 10
_SPAN = 99
"""The priorities of all directors lie this close together, so that handing over, which takes 100, goes below each of them."""


def settings(names, name, address_of, given):
    """The settings of failover of the director ``name``: those that are given, and what follows from the group for those that are not.

    ``names``: of the directors in their order; ``address_of``: a function from a name to the text of an address, None where it has none;
    ``given``: dict of the options of _failover.spec, without those that are None. Raises OptionError.
    """
    found = dict(given)
    if "peers" not in found:
        _check_member(names, name, "peers")
        found["peers"] = [_address(address_of, each, "peers") for each in names if each != name]
    if "source_address" not in found and ("interface" not in found or "peers" not in given):
        _check_member(names, name, "source_address")
        found["source_address"] = _address(address_of, name, "source_address")
    if "priority" not in found:
        _check_member(names, name, "priority")
        found["priority"] = _priority(names.index(name), len(names))
    return found


def _check_member(names, name, option):
    if name not in names:
        raise OptionError(option, None, "%s is not in the group of directors (%s), so give it" % (name, ", ".join(names) or "empty"))


def _priority(index, count):
    step = min(STEP, _SPAN // max(count - 1, 1))
    if not step:
        raise OptionError("priority", None, "with more than %d directors, not everyone has a value of its own; set it" % (_SPAN + 1))
    return HIGHEST - index * step


def _address(address_of, name, option):
    text = address_of(name)
    if text is None:
        raise OptionError(option, name, "this director's name and ansible_host have no address; set ansible_host to one, or give the option")
    address = ipaddress.ip_address(text)
    if address.is_loopback or address.is_unspecified:
        raise OptionError(option, "%s (%s)" % (name, address), "other directors cannot reach this address; set ansible_host to one, or give the option")
    return str(address)
