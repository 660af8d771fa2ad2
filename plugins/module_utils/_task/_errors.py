# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong, as exceptions. Their text is what the user reads; ``_runner`` turns them into ``fail_json``."""

from __future__ import annotations


class IpvsError(Exception):
    """A failure that the user must be told of.

    ``str(error)`` is the whole message. ``details`` is a dict that goes into the task's result beside ``msg``.
    """

    def __init__(self, message, **details):
        super().__init__(message)
        self.details = details


class OptionError(IpvsError):
    """Bad input: the option (a path such as ``services[2].servers[0].port``), its value, and what would be right."""

    def __init__(self, option, value, remedy):
        super().__init__("%s: %r: %s" % (option, value, remedy))
        self.option = option
        self.value = value
        self.remedy = remedy


class UndoneError(IpvsError):
    """An error after which what was done before it was taken back. ``left``: texts of what of that failed; empty ones count for nothing."""

    def __init__(self, error, left):
        failed = "; ".join(filter(None, left))
        super().__init__("%s. %s" % (error, "Undoing the rest failed in part: " + failed if failed else "The rest was undone."))


class MissingLibrary(IpvsError):
    """A Python library that the task needs is not on the node. ``library``: its import name; ``trace``: why the import failed."""

    def __init__(self, library, package, trace):
        super().__init__("%s is not installed" % library)
        self.library = library
        self.package = package
        self.trace = trace


class NoIpvs(IpvsError):
    """The running kernel has no IPVS, neither loaded nor loadable."""
