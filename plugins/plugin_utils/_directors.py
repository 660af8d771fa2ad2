# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directors beside one another, from what ipvs_keepalived_info and ipvs_info have returned on each. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model

MASTER, BACKUP = "master", "backup"
_SEEN_APART = ("servers", "statistics", "weight")  # of a service or a server: compared by themselves, or not at all


class Server(NamedTuple):
    """A server of the table. ``out``: why it gets no connections, None where it does; ``options``: as ipvs_info returns it."""

    weight: int
    out: Optional[str]
    options: Dict[str, Any]


class Service(NamedTuple):
    """A service of the table. ``whole``: whether keepalived, if it checks the service at all, has its quorum."""

    servers: Dict[_model.ServerId, Server]
    whole: bool
    options: Dict[str, Any]


class Director(NamedTuple):
    """``keepalived``: what ipvs_keepalived_info has returned; ``services``: {ServiceId: Service} of the table; ``expected``: whether it
    should have VRRP."""

    name: str
    keepalived: Dict[str, Any]
    services: Dict[_model.ServiceId, Service]
    expected: bool

    @property
    def instances(self):
        return self.keepalived["instances"]

    @property
    def states(self):
        """The states that its instances are in, each once."""
        return sorted({instance["state"] for instance in self.instances})

    @property
    def is_master(self):
        return MASTER in self.states

    @property
    def addresses(self):
        """The addresses that move between it and others."""
        return {place["address"] for instance in self.instances for place in instance["addresses"]}

    @property
    def priority(self):
        return min((instance["priority"] for instance in self.instances), default=0)

    @property
    def lowered(self):
        return bool(self.keepalived["handover"] and self.keepalived["handover"]["lowered"])

    @property
    def connections(self):
        """How many active connections it knows."""
        return sum(
            server.options["statistics"]["active_connections"]
            for service in self.services.values()
            for server in service.servers.values()
            if "statistics" in server.options
        )


def directors(hosts):
    """[Director] of the variables of those hosts that have answered, ``director_keepalived`` and ``director_seen``."""
    return [_director(host) for host in hosts if host.get("director_keepalived") and host.get("director_seen")]


def groups(found):
    """[[Director]]: those that have an address in common. Directors without VRRP are in none."""
    result: List[List[Director]] = []
    for director in found:
        if not director.instances:
            continue
        joined = [group for group in result if any(director.addresses & other.addresses for other in group)]
        merged = [each for group in joined for each in group] + [director]
        result = [group for group in result if group not in joined] + [merged]
    return result


def differences(found, silent=()):
    """{name: [text]}: how VRRP and the tables are not as they should be. ``silent``: names of directors that have not answered."""
    texts: Dict[str, List[str]] = {director.name: [] for director in found}
    for director in found:
        if director.expected and not director.instances:
            texts[director.name].append(_without_vrrp(director))
        texts[director.name] += _own_problems(director)
    for group in groups(found):
        masters = [director for director in group if director.is_master]
        names = " and ".join(director.name for director in masters)
        for director in masters if len(masters) > 1 else []:
            texts[director.name].append(
                "VRRP: %s are master at the same time: they do not receive one another's advertisements" % names
            )
        for director in group if not masters else []:
            unasked = ", as far as they answered; %s did not" % ", ".join(silent) if silent else ""
            texts[director.name].append("VRRP: no director is master%s" % unasked)
        first = (masters or group)[0]
        for director in group:
            if director is not first:
                texts[director.name] += table_differences(director, first)
    return texts


def _without_vrrp(director):
    if not director.keepalived["running"]:
        return "VRRP: keepalived does not run"
    return "VRRP: keepalived has no VRRP instance"


def _own_problems(director):
    """What is wrong with one director's VRRP, whatever the others do."""
    if not director.instances:
        return []
    if director.states not in ([MASTER], [BACKUP]):
        return ["VRRP: the instance %s is in the state %s" % (each["name"], each["state"]) for each in director.instances]
    return [
        "VRRP: the address %s is missing on %s of the master" % (place["address"], place["interface"])
        for each in director.instances
        for place in each["addresses"]
        if director.is_master and not place["present"]
    ]


