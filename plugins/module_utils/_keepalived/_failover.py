# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses move between directors, and by which VRRP: the settings of failover. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._argspec import DICT, FLOAT, INT
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

DEFAULT_ROUTER_ID, DEFAULT_PREEMPT_DELAY = 51, 15
HANDOVER = "handover"
"""What keepalived calls the file by which a director is handed over."""
HANDOVER_WEIGHT = -100
"""What the content of the handover file is multiplied by: with 1 in it, a director has so much less priority."""
LOWERED, RESTORED = "1\n", "0\n"
"""The contents of the handover file."""

_INTERFACE = re.compile(r"[A-Za-z0-9_.@+=-]+\Z")  # of what Linux takes, what keepalived reads as one plain word
_FILE = re.compile(r"/[A-Za-z0-9_.:/-]+\Z")


class Instance(NamedTuple):
    """One instance of VRRP. ``peers``: empty for multicast. ``places``: those of its own address family, whose first it announces.

    ``advert_interval`` and ``preempt_delay`` are seconds; ``preempt_delay`` is None where it does not preempt.
    """

    name: str
    interface: str
    router_id: int
    priority: int
    source_address: Optional[str]
    peers: Tuple[str, ...]
    advert_interval: float
    preempt_delay: Optional[int]
    places: Tuple[_addresses.Place, ...]
    other_places: Tuple[_addresses.Place, ...]


class Sync(NamedTuple):
    """The connection synchronization, which follows the state of the front instance."""

    interface: str
    sync_id: int


class Failover(NamedTuple):
    """``instances``: the front, and the back where there is one; they are master together. ``handover_file``: a path."""

    instances: Tuple[Instance, ...]
    sync: Optional[Sync] = None
    handover_file: Optional[str] = None


class _Side(NamedTuple):
    """The options that an instance is made of. ``places``: the list that its own addresses stand in."""

    name: str
    interface: str
    peers: str
    source_address: Optional[str]
    places: str


_FRONT = _Side("front", "interface", "peers", "source_address", "addresses")
_BACK = _Side("back", "back_interface", "back_peers", None, "gateways")


def spec():
    """The argument spec of the settings."""
    addresses = {"type": "list", "elements": "raw"}
    peers = {"type": "list", "elements": "str"}
    return {
        "type": DICT,
        "options": {
            "interface": {"type": "str"},
            "priority": {"type": INT, "required": True},
            "router_id": {"type": INT},
            "peers": dict(peers),
            "source_address": {"type": "str"},
            "advert_interval": {"type": FLOAT},
            "preempt": {"type": "bool"},
            "preempt_delay": {"type": INT},
            "addresses": dict(addresses),
            "gateways": dict(addresses),
            "back_interface": {"type": "str"},
            "back_peers": dict(peers),
            "sync": {"type": DICT, "options": {"interface": {"type": "str"}, "sync_id": {"type": INT}}},
            "handover_file": {"type": "str"},
        },
    }


def failover(options, services=(), path="failover"):
    """The Failover that options of ``spec`` describe, None for none. ``services``: those whose addresses move if the options name none.

    Raises OptionError.
    """
    if options is None:
        return None
    given = {name: value for name, value in options.items() if value is not None}
    where = path + "."
    if "interface" not in given:
        raise OptionError(where + "interface", None, "give the interface of VRRP: it can be derived from source_address only on the node")
    router_id = given.setdefault("router_id", DEFAULT_ROUTER_ID)
    _checks.in_range(router_id, 1, 255, where + "router_id", "a virtual router ID")
    _checks.in_range(given["priority"], 1, 254, where + "priority", "a priority")
    interval = given.setdefault("advert_interval", 1)
    if not 0.05 <= interval <= 40 or round(interval * 100, 6) % 1:
        raise OptionError(where + "advert_interval", interval, "give a number of seconds from 0.05 to 40, in steps of 0.01")
    front, back = _places(given, services, path)
    instances = [_instance(_FRONT, given, front, where)]
    if "back_interface" in given:
        instances.append(_instance(_BACK, given, back, where))
        if given["back_interface"] == given["interface"]:
            raise OptionError(
                where + "back_interface", given["interface"], "give an interface other than that of the front, or omit it"
            )
    elif "back_peers" in given:
        raise OptionError(where + "back_peers", given["back_peers"], "back_peers needs back_interface; give it")
    return Failover(tuple(instances), _sync(given, router_id, where + "sync."), _handover_file(given, where))


