# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel modules: which ones a kernel has, what to do where one is missing, loading them, and modules-load.d.

Every function that looks at the node takes ``root``, the directory that its file system starts at.

Sources: /proc/modules and /sys/module (Documentation/ABI/testing/sysfs-module), the lists that depmod(8) and the kernel's
build leave in /lib/modules/RELEASE, modprobe.d(5), modules-load.d(5).
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from typing import Dict, NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos")
"""The schedulers of the Linux kernel; the module of each is ``ip_vs_NAME``."""
ENGINES = ("sip",)
"""Its persistence engines; the module of each is ``ip_vs_pe_NAME``."""
_PARTS = {"scheduler": ("scheduler", SCHEDULERS, "ip_vs_"), "persistence_engine": ("persistence engine", ENGINES, "ip_vs_pe_")}

HEADER = "# Kernel modules to load at boot, see modules-load.d(5).\n# Made by the Ansible module lvs.ipvs.ipvs_modules; lines that others add stay.\n"


# What a kernel has


class Module(NamedTuple):
    """A module in memory: what uses it. ``references``: how often it is in use, ``holders`` included."""

    references: int
    holders: tuple


def state(name, release=None, root="/"):
    """How the kernel ``release`` (default: the running one) has the module ``name``.

    'loaded', 'builtin', 'loadable', 'missing', or 'unknown' where that kernel's module lists can't be read, as in a
    container. Never loads anything.
    """
    return Kernel(release, root).state(name)


def missing_hint(name, release=None, root="/"):
    """One sentence for the user: the kernel, the module that it lacks, and the package that usually has it."""
    return Kernel(release, root).missing_hint([name])


def module_of(part, name):
    """The kernel module of a scheduler or persistence engine. ``part``: 'scheduler' or 'persistence_engine'."""
    return _PARTS[part][2] + name


def lacking(part, name, option=None, where=""):
    """The OptionError for a scheduler or persistence engine that the running kernel does not have.

    ``part``: see ``module_of``; ``option``: the option's path where that is another; ``where``: which service it was for.
    A name that Linux does not know is a typing error, and no package helps.
    """
    what, known, _prefix = _PARTS[part]
    module = module_of(part, name)
    if name in known:
        return OptionError(option or part, name, "this kernel does not have this %s%s: %s" % (what, where, missing_hint(module)))
    near = difflib.get_close_matches(name.lower(), known, 1, 0.5)
    return OptionError(
        option or part,
        name,
        "there is no such %s%s%s Linux has %s. Any other must be installed as module %s"
        % (what, where, "; did you mean %s?" % near[0] if near else ".", ", ".join(known), module),
    )


class Kernel:
    """The modules of one kernel. The lists are read once, when they are first asked for; ``loaded()`` always looks again."""

    def __init__(self, release=None, root="/"):
        self.root = root
        self.release = release or os.uname().release
        self.running = self.release == os.uname().release
        self._lists = None

    def state(self, name):
        """See ``state``."""
        if self.running and normal(name) in self.loaded():
            return "loaded"  # without the lists, which a module that is there doesn't need
        name = self.canonical(name)
        if self.running:
            if name in self.loaded():
                return "loaded"
            # A module that was loaded has a state there; one that is part of the kernel hasn't.
            if os.path.isdir(self._path("sys/module", name)) and not os.path.exists(self._path("sys/module", name, "initstate")):
                return "builtin"
        lists = self.lists()
        if name in lists.builtin:
            return "builtin"
        if name in lists.loadable or _setting("install", name, self.root, _BARS):
            return "loadable"
        return "missing" if lists.readable else "unknown"

    def canonical(self, name):
        """The name that /proc/modules shows: underscores for hyphens, aliases resolved."""
        name = normal(name)
        for _path, words in _settings(self.root):
            if words[:1] == ["alias"] and len(words) == 3 and normal(words[1]) == name and words[2] != "off":
                return normal(words[2])
        return self.lists().aliases.get(name, name)

    def loaded(self):
        """The modules in memory: a dict of name -> Module; empty where the kernel can't load modules."""
        modules = {}
        for line in _read(self._path("proc/modules")).splitlines():
            name, _size, references, holders = line.split()[:4]
            # Without CONFIG_MODULE_UNLOAD nothing is counted.
            count = int(references) if references.isdigit() else 0
            modules[name] = Module(count, tuple(holder for holder in holders.split(",") if holder not in ("", "-", "[permanent]")))
        return modules

    def missing_hint(self, names):
        """See ``missing_hint``; for several names at once."""
        modules = "%s %s" % ("module" if len(names) == 1 else "modules", ", ".join(names))
        if self.running and not os.path.exists(self._path("proc/modules")):
            return "The running kernel %s has no %s and was built without loadable modules: boot a distribution's kernel" % (self.release, modules)
        if self.lists().readable:
            return "The kernel %s has no %s: %s" % (self.release, modules, _package_hint(self.release, self.root))
        others = self.releases()
        if others:
            return "The modules of the kernel %s are not installed, so no %s; /lib/modules has those of %s: %s" % (
                self.release,
                modules,
                ", ".join(others),
                "reboot into the kernel that is installed" if self.running else "name one of these",
            )
        return "The kernel %s can't be seen to have %s, /lib/modules is empty: in a container do this on its host; otherwise %s" % (
            self.release,
            modules,
            _package_hint(self.release, self.root),
        )

    def releases(self):
        """The kernels whose modules are installed."""
        folder = self._path("lib/modules")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return [name for name in names if os.path.exists(os.path.join(folder, name, "modules.dep"))]

    def _path(self, *parts):
        return os.path.join(self.root, *parts)

    def lists(self):
        """What the files in /lib/modules/RELEASE say."""
        if self._lists is None:
            self._lists = _read_lists(self._path("lib/modules", self.release))
        return self._lists


