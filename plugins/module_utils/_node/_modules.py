# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel modules loaded, now and at boot: what ipvs_modules does. Every function that looks at the node takes ``root``, the directory
that its file system starts at.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod, _modprobe, _module_options, _modules_load, _programs
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError


class Desired(NamedTuple):
    """One thing that needs a module: ``option`` is where the user has named it, ``alternatives`` are the modules that it may mean, the best
    first. ``part``: what of IPVS it is the module of, 'scheduler' or 'persistence_engine', or empty."""

    option: str
    alternatives: tuple
    part: str = ""


class Plan(NamedTuple):
    """What is to be done. ``names``: the modules that the task is about; ``text``: the listing as it shall be, None for no file;
    ``settings``: the same of the file with their options."""

    names: list
    load: list
    unload: list
    text: Optional[str]
    settings: Optional[str]


def ensure_modules(options, context, root="/", needs=()):
    """What ``ipvs_modules`` does. ``options``: its options; ``needs``: more entries, which come first. Returns an Answer."""
    kernel = _kmod.Kernel(options["kernel"], root)
    _check_kernel(options, kernel)
    all_desired = list(needs) + _all_desired(options)
    given = _module_options.check(options.get("options") or {}, kernel, context)
    text = _read_file(options["path"], "path", "/etc/modules-load.d/ipvs.conf")
    settings = _read_file(options["options_path"], "options_path", "/etc/modprobe.d/ipvs.conf") if given else None
    if options["state"] == "present":
        _refuse_missing([Desired("options." + name, (name,)) for name in given], kernel)
        plan = _plan_present(options, all_desired, kernel, text, context)._replace(settings=_module_options.with_options(settings, given))
        for warning in _module_options.warnings(given, kernel, options["options_path"]) if given else ():
            context.warn(warning)
    else:
        plan = _plan_absent(options, all_desired, kernel, text)._replace(settings=_without_options(settings, given, options))
    for option, before, after in (("path", text, plan.text), ("options_path", settings, plan.settings)):
        if before != after:
            _check_writable(options[option], option)
    commands = [command + names for command, names in ((["modprobe", "-a"], plan.load), (["rmmod"], plan.unload)) if names]
    _warn_blacklisted(plan, context, root)

    states = {name: kernel.state(name) for name in plan.names}
    if not context.check_mode:
        _carry_out(options, plan, commands, text, settings, kernel, context)

    new_states = {name: _new_state(name, kernel, states[name], plan) for name in plan.names}
    listed = _modules_load.names_in(plan.text)
    values = {
        "modules": [{"name": name, "state": new_states[name], "persistent": name in listed} for name in plan.names],
        "loaded": plan.load,
        "unloaded": plan.unload,
        # Not "path": AnsibleModule adds the mode, owner and size of a file that is called so.
        "file": options["path"],
        "commands": [" ".join(command) for command in commands],
        "differences": _differences(plan, text, settings),
    }
    before = after = None
    if context.diff:
        before, after = _shown(states, text, settings, options), _shown(new_states, plan.text, plan.settings, options)
    return Answer(bool(commands) or plan.text != text or plan.settings != settings, values, before, after)


def _carry_out(options, plan, commands, text, settings, kernel, context):
    """Options first, which a module takes when it is loaded. Where that fails they are as before."""
    if plan.settings != settings:
        _write(options["options_path"], plan.settings, context)
    try:
        for command in commands:
            _run(command, plan.load, kernel, context)
        if plan.text != text:
            _write(options["path"], plan.text, context)
    except IpvsError:
        if plan.settings != settings:
            _write(options["options_path"], settings, context)
        raise


def _differences(plan, text, settings):
    """One text for each thing that is not as it should be."""
    texts = ["kernel module %s is not loaded" % name for name in plan.load] + ["kernel module %s is loaded" % name for name in plan.unload]
    before, after = _modules_load.names_in(text), _modules_load.names_in(plan.text)
    texts += ["kernel module %s is not loaded at boot" % name for name in after if name not in before]
    texts += ["kernel module %s is loaded at boot" % name for name in before if name not in after]
    return texts + _module_options.differences(_module_options.options_in(settings), _module_options.options_in(plan.settings))


