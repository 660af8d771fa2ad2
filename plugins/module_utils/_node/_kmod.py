# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel modules: which ones a kernel has, and what to do where one is missing.

Every function that looks at the node takes ``root``, the directory that its file system starts at.

Sources: /proc/modules and /sys/module (Documentation/ABI/testing/sysfs-module), the lists that depmod(8) and the kernel's
build leave in /lib/modules/RELEASE, modprobe.d(5).
"""

from __future__ import annotations

import difflib
import os
from typing import Dict, NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _distribution, _modprobe
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos")
"""The schedulers of the Linux kernel; the module of each is ``ip_vs_NAME``."""
ENGINES = ("sip",)
"""Its persistence engines; the module of each is ``ip_vs_pe_NAME``."""
_PARTS = {"scheduler": ("scheduler", SCHEDULERS, "ip_vs_"), "persistence_engine": ("persistence engine", ENGINES, "ip_vs_pe_")}

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


def known(part):
    """The schedulers or persistence engines that Linux has. ``part``: as for ``module_of``."""
    return _PARTS[part][1]


def lacking(part, name, option=None, where=""):
    """The OptionError for a scheduler or persistence engine that the running kernel does not have.

    ``part``: see ``module_of``; ``option``: the option's path where that is another; ``where``: which service it was for.
    A name that Linux does not know is a typing error, and no package helps.
    """
    what, names, _prefix = _PARTS[part]
    module = module_of(part, name)
    if name in names:
        return OptionError(option or part, name, "this kernel does not have this %s%s: %s" % (what, where, missing_hint(module)))
    near = difflib.get_close_matches(name.lower(), names, 1, 0.5)
    return OptionError(
        option or part,
        name,
        "there is no such %s%s%s Linux has %s. Any other must be installed as module %s"
        % (what, where, "; did you mean %s?" % near[0] if near else ".", ", ".join(names), module),
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
        if self.running and _modprobe.normal(name) in self.loaded():
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
        if name in lists.loadable or _modprobe.setting("install", name, self.root, _modprobe.BARS):
            return "loadable"
        return "missing" if lists.readable else "unknown"

    def canonical(self, name):
        """The name that /proc/modules shows: underscores for hyphens, aliases resolved."""
        name = _modprobe.normal(name)
        for _path, words in _modprobe.settings(self.root):
            if words[:1] == ["alias"] and len(words) == 3 and _modprobe.normal(words[1]) == name and words[2] != "off":
                return _modprobe.normal(words[2])
        return self.lists().aliases.get(name, name)

    def loaded(self):
        """The modules in memory: a dict of name -> Module; empty where the kernel can't load modules."""
        modules = {}
        for line in _modprobe.read_text(self._path("proc/modules")).splitlines():
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
    loadable = {_file_to_name(line.partition(":")[0]) for line in _modprobe.read_text(os.path.join(directory, "modules.dep")).splitlines()}
    builtin = {_file_to_name(line) for line in _modprobe.read_text(os.path.join(directory, "modules.builtin")).splitlines()}
    if not builtin:
        # NUL-separated "module.key=value"; kernels since 5.2 have it.
        builtin = {item.partition(".")[0] for item in _modprobe.read_text(os.path.join(directory, "modules.builtin.modinfo")).split("\0") if item}
    aliases = {}
    for line in _modprobe.read_text(os.path.join(directory, "modules.alias")).splitlines():
        words = line.split()
        # The rest are patterns for devices.
        if len(words) == 3 and words[0] == "alias" and _modprobe.NAME.match(words[1]):
            aliases[_modprobe.normal(words[1])] = words[2]
    known = loadable | builtin
    aliases = {alias: name for alias, name in aliases.items() if alias not in known}
    return Lists(frozenset(builtin), frozenset(loadable), aliases, bool(known))


def _file_to_name(path):
    """kernel/net/netfilter/ipvs/ip_vs.ko.xz -> ip_vs"""
    return _modprobe.normal(path.rpartition("/")[2].partition(".ko")[0])


# Where a missing module comes from


def _package_hint(release, root):
    """What to install where ``release`` lacks a module, by distribution; see docs in each family's kernel packages."""
    family = _distribution.family(root)
    if family[0] == "ubuntu" or "ubuntu" in family:
        if release.endswith("-kvm"):
            return "Ubuntu's kvm kernels come without; install linux-image-virtual and boot its kernel"
        return "the package linux-modules-extra-%s usually has it" % release
    if "debian" in family:
        machine = os.uname().machine
        return "install linux-image-%s and boot its kernel" % {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    if family[0] == "amzn":
        kernel = _amazon_kernel(release)
        return "the package %s-%s or %s-modules-extra-%s usually has it" % (kernel, release, kernel, release)
    if "uek" in release:
        return "the package kernel-uek-modules-%s usually has it" % release
    if "rhel" in family or "fedora" in family:
        return "the package kernel-modules-core-%s or kernel-modules-extra-%s usually has it" % (release, release)
    if "suse" in family or "sles" in family:
        return "install kernel-default (kernel-default-base leaves modules out) and boot it"
    return "install your distribution's full kernel package and boot that kernel"


def _amazon_kernel(release):
    """The package of a kernel of Amazon Linux 2023: kernel for 6.1, with the version in its name for each newer one."""
    version = ".".join(release.split(".")[:2])
    return "kernel" if version == "6.1" else "kernel" + version