class Lists(NamedTuple):
    """What a kernel's files in /lib/modules/RELEASE say. ``aliases``: name -> module; ``readable``: there are such files."""

    builtin: frozenset
    loadable: frozenset
    aliases: Dict[str, str]
    readable: bool


def _read_lists(directory):
    loadable = {_file_to_name(line.partition(":")[0]) for line in _read(os.path.join(directory, "modules.dep")).splitlines()}
    builtin = {_file_to_name(line) for line in _read(os.path.join(directory, "modules.builtin")).splitlines()}
    if not builtin:
        # NUL-separated "module.key=value"; kernels since 5.2 have it.
        builtin = {item.partition(".")[0] for item in _read(os.path.join(directory, "modules.builtin.modinfo")).split("\0") if item}
    aliases = {}
    for line in _read(os.path.join(directory, "modules.alias")).splitlines():
        words = line.split()
        # The rest are patterns for devices.
        if len(words) == 3 and words[0] == "alias" and _NAME.match(words[1]):
            aliases[normal(words[1])] = words[2]
    known = loadable | builtin
    aliases = {alias: name for alias, name in aliases.items() if alias not in known}
    return Lists(frozenset(builtin), frozenset(loadable), aliases, bool(known))


_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


def normal(name):
    """A module's name as the kernel writes it."""
    return name.replace("-", "_")


def _file_to_name(path):
    """kernel/net/netfilter/ipvs/ip_vs.ko.xz -> ip_vs"""
    return normal(path.rpartition("/")[2].partition(".ko")[0])


def _read(path):
    """The text of a file of the system; empty where it isn't there or can't be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""


# Where a missing module comes from


def _package_hint(release, root):
    """What to install where ``release`` lacks a module, by distribution; see docs in each family's kernel packages."""
    system = _os_release(root)
    family = [system.get("ID", "")] + system.get("ID_LIKE", "").split()
    if family[0] == "ubuntu" or "ubuntu" in family:
        if release.endswith("-kvm"):
            return "Ubuntu's kvm kernels come without; install linux-image-virtual and boot its kernel"
        return "the package linux-modules-extra-%s usually has it" % release
    if "debian" in family:
        machine = os.uname().machine
        return "install linux-image-%s and boot its kernel" % {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    if family[0] == "amzn":
        return "the package of the kernel itself (kernel, kernel6.12, ...) or kernel-modules-extra usually has it"
    if "uek" in release:
        return "the package kernel-uek-modules-%s usually has it" % release
    if "rhel" in family or "fedora" in family:
        core = "kernel-core" if system.get("VERSION_ID", "").partition(".")[0] == "8" else "kernel-modules-core"
        return "the package %s-%s or kernel-modules-extra-%s usually has it" % (core, release, release)
    if "suse" in family or "sles" in family:
        return "install kernel-default (kernel-default-base leaves modules out) and boot it"
    return "install your distribution's full kernel package and boot that kernel"


def _os_release(root):
    values = {}
    for line in (_read(os.path.join(root, "etc/os-release")) or _read(os.path.join(root, "usr/lib/os-release"))).splitlines():
        key, _equals, value = line.partition("=")
        values[key] = value.strip("\"'")
    return values


# What modprobe's and systemd's settings forbid


def _settings(root):
    """The lines of modprobe.d(5) as (file, words). A file in /etc hides one of the same name further back."""
    files = {}
    for directory in ("lib", "usr/lib", "usr/local/lib", "run", "etc"):
        folder = os.path.join(root, directory, "modprobe.d")
        if os.path.isdir(folder):
            files.update({name: os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".conf")})
    for name in sorted(files):
        for line in _read(files[name]).splitlines():
            yield files[name], line.split()


