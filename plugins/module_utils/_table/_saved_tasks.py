# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_saved does: options in, Answer out."""

from __future__ import annotations

import re

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _programs, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._table import (
    _keepalived_owned,
    _model,
    _rules,
    _rules_reader,
    _rules_words,
    _saved,
    _saved_boot,
    _session,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

_PATH = re.compile(r"/[A-Za-z0-9_./@+-]+\Z")
_LOST = "the table does not come back after a reboot"


def manage_saved(options, context):
    """The table that the boot restores."""
    _check_path(options["path"])
    wanted = None if options["services"] is None else _model.desired_table(options["services"])
    place = _saved.place(options["path"])
    if options["state"] == "absent":
        return _absent(place, context)
    _programs.need("ipvsadm", "restores the table at boot", context)
    table, text = _snapshot(options, wanted, context)
    rules = _own_files.read(place.path)
    _warn_of_others(rules, context)
    all_desired = [_own_files.File(place.path, text, _saved.MODE), _saved_boot.unit_file(place)]
    if place.settings:
        all_desired.append(_saved_boot.switched(_own_files.read(place.settings), True))
    stale = _stale(place, all_desired)
    changes = _own_files.plan(all_desired)
    enabled = _units.state(place.unit, context).enabled
    if not context.check_mode:
        _disable(stale, context)
        _carry_out(changes, context, (lambda: _units.enable(place.unit, context)) if not enabled else None)
    differences = _differences(changes, place) + ([] if enabled else ["%s is not enabled: %s" % (place.unit, _LOST)])
    return _answer(place, changes, differences, len(table), context)


def _check_path(path):
    if path is not None and (not _PATH.match(path) or ".." in path.split("/")):
        raise OptionError("path", path, "give a full path of letters, digits and ./_@+-, without .., because a unit of systemd reads it")


def _snapshot(options, wanted, context):
    """(Table, text of the file) of what the kernel has: all of it, or those of the wanted services that it has."""
    with _session.open_kernel(dict(options, netns=None), context, load=False) as kernel:
        loaded = not isinstance(kernel, _session.NoKernel)
        table = kernel.read(None if wanted is None or len(wanted) > 100 else wanted)
        timeouts = kernel.timeouts() if options["timeouts"] and loaded else None
        daemons = [daemon for _role, daemon in sorted(kernel.daemons().items())] if options["sync_daemons"] else []
    kept = {}
    for ident, entry in _keepalived_owned.Owned(None, context).steady(table).items():
        if wanted is not None and ident not in wanted:
            continue
        if ident.protocol not in (0,) + tuple(_model.PROTOCOLS.values()):
            context.warn(f"service {ident}: ipvsadm does not support its protocol, so it is not saved")
            continue
        entry = _restorable(entry, context)
        if entry:
            kept[ident] = entry
    return kept, _saved.render(kept, timeouts, daemons)


def _restorable(entry, context):
    """A whole Entry without the servers that ipvsadm refuses; None where it refuses the service.

    The kernel takes more from other programs. At a line that it refuses, ipvsadm stops, and what follows is not restored.
    """
    if not _refusal(entry):
        return entry
    service = entry._replace(servers={})
    reason = _refusal(service)
    if reason:
        context.warn("service %s: ipvsadm does not accept it, so it is not saved: %s" % (service.service.id, reason))
        return None
    for ident in sorted(entry.servers, key=_model.server_order):
        server = {ident: entry.servers[ident]}
        reason = _refusal(service._replace(servers=server))
        if reason:
            context.warn("service %s: ipvsadm does not accept its server %s, so it is not saved: %s" % (service.service.id, ident, reason))
        else:
            service.servers.update(server)
    return service


def _refusal(entry):
    """Why the rules of a whole Entry are refused when they are read; None where they are not."""
    try:
        _rules_reader.parse("\n".join(_rules.render_entry(entry)))
    except _rules_words.RuleError as error:
        return "%s: %s" % (error.word, error.remedy)
    return None


def _warn_of_others(rules, context):
    lines = [line for line in (rules.text or "").splitlines() if line.strip() and not line.startswith("#")]
    if lines and not _saved.is_ours(rules.text):
        text = "%s held %d rules that this module did not write; %s replaced. Run with --diff to see them"
        context.warn(text % (rules.path, len(lines), "they would be" if context.check_mode else "they are"))


def _absent(place, context):
    """Restore nothing. Rules that others wrote, and what restores them, stay."""
    ours = _saved.is_ours(_own_files.read(place.path).text)
    unit = _saved_boot.unit_file(place, wanted=False)
    text = _own_files.read(unit.path).text
    theirs = text is not None and not _saved.is_ours(text)
    all_desired = [] if theirs else [unit]
    if ours and place.settings:
        found = _own_files.read(place.settings)
        all_desired.append(found if found.text is None else _saved_boot.switched(found, False))
    if ours:
        all_desired.append(_saved_boot.emptied(place))  # last: it says to whoever is killed before, and runs again, that the rest is ours
    stale = _stale(place, all_desired)
    changes = _own_files.plan(all_desired)
    # on Debian the settings say it, and the service has other work, too
    off = [place.unit] if (not theirs if place.own else ours) and not place.settings and _is_enabled(place.unit, context) else []
    if not context.check_mode:
        _disable(stale + off, context)
        _carry_out(changes, context)
    differences = _differences(changes, place, wanted=False) + ["%s is enabled" % unit for unit in off]
    return _answer(place, changes, differences, 0, context)


def _stale(place, all_desired):
    """The unit of ours, in a list, that was there before another one took its place; its File is added to the desired ones."""
    own = _own_files.read(_units.FOLDER + _saved.OWN_UNIT)
    if place.own or not _saved.is_ours(own.text):
        return []
    all_desired.append(_own_files.File(own.path, None))
    return [_saved.OWN_UNIT]


def _is_enabled(unit, context):
    try:
        return _units.state(unit, context).enabled
    except IpvsError:  # masked
        return False


def _disable(units, context):
    for unit in units:
        _units.disable(unit, context)


def _carry_out(changes, context, last=None):
    """Write the files, have systemd read its own again, and do ``last``. Where that fails the files are as they were."""
    try:
        _own_files.write(changes, context)
        if any(wanted.path.startswith(_units.FOLDER) for _found, wanted in changes):
            _units.reload_manager(context)
        if last:
            last()
    except IpvsError as error:
        try:
            _own_files.put_back(changes, context)
        except IpvsError as trouble:
            raise IpvsError("%s. Putting the files back failed: %s" % (error, trouble), changed=True) from error
        raise


def _differences(changes, place, wanted=True):
    texts = []
    for change, text in zip(changes, _own_files.differences(changes)):
        if change.found.text is not None and change.wanted.text not in (None, change.found.text) and wanted:
            if change.wanted.path == place.path:
                text = "%s is not the table as it is now: after a reboot another one comes back" % place.path
            elif change.wanted.path == place.settings:
                text = "%s does not switch restoring on: %s" % (place.settings, _LOST)
        texts.append(text)
    return texts


def _answer(place, changes, differences, number, context):
    # Not "path": AnsibleModule adds the mode, owner and size of a file that is called so.
    values = {"file": place.path, "unit": place.unit, "services": number, "differences": differences}
    before = after = None
    if context.diff:
        before = _own_files.shown([change.found for change in changes])
        after = _own_files.shown([change.wanted for change in changes])
    return Answer(bool(differences), values, before, after)
