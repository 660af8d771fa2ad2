# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet in the words and numbers of a page, from what the roles' comparison has left in the variables of each host. Pure."""

from __future__ import annotations

_UNREACHED = "It could not be reached."


def fleet(directors, compared, real_servers):
    """What filter fleet_report returns. ``directors``, ``real_servers``: variables of hosts; ``compared``: what compare_directors says of the directors."""
    between = {each["name"]: each for each in compared}
    busiest = max([1, *(server["statistics"]["active_connections"] for host in directors for server in _servers(_services(host)))])
    there = [_director(host, between.get(host["inventory_hostname"]), busiest) for host in directors]
    behind = [_real_server(host) for host in real_servers]
    problems = [_problem(row, host.get("%s_problem" % kind)) for row, host, kind in _all(there, directors, behind, real_servers)
                if row["differences"] or not row["answered"]]  # fmt: skip
    return {
        "figures": _figures(there, behind, problems),
        "problems": problems,
        "vrrp": any(row["vrrp"] for row in there if row["answered"]),
        "directors": there,
        "real_servers": behind,
    }


def _all(there, directors, behind, real_servers):
    """(row, variables, kind) of each host."""
    for row, host in zip(there, directors):
        yield row, host, "director"
    for row, host in zip(behind, real_servers):
        yield row, host, "real_server"


def _problem(row, text):
    if row["answered"]:
        return {"name": row["name"], "what": "differs from the inventory", "text": "", "differences": row["differences"]}
    return {"name": row["name"], "what": "could not be asked", "text": text or _UNREACHED, "differences": []}


def _figures(directors, real_servers, problems):
    answered = [row for row in directors if row["answered"]]
    idle = sum(server["idle"] for row in answered for service in row["services"] for server in service["servers"])
    values = [
        ("directors", len(directors), _noun(len(directors), "director")),
        ("real_servers", len(real_servers), _noun(len(real_servers), "real server")),
        ("problems", len(problems), "not as %s should be" % ("it" if len(problems) == 1 else "they")),
        ("services", sum(len(row["services"]) for row in answered), "services"),
        ("servers", sum(row["servers"] for row in answered), "places of real servers"),
        ("active", sum(row["active"] for row in answered), "active connections"),
        ("rate", sum(row["rate"] for row in answered), "new connections a second"),
    ]
    notes = {"servers": "%d with weight 0" % idle if idle else ""}
    return [{"name": name, "value": value, "label": label, "note": notes.get(name, "")} for name, value, label in values]


# ---------------------------------------------------------------------------------------------------------------------
# directors


def _director(host, compared, busiest):
    """A director's row and its section. ``compared``: what compare_directors says of it, None without keepalived; ``busiest``: the length of a whole bar."""
    row = _host(host, "director", (compared or {}).get("differences", []))
    if not row["answered"]:
        return row
    seen, compared = host["director_seen"], compared or {"state": None, "addresses": [], "services": host["director_seen"]["services"]}
    statistics = [server["statistics"] for server in _servers(seen["services"])]
    return dict(
        row,
        vrrp=_vrrp(compared),
        addresses=list(dict.fromkeys([each["address"] for each in host["director_addresses"]] + compared["addresses"])),
        servers=len(statistics),
        active=sum(each["active_connections"] for each in statistics),
        rate=sum(service["statistics"]["connections_per_second"] for service in seen["services"]),
        about=" ".join(each for each in (_kernel(seen), _priority(compared)) if each),
        drained=["%s since %s" % (each["address"], _moment(each["since"])) for each in (host.get("director_keepalived") or {}).get("drained", [])],
        services=[_service(service, busiest) for service in compared["services"]],
    )


def _vrrp(compared):
    if not compared["state"]:
        return None
    return {"state": compared["state"], "note": "since %s%s" % (_moment(compared["since"]), ", has handed over" if compared["lowered"] else "")}


