# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Handing over between directors: who can take over, and whose priority has to change for that. Pure."""

from __future__ import annotations

from typing import List, NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived._failover import HANDOVER_WEIGHT
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _directors


class Plan(NamedTuple):
    """``problems``: why it cannot be done; the rest is empty then. ``lower``: names of directors whose priority is lowered first;
    ``restore_target``: whether that of ``to`` is restored; ``lower_master``: whether that of ``master`` is lowered; ``restore``: names of
    those whose priority is restored at the end; ``lowered``: names of those whose priority is lowered now; ``changes``: names of all
    whose priority changes."""

    problems: List[str]
    master: Optional[str] = None
    to: Optional[str] = None
    lower: List[str] = []
    restore_target: bool = False
    lower_master: bool = False
    restore: List[str] = []
    lowered: List[str] = []
    changes: List[str] = []


def plan(found, wanted=None, away_from=None):
    """The Plan for handing over to the director ``wanted``, or away from ``away_from``.

    With neither: back to the director of the highest priority, or away from it where it is the master.
    """
    names = [director.name for director in found]
    groups = _directors.groups(found)
    for name in (wanted, away_from):
        if name and name not in names:
            return Plan(["%s: there is no such director; there are %s" % (name, ", ".join(names) or "none")])
    if not groups:
        return Plan(["no director has VRRP: %s" % "; ".join("%s: keepalived %s" % (each.name, _lack(each)) for each in found)])
    concerned = [group for group in groups if not (wanted or away_from) or {wanted, away_from} & {each.name for each in group}]
    if not concerned:
        return Plan(["%s has no VRRP instance" % (wanted or away_from)])
    if len(concerned) > 1:
        texts = [" and ".join(each.name for each in group) for group in concerned]
        return Plan(["several groups of directors share addresses (%s): name the director that is to take over" % "; ".join(texts)])
    return _within(concerned[0], [each for each in found if not each.instances], wanted, away_from)


def home(group):
    """The director of a group that is master when nothing is handed over."""
    return max(group, key=lambda director: director.priority)


def _within(group, others, wanted, away_from):
    """``others``: directors without VRRP."""
    masters = [director for director in group if director.is_master]
    if len(masters) != 1:
        names = " and ".join(director.name for director in masters)
        return Plan(["%s are master at the same time" % names if masters else "no director is master"])
    master, by_name = masters[0], {director.name: director for director in group}
    problems = _directors.differences(group)[master.name]
    if problems:
        return Plan(["%s, the master: %s" % (master.name, text) for text in problems])
    if away_from and away_from != master.name:
        return Plan([], master.name, master.name)
    if wanted:
        candidates = [by_name[wanted]]
    elif home(group) is not master and not away_from:
        candidates = [home(group)]
    else:
        candidates = sorted((each for each in group if each is not master), key=lambda each: -each.priority)
    reasons = ["%s cannot take over: keepalived %s" % (each.name, _lack(each)) for each in others]
    if not candidates:
        return Plan(["there is no second director that could take over from %s" % master.name] + reasons)
    found = []
    for target in candidates:
        problems = _unfit(target, master, group)
        if not problems:
            return _steps(target, master, group)
        found += ["%s cannot take over: %s" % (target.name, text) for text in problems]
    return Plan(found + reasons)


def _lack(director):
    return "has no VRRP instance" if director.keepalived["running"] else "does not run"


def _unfit(target, master, group):
    """Why a director could not take over from the master, a list of texts."""
    if target is master:
        return []
    if target.states != [_directors.BACKUP]:
        return ["the VRRP instance %s is in the state %s" % (each["name"], each["state"]) for each in target.instances]
    problems = [
        "%s has no handover file: see failover.handover_file of ipvs_keepalived" % each.name
        for each in group
        if each.keepalived["handover"] is None and (_goes_first(each, target) or each is target)
    ]
    problems += [
        "the priority of %s is %d; handing over takes %d of it, which still leaves it no less than the %d of %s"
        % (each.name, each.priority, -HANDOVER_WEIGHT, target.priority, target.name)
        for each in group
        if _goes_first(each, target) and max(each.priority + HANDOVER_WEIGHT, 1) >= target.priority
    ]
    return problems + _directors.table_differences(target, master)


def _goes_first(director, target):
    """Whether a director whose priority is not lowered would be master before the target. Of two equal ones it may be either."""
    return director is not target and director.priority >= target.priority


def _steps(target, master, group):
    others = [director for director in group if director is not master]
    lower = [each.name for each in others if _goes_first(each, target) and not each.lowered and each.keepalived["handover"]]
    lower_master = _goes_first(master, target) and not master.lowered
    restore = [each.name for each in group if each is not target and not _goes_first(each, target) and each.lowered]
    return Plan(
        problems=[],
        master=master.name,
        to=target.name,
        lower=lower,
        restore_target=target.lowered,
        lower_master=lower_master,
        restore=restore,
        lowered=[each.name for each in group if each.lowered],
        changes=lower + ([target.name] if target.lowered else []) + ([master.name] if lower_master else []) + restore,
    )
