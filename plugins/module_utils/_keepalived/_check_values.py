# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the options of a check may hold, so that nothing in them can become configuration of its own. Pure.

keepalived reads lines of at most 1023 bytes. In a line, ``!`` and ``#`` begin a comment, ``{`` and ``}`` a block, ``$`` a parameter, and
which of them quotes protect depends on the statement and the version (lib/parser.c). So a value has only characters that need no
quotes; the regular expression and the command, which need others, are refused the few that cannot be quoted everywhere.
"""

from __future__ import annotations

import re
import shlex
import warnings

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

MAX_LENGTH = 500
"""Of a value, in characters: escaped, and with what stands before it, it still fits into a line."""
_MAX_TEXT = 240  # each character may become four

_PATH = re.compile(r"/[A-Za-z0-9/._~%?&=+:,;@()*-]*\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?\Z")
_DIGEST = re.compile(r"[0-9A-Fa-f]{32}\Z")
_STATUS = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?\Z")
_PRINTABLE = re.compile(r"[ -~]+\Z")

_ESCAPES = set("dDwWsSbBAnrtfvx123456789")  # that PCRE2 and Python's re have in common, beside escaped punctuation
_GROUPS = re.compile(r"\(\?(?!:|=|!|<=|<!|[ims]+[:)])")
_POSIX = re.compile(r"\[([:.=]).*\1\]")
_REPEATS = re.compile(r"\{([0-9]*)(,?)([0-9]*)\}")
_MAX_REPEATS = 1000


def path(value, option):
    """The path and query of an HTTP request."""
    if len(value) > MAX_LENGTH or not _PATH.match(value):
        raise OptionError(
            option,
            value,
            "give a path that begins with /, of at most %d characters; percent-encode all but letters, digits and /._~%%?&=+:,;@()*-"
            % MAX_LENGTH,
        )
    return value


def host(value, option):
    """The name of a host, for the header Host and for SNI."""
    if len(value) > 253 or not _HOST.match(value):
        raise OptionError(option, value, "give the name of a host, such as www.example.com, without a port")
    return value


def name(value, option):
    """A name of the DNS."""
    if len(value) > 253 or not _NAME.match(value):
        raise OptionError(option, value, "give a name to look up, such as www.example.com")
    if value[1:2] == ".":
        raise OptionError(option, value, "keepalived misreads a name whose first label is a single character; give another name")
    return value


def digest(value, option):
    """An MD5 digest, in lower case."""
    if not _DIGEST.match(value):
        raise OptionError(option, value, "give the MD5 digest of the body as 32 hexadecimal digits")
    return value.lower()


def status(values, option):
    """Status codes and ranges of them, as a tuple of texts."""
    for value in values:
        found = _STATUS.match(value)
        if not found or int(found.group(1)) > int(found.group(2) or 599):
            raise OptionError(option, value, "give status codes from 100 to 599, or ranges of them such as 200-299")
    if not 1 <= len(values) <= 100:
        raise OptionError(option, list(values), "give 1 to 100 status codes or ranges, or omit the option for 200-299")
    return tuple(values)


def text(value, option):
    """A regular expression that means the same to Python and to PCRE2.

    keepalived 2.2.7 and 2.3.3 do not refuse one that PCRE2 cannot compile: they log it, and use memory that they have freed.
    """
    remedy = "give a regular expression of 1 to %d printable ASCII characters" % _MAX_TEXT
    if len(value) > _MAX_TEXT or not _PRINTABLE.match(value):
        raise OptionError(option, value, remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a future Python may read otherwise
            re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise OptionError(option, value, "%s; this one has an error: %s" % (remedy, error)) from error
    bare = re.sub(r"\\.", "..", value)
    if _unknown_escapes(value) or _GROUPS.search(bare) or _POSIX.search(bare):
        raise OptionError(
            option,
            value,
            r"use no escapes but \d \D \w \W \s \S \b \B \A \n \r \t \f \v \xHH \1 and escaped punctuation, no groups but (...), (?:...), "
            "(?=...), (?!...), (?<=...), (?<!...) and (?i) with i, m or s, and no [:class:]: PCRE2 and Python interpret others differently",
        )
    total = 1
    for low, comma, high in _REPEATS.findall(bare):
        if comma and not low:
            raise OptionError(option, value, "give the lower bound of each repetition, as in {0,3}")
        total *= max(int(low or 0), int(high or 0), 1)
    if total > _MAX_REPEATS:
        raise OptionError(option, value, "the repetitions in braces, multiplied, may not exceed %d" % _MAX_REPEATS)
    return value


def _unknown_escapes(value):
    return {char for char in re.findall(r"\\(.)", value) if char.isalnum()} - _ESCAPES


def command(value, option):
    """A program and its arguments, as a tuple of words."""
    remedy = "give the absolute path of a program and its arguments, quoted as in a shell, in printable ASCII characters"
    if not _PRINTABLE.match(value):
        raise OptionError(option, value, remedy)
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        raise OptionError(option, value, "%s; this one has an error: %s" % (remedy, error)) from error
    if not words or not words[0].startswith("/"):
        raise OptionError(option, value, remedy)
    for word in words:
        if set(word) & set("\"'\\$"):
            raise OptionError(option, value, "keepalived cannot pass on quotes, backslashes and dollar signs; wrap the command in a script")
    if len(value) > MAX_LENGTH:
        raise OptionError(option, value, "a command has at most %d characters; wrap it in a script" % MAX_LENGTH)
    return words


def seconds(low, high):
    """The function that checks a number of seconds of these bounds."""

    def check(value, option):
        if not low <= value <= high:  # nan is not within any range
            raise OptionError(option, value, "give a number of seconds from %g to %d" % (low, high))
        return value

    return check


def number(low, high, what):
    """The function that checks a whole number of these bounds. ``what``: what it is, as "a port"."""

    def check(value, option):
        _checks.in_range(value, low, high, option, what)
        return value

    return check
