# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a keepalived that runs: which files it is in, and what they say. Reads files, changes nothing.

Sources: keepalived(8) and keepalived.conf(5) of 2.2 and 2.3.
"""

from __future__ import annotations

import getopt
import glob
import os
import re

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _keepalived_text

_CONFIGURATIONS = ("/etc/keepalived/keepalived.conf", "/usr/local/etc/keepalived/keepalived.conf")
_SHORT = "lndu:DRS:f:p:i:es:mMgGtPCr:VXac:ITBb:xA:"
_LONG = (
    "use-file= vrrp check no_bfd all log-console log-detail log-facility= log-file all-config flush-log-file no-syslog umask= release-vips "
    "dont-release-vrrp dont-release-ipvs dont-respawn dont-fork dump-conf pid= vrrp_pid= checkers_pid= address-monitoring bfd_pid= snmp "
    "snmp-agent-socket= core-dump core-dump-pattern namespace= config-id= config-test ignore-sigint"
).split()


class Unreadable(Exception):
    """Why nobody knows what a keepalived is configured to do."""


def virtual_servers(path, words):
    """The file in which a keepalived finds a virtual server; None where it has none. Raises Unreadable.

    ``path``: the process's directory in /proc; ``words``: its command line.
    """
    return next((name for name, line in _lines(path, words) if _VIRTUAL_SERVER.search(line)), None)


def services(path, words):
    """{ServiceId: Service} of a keepalived, as _keepalived_text has them. Raises Unreadable."""
    return _keepalived_text.services(line for _name, line in _lines(path, words))


def _lines(path, words):
    """(name of the file, line without comment) of all that a process is configured by, as far as it runs a checker."""
    try:
        given = getopt.gnu_getopt(words[1:], _SHORT, _LONG)[0]
    except getopt.GetoptError as error:
        raise Unreadable("command line: %s" % error) from error
    names = [name for name, _value in given]
    if ("-P" in names or "--vrrp" in names) and "--all" not in names:
        return  # it runs VRRP and nothing else
    if "-t" in names or "--config-test" in names:
        return  # it looks at a file and ends
    files = _Files(path)
    named = [value for name, value in given if name in ("-f", "--use-file")]
    if named:
        yield from files.lines(named[-1], files.directory)
        return
    there = [path for path in _CONFIGURATIONS if files.exists(path)]
    for path in there or _CONFIGURATIONS[:1]:
        yield from files.lines(path, "/")


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
            raise Unreadable(error.strerror) from error
        self._root = "" if same else path + "/root"

    def exists(self, name):
        return os.path.lexists(self._root + name)

    def lines(self, pattern, directory):
        """(name, line) of the files that the pattern names, and of those that they include."""
        name = os.path.normpath(os.path.join(directory, pattern))
        if re.search(r"[{}$~]", name):
            raise Unreadable("%s: not a name of files" % pattern)
        if glob.has_magic(name):
            names = sorted(path[len(self._root) :] for path in glob.glob(glob.escape(self._root) + name))
            names = [name for name in names if not os.path.isdir(self._root + name)]
        else:
            names = [name]
        for name in names:
            if name not in self._seen:
                self._seen.add(name)
                yield from self._lines_of(name)

    def _lines_of(self, name):
        for line in self._read(name):
            line = _keepalived_text.without_comment(line)
            yield name, line
            include = _INCLUDE.match(line)
            if include:
                yield from self.lines(include.group(1), os.path.dirname(name))

    def _read(self, name):
        if self._root:
            parts = name.split("/")
            for depth in range(2, len(parts) + 1):
                if os.path.islink(self._root + "/".join(parts[:depth])):
                    raise Unreadable("%s: a symbolic link in another file system" % name)  # which would lead us into our own
        try:
            with open(self._root + name, encoding="utf-8", errors="replace") as stream:
                return stream.read().splitlines()
        except OSError as error:
            raise Unreadable("%s: %s" % (name, error.strerror)) from error
