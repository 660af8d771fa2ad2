# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_real_server does: from the list of services to what this node needs, and having it so."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import (
    _addresses,
    _boot,
    _modules,
    _modules_load,
    _network_lines,
    _network_node,
    _own_files,
    _real_server,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


def manage_real_server(options, context):
    """What this node needs to be a real server of the services; returns an Answer."""
    table = _model.created_table(options["services"] or [])
    own, marked = [_literal_list(options, name) for name in ("addresses", "fwmark_addresses")]
    node = _boot.new_node()
    try:
        if own is None:
            own = [each.address for each in node.addresses()]
        places = _places(table, set(own), marked) if options["state"] == "present" else []
        return _manage(places, options, node, context)
    finally:
        node.close()


def _literal_list(options, name):
    if options[name] is None:
        return None
    return [_literals.normal_address(literal, "%s[%d]" % (name, number)) for number, literal in enumerate(options[name])]


def _places(table, own, marked):
    """[Place] of the servers that have one of the addresses in the set ``own``. ``marked``: the virtual addresses of firewall marks."""
    places = []
    for ident, entry in table.items():
        for server in (entry.servers or {}).values():
            if server.id.address in own:
                vips = [ident.address] if ident.address else [each for each in marked if _literals.family_of(each) == ident.family]
                made = (server.id.port, server.id.address, server.forward_method, server.tunnel_type, server.tunnel_port)
                places += [_real_server.Place(vip, ident.protocol or _model.PROTOCOLS["tcp"], *made) for vip in vips or [""]]
    return places


def _manage(places, options, node, context):
    owner = _real_server.OWNER
    recorded = _boot.recorded(owner)
    given = _real_server.settings(options, places, node.interfaces(), recorded)
    wanted = _real_server.needs(places, given)
    left = []
    if not options["purge"]:
        sysctls = _network_lines.parse("".join("sysctl %s %s\n" % each for each in _real_server.settings_in(_text(_real_server.SYSCTL_FILE)).items()))
        before = [line for line in recorded if line.kind != "sysctl"] + sysctls
        left = _real_server.leftovers(before, wanted.lines, node.there(before))
        modules = sorted({*_modules_load.names_in(_text(_real_server.MODULES_FILE)), *wanted.modules}) if left else wanted.modules
        wanted = _real_server.Needs(modules, _real_server.in_order({*left, *wanted.lines}))
    # What is missing in this kernel is found out before anything is touched.
    unloaded = _load(wanted.modules, context._replace(check_mode=True))
    text = _boot.render(owner, wanted.lines) if wanted.lines else ""
    todo = _plan(wanted, text, node, context)
    differences = ["kernel module %s is not loaded" % name for name in unloaded] + todo.differences
    if differences and not context.check_mode:
        if unloaded:
            _load(wanted.modules, context)
            todo = _plan(wanted, text, node, context)  # with the interfaces that the modules have brought
        old = _old_settings(wanted)
        _boot.apply(todo, node, context, lambda: _put_back(old, node))
    addresses = [line.words for line in todo.wanted if line.kind == "address"]
    values = {
        "places": len(places),
        "addresses": [_addresses.fields_of(words) for words in addresses],
        "leftovers": left,
        "differences": differences,
    }
    return Answer(bool(differences), values, todo.before if context.diff else None, todo.after if context.diff else None)


def _text(path):
    return _own_files.read(path).text or ""


def _load(names, context):
    """The kernel modules that were loaded, or would be in check mode."""
    if not names:
        return []
    options = dict.fromkeys(("schedulers", "options", "kernel"), None)
    options.update(names=names, state="present", load=True, persist=False, path=_real_server.MODULES_FILE, options_path="/etc/modprobe.d/ipvs.conf")
    return _modules.ensure_modules(options, context).values["loaded"]


def _plan(wanted, text, node, context):
    before = _real_server.before_in(_text(_real_server.SYSCTL_FILE))
    for line in wanted.lines:
        if line.startswith("sysctl "):
            key = line.split()[1]
            before.setdefault(key, " ".join(_network_node.text_of(_network_node.path_of(key)).split()))
    extra = [
        _own_files.File(_real_server.SYSCTL_FILE, _real_server.sysctl_text(wanted.lines, before)),
        _own_files.File(_real_server.MODULES_FILE, _real_server.modules_text(wanted.modules)),
    ]
    return _boot.plan(_real_server.OWNER, text, node, context, extra)


def _old_settings(wanted):
    """{key: value} that go back to what they were."""
    keys = {line.split()[1] for line in wanted.lines if line.startswith("sysctl ")}
    return {key: value for key, value in _real_server.before_in(_text(_real_server.SYSCTL_FILE)).items() if key not in keys}


def _put_back(old, node):
    failed = ["%s = %s: %s" % (key, value, reason) for key, value in old.items() for reason in [node.put_back(key, value)] if reason]
    if failed:
        raise IpvsError("settings that could not be put back: %s" % "; ".join(failed))
