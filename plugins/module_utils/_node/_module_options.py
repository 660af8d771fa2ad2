# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of kernel modules: held to what the modules take, and kept in a file of modprobe.d(5), whose other lines stay.

``Options`` below: {module: {option: value as text}}, names as the kernel writes them.
"""

from __future__ import annotations

import difflib
import os
import re

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _programs
from ansible_collections.lvs.ipvs.plugins.module_utils._node._modprobe import NAME, normal, read_text, settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

HEADER = "# Options of kernel modules, see modprobe.d(5).\n# Made by the Ansible module lvs.ipvs.ipvs_modules; lines that others add stay.\n"
_RANGES = {("ip_vs", "conn_tab_bits"): (8, 27)}  # ip_vs_conn_init in net/netfilter/ipvs/ip_vs_conn.c; outside it takes its default
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_LINE = re.compile(r"(?:[^\n\\]|\\\n|\\)*(?:\n|\Z)")  # with those that a backslash joins to it


# ---------------------------------------------------------------------------------------------------------------------
# what a user has written


def check(given, kernel, context, option="options"):
    """The Options that a user's ``options`` describe. Raises OptionError for what the modules of this Kernel surely do not take."""
    wanted = {}
    for module, values in given.items():
        where = "%s.%s" % (option, module)
        if not NAME.match(str(module)):
            raise OptionError(option, module, "give the name of a kernel module, such as ip_vs")
        if not isinstance(values, dict):
            raise OptionError(where, values, "give the options of this module with their values, such as {conn_tab_bits: 18}")
        name = kernel.canonical(str(module))
        mine = wanted.setdefault(name, {})
        for key, value in values.items():
            mine[_checked_name(where, str(key))] = _checked_value("%s.%s" % (where, key), name, str(key), value)
        if kernel.state(name) not in ("missing", "unknown"):
            _check_known(where, name, mine, kernel, context)
    return wanted


def _checked_name(where, key):
    if not NAME.match(key):
        raise OptionError(where, key, "give the name of an option of this module, as modinfo -p shows it")
    return normal(key)


def _checked_value(where, module, key, value):
    text = str(int(value) if isinstance(value, bool) else value)
    if not isinstance(value, (str, int, float)) or not text or not text.isprintable() or '"' in text:
        raise OptionError(where, value, "give a number, or a text on one line without quotes")
    low, high = _RANGES.get((module, normal(key)), (None, None))
    if low is not None and not (text.isdigit() and low <= int(text) <= high):
        raise OptionError(where, value, "give a number from %d to %d" % (low, high))
    return text


def _check_known(where, module, wanted, kernel, context):
    unknown = [key for key in wanted if not os.path.exists(_parameter_file(module, key, kernel))]
    known = _parameters(module, kernel, context) if unknown else None
    for key in unknown:
        if known is None or key in known:
            continue
        near = difflib.get_close_matches(key, sorted(known), 1, 0.5)
        text = "this module has no such option%s It has %s" % (
            "; did you mean %s?" % near[0] if near else ".",
            ", ".join(sorted(known)) or "none",
        )
        raise OptionError("%s.%s" % (where, key), wanted[key], text)


def _parameter_file(module, key, kernel):
    return os.path.join(kernel.root, "sys/module", module, "parameters", key) if kernel.running else ""


def _parameters(module, kernel, context):
    """The names of a module's options, or None where modinfo does not tell."""
    program = _programs.find("modinfo")
    if program is None:
        return None
    status, output, _errors = context.run_command([program, "-k", kernel.release, "-F", "parm", module])
    return None if status else {line.partition(":")[0] for line in output.splitlines() if ":" in line}


# ---------------------------------------------------------------------------------------------------------------------
# the file


def options_in(text):
    """The Options that the text of a file of modprobe.d gives; of two lines the last one counts. No file (None) gives none."""
    found = {}

    def look(module, key, value):
        found.setdefault(module, {})[key] = value
        return value

    _edited(text or "", look)
    return found