def _plan_present(options, all_desired, kernel, text, context):
    names, outdated = _choose(all_desired, kernel, options, context)
    load = [name for name in names if kernel.state(name) in ("loadable", "unknown")] if options["load"] else []
    return Plan(names, load, [], _modules_load.with_modules(text, names, outdated) if options["persist"] else text, None)


def _plan_absent(options, all_desired, kernel, text):
    names = list(dict.fromkeys(name for desired in all_desired for name in desired.alternatives))
    unload = _removal_order(names, kernel) if options["load"] else []
    rest = _modules_load.without_modules(text, names) if options["persist"] else text
    if rest is None and text is not None and os.path.islink(options["path"]):
        rest = _modules_load.HEADER  # the link isn't ours to remove
    return Plan(names, [], unload, rest, None)


def _without_options(text, given, options):
    rest = _module_options.without_options(text, given)
    if rest is None and text is not None and os.path.islink(options["options_path"]):
        return _module_options.HEADER  # the link isn't ours to remove
    return rest


def _new_state(name, kernel, state, plan):
    if kernel.canonical(name) in plan.unload:
        return "loadable"
    return "loaded" if name in plan.load else state


def _check_kernel(options, kernel):
    if kernel.running:
        return
    if options["load"]:
        raise OptionError("kernel", kernel.release, "only modules of the running kernel (%s) can be loaded: set load: false" % os.uname().release)
    if options["state"] == "present" and not kernel.lists().readable:
        raise OptionError(
            "kernel",
            kernel.release,
            "there is no list of modules in /lib/modules/%s; installed kernels: %s" % (kernel.release, ", ".join(kernel.releases()) or "none"),
        )


def _read_file(path, option, example):
    """The text of a file of modules-load.d or modprobe.d, None where it is not there."""
    if not os.path.isabs(path) or not path.endswith(".conf"):
        raise OptionError(option, path, "give a full path that ends in .conf, such as " + example)
    try:
        _files.check_links(path)
    except IpvsError as error:
        raise OptionError(option, path, str(error)) from error
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        return ""  # /dev/null or the like, at the end of a link: nothing is listed, and a pipe would keep us waiting
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OptionError(option, path, "it can't be read: %s" % error.strerror) from error


def _check_writable(path, option):
    try:
        directory = os.path.dirname(_files.target(path))
    except IpvsError as error:
        raise OptionError(option, path, str(error)) from error
    if not os.path.isdir(directory):
        raise OptionError(option, path, "there is no directory %s" % directory)
    if not os.access(directory, os.W_OK):
        raise OptionError(option, path, "this user has no permission to write there: use become")


def _all_desired(options):
    all_desired = []
    for index, entry in enumerate(options["names"] or []):
        option = "names[%d]" % index
        alternatives = entry if isinstance(entry, list) else [entry]
        for name in alternatives:
            if not isinstance(name, str) or not _modprobe.NAME.match(name):
                raise OptionError(option, name, "give the name of a kernel module, such as ip_vs_rr, or a list of such names")
        if not alternatives:
            raise OptionError(option, entry, "give at least one name")
        all_desired.append(Desired(option, tuple(_modprobe.normal(name) for name in alternatives)))
    for index, scheduler in enumerate(options["schedulers"] or []):
        option = "schedulers[%d]" % index
        if not _modprobe.NAME.match(scheduler):
            raise OptionError(option, scheduler, "give the name of a scheduler, such as rr")
        all_desired.append(Desired(option, (_kmod.module_of("scheduler", _modprobe.normal(scheduler)),), "scheduler"))
    return all_desired


def _choose(all_desired, kernel, options, context):
    """The names to take, in order and each once, and the alternatives that this kernel lacks: name -> its successor."""
    names, outdated, missing = [], {}, []
    for desired in all_desired:
        states = {name: kernel.state(name) for name in desired.alternatives}
        there = [name for name in desired.alternatives if states[name] not in ("missing", "unknown")]
        unknown = [name for name in desired.alternatives if states[name] == "unknown"]
        if not there and not unknown:
            missing.append(desired)
            continue
        name = (there or unknown)[0]
        if name not in names:
            names.append(name)
        outdated.update({other: name for other in desired.alternatives if states[other] == "missing"})
    if missing:
        _refuse(missing, kernel)
    unknown = [name for name in names if kernel.state(name) == "unknown"]
    # Otherwise modprobe finds out.
    if unknown and (context.check_mode or not options["load"]):
        context.warn(kernel.missing_hint(unknown) + ("" if options["load"] else "; in an image build, set kernel to the one that the image boots"))
    return names, outdated


