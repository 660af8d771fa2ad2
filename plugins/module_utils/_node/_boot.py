# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module keeps of the network, now and at boot: a file of lines, the program that puts them up, a unit that runs it.

The module puts the lines up by itself, in its own process, and starts the unit afterwards, which finds everything there. So
it says at first hand which line failed and why, works the same where systemd does not run, and the unit is left to what only
it can do: the next boot, and taking everything down in the right order when the machine is shut down.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Callable, List, NamedTuple, Optional, Sequence

from ansible_collections.lvs.ipvs.plugins.module_utils._node import (
    _managers,
    _network,
    _network_frames,
    _network_lines,
    _network_node,
    _own_files,
    _programs,
    _units,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _pyroute2
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, UndoneError

Node = _network.Node
_SHOWN = 20
_PARTS = (_network, _network_frames, _network_lines, _network_node)
_START = """\
# %s; changes are overwritten.
import sys

from ipvs_network._network import main

sys.exit(main())
"""
_UNIT = """\
# %(mark)s; changes are overwritten.
[Unit]
Description=%(description)s
# %(order)s
Wants=network-online.target
After=network-online.target systemd-modules-load.service systemd-sysctl.service%(after)s

[Service]
Type=oneshot
RemainAfterExit=yes
# Every line of the file is tried. One that fails is named in the journal, and the unit fails.
ExecStart=%(command)s up %(path)s
ExecReload=%(command)s up %(path)s
ExecStop=%(command)s down %(path)s

[Install]
WantedBy=multi-user.target
"""


class Owner(NamedTuple):
    """Whose lines they are. ``name``: of the unit and the files; ``after``: units that have to be through before, a blank before each."""

    name: str
    module: str
    description: str
    order: str
    after: str = ""

    @property
    def unit(self):
        return self.name + ".service"

    @property
    def path(self):
        """The file of lines."""
        return "/etc/%s.conf" % self.name

    @property
    def program(self):
        """The folder that python3 can run."""
        return "/usr/local/lib/" + self.name

    @property
    def mark(self):
        return "Written by the Ansible module lvs.ipvs.%s" % self.module


class Plan(NamedTuple):
    """What there is to do. ``text``: of the file of lines; ``wanted``, ``leaving``, ``coming``: lines; ``changes``: of files;
    ``unit``: None where there is none to be; ``extra``: Files; ``keeps``: whether what the unit has put up stays up when it stops."""

    owner: Owner
    text: str
    wanted: List
    leaving: List
    coming: List
    changes: List[_own_files.Change]
    unit: Optional[_units.Unit]
    differences: List[str]
    before: str
    after: str
    extra: Sequence[_own_files.File] = ()
    keeps: bool = False


def new_node():
    """The Node that modules work on; pyroute2 is imported when it is needed."""
    return Node(_iproute)


def _iproute():
    return _pyroute2.load_iproute()()


def recorded(owner):
    """The lines that the file of the owner has. Raises IpvsError."""
    try:
        return _network_lines.parse(_own_files.read(owner.path).text or "")
    except _network_lines.BadLine as error:
        raise IpvsError("%s: %s; remove that line, which this collection did not write" % (owner.path, error)) from error


def render(owner, lines, comments=()):
    """The text of the owner's file."""
    head = ["%s; changes are overwritten." % owner.mark, "The head of %s/ipvs_network/_network.py says what each line means." % owner.program]
    return "".join(["# %s\n" % each for each in head + list(comments)] + [line + "\n" for line in lines])


def files(owner, text):
    """[File] that the owner keeps. ``text``: of its file of lines, empty where there is to be none of them."""
    command = "%s -I -B %s" % (sys.executable, owner.program)
    unit = _UNIT % dict(owner._asdict(), mark=owner.mark, command=command, path=owner.path)
    wanted = {"%s/ipvs_network/%s" % (owner.program, os.path.basename(part.__file__)): _programs.source(part) for part in _PARTS}
    wanted.update({owner.program + "/__main__.py": _START % owner.mark, owner.path: text, _units.FOLDER + owner.unit: unit})
    if not text:
        wanted = dict.fromkeys(wanted)
    wanted[owner.program + ".py"] = None  # one file for all, as it once was
    return [_own_files.File(path, text) for path, text in wanted.items()]


def plan(owner, text, node, context, extra=(), released=""):
    """The Plan for what the lines of ``text`` say; an empty text means that nothing is wanted. ``extra``: more Files of the owner's.

    ``released``: lines that somebody else puts up and takes down from now on. Those that are up stay so, and network managers leave them.
    """
    before, wanted, others = recorded(owner), _network_lines.parse(text), _network_lines.parse(released)
    there = node.there(before + wanted)
    leaving = [line for line in _network.superfluous(before, wanted + others) if _network_lines.identity(line) in there]
    coming = _network.missing(wanted, there)
    kept = files(owner, text)
    changes = _own_files.plan(kept + list(extra) + _managers.files(owner, wanted + others, node, context))
    unit = _units.state(owner.unit, context) if text or any(change.found.path.endswith(".service") for change in changes) else None
    differences = ["%s is no longer needed" % _network_lines.identity(line) for line in leaving] + [_lack(line) for line in coming]
    differences += _own_files.differences(_summed(changes, owner.program))
    if text and not unit.enabled:
        differences.append("%s is not enabled: nothing comes back after a reboot" % unit.name)
    if text and _units.running() and not unit.active:
        differences.append("%s is not active: see journalctl -u %s" % (unit.name, unit.name))
    present = [line for line in dict.fromkeys(_network_lines.identity(line) for line in before + wanted) if line in there]
    now = [_network_lines.identity(line) for line in wanted if line.kind not in _network_lines.NO_STATE]
    shown = [change for change in changes if not change.found.path.startswith(owner.program + "/")]
    texts = [_shown(present, [change.found for change in shown]), _shown(now, [change.wanted for change in shown])]
    return Plan(owner, text, wanted, leaving, coming, changes, unit, differences, *texts, extra, bool(others))


def _summed(changes, folder):
    """The Changes, those inside the folder as one."""
    inside = [change for change in changes if change.found.path.startswith(folder + "/")]
    first = [_own_files.Change(*[file._replace(path=folder) for file in change]) for change in inside[:1]]
    return first + [change for change in changes if change not in inside]


def _lack(line):
    if line.kind == "sysctl":
        return "kernel setting %s is not %s" % (line.words[0], " ".join(line.words[1:]))
    return _network_lines.identity(line) + (" is not up" if line.kind == "link" else " is missing")


def _shown(lines, changed):
    return "".join(line + "\n" for line in lines) + _own_files.shown(changed)


def apply(todo, node, context, between: Callable = lambda: None, undo: Callable = lambda: ""):
    """Carry out a Plan. ``between``: called when what goes is gone, and nothing has come yet. Raises IpvsError.

    ``undo``: called where the files could not be written; takes back what ``between`` did, and returns as a text what of it failed.

    An address that moves is in both places for a moment, also in the file: whatever fails meanwhile, it is somewhere, and known.
    """
    moving = _network.moving(todo.leaving, todo.coming)
    if moving:
        both = todo.text + "".join(line.text + "\n" for line in moving)
        apply(plan(todo.owner, both, node, context, todo.extra), node, context, between, undo)
        apply(plan(todo.owner, todo.text, node, context, todo.extra), node, context)
        return
    late = _network.in_the_way(todo.leaving, todo.coming)
    _raise(_network.down([line for line in todo.leaving if line not in late], node), "did not go", todo.owner)
    stops = todo.unit and todo.unit.there and not todo.wanted
    if stops:
        if todo.keeps:
            context.write_file(todo.owner.path, "")  # what the unit takes down when it stops
        _units.stop(todo.unit.name, context)
    between()
    try:
        _own_files.write(todo.changes, context)
    except IpvsError as error:
        left = [undo()] + ["%s: %s" % (failure.line.text, failure.reason) for failure in _network.up(todo.leaving, node)]
        if stops:
            left.append(_bring_back(todo, context))
        raise UndoneError(error, left) from error
    _managers.take_up(todo.changes, context)
    if not todo.wanted:
        for folder in (todo.owner.program + "/ipvs_network", todo.owner.program):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        _units.reload_manager(context)
        return
    if not todo.unit.enabled or any(change.found.path.endswith(".service") for change in todo.changes):
        _units.enable(todo.unit.name, context)
    _raise(_network.down([line for line in todo.leaving if line in late], node), "did not go", todo.owner)
    if todo.leaving or todo.coming:
        _raise(_network.up(todo.wanted, node), "did not come up", todo.owner)
    if not todo.unit.active:
        _units.start(todo.unit.name, context)
    absent = _network.missing(todo.wanted, node.there(todo.wanted))
    _raise([_network_lines.Failure(line, "it is not there, though nothing refused it") for line in absent], "did not come up", todo.owner)


def _bring_back(todo, context):
    """Have the unit that was stopped be as it was; a text of what that fails at, or the empty one."""
    try:
        _own_files.put_back(todo.changes, context)
        if todo.unit.enabled:
            _units.enable(todo.unit.name, context)
        if todo.unit.active:
            _units.start(todo.unit.name, context)
    except IpvsError as error:
        return str(error)
    return ""


def _raise(failures, what, owner):
    if failures:
        texts = ["%s: %s" % (failure.line.text, failure.reason) for failure in failures[:_SHOWN]]
        if len(failures) > _SHOWN:
            texts.append("and %d more" % (len(failures) - _SHOWN))
        raise IpvsError("%d of the lines in %s %s: %s" % (len(failures), owner.path, what, "; ".join(texts)))
