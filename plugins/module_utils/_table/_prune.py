# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services ``ipvs_table`` may remove because they are not listed, and who else may own them."""

from __future__ import annotations

import ipaddress

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _owners, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError


def rule(options):
    """A function ``ServiceId -> bool``: whether it lies within what may be pruned. None where ``prune`` is off."""
    scope = options["prune_scope"]
    if not options["prune"]:
        if scope is not None:
            raise OptionError("prune_scope", scope, "has a meaning only with prune: true")
        return None
    if scope is None:
        return lambda ident: True
    if not any(scope.values()):
        raise OptionError("prune_scope", scope, "give addresses, fwmarks or protocols; without prune_scope everything is pruned")
    networks = _networks(scope.get("addresses") or [])
    marks = _marks(scope.get("fwmarks") or [])
    protocols = [_model.PROTOCOLS[name] for name in scope.get("protocols") or []]

    def within(ident):
        if ident.fwmark:
            return any(low <= ident.fwmark <= high for low, high in marks)
        if networks:
            address = ipaddress.ip_address(ident.address)
            if not any(address in network for network in networks):
                return False
        elif not protocols:
            return False
        return not protocols or ident.protocol in protocols

    return within


def _networks(words):
    networks = []
    for index, word in enumerate(words):
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise OptionError(
                "prune_scope.addresses[%d]" % index, word, "give an address or a network such as 198.51.100.0/24 (%s)" % error
            ) from error
    return networks


def _marks(words):
    marks = []
    for index, word in enumerate(words):
        low, dash, high = str(word).partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or not 1 <= int(low) <= int(high or low) <= _model.MAX_FWMARK:
            raise OptionError("prune_scope.fwmarks[%d]" % index, word, "give a firewall mark, or a range of them such as 100-199")
        marks.append((int(low), int(high or low)))
    return marks


def refuse_emptiness(plan, wanted, options, saved=()):
    """Raise OptionError where nothing is listed and services would go: an empty list is usually a mistake.

    ``saved``: the ServiceIds that go because the saved table holds them, which ``allow_empty`` is enough for.
    """
    if wanted or options["prune_force"]:
        return
    removed = _removed_services(plan)
    others = [operation for operation in removed if operation.service not in saved]
    if not others and (options["allow_empty"] or not removed):
        return
    option = "rules" if options["services"] is None else "services"
    raise OptionError(
        option,
        options[option],
        "no service is listed, and %s would remove %d services (%s); list what is to stay, or set %s: true to remove them"
        % (("prune", len(removed), _shown(removed), "prune_force") if others else ("prune_saved", len(removed), _shown(removed), "allow_empty")),
    )


def _removed_services(plan):
    return [operation for operation in plan.operations if operation.kind == _plan.DELETE_SERVICE]


def _shown(operations):
    idents = sorted((operation.service for operation in operations), key=_model.service_order)  # the kernel's own order is by chance
    return ", ".join(str(ident) for ident in idents[:5]) + (" and more" if len(idents) > 5 else "")


def refuse_others(plan, options, saved=()):
    """Raise IpvsError where the plan removes services, nothing says which may go, and somebody else may own them.

    ``saved``: the ServiceIds that go because the saved table holds them: these are ours.
    """
    removed = [operation for operation in _removed_services(plan) if operation.service not in saved]
    if not removed or options["prune_scope"] is not None or options["prune_force"]:
        return
    owners = _owners.find(options["netns"])
    if owners:
        raise IpvsError(
            "prune would remove %d services that are not listed (%s), and others keep services here: %s. "
            "Set prune_scope to the addresses, fwmarks or protocols that are yours, or prune_force: true to remove them all."
            % (len(removed), _shown(removed), ", ".join(owners))
        )


def forced(plan, options):
    """The ServiceIds of what ``prune_force`` removes, whoever owns it."""
    return {operation.service for operation in _removed_services(plan)} if options["prune_force"] else set()
