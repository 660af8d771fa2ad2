# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel settings, now and at boot: what is wanted -> a Plan -> done, all or nothing.

    all_desired = check(settings)
    made = plan(all_desired, "/etc/sysctl.d/60-mine.conf", "Written by lvs.ipvs.mine")
    if not context.check_mode:
        apply(made, context)

The boot takes them from a file of sysctl.d(5). It says what the kernel had before, which is put back when a key is no longer wanted.
"""

from __future__ import annotations

import os
import re
from typing import Dict, List, NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _sysctl_files, _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError, UndoneError

_HEAD = "# %s; changes are overwritten.\n# A line \"before\" says what the kernel had, which is put back when the line under it goes.\n"
_BEFORE = re.compile(r"^# before: (\S+) = (.*)$", re.MULTILINE)
_OURS = "# Written by "
# These set others of the same kind as they are written, so they come first.
_ORDER = ("ip_forward", "all", "default")


class Write(NamedTuple):
    """One key of the kernel that changes. ``option``: the option that wants it, or None where a value from before is put back."""

    key: str
    before: str
    after: str
    option: Optional[str]


class Plan(NamedTuple):
    """``writes``: what changes in the kernel, in order; ``files``: [Change] of ``_own_files``; ``settings``: {key: its value then} of
    every key that the desired settings stand for; ``restored``: the same of those that are put back; ``before``: all of them as they are now, None
    where it cannot be read; ``lacking``: desired settings that stand for no key of this kernel; ``overrides``: [Override] of ``_sysctl_files``, which undo
    what our file says; ``option``: the name of the option that holds the desired settings."""

    writes: List[Write]
    files: list
    settings: Dict[str, str]
    restored: Dict[str, str]
    before: Dict[str, Optional[str]]
    lacking: List[str]
    overrides: list
    option: str


def check(settings, option="settings"):
    """The desired settings {key in its one spelling: value as text} of what a user has written. Raises OptionError."""
    all_desired = {}
    for name, value in settings.items():
        key = _sysctls.normal_key(str(name).strip())
        if not _sysctls.is_key(key):
            raise OptionError(option, name, "give the name of a kernel setting, such as net.ipv4.vs.conn_reuse_mode")
        if not isinstance(value, (str, int, float)) or not _sysctls.normal_value(value):
            raise OptionError("%s.%s" % (option, name), value, "give the value as a number or a text; several numbers as one text")
        if key in all_desired:
            raise OptionError(option, name, "this setting is given twice, in two spellings")
        all_desired[key] = _sysctls.normal_value(value)
    return all_desired


def plan(all_desired, path, mark, coming=(), option="settings", root="/"):
    """The Plan that gives this kernel what is wanted, and puts back what is not wanted any more.

    ``all_desired``: {key: value} as ``check`` returns it; none for taking everything back. ``path``: the file of sysctl.d; ``mark``: who writes
    it. ``coming``: prefixes of keys that are taken to be there by the time that this is done. A key that no kernel has is an OptionError.
    """
    found = _own_files.read(path)
    _check_path(path, found)
    recorded = dict(_BEFORE.findall(found.text or ""))
    targets, lacking = _targets(all_desired, coming, option, root)
    kept = [desired for desired in all_desired if desired not in lacking]
    old = {key: value for key, value in recorded.items() if key not in targets and not any(_sysctls.stands_for(desired, key) for desired in kept)}
    before = {key: _sysctls.read(key, root) for key in list(targets) + list(old)}
    old = {key: value for key, value in old.items() if before[key] is not None}  # an interface may have gone
    settings = {key: all_desired[desired] for key, desired in targets.items()}
    writes = []
    for key, value in list(settings.items()) + list(old.items()):
        if before[key] not in (None, value):
            writes.append(Write(key, before[key], value, "%s.%s" % (option, targets[key]) if key in targets else None))
    text = _render(kept, all_desired, before, recorded, targets, mark) if kept else None
    files = _own_files.plan([_own_files.File(path, text)])
    overrides = _sysctl_files.overrides(path, {desired: all_desired[desired] for desired in kept}, root)
    return Plan(sorted(writes, key=_order), files, settings, old, before, lacking, overrides, option)


def _check_path(path, found):
    if not os.path.isabs(path) or not path.endswith(".conf"):
        raise OptionError("path", path, "give a full path that ends in .conf, such as /etc/sysctl.d/60-ipvs-director.conf")
    if found.text and not found.text.startswith(_OURS):
        raise OptionError("path", path, "another program wrote this file; give another path, or remove the file")


def _targets(all_desired, coming, option, root):
    """({key: the desired setting that decides about it}, [desired settings that stand for none]). A name wins over wildcards, later ones over earlier."""
    targets, lacking = {}, []
    for desired in sorted(all_desired, key=lambda desired: "*" not in desired):
        keys = _sysctls.matching(desired, root)
        if not keys and desired.startswith(tuple(coming)) and _sysctls.meant(desired, 0, []) is None:
            keys = [] if "*" in desired else [desired]
        elif not keys:
            right = _sysctls.meant(desired, *_sysctls.first_missing(desired, root))
            if right:
                raise OptionError(option, desired, "no kernel has this setting; did you mean %s?" % right)
            lacking.append(desired)
        targets.update(dict.fromkeys(keys, desired))
    return targets, lacking


def _render(all_desired, values, before, recorded, targets, mark):
    lines = []
    for desired in sorted(all_desired):
        known = {key: value for key, value in recorded.items() if targets.get(key, desired) == desired and _sysctls.stands_for(desired, key)}
        for key, target in targets.items():
            # of wildcards only what changes: interfaces come and go, and find the right value in "default"
            if target == desired and key not in known and before[key] is not None and ("*" not in desired or before[key] != values[desired]):
                known[key] = before[key]
        lines += ["# before: %s = %s\n" % pair for pair in sorted(known.items())]
        lines.append("%s = %s\n" % (desired, values[desired]))
    return _HEAD % mark + "".join(lines)


def _order(write):
    words = write.key.split(".")
    return min([place for place, word in enumerate(_ORDER) if word in words] + [len(_ORDER)])


def warnings(plan, release):
    """Texts for the user: settings that this kernel (its release) lacks, which are left out, and those that others have set otherwise at boot."""
    texts = ["%s sets %s to %s at boot, after our file, which says %s" % (each.path, each.key, each.value, each.ours) for each in plan.overrides]
    if not plan.lacking:
        return texts
    text = "the kernel %s does not have these settings, they are skipped: %s" % (release, ", ".join(sorted(plan.lacking)))
    if any(key.startswith(_sysctls.IPVS) for key in plan.lacking):
        text += ". Those of IPVS come when its modules are loaded"
    return texts + [text]


def differences(plan):
    """One text for each thing that is not as it should be."""
    texts = []
    for key, before, after, option in plan.writes:
        texts.append("kernel setting %s is %s, %s" % (key, before, "not %s" % after if option else "and was %s before it was set" % after))
    return texts + _own_files.differences(plan.files)


def apply(plan, context, root="/"):
    """Carry the Plan out. Where the kernel refuses a value, or has another one afterwards, all is undone and an IpvsError raised.

    The file records what the kernel had, so that it comes before what is set, and after what is put back: whoever is killed in between
    leaves a record behind.
    """
    done = []
    try:
        restored = [write for write in plan.writes if write.option is None]
        done += [write for write in restored if _write(write, context, root)]
        _own_files.write(plan.files, context)
        for write in plan.writes:
            if write.option is not None and _write(write, context, root):
                done.append(write)
        if plan.writes:
            _settle(plan, {write.key for write in plan.writes} - {write.key for write in done}, context, root)
    except IpvsError as error:
        raise UndoneError(error, [_undo(done, plan, context, root)]) from error


def undo(plan, context, root="/"):
    """Take back a Plan that was carried out, as far as it goes; a text of what that fails at, or the empty one."""
    return _undo(plan.writes, plan, context, root)


def _write(write, context, root):
    """Whether the kernel took the value. OptionError where it refuses one that is wanted; one that can't be put back is forgotten."""
    try:
        _sysctls.write(write.key, write.after, root)
    except OSError as error:
        if write.option is not None:
            raise OptionError(write.option, write.after, "the kernel refuses this value for %s: %s" % (write.key, error.strerror)) from error
        context.warn("%s could not be put back to %s: %s" % (write.key, write.after, error.strerror))
        return False
    return True


def _settle(plan, failed, context, root):
    """To write one setting may change another, as ip_forward does: such a one is written once more, unless that has failed before."""
    for key, value in list(plan.restored.items()) + list(plan.settings.items()):
        if key not in failed and _sysctls.read(key, root) not in (None, value):
            _write(Write(key, "", value, "%s.%s" % (plan.option, key) if key in plan.settings else None), context, root)
    for key, value in plan.settings.items():
        now = _sysctls.read(key, root)
        if now not in (None, value):
            raise OptionError("%s.%s" % (plan.option, key), value, "the kernel changes it to %s; give that value" % now)


def _undo(done, plan, context, root):
    """Undo these writes and the files; a text of what that fails at, or the empty one."""
    failures = []
    values = [(write.key, write.before) for write in reversed(done)]
    for key, value in values + list(plan.before.items()):
        try:
            if _sysctls.read(key, root) not in (None, value):
                _sysctls.write(key, value, root)
        except OSError as error:
            failures.append("%s = %s: %s" % (key, value, error.strerror))
    try:
        _own_files.put_back(plan.files, context)
    except IpvsError as error:
        failures.append(str(error))
    return "; ".join(failures)
