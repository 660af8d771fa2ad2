# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconciling: check mode writes nothing, all or nothing, and again where somebody changed the table meanwhile."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils import _apply, _model, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._errors import IpvsError

from . import strategies
from .fake_kernel import FakeKernel
from .strategies import as_wish, few

REASONS = [errno.EINVAL, errno.ERANGE, errno.ENOMEM, errno.EPERM]


def everything(_ident):
    return True


def reconcile(kernel, wanted, check_mode=False, rollback=True):
    def plan(current):
        return _plan.plan_present(current, as_wish(wanted), everything, everything)

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


@few
@given(strategies.tables, strategies.tables, st.data())
def test_several_failures_and_lost_answers(current, wanted, data):
    operations = reconcile(FakeKernel(current), wanted).operations
    kernel = FakeKernel(current)
    kernel.refuse = data.draw(st.dictionaries(st.integers(0, max(len(operations) - 1, 0)), st.sampled_from(REASONS + [None]), max_size=3))
    if not operations or not kernel.refuse:
        return
    with pytest.raises(IpvsError):
        reconcile(kernel, wanted)
    assert kernel.table == current


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
    if reconcile(FakeKernel(current), wanted).operations:
        with pytest.raises(IpvsError, match="the kernel's answer was lost"):
            reconcile(kernel, wanted)
    assert kernel.table == current


@few
@given(strategies.tables, strategies.tables, st.data())
def test_without_rollback_what_was_done_stays_and_is_listed(current, wanted, data):
    operations = reconcile(FakeKernel(current), wanted).operations
    if len(operations) < 2:
        return
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
    refused = FakeKernel(other).apply(reconcile(FakeKernel(current), wanted).operations)
    plan = reconcile(kernel, wanted)
    assert plan.after == wanted
    if any(refused):  # it was noticed
        assert kernel.table == wanted


def test_three_tries_and_no_more():
    ident = _model.ServiceId(_model.IPV4, 0, "", 0, 7)
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
    with pytest.raises(IpvsError, match="gave up after 3 tries. Nothing was changed."):
        reconcile(kernel, wanted)
    assert len(kernel.applied) == 3


def test_what_cannot_be_undone_is_told():
    ident = _model.ServiceId(_model.IPV4, 0, "", 0, 7)
    service = _model.overlay_service(_model.Service(ident))
    wanted = {ident: _model.Entry(service, {}), ident._replace(fwmark=8): _model.Entry(service._replace(id=ident._replace(fwmark=8)), {})}
    kernel = FakeKernel()
    kernel.refuse = {1: errno.EINVAL, 2: errno.EBUSY}
    with pytest.raises(IpvsError, match="Undoing the rest failed in part; not undone: ipvsadm -D -f 7: ") as error:
        reconcile(kernel, wanted)
    assert error.value.details["changed"] and len(error.value.details["not_undone"]) == 1


def test_undone_in_reverse():
    wanted = _model.table_wish([{"fwmark": 7, "servers": [{"address": "198.51.100.1"}, {"address": "198.51.100.2"}, {"address": "198.51.100.3"}]}])
    kernel = FakeKernel()
    kernel.refuse = {3: errno.EINVAL}
    with pytest.raises(IpvsError, match=r"The rest was undone \(3 operations\)"):
        reconcile(kernel, wanted)
    undone = [(operation.kind, getattr(operation.before, "id", None)) for operation in kernel.applied[4:]]
    server = _plan.DELETE_SERVER
    assert undone == [(server, ("198.51.100.2", 0)), (server, ("198.51.100.1", 0)), (_plan.DELETE_SERVICE, None)]
