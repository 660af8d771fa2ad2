# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's IPVS over netlink: dumps, batched operations, and its errors as typed exceptions.

pyroute2 opens the socket, binds it and resolves the family; its ``sendto`` and ``recv`` carry messages that ``_schema``
packs. It is imported when a Kernel is made and not before: a task that never makes one works without it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import struct

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod, _netns
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _plan, _schema, _wire
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _pyroute2
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, NoIpvs

_PROC = "/proc/thread-self/net/ip_vs"
_TIME_LIMIT = 30  # seconds for one answer; the kernel answers within the send, so this only ends a wait that would never end
_BATCH = 16384  # bytes of requests in one send
_BUFFER = 131072  # the kernel fills at most 32 KiB of a dump at once
_DUMP_TRIES = 5
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10


class KernelError(IpvsError):
    """The kernel refused an operation. ``errno``: its number."""

    def __init__(self, number, operation, hint=None):
        """``operation``: what was asked, an Operation or a text."""
        text = "%s: the kernel answered %s (%s)" % (operation, errno.errorcode.get(number, number), os.strerror(number))
        super().__init__("%s. %s" % (text, hint) if hint else text)
        self.errno = number


def loaded(netns=None):
    """Whether the running kernel has IPVS loaded or built in. Looks without making the kernel load it."""
    with _netns.inside(netns):
        return os.path.exists(_PROC)