def with_options(text, wanted):
    """``text`` (None where there is no such file) with these Options. Others stay, and so do all other lines."""
    seen = set()

    def change(module, key, value):
        if key not in wanted.get(module, ()):
            return value
        if (module, key) in seen:
            return None
        seen.add((module, key))
        return wanted[module][key]

    edited = _edited(HEADER if text is None and any(wanted.values()) else text or "", change)
    lines = [
        "options %s %s=%s\n" % (module, key, _quoted(values[key])) for module, values in wanted.items() for key in values if (module, key) not in seen
    ]
    if not lines:
        return edited if edited or text is not None else None
    return edited + ("\n" if edited and not edited.endswith("\n") else "") + "".join(lines)


def without_options(text, unwanted):
    """``text`` without these Options, whatever their values; None where nothing but our own header would be left, or no file is there."""
    if text is None:
        return None
    edited = _edited(text, lambda module, key, value: None if key in unwanted.get(module, ()) else value)
    return None if edited == HEADER and edited != text else edited


def _edited(text, change):
    """``text`` with every option of a module given the value that ``change(module, option, value)`` returns; None takes it out."""
    result = []
    for line in _LINE.findall(text):
        words = _WORD.findall(line.replace("\\\n", " "))
        if words[:1] != ["options"]:
            result.append(line)
            continue
        kept = []
        for word in words[2:]:
            key, equals, value = word.partition("=")
            new = change(normal(words[1]), normal(key), value.replace('"', ""))
            if new is not None:
                kept.append(word if new == value.replace('"', "") else "%s=%s" % (key, _quoted(new)))
        if kept == words[2:]:
            result.append(line)
        elif kept:
            result.append(" ".join(words[:2] + kept) + "\n")
    return "".join(result)


def _quoted(value):
    return '"%s"' % value if " " in value else value


# ---------------------------------------------------------------------------------------------------------------------
# what the user is told


def differences(before, after):
    """One text for each option that the files' Options before and after differ in."""
    texts = []
    for module in sorted(set(before) | set(after)):
        old, new = before.get(module, {}), after.get(module, {})
        for key in sorted(set(old) | set(new)):
            what = "option %s of kernel module %s" % (key, module)
            if key not in old:
                texts.append("%s is not set" % what)
            elif key not in new:
                texts.append("%s is set to %s" % (what, old[key]))
            elif old[key] != new[key]:
                texts.append("%s is set to %s, not %s" % (what, old[key], new[key]))
    return texts


def warnings(wanted, kernel, path):
    """Texts for the user: options that do not hold yet, because their module is loaded, or not at all, because it is part of the kernel, or
    that a file of modprobe.d other than ``path`` gives another value."""
    texts = []
    for other, words in settings(kernel.root):
        for word in words[2:] if words[:1] == ["options"] and os.path.realpath(other) != os.path.realpath(path) else ():
            key, _equals, value = word.partition("=")
            desired = wanted.get(normal(words[1]), {}).get(normal(key))
            if desired not in (None, value):
                texts.append("%s sets %s of %s to %s, and may win over %s" % (other, key, words[1], value, desired))
    for module, values in wanted.items():
        state = kernel.state(module) if values else "missing"
        for key, value in values.items():
            now = " ".join(read_text(_parameter_file(module, key, kernel)).split())
            if not now or _plain(now) == _plain(value):
                continue
            if state == "builtin":
                texts.append("%s is part of this kernel and has %s=%s; set %s.%s=%s on the kernel's command line" % (module, key, now, module, key, value))
            else:
                texts.append(
                    "%s is loaded with %s=%s; %s holds when it is loaded the next time, at the latest after a reboot" % (module, key, now, value)
                )
    return texts


def _plain(value):
    return {"Y": "1", "y": "1", "N": "0", "n": "0"}.get(value, value)