def _preempt_delay(given, where):
    if not given.get("preempt", True):
        if "preempt_delay" in given:
            raise OptionError(where + "preempt_delay", given["preempt_delay"], "without preempt, preempt_delay has no effect; omit it")
        if "handover_file" in given:
            raise OptionError(where + "preempt", False, "without preempt, no director takes over by priority, so handover_file has no effect; omit it")
        return None
    delay = given.get("preempt_delay", DEFAULT_PREEMPT_DELAY)
    _checks.in_range(delay, 0, 1000, where + "preempt_delay", "a number of seconds")
    return delay


def _places(given, services, path):
    """(places at the front, places at the back) that move."""
    addresses = given["addresses"] if "addresses" in given else served(services)
    front, back = listed(addresses, "addresses", path), listed(given.get("gateways", ()), "gateways", path)
    seen = set()
    for place in front + back:
        if place.address in seen:
            raise OptionError("%s.%s" % (path, place.option), place.address, "this address is listed twice; list each address once")
        seen.add(place.address)
    if "back_interface" not in given:
        return front + back, []
    return front, back


def served(services):
    """The addresses of services, in an order that the list's does not change. Raises OptionError."""
    idents = {_model.service_id(service) for service in services}
    return sorted({ident.address for ident in idents if ident.address}, key=lambda each: _model.server_order(_model.ServerId(each, 0)))


def listed(entries, option, path):
    """[Place] that a list of addresses says. Raises OptionError."""
    places = _checks.within(path, lambda given: _addresses.parsed(given, option), entries)
    for place in places:
        if place.interface is not None:
            _interface(place.interface, "%s.%s" % (path, place.option.replace(".address", ".interface")))
    return places


def _instance(side, given, places, where):
    """The Instance of one _Side. ``places``: [Place] that move there."""
    interface = _interface(given[side.interface], where + side.interface)
    if not places:
        raise OptionError(where + side.places, [], "VRRP needs addresses to move; give at least one")
    peers = tuple(
        _literals.normal_address(peer, "%s%s[%d]" % (where, side.peers, index)) for index, peer in enumerate(given.get(side.peers, ()))
    )
    source = given.get(side.source_address)
    if source is not None:
        source = _literals.normal_address(source, where + side.source_address)
    speakers = peers if source is None else (source,) + peers
    family = _literals.family_of((speakers + (places[0].address,))[0])
    if any(_literals.family_of(each) != family for each in speakers):
        raise OptionError(where + side.peers, list(peers), "give the peers, and the source_address, of one address family")
    places = [place._replace(interface=place.interface or interface) for place in places]
    own = tuple(place for place in places if _literals.family_of(place.address) == family)
    if not own:
        raise OptionError(
            where + side.places, places[0].address, "at least one address needs the family of the peers, as VRRP announces it to them"
        )
    return Instance(
        side.name,
        interface,
        given["router_id"],
        given["priority"],
        source,
        peers,
        given["advert_interval"],
        _preempt_delay(given, where),
        own,
        tuple(place for place in places if place not in own),
    )


def _interface(name, option):
    _addresses.check_interface(name, option)
    if not _INTERFACE.match(name):
        raise OptionError(option, name, "keepalived supports only interface names of letters, digits and _.@+=-")
    return name


def _sync(given, router_id, where):
    if "sync" not in given:
        return None
    options = given["sync"]
    sync_id = options.get("sync_id")
    if sync_id is None:
        sync_id = router_id
    _checks.in_range(sync_id, 0, 255, where + "sync_id", "a sync ID")
    return Sync(_interface(options.get("interface") or given["interface"], where + "interface"), sync_id)


def _handover_file(given, where):
    path = given.get("handover_file")
    if path is not None and (len(path) > 200 or not _FILE.match(path)):
        raise OptionError(where + "handover_file", path, "give an absolute path of at most 200 letters, digits and _.:/-")
    return path
