# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pieces of argument specs that every module shares. Each function makes a new dict, so that a module can add to it."""

from __future__ import annotations

from ansible.module_utils.common.validation import check_type_dict, check_type_float, check_type_int

_BOUND = 2**63


class _Type(str):
    """A callable, which argument specs allow as a type; a string all the same, because tools compare it with the documentation."""

    @property
    def __name__(self):
        return str(self)


class _Number(_Type):
    """The type of a finite number. ansible-core's own ``int`` answers an infinite number with a traceback; its ``float`` takes it."""

    def __call__(self, value):
        try:
            number = check_type_int(value) if self == "int" else check_type_float(value)
        except OverflowError:
            number = _BOUND
        if not abs(number) < _BOUND:  # nan is not below anything
            raise TypeError("%.40s is not a number that can be used here" % value)
        return number


class _Options(_Type):
    """The type of a dict with options of its own. ansible-core's own leaves what is none in its place, and looks for the options in it: a
    traceback for what is not even a text, while of a text it says what should be there."""

    def __call__(self, value):
        return check_type_dict(value) if isinstance(value, (dict, str)) else str(value)


INT, FLOAT, DICT = _Number("int"), _Number("float"), _Options("dict")
"""For options that take a number, or have options of their own, instead of "int", "float" and "dict"."""


def netns():
    """The network namespace, which every module that touches the table takes."""
    return {"netns": {"type": "str"}}


def state(*choices):
    """The state option; the first choice is the default."""
    return {"state": {"type": "str", "choices": list(choices), "default": choices[0]}}
