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
    _own_files,
    _real_server,
    _sysctl_plan,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer


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
        left = _real_server.leftovers(recorded, wanted.lines, node.there(recorded))
        modules = sorted({*_modules_load.names_in(_own_files.read(_real_server.MODULES_FILE).text), *wanted.modules}) if left else wanted.modules
        wanted = _real_server.Needs(modules, _real_server.in_order({*left, *wanted.lines}))
    # What is missing in this kernel is found out before anything is touched.
    unloaded = _load(wanted.modules, context._replace(check_mode=True))
    text = _boot.render(owner, wanted.lines) if wanted.lines else ""
    todo, settings = _plan(wanted, text, node, context)
    differences = ["kernel module %s is not loaded" % name for name in unloaded] + todo.differences
    differences += _sysctl_plan.differences(settings._replace(writes=[write for write in settings.writes if write.option is None]))
    if differences and not context.check_mode:
        if unloaded:
            _load(wanted.modules, context)
            todo, settings = _plan(wanted, text, node, context)  # with the interfaces that the modules have brought
        _boot.apply(todo, node, context, lambda: _sysctl_plan.apply(settings, context), lambda: _sysctl_plan.undo(settings, context))
    addresses = [line.words for line in todo.wanted if line.kind == "address"]
    values = {
        "places": len(places),
        "addresses": [_addresses.fields_of(words) for words in addresses],
        "leftovers": left,
        "differences": differences,
    }
    before, after = [text + _own_files.shown([change[number] for change in settings.files]) for number, text in enumerate((todo.before, todo.after))]
    return Answer(bool(differences), values, before if context.diff else None, after if context.diff else None)


def _load(names, context):
    """The kernel modules that were loaded, or would be in check mode."""
    if not names:
        return []
    options = dict.fromkeys(("schedulers", "options", "kernel"), None)
    options.update(names=names, state="present", load=True, persist=False, path=_real_server.MODULES_FILE, options_path="/etc/modprobe.d/ipvs.conf")
    return _modules.ensure_modules(options, context).values["loaded"]


def _plan(wanted, text, node, context):
    """(Plan of ``_boot``, Plan of ``_sysctl_plan``). The boot sets the settings with the lines; the latter knows what was there before them."""
    all_desired = {words[1]: words[2] for words in map(str.split, wanted.lines) if words[0] == "sysctl"}
    # The interface of a module that is not loaded yet comes with it.
    settings = _sysctl_plan.plan(all_desired, _real_server.SYSCTL_FILE, _real_server.OWNER.mark, coming=["net.ipv4.conf."], option="arp_interfaces")
    extra = [_own_files.File(_real_server.MODULES_FILE, _real_server.modules_text(wanted.modules))]
    return _boot.plan(_real_server.OWNER, text, node, context, extra), settings