def _priority(compared):
    if not compared["state"]:
        return ""
    lowered = ", lowered because it has handed over" if compared["lowered"] else ""
    return "VRRP %s since %s, priority %d%s." % (compared["state"], _moment(compared["since"]), compared["priority"], lowered)


def _kernel(seen):
    if not seen["loaded"]:
        return "The kernel has not loaded IPVS."
    timeouts = "timeouts TCP %(tcp)d s, after FIN %(tcp_fin)d s, UDP %(udp)d s" % seen["timeouts"]
    daemons = ["sync daemon %(role)s on %(interface)s, ID %(sync_id)d" % daemon for daemon in seen["sync_daemons"]]
    return "IPVS %s, connection table of %d rows; %s." % (seen["version"], seen["connection_table_size"], "; ".join([timeouts, *daemons]))


def _service(service, busiest):
    heaviest = max([1, *(server["weight"] for server in service["servers"])])
    about = " ".join(each for each in (service.get("protocol"), service["scheduler"]) if each)
    if service["persistence_timeout"]:
        about += ", persistent for %d s" % service["persistence_timeout"]
    if service["one_packet"]:
        about += ", packet by packet"
    about += "; %(connections)d connections so far, %(connections_per_second)d a second" % service["statistics"]
    return {"name": _service_name(service), "about": about, "servers": [_server(server, heaviest, busiest) for server in service["servers"]]}


def _service_name(service):
    if "fwmark" in service:
        return "firewall mark %d (%s)" % (service["fwmark"], service["family"])
    return _endpoint(service)


def _server(server, heaviest, busiest):
    """``heaviest``, ``busiest``: the weight, and the number of active connections, of which the bar is full."""
    tunnel = server.get("tunnel_type", "ipip")
    statistics = server["statistics"]
    return {
        "name": _endpoint(server),
        "note": "at most %d" % server["upper_threshold"] if server["upper_threshold"] else "",
        "method": server["forward_method"] + ("" if tunnel == "ipip" else " " + tunnel),
        "idle": server["weight"] == 0,
        "weight": {"value": server["weight"], "percent": _percent(server["weight"], heaviest)},
        "out": _out(server),
        "active": {"value": statistics["active_connections"], "percent": _percent(statistics["active_connections"], busiest)},
        "inactive": statistics["inactive_connections"],
        "connections": statistics["connections"],
    }


def _out(server):
    """Why it gets no connections: the text, and whether that is bad or only idle."""
    reason = server.get("out")
    if reason and reason != "weight 0":
        return {"text": reason, "kind": "bad" if reason.startswith("its check") else "idle"}
    return {"text": "no new ones" if server["weight"] == 0 else "", "kind": "idle"}


# ---------------------------------------------------------------------------------------------------------------------
# real servers


def _real_server(host):
    row = _host(host, "real_server", [])
    if not row["answered"]:
        return row
    seen = host["real_server_seen"]
    return dict(row, places=seen["places"], addresses=[each["address"] for each in seen["addresses"]])


# ---------------------------------------------------------------------------------------------------------------------
# both


def _host(host, kind, between):
    """The row of a host. ``kind``: what its variables begin with; ``between``: what is wrong between it and others."""
    own = host.get("%s_differences" % kind)
    differences = [] if own is None else list(own) + between
    if own is None:
        state = "no answer"
    else:
        state = "%d %s" % (len(differences), _noun(len(differences), "difference")) if differences else "as it should be"
    return {"name": host["inventory_hostname"], "answered": own is not None, "differences": differences, "state": state}


def _services(host):
    return (host.get("director_seen") or {}).get("services", [])


def _servers(services):
    return [server for service in services for server in service["servers"]]


def _endpoint(each):
    return ("[%s]:%d" if ":" in each["address"] else "%s:%d") % (each["address"], each["port"])


def _percent(value, whole):
    return round(100 * value / whole, 1)


def _noun(number, word):
    return word if number == 1 else word + "s"


def _moment(since):
    return since.replace("T", " ").replace("Z", " UTC")
