# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of keepalived, as text. Pure.

The same services give the same text, in whichever order they are listed. Every statement stands on a line of its own.
Source: keepalived.conf(5) of versions 2.2.7 and 2.3.3, and their parsers.
"""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _checks, _failover, _version
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

HEADER = """\
# Written by the Ansible collection lvs.ipvs. Changes made here are lost: change the list of services.
"""
_DRAIN_COMMENT = "# The content of each of these files is added to the weight of the server: 0, or %d to drain it.\n" % _drain_files.DRAINED
GUARD = "/usr/local/libexec/ipvs-director-pool-guard"
"""The program that holds max_unhealthy, see _pool_guard."""
_GUARD_FIFO = "/run/ipvs-director-pool-guard.fifo"
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos")
_FLAGS = {"fallback": "flag-1", "port": "flag-2", "flag_3": "flag-3"}
_NAMED_FLAGS = ("sh", "mh")  # whose flags have names of their own
_FORWARD = {"nat": "NAT", "dr": "DR", "tun": "TUN"}
_TUNNEL_CHECKSUMS = {"none": "nocsum", "csum": "csum", "remcsum": "remcsum"}
_FIRST_CHECKS = 1000  # in a second
_SCRIPT_USER = "keepalived_script"
_INDENT = "    "


def configuration(services, failover=None, version=_version.OLDEST, path="services"):
    """The text for a list of services (None: no checks), a Failover (None: no VRRP) and a version of keepalived. Raises OptionError.

    ``path``: what the list is called in errors.
    """
    entries = _model.created_table(services or (), path)
    pools = _checks.pools(services or (), path)
    for index, (ident, entry) in enumerate(entries.items()):
        where = "%s[%d]." % (path, index)
        _check_service(entry, pools[ident], where)
        if failover and failover.sync:
            _check_sync(entry, where)
    if not entries and not failover:
        raise OptionError(path, services, "give services to check, or failover settings: keepalived would have nothing to do")
    lines = list(_render([_globals(pools, failover, version)]))
    if failover:
        lines += _render(_vrrp(failover))
    lines += _track_files({server.address for pool in pools.values() for server in pool.checks})
    warmup = _warmup(pools.values())
    for ident in sorted(entries, key=_model.service_order):
        lines += _render([_virtual_server(entries[ident], pools[ident], warmup)])
    return HEADER + "".join(lines)


def _track_files(addresses):
    if addresses:
        yield _DRAIN_COMMENT
    for address in sorted(addresses, key=lambda each: _model.server_order(_model.ServerId(each, 0))):
        yield from _render([("track_file %s" % address, ["file %s" % _drain_files.path(address), "init_file 0"])])


def _render(statements, indent=""):
    """Lines of statements. Each is a text, or (text, statements) for a block."""
    for each in statements:
        if isinstance(each, str):
            yield "%s%s\n" % (indent, each)
        else:
            head, inner = each
            yield "%s%s {\n" % (indent, head)
            yield from _render(inner, indent + _INDENT)
            yield indent + "}\n"


def _number(value):
    """Seconds, with as many digits as they need."""
    return ("%.3f" % value).rstrip("0").rstrip(".")


# ---------------------------------------------------------------------------------------------------------------------
# what keepalived cannot hold


def _check_service(entry, pool, path):
    """Raise OptionError for what IPVS takes and keepalived does not. ``entry``: a whole Entry; ``pool``: its Pool."""
    service, servers = entry
    if service.scheduler not in SCHEDULERS:
        raise OptionError(path + "scheduler", service.scheduler, "keepalived supports only %s" % ", ".join(SCHEDULERS))
    if service.persistence_engine and not service.persistence_timeout:
        raise OptionError(
            path + "persistence_engine", service.persistence_engine, "keepalived ignores an engine without persistence; set persistence_timeout"
        )
    if not servers:
        raise OptionError(path + "servers", [], "keepalived rejects a service without servers; give at least one")
    for index, server in enumerate(servers.values()):
        where = "%sservers[%d]." % (path, index)
        _check_server(server, service.id, where)
        if server.weight > -_drain_files.DRAINED:
            raise OptionError(where + "weight", server.weight, "keepalived can drain a server only up to weight %d" % -_drain_files.DRAINED)
    weight = sum(server.weight for server in servers.values())
    if not weight:
        raise OptionError(path + "servers", 0, "keepalived rejects a service whose servers all have weight 0; drain them instead")
    if pool.quorum > weight:
        raise OptionError(path + "quorum", pool.quorum, "all servers together have weight %d" % weight)
    if pool.sorry_server:
        _check_server(pool.sorry_server, service.id, path + "sorry_server.")
        if pool.sorry_server.id in servers:
            raise OptionError(path + "sorry_server.address", str(pool.sorry_server.id), "this is one of the servers; give another")


def _check_server(server, service, path):
    if server.forward_method == "local":
        raise OptionError(path + "forward_method", "local", "keepalived supports only nat, dr and tun")
    if service.fwmark and server.forward_method != "nat" and server.id.port:
        raise OptionError(
            path + "port",
            server.id.port,
            "keepalived takes no port here: to services named by a firewall mark, forward_method %s leaves the port alone; leave it out, and "
            "give the port as check.port" % server.forward_method,
        )


def _check_sync(entry, path):
    for index, server in enumerate(entry.servers):
        if _literals.family_of(server.address) != entry.service.id.family:
            raise OptionError(
                "%sservers[%d].address" % (path, index),
                server.address,
                "the kernel runs no sync daemon beside a service with a server of the other address family; omit failover.sync",
            )


# ---------------------------------------------------------------------------------------------------------------------
# the daemon, VRRP


def _globals(pools, failover, version):
    commands = any(check.command for pool in pools.values() for check in pool.checks.values())
    lines = []
    if not (commands and _version.commands_end_its_test(version)):
        lines.append("reload_check_config")  # or a file with an error ends keepalived when it reloads
    guarded = any(pool.guarded for pool in pools.values())
    if pools:
        # When 2.2.7 is asked for data, it looks for its scripts' default user. Where there is none, it ends at a later reload.
        lines.append("script_user root")
    if commands or guarded:
        lines.append("enable_script_security")
    if guarded:
        lines += ["lvs_notify_fifo %s root" % _GUARD_FIFO, 'lvs_notify_fifo_script "%s" root' % GUARD]
    if failover and failover.sync:
        lines.append("lvs_sync_daemon %s inst %s id %d" % (failover.sync.interface, failover.instances[0].name, failover.sync.sync_id))
    return ("global_defs", lines)


def _vrrp(failover):
    together = len(failover.instances) > 1
    tracking = [("track_file", [_failover.HANDOVER])] if failover.handover_file else []
    if failover.handover_file:
        inner = ["file %s" % failover.handover_file, "weight %d" % _failover.HANDOVER_WEIGHT, "init_file 0"]
        yield "# 1 in this file hands over to the other director, 0 takes back"
        yield ("track_file %s" % _failover.HANDOVER, inner)
    if together:
        members = [("group", [instance.name for instance in failover.instances])]
        yield ("vrrp_sync_group director", members + tracking + (["sync_group_tracking_weight"] if tracking else []))
    for instance in failover.instances:
        yield ("vrrp_instance %s" % instance.name, _instance(instance) + ([] if together else tracking))


def _instance(instance):
    lines = [
        "state BACKUP",
        "version 3",
        "interface %s" % instance.interface,
        "virtual_router_id %d" % instance.router_id,
        "priority %d" % instance.priority,
        "advert_int %s" % _number(instance.advert_interval),
        "nopreempt" if instance.preempt_delay is None else "preempt_delay %d" % instance.preempt_delay,
    ]
    if instance.source_address:
        lines.append("%s %s" % ("unicast_src_ip" if instance.peers else "mcast_src_ip", instance.source_address))
    if instance.peers:
        lines.append(("unicast_peer", list(instance.peers)))
    # One address in the adverts: directors that differ in the others, as while a new one is rolled out, still agree.
    places = [str(place) for place in instance.places]
    lines.append(("virtual_ipaddress", places[:1]))
    if places[1:] or instance.other_places:
        lines.append(("virtual_ipaddress_excluded", places[1:] + [str(place) for place in instance.other_places]))
    return lines


# ---------------------------------------------------------------------------------------------------------------------
# services


def _warmup(pools):
    """Over how many seconds the first checks after a start or reload are spread, until which a new server gets no connections.

    keepalived would take a whole interval, which is the most that a service gets. All at once would be too many connections for the
    servers of a long list.
    """
    return max(1, sum(len(_intervals(pool)) for pool in pools) // _FIRST_CHECKS)


def _intervals(pool):
    return [check.interval for check in pool.checks.values() if check.type != "none"]


def _virtual_server(entry, pool, warmup):
    service, servers = entry
    ident = service.id
    name = "fwmark %d" % ident.fwmark if ident.fwmark else _endpoint(ident)
    lines = ["ip_family %s" % ("inet6" if ident.family == _literals.IPV6 else "inet")] if ident.fwmark else []
    if not ident.fwmark:
        lines.append("protocol %s" % _model.protocol_name(ident.protocol).upper())
    lines.append("lvs_sched %s" % service.scheduler)
    for flag in service.scheduler_flags:
        named = service.scheduler in _NAMED_FLAGS and flag != "flag_3"
        lines.append("%s-%s" % (service.scheduler, flag) if named else _FLAGS[flag])
    if service.persistence_timeout:
        lines.append("persistence_timeout %d" % service.persistence_timeout)
        if service.persistence_netmask != _literals.host_mask(ident.family):
            lines.append("persistence_granularity %s" % _netmask(service))
    if service.persistence_engine:
        lines.append("persistence_engine %s" % service.persistence_engine)
    if service.one_packet:
        lines.append("ops")
    lines += ["alpha", "inhibit_on_failure", "warmup %s" % _number(min([warmup] + _intervals(pool)))]
    if pool.quorum > 1:
        lines.append("quorum %d" % pool.quorum)
    if pool.guarded:
        lines.append("# max_unhealthy %d" % pool.max_unhealthy)
    if pool.sorry_server:
        lines.append("sorry_server %s" % _endpoint(pool.sorry_server.id))
        lines.append("sorry_server_lvs_method %s" % _method(pool.sorry_server))
    for each in sorted(servers, key=_model.server_order):
        lines.append(("real_server %s" % _endpoint(each), _real_server(servers[each], pool.checks[each])))
    return ("virtual_server %s" % name, lines)


def _endpoint(ident):
    return "%s %d" % (ident.address, ident.port) if ident.port else ident.address


def _netmask(service):
    if service.id.family == _literals.IPV6:
        return service.persistence_netmask
    return _literals.dotted_netmask(service.persistence_netmask)


def _method(server):
    if server.forward_method != "tun":
        return _FORWARD[server.forward_method]
    words = ["TUN type %s" % server.tunnel_type]
    if server.tunnel_port:
        words.append("port %d" % server.tunnel_port)
    if server.tunnel_type != "ipip":
        words.append(_TUNNEL_CHECKSUMS[server.tunnel_checksum])
    return " ".join(words)


def _real_server(server, check):
    lines = ["weight %d" % server.weight, "lvs_method %s" % _method(server)]
    if server.upper_threshold:
        lines.append("uthreshold %d" % server.upper_threshold)
    if server.lower_threshold:
        lines.append("lthreshold %d" % server.lower_threshold)
    lines.append(("FILE_CHECK", ["track_file %s" % server.id.address, "weight 1"]))
    return lines + _CHECKERS[check.type](check)


# ---------------------------------------------------------------------------------------------------------------------
# checks


def _times(check, timeout="connect_timeout"):
    return [
        "%s %s" % (timeout, _number(check.timeout)),
        "retry %d" % check.retries,
        "delay_before_retry %s" % _number(check.delay),
        "delay_loop %s" % _number(check.interval),
    ]


def _connecting(check):
    return ["connect_port %d" % check.port] + _times(check)


def _http(check, secure=False):
    url = ["path %s" % check.path]
    if check.host:
        url.append("virtualhost %s" % check.host)
    if check.status:
        url.append("status_code %s" % " ".join(check.status))
    if check.digest:
        url.append("digest %s" % check.digest)
    if check.text:
        url.append('regex "%s"' % _escaped(check.text))
    return _connecting(check) + (["enable_sni"] if secure and check.host else []) + [("url", url)]


def _escaped(text):
    """Text between double quotes, where keepalived reads escapes. A quote and a dollar sign written plainly have a meaning before that."""
    return text.replace("\\", "\\\\").replace('"', "\\042").replace("$", "\\044")


def _command(words):
    """A command between double quotes, where a second reading takes it apart."""
    return " ".join("'%s'" % word if not word or " " in word else word for word in words)


_CHECKERS = {
    "tcp": lambda check: [("TCP_CHECK", _connecting(check))],
    "http": lambda check: [("HTTP_GET", _http(check))],
    "https": lambda check: [("SSL_GET", _http(check, secure=True))],
    "smtp": lambda check: [("SMTP_CHECK", _connecting(check))],
    "dns": lambda check: [("DNS_CHECK", ["type %s" % check.record, "name %s" % check.name] + _connecting(check))],
    "udp": lambda check: [("UDP_CHECK", _connecting(check))],
    "ping": lambda check: [("PING_CHECK", _times(check))],
    "script": lambda check: [("MISC_CHECK", ['misc_path "%s"' % _command(check.command), "user %s" % _SCRIPT_USER] + _times(check, "misc_timeout"))],
    "none": lambda check: [],
}
