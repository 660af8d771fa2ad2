# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports of virtual addresses, open in firewalld: rich rules, in its running configuration and in the one that it keeps.

What this has opened is on record, so that nothing else is ever closed: a rule that was there before is not on it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _nftables, _own_files, _programs
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

RECORD = "/var/lib/ipvs-firewall/firewalld.json"
_AT_ONCE = 100  # rules in one command line
_PLACES = ((), ("--permanent",))
_NAMES = {(): "running", ("--permanent",): "permanent"}


class Step(NamedTuple):
    """Rules to add to, or remove from, one zone. ``place``: () for the running configuration, ("--permanent",) for the kept one."""

    verb: str
    place: tuple
    zone: str
    rules: list


class Plan(NamedTuple):
    """``steps``: [Step]; ``opened``: {zone: [rule]} that the record holds afterwards; ``before``/``after``: texts for --diff."""

    steps: list
    opened: dict
    before: str = ""
    after: str = ""


# The rules


def rules(selectors):
    """The rich rules, as firewalld itself spells them, that let packets of these Selectors in; each once."""
    texts = {}
    for network, protocol, ports in selectors:
        start = 'rule family="ipv%d" destination address="%s" ' % (network.version, _nftables.network_text(network))
        if ports:
            texts.update((start + 'port port="%s" protocol="%s" accept' % (_nftables.range_text(pair), protocol), None) for pair in ports)
        else:
            texts[start + 'protocol value="%s" accept' % protocol] = None
    return list(texts)


def make_plan(wanted, zones, found, record):
    """The Plan that opens ``wanted`` (rules) in ``zones`` and closes what ``record`` has beyond them.

    ``found``: {(place, zone): rules that are there}; ``record``: {zone: rules that we have opened}.
    """
    steps, opened = [], {}
    for zone in sorted(set(zones) | set(record)):
        ours, due = record.get(zone, []), wanted if zone in zones else []
        foreign = set()
        for place in _PLACES:
            there = found.get((place, zone), [])
            _add(steps, "add", place, zone, [rule for rule in due if rule not in there])
            _add(steps, "remove", place, zone, [rule for rule in ours if rule not in due and rule in there])
            foreign.update(rule for rule in there if rule not in ours)
        keep = [rule for rule in due if rule not in foreign]
        if keep:
            opened[zone] = keep
    return Plan(steps, opened)


def _add(steps, verb, place, zone, texts):
    if texts:
        steps.append(Step(verb, place, zone, texts))


def differences(plan):
    """One text for each rule that is missing, or is there and no longer needed."""
    words = {"add": "is missing", "remove": "is there and is no longer needed"}
    return [
        "firewalld zone %s (%s): %s %s" % (step.zone, _NAMES[step.place], rule, words[step.verb]) for step in plan.steps for rule in step.rules
    ]


# firewalld


def running(context):
    """Whether firewalld runs here."""
    command = _programs.find("firewall-cmd")
    return bool(command) and context.run_command([command, "--state"])[0] == 0


def plan(selectors, zones, context, record_path=RECORD):
    """The Plan for what is to be open; ``zones``: their names, empty for the default zone and those that have interfaces or sources."""
    record = read_record(record_path)
    if not zones:
        zones = _zones(context) if selectors else []
    found = {}
    for zone in sorted(set(zones) | set(record)):
        for place in _PLACES:
            found[place, zone] = _rules_of(zone, place, context, must=zone in zones)
    made = make_plan(rules(selectors), zones, found, record)
    texts = []
    for after in (False, True):
        texts.append("".join(_shown(place, zone, there, made, after) for (place, zone), there in found.items()))
    return made._replace(before=texts[0], after=texts[1])


def _shown(place, zone, there, made, after):
    ours = {rule for step in made.steps if (step.place, step.zone) == (place, zone) for rule in step.rules} | set(made.opened.get(zone, []))
    lines = [rule for rule in there if rule in ours]
    for step in made.steps if after else []:
        if (step.place, step.zone) == (place, zone):
            lines = lines + step.rules if step.verb == "add" else [line for line in lines if line not in step.rules]
    return "".join("# firewalld zone %s (%s)\n%s\n" % (zone, _NAMES[place], line) for line in sorted(lines))


def apply(plan, context, record_path=RECORD):
    """Open and close. The record holds a rule before it is open and until it is closed. Raises IpvsError."""
    record = read_record(record_path)
    both = {zone: sorted(set(record.get(zone, [])) | set(plan.opened.get(zone, []))) for zone in set(record) | set(plan.opened)}
    _write_record(both, record_path, context)
    for step in plan.steps:
        for start in range(0, len(step.rules), _AT_ONCE):
            words = ["--%s-rich-rule=%s" % (step.verb, rule) for rule in step.rules[start : start + _AT_ONCE]]
            _firewall_cmd(context, list(step.place) + ["--zone=" + step.zone] + words)
    _write_record(plan.opened, record_path, context)


def read_record(path=RECORD):
    """{zone: [rule]} that we have opened."""
    text = _own_files.read(path).text
    try:
        return json.loads(text) if text else {}
    except ValueError as error:
        raise IpvsError(
            "%s, which lists the ports opened in firewalld, cannot be read: %s; close these ports with firewall-cmd and remove the file" % (path, error)
        ) from error


def _write_record(opened, path, context):
    text = json.dumps(opened, indent=1, sort_keys=True) + "\n" if opened else None
    _own_files.write(_own_files.plan([_own_files.File(path, text)]), context)


def _zones(context):
    """The default zone, and every other that has interfaces or sources."""
    active = [line.split()[0] for line in _firewall_cmd(context, ["--get-active-zones"]).splitlines() if line[:1].strip()]
    return sorted(set(active) | {_firewall_cmd(context, ["--get-default-zone"]).strip()})


def _rules_of(zone, place, context, must):
    """The rich rules of a zone; none where there is no such zone, unless it ``must`` be there."""
    command = [_programs.find("firewall-cmd")] + list(place) + ["--zone=" + zone, "--list-rich-rules"]
    status, output, errors = context.run_command(command)
    if status and (must or "INVALID_ZONE" not in errors):
        raise IpvsError("firewalld: zone %s: %s" % (zone, " ".join(errors.split()) or "exit status %d" % status))
    return [] if status else [line.strip() for line in output.splitlines() if line.strip()]


def _firewall_cmd(context, words):
    status, output, errors = context.run_command([_programs.find("firewall-cmd")] + words)
    if status:
        raise IpvsError("firewall-cmd %s failed: %s" % (" ".join(words)[:200], " ".join(errors.split()) or "exit status %d" % status))
    return output
