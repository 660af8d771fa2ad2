# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pieces of argument specs that every module shares. Each function makes a new dict, so that a module can add to it."""

from __future__ import annotations

from ansible.module_utils.common.validation import check_type_float, check_type_int

_BOUND = 2**63


class _Number(str):
    """The type of a finite number. ansible-core's own ``int`` answers an infinite number with a traceback; its ``float`` takes it.

    A callable, which argument specs allow as a type; a string all the same, because tools compare it with the documentation.
    """

    @property
    def __name__(self):
        return str(self)

    def __call__(self, value):
        try:
            number = check_type_int(value) if self == "int" else check_type_float(value)
        except OverflowError:
            number = _BOUND
        if not abs(number) < _BOUND:  # nan is not below anything
            raise TypeError("%.40s is not a number that can be used here" % value)
        return number


INT, FLOAT = _Number("int"), _Number("float")
"""For options that take a number, instead of "int" and "float"."""


def netns():
    """The network namespace, which every module that touches the table takes."""
    return {"netns": {"type": "str"}}


def state(*choices):
    """The state option; the first choice is the default."""
    return {"state": {"type": "str", "choices": list(choices), "default": choices[0]}}
