# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of keepalived, and what is known of them. Pure."""

from __future__ import annotations

import re

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

OLDEST = (2, 2, 7)
"""The oldest version whose configuration we write."""

_PRINTED = re.compile(r"^Keepalived v([0-9]+)\.([0-9]+)\.([0-9]+)", re.MULTILINE)
_TEST_CURE = (2, 2, 8)
# https://github.com/acassen/keepalived/issues/2601
_SORRY_CRASH, _SORRY_CURE = (2, 3, 0), (2, 3, 4)


def parse(printed):
    """The version, a tuple of three numbers, in what ``keepalived --version`` prints. Raises IpvsError."""
    found = _PRINTED.search(printed)
    if not found:
        raise IpvsError("keepalived does not report its version: %.200s" % printed.strip())
    version = tuple(int(number) for number in found.groups())
    if version < OLDEST:
        raise IpvsError("keepalived is %s; version %s or newer is required" % (text(version), text(OLDEST)))
    return version


def text(version):
    """The version as people write it."""
    return ".".join(str(number) for number in version)


def crashes_without_sorry_server(version):
    """Whether the checker crashes when a reload takes away a sorry server that is in use. Its servers stay in the table, unchecked."""
    return _SORRY_CRASH <= version < _SORRY_CURE


def commands_end_its_test(version):
    """Whether ``--config-test`` ends itself by SIGTERM, right or wrong, where a check of type script runs as another user than root.

    It has read everything by then, and written what is wrong. With ``reload_check_config`` such a configuration is never reloaded.
    """
    return version < _TEST_CURE
