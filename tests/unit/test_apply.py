# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconciling: check mode writes nothing, all or nothing, and again where somebody changed the table meanwhile."""

from __future__ import annotations

import errno
import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _apply, _literals, _model, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from . import strategies
from .fake_kernel import FakeKernel
from .strategies import as_desired, few

REASONS = [errno.EINVAL, errno.ERANGE, errno.ENOMEM, errno.EPERM]


def everything(_ident):
    return True


def reconcile(kernel, wanted, check_mode=False, rollback=True):
    def plan(current):
        return _plan.plan_present(current, as_desired(wanted), everything, everything)

    return _apply.reconcile(kernel, lambda kernel: kernel.read(), plan, check_mode, rollback)


@few
@given(strategies.tables, strategies.tables)
def test_check_mode_tells_the_same_and_writes_nothing(current, wanted):
    foretold = reconcile(FakeKernel(current, read_only=True), wanted, check_mode=True)
    kernel = FakeKernel(current)
    assert reconcile(kernel, wanted) == foretold
    assert kernel.table == wanted == foretold.after
    assert reconcile(FakeKernel(wanted, read_only=True), wanted).operations == ()


@few
@given(strategies.tables, strategies.tables, st.data())
def test_all_or_nothing_for_every_operation_that_may_fail(current, wanted, data):
    operations = reconcile(FakeKernel(current), wanted).operations
    for number in range(len(operations)):
        kernel = FakeKernel(current)
        kernel.refuse = {number: data.draw(st.sampled_from(REASONS))}
        with pytest.raises(IpvsError) as error:
            reconcile(kernel, wanted)
        assert kernel.table == current
        assert str(operations[number]) in str(error.value)
        assert error.value.details == {}
        if operations[number].kind not in _plan.REMOVALS:
            # not even for a moment has anything gone that was there
            undone = kernel.applied[number + 1 :]
            assert not [each for each in undone if each.kind in _plan.REMOVALS and was_there(current, each)]


def was_there(table, operation):
    """Whether what the operation removes was in the table to begin with."""
    if operation.kind == _plan.DELETE_SERVER:
        return operation.service in table and operation.before.id in table[operation.service].servers
    return operation.service in table


@few
@given(strategies.tables, strategies.tables)
def test_stages_begin_with_what_nobody_uses_and_end_with_removals(current, wanted):
    operations = reconcile(FakeKernel(current), wanted).operations
    stages = _plan.stages(operations)
    assert sum(stages, ()) == operations
    risks = [{risk(current, each) for each in stage} for stage in stages]
    assert risks == sorted(risks, key=sorted) and all(len(each) == 1 for each in risks) and len(risks) <= 3


def test_a_new_service_and_its_servers_are_a_stage_before_what_changes_others():
    old, new = ({"fwmark": mark, "servers": [{"address": "198.51.100.11"}]} for mark in (1, 2))
    current, wanted = _model.created_table([old]), _model.created_table([dict(old, scheduler="rr"), new])
    stages = _plan.stages(reconcile(FakeKernel(current), wanted).operations)
    assert [[operation.kind for operation in stage] for stage in stages] == [[_plan.ADD_SERVICE, _plan.ADD_SERVER], [_plan.EDIT_SERVICE]]


def risk(table, operation):
    """0: concerns a new service, 1: changes one that is there, 2: removes."""
    return 2 if operation.kind in _plan.REMOVALS else int(operation.service in table)


def service_of(mark):
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, mark)
    return ident, _model.Entry(_model.overlay_service(_model.Service(ident)), {})