_BARS = ("/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false")
"""What an ``install`` line runs to load nothing."""


def _setting(keyword, name, root, but=()):
    """The file with a line ``keyword name``, or None. Lines whose next word is among ``but`` do not count."""
    for path, words in _settings(root):
        if len(words) > 1 and words[0] == keyword and normal(words[1]) == name and words[2:3] not in [[word] for word in but]:
            return path
    return None


# The file that is read at boot


def names_in(text):
    """The modules that a file of modules-load.d lists, in order; none where ``text`` is None."""
    return [normal(line.strip()) for line in (text or "").splitlines() if _is_entry(line)]


def _is_entry(line):
    return bool(line.strip()) and line.strip()[0] not in "#;"


def with_modules(text, wanted, outdated):
    """``text`` with every module of ``wanted`` listed; those of ``outdated`` make room. Other lines stay as they are.

    ``text``: None where there is no such file yet. ``wanted``: names in order. ``outdated``: a dict of name -> the name
    in ``wanted`` that comes in its place.
    """
    lines = (HEADER if text is None else text).splitlines()
    listed = set(names_in(text))
    result = []
    for line in lines:
        successor = outdated.get(normal(line.strip())) if _is_entry(line) else None
        if successor is None:
            result.append(line)
        elif successor not in listed:
            listed.add(successor)
            result.append(successor)
    result += [name for name in wanted if name not in listed]
    return text if result == lines else "".join(line + "\n" for line in result)


def without_modules(text, unwanted):
    """``text`` without the modules of ``unwanted``; None where nothing but our own header would be left, or no file is there."""
    lines = (text or "").splitlines()
    rest = [line for line in lines if not (_is_entry(line) and normal(line.strip()) in unwanted)]
    if rest == lines:
        return text
    return None if rest == HEADER.splitlines() else "".join(line + "\n" for line in rest)


# The task


class Wish(NamedTuple):
    """One entry of ``names`` or ``schedulers``: ``alternatives`` are the names that it may mean, the best first."""

    option: str
    alternatives: tuple


class Plan(NamedTuple):
    """What is to be done. ``names``: the modules that the task is about; ``text``: the listing as it shall be, None for no file."""

    names: list
    load: list
    unload: list
    text: Optional[str]


def ensure_modules(options, context, root="/"):
    """What ``ipvs_modules`` does. ``options``: its options; returns an Answer."""
    kernel = Kernel(options["kernel"], root)
    _check_kernel(options, kernel)
    wishes = _wishes(options)
    text = _read_listing(options["path"])
    plan = _plan_present(options, wishes, kernel, text, context) if options["state"] == "present" else _plan_absent(options, wishes, kernel, text)
    if plan.text != text:
        _check_writable(options["path"])
    commands = [command + names for command, names in ((["modprobe", "-a"], plan.load), (["rmmod"], plan.unload)) if names]
    _warn_blacklisted(plan, context, root)

    states = {name: kernel.state(name) for name in plan.names}
    if not context.check_mode:
        for command in commands:
            _run(command, plan.load, kernel, context)
        if plan.text != text:
            _write(options["path"], plan.text, context)

    new_states = {name: _new_state(name, kernel, states[name], plan) for name in plan.names}
    listed = names_in(plan.text)
    values = {
        "modules": [{"name": name, "state": new_states[name], "persistent": name in listed} for name in plan.names],
        "loaded": plan.load,
        "unloaded": plan.unload,
        # Not "path": AnsibleModule adds the mode, owner and size of a file that is called so.
        "file": options["path"],
        "commands": [" ".join(command) for command in commands],
    }
    before = after = None
    if context.diff:
        before, after = _shown(states, text, options), _shown(new_states, plan.text, options)
    return Answer(bool(commands) or plan.text != text, values, before, after)


def _plan_present(options, wishes, kernel, text, context):
    names, outdated = _choose(wishes, kernel, options, context)
    load = [name for name in names if kernel.state(name) in ("loadable", "unknown")] if options["load"] else []
    return Plan(names, load, [], with_modules(text, names, outdated) if options["persist"] else text)


def _plan_absent(options, wishes, kernel, text):
    names = list(dict.fromkeys(name for wish in wishes for name in wish.alternatives))
    unload = _removal_order(names, kernel) if options["load"] else []
    rest = without_modules(text, names) if options["persist"] else text
    if rest is None and text is not None and os.path.islink(options["path"]):
        rest = HEADER  # the link isn't ours to remove
    return Plan(names, [], unload, rest)


def _new_state(name, kernel, state, plan):
    if kernel.canonical(name) in plan.unload:
        return "loadable"
    return "loaded" if name in plan.load else state