@contextlib.contextmanager
def gc_paused():
    """Hold back Python's search for cycles, which walks over a growing table again and again and finds none in it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Kernel:
    """The IPVS table of the running kernel, in one network namespace. Making one loads the ip_vs module where needed.

    ``netns``: a name under /run/netns, a path, or None for the current namespace. Raises NoIpvs, MissingLibrary, or an
    IpvsError where the privilege is missing. Use it as a context manager, or call ``close``.
    """

    def __init__(self, netns=None):
        GenericNetlinkSocket, genlmsg, NetlinkError = _pyroute2.load()
        with _netns.inside(netns):
            self._socket = GenericNetlinkSocket()
            try:
                self._socket.bind(_schema.FAMILY, genlmsg)
            except NetlinkError as error:
                self._socket.close()
                if error.code != errno.ENOENT:
                    raise KernelError(error.code, "looking for IPVS") from error
                raise NoIpvs("this kernel has no IPVS: %s" % _why_not_loaded()) from error
        self._family = self._socket.prid
        self._sequence = 1000
        # pyroute2 0.9 leaves the socket non-blocking for its event loop; ours are plain blocking calls with a time limit
        os.set_blocking(self._descriptor(), True)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _TIME_LIMIT, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)

    def _descriptor(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    # -----------------------------------------------------------------------------------------------------------------
    # reading

    @gc_paused()
    def read(self, idents=None):
        """The Table of all services with their servers, or of those services in ``idents`` that are there."""
        table = {}
        for service, _statistics in self._services(idents):
            servers = {}
            for message in self._servers(service.id):
                server = _schema.unpack_server(message, service.id.family)
                servers[server.id] = server
            table[service.id] = _model.Entry(service, servers)
        return table

    @gc_paused()
    def statistics(self, idents=None):
        """Counters and connections, as a dict: ServiceId -> (Statistics, {ServerId: (Connections, Statistics)})."""
        found = {}
        for service, statistics in self._services(idents):
            servers = {}
            for message in self._servers(service.id):
                server, connections, counters = _schema.unpack_server_use(message, service.id.family)
                servers[server.id] = (connections, counters)
            found[service.id] = (statistics, servers)
        return found

    def connections(self, ident, server_id):
        """(Server, Connections) of one real server of the service ``ident``, as of the same moment, or None where it isn't there."""
        for message in self._servers(ident):
            server, connections, _counters = _schema.unpack_server_use(message, ident.family)
            if server.id == server_id:
                return server, connections
        return None

    @gc_paused()
    def uses(self, idents):
        """{ServiceId: {ServerId: (Server, Connections)}} of these services, one dump for each; empty where a service isn't there."""
        found = {}
        for ident in idents:
            servers = found[ident] = {}
            for message in self._servers(ident):
                server, connections, _counters = _schema.unpack_server_use(message, ident.family)
                servers[server.id] = (server, connections)
        return found

    def _services(self, idents):
        if idents is None:
            return [_schema.unpack_service(message) for message in self._dump(_schema.CMD_GET_SERVICE)]
        found = []
        for ident in idents:
            attributes = _schema.pack_service_id(ident)
            try:
                found.append(_schema.unpack_service(self._get(_schema.CMD_GET_SERVICE, attributes, f"read service {ident}")))
            except KernelError as error:
                if error.errno != errno.ESRCH:
                    raise
        return found

    def _servers(self, ident):
        messages = self._dump(_schema.CMD_GET_DEST, _schema.pack_service_id(ident))
        messages.reverse()  # the kernel tells the newest first
        return messages

    def timeouts(self):
        """The connection timeouts: a whole Timeouts."""
        return _schema.unpack_timeouts(self._get(_schema.CMD_GET_CONFIG, b"", "read timeouts"))

    def daemons(self):
        """The sync daemons that run: a dict, role -> whole Daemon."""
        found = [_schema.unpack_daemon(message) for message in self._dump(_schema.CMD_GET_DAEMON)]
        return {daemon.role: daemon for daemon in found}

    def info(self):
        """(version of IPVS as text, number of rows in the connection table)."""
        return _schema.unpack_info(self._get(_schema.CMD_GET_INFO, b"", "read version"))

    def _get(self, command, attributes, what):
        try:
            sequence = self._send(command, 0, attributes)
            message = next(self._receive(sequence))
        except OSError as error:
            raise _error(error.errno, what) from error
        if message.type == _wire.NLMSG_ERROR:
            raise _error(_wire.error_number(message), what)
        return message

    def _dump(self, command, attributes=b""):
        for _attempt in range(_DUMP_TRIES):
            rows, whole = [], True
            try:
                sequence = self._send(command, _wire.NLM_F_DUMP, attributes)
                for message in self._receive(sequence):
                    whole = whole and not message.flags & _wire.NLM_F_DUMP_INTR
                    if message.type in (_wire.NLMSG_DONE, _wire.NLMSG_ERROR):
                        number = _wire.error_number(message)
                        if number:
                            raise _error(number, "read the table")
                        break
                    rows.append(message)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise _error(error.errno, "read the table") from error
                whole = False
            if whole:
                return rows
        raise IpvsError("the IPVS table changed at every one of %d tries to read it" % _DUMP_TRIES)

    # -----------------------------------------------------------------------------------------------------------------
    # writing

    def apply(self, operations):
        """Carry out the operations in order, many in one send. Stops with the send in which one failed.

        Returns a list, in the operations' order, of what became of each: 0 (done), an errno, or None (nobody knows: the
        answer was lost). It is shorter than ``operations`` where the rest was not tried.
        """
        outcomes = []
        for batch in _batches(map(_request, operations)):
            outcomes += self._send_batch(batch)
            if any(outcomes[-len(batch):]) or None in outcomes[-len(batch):]:
                break
        return outcomes

    def _send_batch(self, batch):
        # Every failure is answered, success only where NLM_F_ACK asks for it. One more message, which does nothing, asks for it
        # and closes the batch: once it is answered, silence about another means success. A lost answer shows as ENOBUFS.
        # The last operation itself can't close it: stopping a sync daemon that hasn't run yet ends in EINTR inside the kernel,
        # which netlink never answers.
        first = self._sequence + 1
        closing = self._sequence = first + len(batch)
        parts = []
        for number, (command, attributes) in enumerate(batch):
            parts.append(_wire.pack_message(self._family, _schema.VERSION, command, first + number, 0, attributes))
        parts.append(_wire.pack_noop(closing))
        try:
            self._socket.sendto(b"".join(parts), (0, 0))
        except OSError as error:
            return [error.errno] * len(batch)  # nothing of it has reached the kernel
        outcomes = [0] * len(batch)
        try:
            for message in self._receive(first, len(batch) + 1):
                if message.sequence == closing:
                    return outcomes
                if message.type == _wire.NLMSG_ERROR:
                    outcomes[message.sequence - first] = _wire.error_number(message)
        except (OSError, IpvsError):
            pass  # an answer was lost, or cannot be read
        return [outcome or None for outcome in outcomes]

    # -----------------------------------------------------------------------------------------------------------------
    # messages

    def _send(self, command, flags, attributes):
        self._sequence += 1
        self._socket.sendto(_wire.pack_message(self._family, _schema.VERSION, command, self._sequence, flags, attributes), (0, 0))
        return self._sequence

    def _receive(self, first, count=1):
        """Messages with a sequence number of ours, without end; others (left from a broken-off answer) are passed over."""
        while True:
            try:
                messages = _wire.split_messages(self._socket.recv(_BUFFER))
            except ValueError as error:
                raise IpvsError("the kernel's answer can't be read: %s" % error) from error
            for message in messages:
                if first <= message.sequence < first + count:
                    yield message