@pytest.mark.parametrize("rollback", [True, False])
@pytest.mark.parametrize("error", [OptionError("weight", 9, "too much"), ValueError("odd")], ids=lambda error: type(error).__name__)
def test_an_error_at_the_second_plan_undoes_the_first(error, rollback):
    (new, entry), (edited, old) = service_of(7), service_of(8)
    kernel = FakeKernel({edited: old})
    kernel.refuse = {1: errno.ESRCH}
    plans = []

    def plan(current):
        plans.append(current)
        if len(plans) == 2:
            raise error
        return _plan.plan_present(current, as_desired({new: entry, edited: _model.Entry(old.service._replace(scheduler="rr"), {})}))

    with pytest.raises(IpvsError) as failure:
        _apply.reconcile(kernel, lambda kernel: kernel.read(), plan, False, rollback)
    assert len(plans) == 2 and failure.value.__cause__ is error
    message, details = str(failure.value), failure.value.details
    assert message.startswith("weight: 9: too much. " if isinstance(error, IpvsError) else "ValueError: odd. ")
    assert isinstance(error, IpvsError) or "Traceback" in details["exception"]
    if rollback:
        assert "The rest was undone (1 operations)" in message and "changed" not in details
        assert kernel.table == {edited: old}
    else:
        assert details["changed"] and details["commands"] == ["ipvsadm -A -f 7 -s wlc"]
        assert set(kernel.table) == {new, edited}


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EPERM])
def test_what_was_surely_done_and_cannot_be_undone_is_told(number):
    """Only of an operation whose answer was lost may it be that there is nothing to undo."""
    (new, entry), (edited, old) = service_of(7), service_of(8)
    kernel = FakeKernel({edited: old})
    kernel.refuse = {1: errno.EINVAL, 2: number}
    wanted = {new: entry, edited: _model.Entry(old.service._replace(scheduler="rr"), {})}
    with pytest.raises(IpvsError, match="Undoing the rest failed in part; not undone: ipvsadm -D -f 7: ") as failure:
        reconcile(kernel, wanted)
    assert failure.value.details["changed"] and len(failure.value.details["not_undone"]) == 1


def test_an_error_before_anything_was_done_stays_as_it_is():
    def plan(_current):
        raise OptionError("weight", 9, "too much")

    with pytest.raises(OptionError, match="^weight: 9: too much$"):
        _apply.reconcile(FakeKernel(read_only=True), lambda kernel: kernel.read(), plan, False)


@few
@given(strategies.tables, strategies.tables, st.data())
def test_several_failures_and_lost_answers(current, wanted, data):
    operations = reconcile(FakeKernel(current), wanted).operations
    assume(operations)
    kernel = FakeKernel(current)
    # all in one stage, because none of the stages after it is tried
    ends = list(itertools.accumulate(len(stage) for stage in _plan.stages(operations)))
    stage = data.draw(st.integers(0, len(ends) - 1))
    numbers = st.integers(ends[stage - 1] if stage else 0, ends[stage] - 1)
    kernel.refuse = data.draw(st.dictionaries(numbers, st.sampled_from(REASONS + [None]), min_size=1, max_size=3))
    with pytest.raises(IpvsError) as error:
        reconcile(kernel, wanted)
    assert kernel.table == current
    assert "not undone" not in str(error.value)  # to put back what has never gone is refused, and that is no failure


def test_a_removal_that_was_lost_needs_no_undoing():
    ident, entry = service_of(7)
    kernel = FakeKernel({ident: entry})
    kernel.refuse = {0: None}
    with pytest.raises(IpvsError, match=r"^delete service fwmark 7: the kernel's answer was lost. The rest was undone \(1 operations\)."):
        reconcile(kernel, {})
    assert kernel.table == {ident: entry}


class Deaf(FakeKernel):
    """Carries everything out, and its first answers are lost."""

    def apply(self, operations):
        first = not self.applied
        outcomes = super().apply(operations)
        return [None] * len(outcomes) if first else outcomes


@few
@given(strategies.tables, strategies.tables)
def test_what_was_done_without_an_answer_is_undone_too(current, wanted):
    kernel = Deaf(current)
    assume(reconcile(FakeKernel(current), wanted).operations)
    with pytest.raises(IpvsError, match="the kernel's answer was lost"):
        reconcile(kernel, wanted)
    assert kernel.table == current