def _check_kernel(options, kernel):
    if kernel.running:
        return
    if options["load"]:
        raise OptionError("kernel", kernel.release, "only modules of the running kernel (%s) can be loaded; set load: false" % os.uname().release)
    if options["state"] == "present" and not kernel.lists().readable:
        raise OptionError(
            "kernel",
            kernel.release,
            "there are no module lists in /lib/modules/%s; installed kernels: %s" % (kernel.release, ", ".join(kernel.releases()) or "none"),
        )


def _read_listing(path):
    """The text of the file in modules-load.d, None where it is not there."""
    if not os.path.isabs(path) or not path.endswith(".conf"):
        raise OptionError("path", path, "give a full path that ends in .conf, as in /etc/modules-load.d/ipvs.conf")
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        return ""  # /dev/null or the like, at the end of a link: nothing is listed, and a pipe would keep us waiting
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OptionError("path", path, "it can't be read: %s" % error.strerror) from error


def _check_writable(path):
    try:
        directory = os.path.dirname(_files.target(path))
    except IpvsError as error:
        raise OptionError("path", path, str(error)) from error
    if not os.path.isdir(directory):
        raise OptionError("path", path, "there is no directory %s" % directory)
    if not os.access(directory, os.W_OK):
        raise OptionError("path", path, "this user can't write there: use become")


def _wishes(options):
    wishes = []
    for index, entry in enumerate(options["names"] or []):
        option = "names[%d]" % index
        alternatives = entry if isinstance(entry, list) else [entry]
        for name in alternatives:
            if not isinstance(name, str) or not _NAME.match(name):
                raise OptionError(option, name, "give the name of a kernel module, as in ip_vs_rr, or a list of such names")
        if not alternatives:
            raise OptionError(option, entry, "give at least one name")
        wishes.append(Wish(option, tuple(normal(name) for name in alternatives)))
    for index, scheduler in enumerate(options["schedulers"] or []):
        option = "schedulers[%d]" % index
        if not _NAME.match(scheduler):
            raise OptionError(option, scheduler, "give the name of a scheduler, as in rr")
        wishes.append(Wish(option, ("ip_vs_" + normal(scheduler),)))
    return wishes


def _choose(wishes, kernel, options, context):
    """The names to take, in order and each once, and the alternatives that this kernel lacks: name -> its successor."""
    names, outdated, missing = [], {}, []
    for wish in wishes:
        states = {name: kernel.state(name) for name in wish.alternatives}
        there = [name for name in wish.alternatives if states[name] not in ("missing", "unknown")]
        unknown = [name for name in wish.alternatives if states[name] == "unknown"]
        if not there and not unknown:
            missing.append(wish)
            continue
        name = (there or unknown)[0]
        if name not in names:
            names.append(name)
        outdated.update({other: name for other in wish.alternatives if states[other] == "missing"})
    if missing:
        _refuse(missing, kernel)
    unknown = [name for name in names if kernel.state(name) == "unknown"]
    # Otherwise modprobe finds out.
    if unknown and (context.check_mode or not options["load"]):
        context.warn(kernel.missing_hint(unknown) + ("" if options["load"] else "; in an image build, set kernel to the one that it boots"))
    return names, outdated


def _refuse(missing, kernel):
    for wish in missing:
        scheduler = wish.alternatives[0][len("ip_vs_") :]
        if wish.option.startswith("schedulers") and scheduler not in SCHEDULERS:
            raise lacking("scheduler", scheduler, wish.option)
    names = [" or ".join(wish.alternatives) for wish in missing]
    raise IpvsError(
        "%s: %s. Nothing was changed." % (", ".join(wish.option for wish in missing), kernel.missing_hint(names)),
        missing=[wish.alternatives[0] for wish in missing],
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
    program = shutil.which(command[0], path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
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
    barred = ["%s (install line in %s)" % (name, path) for name, path in ((name, _setting("install", name, kernel.root)) for name in absent) if path]
    return "it reported success, yet %s not loaded: %s" % (
        ", ".join(absent) + (" is" if len(absent) == 1 else " are"),
        "forbidden by " + ", ".join(barred) if barred else "look at the lines about them in modprobe.d, and at dmesg",
    )


def _write(path, text, context):
    if text is None:
        os.unlink(path)
    else:
        context.write_file(path, text)


def _warn_blacklisted(plan, context, root):
    """modprobe loads a blacklisted module that is asked for by name; systemd-modules-load at boot doesn't."""
    listed = names_in(plan.text)
    for name in plan.names:
        path = _setting("blacklist", name, root) if name in listed else None
        if path:
            context.warn("%s is blacklisted in %s: it is not loaded at boot, though it is listed in modules-load.d" % (name, path))


def _shown(states, text, options):
    lines = ["%s: %s" % (name, states[name]) for name in states]
    if options["persist"]:
        lines.append("# %s" % options["path"])
        lines += (text or "").splitlines()
    return "".join(line + "\n" for line in lines)
