# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_drain does: real servers out of all their services at once, and back.

The weights of servers that keepalived drains are its own: it is told, and the kernel shows when it has done it.
"""

from __future__ import annotations

import contextlib

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _drain_keepalived, _literals, _model, _places, _plan, _rules, _saved, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._table._drain_record import Record
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _nearest
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

_SHOWN = 5


def manage_drain(options, context):
    """Real servers drained, or restored."""
    addresses = _addresses(options["addresses"])
    _drain.check_numbers(options)
    with _session.open_kernel(options, context, load=False) as kernel:
        if options["state"] == "restored":
            return _Restoring(kernel, addresses, options, context).answer()
        return _Draining(kernel, addresses, options, context).answer()


def _addresses(given):
    """The set of addresses in their one spelling; None where the option was left out."""
    if given is None:
        return None
    if not given:
        raise OptionError("addresses", given, "give the address of at least one real server")
    return {_literals.normal_address(each, "addresses[%d]" % index) for index, each in enumerate(given)}


class _Task:
    """What both states have in common. ``recorded``: {Place: weight}, as it is on disk; ``was``: as it was at first."""

    def __init__(self, kernel, addresses, options, context):
        self.kernel, self.addresses, self.options, self.context = kernel, addresses, options, context
        self.record = Record(options["state_directory"], options["netns"])
        self.keepalived = _drain_keepalived.Keepalived(options["netns"], context)
        self.was = self.recorded = {}
        self.resaved = False
        self.done = _plan.Plan((), None, None)

    def _write(self, recorded):
        """Put this on disk, unless that is what is there; in check mode, act as if."""
        if recorded != self.recorded and not self.context.check_mode:
            self.record.write(recorded)
        self.recorded = recorded

    def _locked(self):
        return contextlib.nullcontext() if self.context.check_mode else self.record.locked()

    def _wait_for_weights(self, places, done, timeout):
        """The places of which keepalived has not done it in time; none in check mode."""
        if self.context.check_mode or not places:
            return []
        try:
            return _drain.wait_for_weights(lambda: self._look(places), done, timeout)
        except IpvsError as error:
            raise _session.after_failure(self.done, error) from error

    def _reconcile(self, plan):
        """Carry out what ``plan(table)`` says, beside what was done before, and keep what the boot restores in step."""
        done = reconcile(self.kernel, lambda kernel: kernel.read(), plan, self.context.check_mode)
        self.done = _session.joined(self.done, done)
        if self.options["netns"] is not None:
            return  # what the boot restores belongs to the namespace that the node boots into
        try:
            self.resaved = _saved.reweigh(done.after, self.context) or self.resaved
        except IpvsError as error:
            raise _session.after_failure(self.done, error) from error

    def _shown(self, weights, uses=None):
        """The places as they are returned. ``weights``: {Place: weight as it was}; ``uses``: {Place: (Server, Connections)}, or look."""
        uses = self._look(weights) if uses is None else uses
        planned = self.done.after or {}
        places = []
        for place in sorted(weights, key=_places.order):
            server, connections = uses.get(place, (None, None))
            if server and self.context.check_mode and place.server in planned.get(place.service, _model.Entry(None, {})).servers:
                server = planned[place.service].servers[place.server]
            places.append(
                dict(
                    _places.options(place),
                    weight=weights[place],
                    weight_now=server.weight if server else None,
                    connections=dict(connections._asdict()) if connections else None,
                )
            )
        return places

    def _look(self, places):
        """{Place: (Server, Connections)} of those places that are there."""
        uses = self.kernel.uses(dict.fromkeys(place.service for place in places))
        return {place: uses[place.service][place.server] for place in places if place.server in uses[place.service]}

    def _values(self, weights, uses=None):
        commands = [_plan.command(operation) for operation in self.done.operations] + self.keepalived.commands
        return {"places": self._shown(weights, uses), "commands": commands}

    @property
    def changed(self):
        return bool(self.done.operations) or self.recorded != self.was or self.resaved or self.keepalived.drained != self.keepalived.was

    def _answered(self, values):
        texts = (None, None)
        if self.context.diff:
            texts = (
                _text(self.done.before, self.was) + self.keepalived.text(self.keepalived.was),
                _text(self.done.after, self.recorded) + self.keepalived.text(self.keepalived.drained),
            )
        return Answer(self.changed, values, *texts)

    def _of_ours(self, recorded):
        """Those recorded places that the task is about."""
        return {place: weight for place, weight in recorded.items() if self.addresses is None or place.server.address in self.addresses}


def _text(table, recorded):
    lines = ["# recorded: %s: weight %d\n" % (place, recorded[place]) for place in sorted(recorded, key=_places.order)]
    return _rules.render_table(table or {}) + "".join(lines)


def _without(plan, places):
    """The plan with what it comes to, but without the operations that change these places: somebody else carries them out."""
    return plan._replace(operations=tuple(each for each in plan.operations if _places.Place(each.service, each.after.id) not in places))


def _listed(things, what):
    """A few of the things as text, and how many more there are."""
    return "; ".join(str(each) for each in things[:_SHOWN]) + (" and %d more %s" % (len(things) - _SHOWN, what) if len(things) > _SHOWN else "")


class _Draining(_Task):
    """State drained."""

    def answer(self):
        self._take_out(first=True)
        if self.context.check_mode or not self.options["wait"]:
            uses = self._look(self.weights)
            drained = all(connections.active <= self.options["drain_connections"] for _server, connections in uses.values())
        else:
            uses, drained = self._wait(), True
        return self._answered(dict(self._values(self.weights, uses), drained=drained))

    def _take_out(self, first=False):
        """Record the weights, then set them to 0. Whoever is killed in between leaves a record behind, which the next one goes by.

        Other drains wait until keepalived has done its part, too.
        """
        with self._locked():
            self.recorded = self.record.read()
            self.keepalived.read(first)
            if first:
                self.was = self.recorded
            self._reconcile(self._plan)
            try:
                self.keepalived.set(self.addresses, True)
            except IpvsError as error:
                raise _session.after_failure(self.done, error) from error
            left = self._wait_for_weights(self.left_to_keepalived, lambda weight: not weight, _drain_keepalived.PATIENCE)
        if left:
            raise IpvsError(
                "keepalived has not set the weight of %s to 0 within %d seconds, although it was asked to. Find out with ipvs_keepalived_info "
                "whether it works. The request stays: run this again to set the weight to 0 anyway, or with state: restored to withdraw it."
                % (_listed(left, "places"), _drain_keepalived.PATIENCE),
                changed=self.changed,
                drained=False,
                **self._values(self.weights)
            )

    def _plan(self, table):
        places = _places.find(table, self.addresses)
        if not self.options["allow_missing"]:
            self._refuse_missing(table)
        bereft = [] if self.options["allow_empty"] else _places.bereft(table, self.addresses)
        if bereft:
            raise IpvsError(
                "No server would accept new connections of %s. Restore another server first (one with weight 0 gets none), or set "
                "allow_empty: true to drain it anyway." % _listed(bereft, "services"),
                bereft=[_model.id_options(service) for service in bereft],
            )
        self.left_to_keepalived = self.keepalived.weights(places)
        weights = _places.weights(table, [place for place in places if place not in self.left_to_keepalived], self.recorded)
        # on disk before the first weight changes, and again where another has changed the table and it is planned anew
        self._write(_merged({place: weight for place, weight in self.recorded.items() if place not in self.left_to_keepalived}, weights))
        self.weights = _merged(self._of_ours(self.recorded), self.left_to_keepalived)
        # a weight that somebody has set while the file said so stays: keepalived thinks that it has taken it away
        waiting = [place for place in self.left_to_keepalived if not self.keepalived.drained[place.server.address]]
        return _without(_places.plan(table, dict.fromkeys(places, 0)), waiting)

    def _refuse_missing(self, table):
        known = {place.server.address for place in list(self.recorded) + _places.find(table, self.addresses)} | set(self.keepalived.drained)
        missing = sorted(self.addresses - known)
        if not missing:
            return
        text = "addresses: %s: no virtual service has such a real server, and there is nothing to drain." % _listed(missing, "addresses")
        if missing[0] in {service.address for service in table}:
            text += " %s is a virtual address; give the address of a real server." % missing[0]
        near = _nearest.addresses(table, missing[0])
        if near:
            text += " Nearest: %s." % ", ".join(near)
        elif not table:
            text += " The table is empty."
        raise IpvsError(text)

    def _wait(self):
        limit, timeout, interval = (self.options[name] for name in ("drain_connections", "drain_timeout", "drain_interval"))

        def reset(places):
            self.context.warn("another program set the weight of %s while it was drained; it was set to 0 again" % _listed(places, "places"))
            self._take_out()

        there = self._look(self.weights)
        try:
            outcome, uses, places = _drain.wait_for_all(lambda: self._look(self.weights), reset, limit, timeout, interval)
        except IpvsError as error:
            raise _session.after_failure(self.done, error) from error
        gone = [place for place in there if place not in uses]
        if gone:
            self.context.warn("%s was removed by another program while it was drained" % _listed(gone, "places"))
        if outcome == _drain.DRAINED:
            return uses
        if outcome == _drain.TIMED_OUT:
            counts = ["%s has %d" % (place, uses[place][1].active) for place in places]
            text = (
                "drain_timeout: %s seconds have passed and active connections are left (drain_connections: %d): %s. The weights are 0, so no "
                "new ones come, and they stay so. Run it again to go on waiting, or with state: restored to put the weights back."
                % (timeout, limit, _listed(counts, "places"))
            )
        else:
            weights = ["%s has weight %d" % (place, uses[place][0].weight) for place in places]
            text = (
                "somebody else gave a weight twice while it was drained: %s. So new connections come. Find out who does that (a health "
                "checker, another run), and drain it again." % _listed(weights, "places")
            )
        raise IpvsError(text, changed=self.changed, drained=False, **self._values(self.weights, uses))


def _merged(first, second):
    merged = dict(first)
    merged.update(second)
    return merged


class _Restoring(_Task):
    """State restored. Without addresses: all that is recorded."""

    def answer(self):
        with self._locked():
            self.was = self.recorded = self.record.read()
            self.keepalived.read(first=True)
            chosen = self._of_ours(self.recorded)
            drained = {address for address in self.keepalived.drained if self.keepalived.drained[address]}
            self.coming = drained if self.addresses is None else drained & self.addresses
            if chosen and isinstance(self.kernel, _session.NoKernel):
                raise IpvsError(
                    "IPVS is not loaded, so no weight can be restored; the record of %s stays. Restore the table first."
                    % _listed(sorted(chosen, key=_places.order), "places")
                )
            self._reconcile(lambda table: self._plan(table, chosen))
            self._write({place: weight for place, weight in self.recorded.items() if place not in chosen})
            try:
                self.keepalived.set(self.coming, False)
            except IpvsError as error:
                raise _session.after_failure(self.done, error) from error
            returning = [place for place, weight in self.watched.items() if weight]
            unhealthy = self._wait_for_weights(returning, bool, _drain_keepalived.RETURN_PATIENCE)
            if self.context.check_mode:  # of those that are about to come back, nobody knows
                uses = self._look([place for place in returning if place not in self.left_to_keepalived])
                unhealthy = [place for place, (server, _connections) in uses.items() if not server.weight]
            for place in set(unhealthy).intersection(self.left_to_keepalived):
                servers = self.done.after[place.service].servers
                servers[place.server] = servers[place.server]._replace(weight=0)
        values = self._values(_merged(chosen, self.left_to_keepalived))
        values["unhealthy"] = [str(place) for place in sorted(unhealthy, key=_places.order)]
        if unhealthy:
            values["msg"] = "%s: no longer drained, and kept out by its health check." % _listed(values["unhealthy"], "places")
        elif not chosen and not self.coming:
            values["msg"] = self._nothing()
        return self._answered(values)

    def _plan(self, table, chosen):
        self.left_to_keepalived = self.keepalived.weights(_places.find(table, self.coming))
        self.watched = self.keepalived.weights(_places.find(table, self.coming if self.addresses is None else self.addresses))
        others = self.keepalived.weights(chosen)  # drained before keepalived was there, which has given them a weight or a verdict since
        wanted = _places.returning(table, {place: weight for place, weight in chosen.items() if place not in others})
        wanted.update(_places.returning(table, self.left_to_keepalived))
        return _without(_places.plan(table, wanted), self.left_to_keepalived)

    def _nothing(self):
        """Why nothing is put back, with what the user may have meant."""
        if self.addresses is None:
            return "No weights are recorded: nothing is drained, or it was not ipvs_drain that did it."
        text = "No weights are recorded of %s: there is nothing to put back." % _listed(sorted(self.addresses), "addresses")
        table = self.kernel.read()
        places = sorted(_places.find(table, self.addresses), key=_places.order)
        idle = [place for place in places if not table[place.service].servers[place.server].weight]
        if idle:
            return "%s Others gave weight 0 to %s; ipvs_server gives them another." % (text, _listed(idle, "places"))
        near = [] if places else _nearest.addresses(table, sorted(self.addresses)[0])
        return "%s Nearest: %s." % (text, ", ".join(near)) if near else text
