# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a list of services asks of a health checker: how each server is checked, and what follows when too many fail. Pure."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _check_values
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


class Check(NamedTuple):
    """How one real server is checked. ``port`` is 0 for types that have none; fields that its type does not use are None.

    ``status`` is a tuple of codes and ranges, ``command`` one of words. ``interval``, ``timeout`` and ``delay`` are seconds.
    """

    type: str
    port: int = 0
    path: Optional[str] = None
    host: Optional[str] = None
    status: Optional[Tuple[str, ...]] = None
    digest: Optional[str] = None
    text: Optional[str] = None
    name: Optional[str] = None
    record: Optional[str] = None
    command: Optional[Tuple[str, ...]] = None
    interval: float = 2
    timeout: float = 2
    retries: int = 1
    delay: float = 1


class Pool(NamedTuple):
    """The servers of one virtual service as a checker sees them.

    ``quorum``: the weight of healthy servers that the service needs. ``max_unhealthy``: percent of the weight, None: no limit.
    """

    checks: Dict[_model.ServerId, Check]
    sorry_server: Optional[_model.Server] = None
    quorum: int = 1
    max_unhealthy: Optional[int] = None

    @property
    def guarded(self):
        """Whether there is a share that checks must not exceed."""
        return self.max_unhealthy not in (None, 100)


NONE = Check("none")

_TIMES = ("interval", "timeout", "retries", "delay")
_HTTP = ("port", "path", "host", "status", "digest", "text") + _TIMES
_USED = {
    "tcp": ("port",) + _TIMES,
    "http": _HTTP,
    "https": _HTTP,
    "smtp": ("port",) + _TIMES,
    "dns": ("port", "name", "record") + _TIMES,
    "udp": ("port",) + _TIMES,
    "ping": _TIMES,
    "script": ("command",) + _TIMES,
    "none": (),
}
_REQUIRED = {"dns": ("name",), "script": ("command",)}
_DEFAULTS = {"http": {"path": "/"}, "https": {"path": "/"}, "dns": {"record": "A"}}
_VALUES = {
    "port": _check_values.number(1, _literals.MAX_PORT, "a port that is checked"),
    "path": _check_values.path,
    "host": _check_values.host,
    "status": _check_values.status,
    "digest": _check_values.digest,
    "text": _check_values.text,
    "name": _check_values.name,
    "command": _check_values.command,
    "interval": _check_values.seconds(0.1, 86400),
    "timeout": _check_values.seconds(0.1, 3600),
    "retries": _check_values.number(0, 1000, "the number of retries"),
    "delay": _check_values.seconds(0, 3600),
}


def pools(services, path="services"):
    """{ServiceId: Pool} of a list of services that ``_model`` has found right. Raises OptionError for the first mistake in a check."""
    return dict(_pool(options, "%s[%d]." % (path, index)) for index, options in enumerate(services))


def _pool(options, path):
    service = _model.service_id(options, path)
    base = _given(options, path)
    default = "tcp" if service.protocol == _model.PROTOCOLS["tcp"] else "none"
    _check_used(base, base.get("type") or default, path)
    checks = {}
    for index, server_options in enumerate(options.get("servers") or ()):
        where = "%sservers[%d]." % (path, index)
        server = _model.server_id(server_options, service, where)
        own = _given(server_options, where)
        checks[server] = _check(base, own, default, server, where if own else path)
    sorry_server = _sorry_server(options.get("sorry_server"), service, path)
    return service, Pool(checks, sorry_server, *_limits(options, path))


def _given(options, path):
    """The options of a check that are given, each as a Check has it."""
    given = {name: value for name, value in (options.get("check") or {}).items() if value is not None}
    return {name: _VALUES[name](value, "%scheck.%s" % (path, name)) if name in _VALUES else value for name, value in given.items()}


def _check(base, own, default, server, path):
    """The Check that a server's ``own`` options make, put over the service's."""
    kind = own.get("type") or base.get("type") or default
    _check_used(own, kind, path)
    used = _USED[kind]
    merged = dict(_DEFAULTS.get(kind, {}))
    for given in (base, own):
        merged.update((name, value) for name, value in given.items() if name in used)
    for name in _REQUIRED.get(kind, ()):
        if name not in merged:
            raise OptionError("%scheck.%s" % (path, name), None, "a check of type %s needs it" % kind)
    if "port" in used and not merged.setdefault("port", server.port):
        raise OptionError("%scheck.port" % path, None, "the server %s has no port to check; give one" % server.address)
    if kind == "script" and merged.get("timeout", 1) != int(merged.get("timeout", 1)):
        raise OptionError("%scheck.timeout" % path, merged["timeout"], "a script's timeout is a whole number of seconds")
    return Check(kind, **merged)


def _check_used(given, kind, path):
    for name, value in given.items():
        if name != "type" and name not in _USED[kind]:
            option = "%scheck.%s" % (path, name)
            if kind == "none":
                raise OptionError(option, value, "with type none nothing is checked; none is the default of a service that is not TCP")
            raise OptionError(option, value, "a check of type %s has only %s" % (kind, ", ".join(_USED[kind])))


def _sorry_server(options, service, path):
    if options is None:
        return None
    where = path + "sorry_server."
    server = _model.overlay_server(_model.desired_server(options, service, where))
    _model.check_server(server, service, path=where)
    return server


def _limits(options, path):
    quorum, share = options.get("quorum"), options.get("max_unhealthy")
    if quorum is not None:
        _checks.in_range(quorum, 1, _model.MAX_WEIGHT, path + "quorum", "a quorum, the weight of healthy servers,")
    if share is not None:
        _checks.in_range(share, 1, 100, path + "max_unhealthy", "a share in percent")
        for other in ("quorum", "sorry_server"):
            if options.get(other) is not None:
                raise OptionError(
                    path + "max_unhealthy", share, "%s also defines what happens when too many servers fail; set only one of them" % other
                )
    return quorum or 1, share
