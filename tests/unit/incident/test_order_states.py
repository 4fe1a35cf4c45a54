"""An order takes only the steps of its table, and the progress counts only given proofs."""

from datetime import UTC, datetime, timedelta

import pytest

from common.ids import new_id
from incident.breaches.models import Obligation
from incident.breaches.views import containment_view
from incident.lifting.models import LiftProposal, LiftState
from incident.lifting.problems import LiftDecided
from incident.orders.models import Order, OrderState
from incident.orders.problems import OrderStepForbidden

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def order(state=OrderState.ORDERED, **more):
    made = Order(
        id=new_id(),
        incident_id=new_id(),
        executor="identity",
        measure="suspend-system",
        target_kind="system",
        target_id=new_id(),
        unit_id=new_id(),
        ordered_at=NOW,
        give_up_at=None,
        next_at=None,
    )
    for name, value in (more | {"state": state}).items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("begin", OrderState)
@pytest.mark.parametrize("end", OrderState)
def test_an_order_takes_only_the_steps_of_its_table(begin, end):
    subject = order(begin, attempts=3, unprobed="x")
    if end in Order.TRANSITIONS[begin]:
        subject.advance(end, next_at=NOW, time_limit=timedelta(seconds=1))
        assert (subject.state, subject.attempts, subject.unprobed) == (end, 0, None)
        assert subject.give_up_at == NOW + timedelta(seconds=1)
    else:
        with pytest.raises(OrderStepForbidden):
            subject.advance(end, next_at=NOW)
        assert subject.state == begin


@pytest.mark.parametrize("begin", LiftState)
@pytest.mark.parametrize("end", LiftState)
def test_a_proposal_is_decided_once(begin, end):
    proposal = LiftProposal(id=new_id(), incident_id=new_id(), proposed_by=new_id(), reason="x", proposed_at=NOW)
    proposal.state = begin
    if end in LiftProposal.TRANSITIONS[begin]:
        proposal.decide(end, by=new_id(), at=NOW)
        assert proposal.state == end
    else:
        with pytest.raises(LiftDecided):
            proposal.decide(end, by=new_id(), at=NOW)


def at(milliseconds):
    return NOW + timedelta(milliseconds=milliseconds)


@pytest.mark.clause("12.3")
def test_the_time_runs_from_the_report_to_the_last_probe():
    orders = [
        order(OrderState.PROBED, confirmed_at=at(80), probed_at=at(120)),
        order(OrderState.PROBED, confirmed_at=at(90), probed_at=at(110)),
    ]
    whole = containment_view(NOW, orders, 1000)
    assert (whole.state, whole.milliseconds, whole.contained_at) == ("contained", 120, at(90))
    assert whole.within_target is True
    assert containment_view(NOW, orders, 85).within_target is False


@pytest.mark.parametrize(
    ("orders", "state"),
    [
        ([order(), order(OrderState.PROBED, confirmed_at=NOW, probed_at=NOW)], "ordered"),
        (
            [order(OrderState.CONFIRMED, confirmed_at=NOW), order(OrderState.PROBED, confirmed_at=NOW, probed_at=NOW)],
            "confirmed",
        ),
        ([order(OrderState.CONFIRMED, confirmed_at=NOW, unprobed="no-grant-concerned")], "confirmed"),
        ([order(OrderState.FAILED), order(OrderState.PROBED, confirmed_at=NOW, probed_at=NOW)], "failed"),
        ([order(OrderState.REOPENED, lifted_at=NOW), order(OrderState.RESTORED, lifted_at=NOW)], "restored"),
        ([order(OrderState.NOT_REOPENED, lifted_at=NOW), order(OrderState.REOPENED, lifted_at=NOW)], "not-reopened"),
    ],
)
def test_the_whole_is_as_far_as_its_worst_order(orders, state):
    assert containment_view(NOW, orders, 1000).state == state


@pytest.mark.clause("12.5")
@pytest.mark.parametrize(
    ("met", "now", "late"), [(None, 50, 0), (None, 70, 10), (60, 500, 0), (61, 500, 1), (61, 61, 1)]
)
def test_lateness_follows_from_the_facts_whenever_it_is_read(met, now, late):
    duty = Obligation(
        id=new_id(),
        incident_id=new_id(),
        content="report-to-authority",
        clause="12.5",
        basis="规程第十二条",
        policy="breach-report-term",
        policy_version=0,
        from_at=NOW,
        due_at=NOW + timedelta(seconds=60),
    )
    met_at = NOW + timedelta(seconds=met) if met is not None else None
    assert duty.late_by(met_at, NOW + timedelta(seconds=now)) == timedelta(seconds=late)
