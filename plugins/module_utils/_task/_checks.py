# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of option values that several files share."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


def in_range(value, low, high, option, what):
    """Raise OptionError for a value that is not from ``low`` to ``high``. ``what``: what the option is, as "a port"."""
    if not low <= value <= high:
        raise OptionError(option, value, "%s is a number from %d to %d" % (what, low, high))


def within(path, function, options):
    """``function(options)``, whose OptionError is raised with ``path`` in front of the option's name."""
    try:
        return function(options)
    except OptionError as error:
        raise OptionError("%s.%s" % (path, error.option), error.value, error.remedy) from error