def _refuse_missing(all_desired, kernel):
    missing = [desired for desired in all_desired if {kernel.state(name) for name in desired.alternatives} == {"missing"}]
    if missing:
        _refuse(missing, kernel)


def _refuse(missing, kernel):
    for desired in missing:
        if desired.part and desired.alternatives[0][len(_kmod.module_of(desired.part, "")) :] not in _kmod.known(desired.part):
            raise _kmod.lacking(desired.part, desired.alternatives[0][len(_kmod.module_of(desired.part, "")) :], desired.option)
    names = list(dict.fromkeys(" or ".join(desired.alternatives) for desired in missing))
    raise IpvsError(
        "%s: %s. Nothing was changed." % (", ".join(desired.option for desired in missing), kernel.missing_hint(names)),
        missing=list(dict.fromkeys(desired.alternatives[0] for desired in missing)),
    )


def _removal_order(names, kernel):
    """Those of ``names`` that are in memory, users of a module before the module. One that others need is an error.

    Where other modules hold a module, its count of references says no more than that: each scheduler counts twice in ip_vs.
    """
    loaded = kernel.loaded()
    waiting = [name for name in dict.fromkeys(kernel.canonical(name) for name in names) if name in loaded]
    order = []
    while waiting:
        free = [name for name in waiting if (set(loaded[name].holders) <= set(order) if loaded[name].holders else not loaded[name].references)]
        if not free:
            users = "; ".join("%s by %s" % (name, _users(loaded[name], order)) for name in waiting)
            raise IpvsError("In use: %s. Remove what uses them first, or set load: false. Nothing was changed." % users)
        order += free
        waiting = [name for name in waiting if name not in free]
    return order


def _users(module, gone):
    holders = [holder for holder in module.holders if holder not in gone]
    if holders:
        return "the %s %s" % ("module" if len(holders) == 1 else "modules", ", ".join(holders))
    return "the kernel (virtual services, connections or rules)"


def _run(command, load, kernel, context):
    program = _programs.find(command[0])
    if program is None:
        raise IpvsError("%s is not on this node: install kmod" % command[0])
    status, _out, err = context.run_command([program] + command[1:])
    absent = [name for name in load if kernel.state(name) not in ("loaded", "builtin")]
    if status or absent:
        raise IpvsError("%s failed: %s" % (" ".join(command), _why(status, err, absent, kernel)), not_loaded=absent)


def _why(status, err, absent, kernel):
    if status:
        reason = " ".join(err.split()) or "exit status %d" % status
        if "not permitted" in reason:
            return reason + ". This needs root: use become"
        unknown = [name for name in absent if kernel.state(name) == "unknown"]
        return ". ".join([reason] + ([kernel.missing_hint(unknown)] if unknown else []))
    barred = ["%s (install line in %s)" % (name, path) for name, path in ((name, _modprobe.setting("install", name, kernel.root)) for name in absent) if path]
    return "it reported success, yet %s not loaded: %s" % (
        ", ".join(absent) + (" is" if len(absent) == 1 else " are"),
        "forbidden by " + ", ".join(barred) if barred else "look at the lines about them in modprobe.d, and at dmesg",
    )


def _write(path, text, context):
    if text is not None:
        context.write_file(path, text)
        return
    try:
        os.unlink(path)
    except OSError as error:
        raise IpvsError("%s: %s" % (path, error.strerror)) from error


def _warn_blacklisted(plan, context, root):
    """modprobe loads a blacklisted module that is asked for by name; systemd-modules-load at boot doesn't."""
    listed = _modules_load.names_in(plan.text)
    for name in plan.names:
        path = _modprobe.setting("blacklist", name, root) if name in listed else None
        if path:
            context.warn("%s is blacklisted in %s: it is not loaded at boot, though it is listed in modules-load.d" % (name, path))


def _shown(states, text, settings, options):
    lines = ["%s: %s" % (name, states[name]) for name in states]
    if options["persist"]:
        lines.append("# %s" % options["path"])
        lines += (text or "").splitlines()
    if settings is not None:
        lines += ["# %s" % options["options_path"]] + settings.splitlines()
    return "".join(line + "\n" for line in lines)
