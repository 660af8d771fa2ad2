# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which other programs keep virtual services in a network namespace's table. In doubt, a program does.

Sources: keepalived(8) and keepalived.conf(5) of 2.2 and 2.3, ldirectord(8), the flags of kube-router and its interface.
"""

from __future__ import annotations

import getopt
import glob
import os
import re
from typing import List, NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns

_INTERFACES = {"kube-ipvs0": "kube-proxy", "kube-dummy-if": "kube-router"}
_KEEPALIVED_CONFIGURATIONS = ("/etc/keepalived/keepalived.conf", "/usr/local/etc/keepalived/keepalived.conf")
_KEEPALIVED_SHORT = "lndu:DRS:f:p:i:es:mMgGtPCr:VXac:ITBb:xA:"
_KEEPALIVED_LONG = (
    "use-file= vrrp check no_bfd all log-console log-detail log-facility= log-file all-config flush-log-file no-syslog umask= release-vips "
    "dont-release-vrrp dont-release-ipvs dont-respawn dont-fork dump-conf pid= vrrp_pid= checkers_pid= address-monitoring bfd_pid= snmp "
    "snmp-agent-socket= core-dump core-dump-pattern namespace= config-id= config-test ignore-sigint"
).split()


def find(netns, proc="/proc"):
    """The owners, as words for the user, such as ``keepalived (virtual servers in /etc/keepalived/keepalived.conf)``."""
    owners = set()
    with _netns.inside(netns):
        with open("/proc/thread-self/net/dev", encoding="utf-8") as devices:
            names = {line.partition(":")[0].strip() for line in devices}
        here = os.stat("/proc/thread-self/ns/net").st_ino
    for interface, program in _INTERFACES.items():
        if interface in names:
            owners.add("%s (interface %s)" % (program, interface))
    for process in _processes(proc):
        owner = _owner(process)
        if owner is not None and _namespace(process) in (here, None):
            owners.add(owner)
    return sorted(owners)


class _Process(NamedTuple):
    """A process: its directory in /proc, what it calls itself and the name of its program, its command line."""

    path: str
    names: frozenset
    words: List[str]


def _processes(proc):
    for pid in os.listdir(proc):
        path = os.path.join(proc, pid)
        if not pid.isdigit():
            continue
        try:
            with open(path + "/comm", encoding="utf-8", errors="replace") as comm, open(path + "/cmdline", "rb") as cmdline:
                # ldirectord adds to its name what it looks after
                names, words = comm.read().split()[:1], os.fsdecode(cmdline.read()).split("\0")[:-1]
        except OSError:
            continue  # it ended meanwhile
        try:
            program = os.readlink(path + "/exe")
            names.append(os.path.basename(program[: -len(" (deleted)")] if program.endswith(" (deleted)") else program))
        except OSError:
            pass  # it has ended, or isn't ours to look into: then by its name alone
        if words:  # the kernel's own have none
            yield _Process(path, frozenset(names), words)


def _namespace(process):
    """The number of the process's network namespace; None where that can't be told."""
    try:
        return os.stat(process.path + "/ns/net").st_ino
    except OSError:
        return None


def _owner(process):
    """What to say of a process that keeps services, or None."""
    if "ldirectord" in process.names:
        return "ldirectord (running)"
    if "kube-router" in process.names:
        return None if _is_without_service_proxy(process.words) else "kube-router (running, with its service proxy)"
    if any(name == "keepalived" or name.startswith("keepalived_") for name in process.names):
        try:
            file = _virtual_servers(process)
        except _Unreadable as error:
            return "keepalived (running; its configuration can't be read: %s)" % error
        return "keepalived (running, with virtual servers in %s)" % file if file else None
    return None


def _is_without_service_proxy(words):
    values = [word.partition("=")[2] for word in words if word.startswith("--run-service-proxy=")]
    return bool(values) and values[-1].lower() in ("false", "f", "0")


# ---------------------------------------------------------------------------------------------------------------------
# keepalived


class _Unreadable(Exception):
    """Why nobody knows what a keepalived is configured to do."""


def _virtual_servers(process):
    """The file in which a keepalived finds a virtual server; None where it has none. Raises _Unreadable."""
    try:
        given = getopt.gnu_getopt(process.words[1:], _KEEPALIVED_SHORT, _KEEPALIVED_LONG)[0]
    except getopt.GetoptError as error:
        raise _Unreadable("command line: %s" % error) from error
    names = [name for name, _value in given]
    if ("-P" in names or "--vrrp" in names) and "--all" not in names:
        return None  # it runs VRRP and nothing else
    if "-t" in names or "--config-test" in names:
        return None  # it looks at a file and ends
    files = _Files(process.path)
    named = [value for name, value in given if name in ("-f", "--use-file")]
    if named:
        return files.search(named[-1], files.directory)
    there = [path for path in _KEEPALIVED_CONFIGURATIONS if files.exists(path)]
    found = [files.search(path, "/") for path in there or _KEEPALIVED_CONFIGURATIONS[:1]]
    return next((path for path in found if path), None)


_WITHOUT_COMMENT = re.compile(r'(?:\\.|\\$|"(?:\\.|\\$|[^"\\])*(?:"|$)|[^"\\#!])*')
_INCLUDE = re.compile(r"include[rmwba]?\s+(.*)")
_VIRTUAL_SERVER = re.compile(r"(?<![\w./-])virtual_server(?![\w./-])")


class _Files:
    """The files of a process, by the names that it has for them: those of its root directory, which may not be ours."""

    def __init__(self, path):
        self._seen = set()
        try:
            self.directory = os.readlink(path + "/cwd")
            same = os.path.samefile(path + "/root", "/") and os.path.samefile(path + "/ns/mnt", "/proc/self/ns/mnt")
        except OSError as error:
            raise _Unreadable(error.strerror) from error
        self._root = "" if same else path + "/root"

    def exists(self, name):
        return os.path.lexists(self._root + name)

    def search(self, pattern, directory):
        """The file with a virtual server among those that the pattern names, and those that they include; None where there is none."""
        name = os.path.normpath(os.path.join(directory, pattern))
        if re.search(r"[{}$~]", name):
            raise _Unreadable("%s: not a name of files" % pattern)
        if glob.has_magic(name):
            names = sorted(path[len(self._root) :] for path in glob.glob(glob.escape(self._root) + name))
            names = [name for name in names if not os.path.isdir(self._root + name)]
        else:
            names = [name]
        for name in names:
            found = self._search_file(name)
            if found:
                return found
        return None

    def _search_file(self, name):
        if name in self._seen:
            return None
        self._seen.add(name)
        for line in self._lines(name):
            line = _WITHOUT_COMMENT.match(line).group().strip()
            if _VIRTUAL_SERVER.search(line):
                return name
            include = _INCLUDE.match(line)
            found = self.search(include.group(1), os.path.dirname(name)) if include else None
            if found:
                return found
        return None

    def _lines(self, name):
        if self._root:
            parts = name.split("/")
            for depth in range(2, len(parts) + 1):
                if os.path.islink(self._root + "/".join(parts[:depth])):
                    raise _Unreadable("%s: a symbolic link in another file system" % name)  # which would lead us into our own
        try:
            with open(self._root + name, encoding="utf-8", errors="replace") as stream:
                return stream.read().splitlines()
        except OSError as error:
            raise _Unreadable("%s: %s" % (name, error.strerror)) from error