@few
@given(strategies.tables, strategies.tables, st.data())
def test_without_rollback_what_was_done_stays_and_is_listed(current, wanted, data):
    operations = reconcile(FakeKernel(current), wanted).operations
    assume(len(operations) > 1)
    kernel = FakeKernel(current)
    # the last one, so that nothing depends on it
    kernel.refuse = {len(operations) - 1: errno.EINVAL}
    with pytest.raises(IpvsError, match="Rollback is off") as error:
        reconcile(kernel, wanted, rollback=False)
    done = operations[:-1]
    assert error.value.details == {"changed": True, "commands": [_plan.command(operation) for operation in done]}
    expected = FakeKernel(current)
    expected.apply(done)
    assert kernel.table == expected.table


@few
@given(strategies.tables, strategies.tables, strategies.tables)
def test_changed_meanwhile_is_planned_again(current, wanted, other):
    """Somebody puts another table in place between reading and applying: it becomes ours all the same."""
    kernel = FakeKernel(current)
    kernel.meddle = [lambda kernel: setattr(kernel, "table", FakeKernel(other).table)]
    foreseen = reconcile(FakeKernel(current), wanted)
    refused = FakeKernel(other).apply(foreseen.operations)
    plan = reconcile(kernel, wanted)
    assert plan.after == wanted
    assert plan.before == foreseen.before  # of the first try: what the task found
    if any(refused):  # it was noticed
        assert kernel.table == wanted


def test_three_tries_and_no_more():
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, 7)
    service = _model.overlay_service(_model.Service(ident))
    entry = _model.Entry(service, {})

    def toggle(kernel):
        if kernel.table:
            kernel.table.clear()
        else:
            kernel.table[ident] = entry

    kernel = FakeKernel({ident: entry})
    kernel.meddle = [toggle] * 9
    wanted = {ident: _model.Entry(service._replace(scheduler="rr"), {})}
    with pytest.raises(IpvsError, match="^edit service fwmark 7: .* gave up after 3 tries. Nothing was changed.$"):
        reconcile(kernel, wanted)
    assert len(kernel.applied) == 3


def test_what_cannot_be_undone_is_told():
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, 7)
    service = _model.overlay_service(_model.Service(ident))
    wanted = {ident: _model.Entry(service, {}), ident._replace(fwmark=8): _model.Entry(service._replace(id=ident._replace(fwmark=8)), {})}
    kernel = FakeKernel()
    kernel.refuse = {1: errno.EINVAL, 2: errno.EBUSY}
    with pytest.raises(IpvsError, match="Undoing the rest failed in part; not undone: ipvsadm -D -f 7: ") as error:
        reconcile(kernel, wanted)
    assert error.value.details["changed"] and len(error.value.details["not_undone"]) == 1


def test_what_may_have_been_done_and_is_not_surely_undone_is_told():
    """The answer to the operation was lost, and taking it back was refused: nobody knows."""
    ident, entry = service_of(7)
    kernel = FakeKernel()
    kernel.refuse = {0: None, 1: errno.EPERM}
    with pytest.raises(IpvsError, match="not undone: ipvsadm -D -f 7: "):
        reconcile(kernel, {ident: entry})


def test_undone_in_reverse():
    wanted = _model.desired_table([{"fwmark": 7, "servers": [{"address": "198.51.100.1"}, {"address": "198.51.100.2"}, {"address": "198.51.100.3"}]}])
    kernel = FakeKernel()
    kernel.refuse = {3: errno.EINVAL}
    with pytest.raises(IpvsError, match=r"The rest was undone \(3 operations\)"):
        reconcile(kernel, wanted)
    undone = [(operation.kind, getattr(operation.before, "id", None)) for operation in kernel.applied[4:]]
    server = _plan.DELETE_SERVER
    assert undone == [(server, ("198.51.100.2", 0)), (server, ("198.51.100.1", 0)), (_plan.DELETE_SERVICE, None)]