# ---------------------------------------------------------------------------------------------------------------------
# tables


def table_differences(here, there):
    """[text]: how the tables of two directors of a group differ, as far as services move with them."""
    moved = here.addresses | there.addresses
    texts = []
    for ident in sorted(set(here.services) | set(there.services), key=_model.service_order):
        if ident.address and ident.address not in moved:
            continue
        if ident not in here.services or ident not in there.services:
            texts.append("%s is %s" % (ident, _where(ident in here.services, there.name)))
            continue
        one, other = here.services[ident], there.services[ident]
        texts += ["%s: %s" % (ident, text) for text in _option_differences(one.options, other.options, there.name)]
        texts += ["%s: %s" % (ident, text) for text in _server_differences(one, other, there.name)]
    return texts


def _server_differences(one, other, name):
    texts = []
    if one.whole != other.whole:
        words = {True: "has its quorum", False: "lacks its quorum"}
        texts.append("the service %s here and %s on %s" % (words[one.whole], words[other.whole], name))
    for ident in sorted(set(one.servers) | set(other.servers), key=_model.server_order):
        if ident in one.servers and ident in other.servers:
            texts += _two_servers(ident, one.servers[ident], other.servers[ident], name)
        elif one.whole and other.whole:  # without its quorum, keepalived removes and adds servers
            texts.append("the server %s is %s" % (ident, _where(ident in one.servers, name)))
    return texts


def _two_servers(ident, one, other, name):
    texts = ["the server %s: %s" % (ident, text) for text in _option_differences(one.options, other.options, name)]
    if one.weight != other.weight or one.out != other.out:
        texts.append("the server %s %s here and %s on %s" % (ident, _use(one), _use(other), name))
    return texts


def _use(server):
    return "has weight %d%s" % (server.weight, " (%s)" % server.out if server.out else "")


def _option_differences(one, other, name):
    keys = sorted((set(one) | set(other)).difference(_SEEN_APART))
    return ["%s is %s here and %s on %s" % (key, one.get(key), other.get(key), name) for key in keys if one.get(key) != other.get(key)]


def _where(is_here, name):
    return "here and not on %s" % name if is_here else "not here, but on %s" % name


# ---------------------------------------------------------------------------------------------------------------------
# one director


def _director(host):
    keepalived, seen = host["director_keepalived"], host["director_seen"]
    checked = {_model.service_id(service): service for service in keepalived["services"]}
    drained = {each["address"] for each in keepalived["drained"]}
    services = {}
    for service in seen["services"]:
        ident = _model.service_id(service)
        services[ident] = _service(service, ident, checked.get(ident), drained)
    expected = host.get("director_failover") == "vrrp" and host.get("director_state") != "absent"
    return Director(host["inventory_hostname"], keepalived, services, expected)


def _service(service, ident, checked, drained):
    """``checked``: the same service as keepalived has it, or None."""
    states = {_model.server_id(server, ident): server for server in (checked or {}).get("servers", [])}
    servers = {}
    for server in service["servers"]:
        server_ident = _model.server_id(server, ident)
        servers[server_ident] = Server(server["weight"], _out(server, states.get(server_ident), drained), server)
    return Service(servers, checked is None or checked["quorum_up"], service)


def _out(server, state, drained):
    """Why a server gets no connections, or None. ``state``: what keepalived says of it, or None."""
    if state and (state["drained"] or server["address"] in drained):
        return "drained"
    if state and state["health"] == "down":
        failed = [check["type"] for check in state["checks"] if not check["up"]]
        return "its check fails: %s" % ", ".join(failed)
    if state and state["health"] == "unknown":
        return "not checked yet"
    return None if server["weight"] else "weight 0"