def _why_not_loaded():
    if _kmod.state("ip_vs") == "loadable":
        return "its module ip_vs is installed but could not be loaded; 'modprobe ip_vs' and 'modprobe -c | grep ip_vs' tell why"
    return _kmod.missing_hint("ip_vs")


def _batches(requests):
    batch, size = [], 0
    for request in requests:
        length = 24 + len(request[1])
        if batch and size + length > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(request)
        size += length
    if batch:
        yield batch


def _request(operation):
    """(command, attributes) of an operation."""
    kind, ident, before, after = operation
    if kind == _plan.ADD_SERVER:
        return _schema.CMD_NEW_DEST, _schema.pack_service_id(ident) + _schema.pack_server(after)
    if kind == _plan.EDIT_SERVER:
        return _schema.CMD_SET_DEST, _schema.pack_service_id(ident) + _schema.pack_server(after)
    if kind == _plan.DELETE_SERVER:
        return _schema.CMD_DEL_DEST, _schema.pack_service_id(ident) + _schema.pack_server_id(before.id)
    if kind == _plan.ADD_SERVICE:
        return _schema.CMD_NEW_SERVICE, _schema.pack_service(after)
    if kind == _plan.EDIT_SERVICE:
        return _schema.CMD_SET_SERVICE, _schema.pack_service(after)
    if kind == _plan.DELETE_SERVICE:
        return _schema.CMD_DEL_SERVICE, _schema.pack_service_id(ident)
    if kind == _plan.SET_TIMEOUTS:
        return _schema.CMD_SET_CONFIG, _schema.pack_timeouts(after)
    if kind == _plan.START_DAEMON:
        return _schema.CMD_NEW_DAEMON, _schema.pack_daemon(after)
    if kind == _plan.STOP_DAEMON:
        return _schema.CMD_DEL_DAEMON, _schema.pack_daemon_role(before.role)
    if kind == _plan.FLUSH:
        return _schema.CMD_FLUSH, b""
    return _schema.CMD_ZERO, _schema.pack_service_id(ident) if ident else b""


def operation_error(number, operation):
    """The KernelError for an operation's outcome, with what is known of its cause. ``number`` is None where it is not known."""
    if number is None:
        return IpvsError(f"{operation}: the kernel's answer was lost")
    return _error(number, operation)


def _error(number, operation):
    hint = None
    kind = getattr(operation, "kind", None)
    if number in (errno.EPERM, errno.EACCES):
        hint = "IPVS needs root (CAP_NET_ADMIN) in the initial user namespace: use become"
    elif number == errno.ENOENT and kind in (_plan.ADD_SERVICE, _plan.EDIT_SERVICE):
        hint = _missing_part(operation.after)
    elif number == errno.EAFNOSUPPORT:
        hint = "This kernel's IPVS has no support for IPv6"
    elif number == errno.ENODEV and kind == _plan.START_DAEMON:
        hint = "interface: %r: there is no such interface in this network namespace" % operation.after.interface
    elif number in (errno.ENETUNREACH, errno.EADDRNOTAVAIL) and kind == _plan.START_DAEMON:
        hint = "multicast_group: %r: interface %r has no address of that family" % (
            operation.after.multicast_group,
            operation.after.interface,
        )
    elif number == errno.EINVAL and kind == _plan.SET_TIMEOUTS:
        hint = "This kernel takes no timeout that is so long"
    elif number == errno.EINVAL and kind == _plan.ADD_SERVER:
        hint = (
            "The kernel refuses a server whose address is not unicast, and one of the other address family while a sync daemon runs"
        )
    return KernelError(number, operation, hint)


def _missing_part(service):
    """Which of the scheduler and the persistence engine the kernel lacks, as an option's error. It looks for the scheduler first."""
    scheduler = service.scheduler
    if service.persistence_engine and (scheduler == "none" or _kmod.state(_kmod.module_of("scheduler", scheduler)) in ("loaded", "builtin")):
        return str(_kmod.lacking("persistence_engine", service.persistence_engine))
    return str(_kmod.lacking("scheduler", scheduler))
