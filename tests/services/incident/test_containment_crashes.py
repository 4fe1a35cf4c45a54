"""Whatever dies between confirmation, probe and record: the order is probed, and takes each step once."""

from datetime import timedelta

import pytest
from starlette.responses import JSONResponse

from common.contracts.events import datashare, identity
from common.enforcement.revocation_feed import Cutoff
from common.ids import new_id
from incident.orders import queries, service
from incident.probes import queue as probing
from incident.probes.worker import probe_round


async def an_account_order(pieces):
    """Return breach, order, and the executor's answer, which nobody has delivered yet."""
    unit = await pieces.agency()
    breach = await pieces.breach(unit, accounts=[await pieces.account(unit)])
    order = await pieces.order_of(breach)
    pieces.orders[order.id] = order
    pieces.before[order.id] = 0
    now = pieces.clock.now()
    return breach, order, identity.ContainmentApplied(order_id=order.id, known=True, effective_at=now, points={})


async def cut_off(pieces, order, cause=None) -> None:
    subject = f"account:{order.target_id}"
    pieces.epochs[subject] += 1
    await pieces.feed(
        Cutoff(
            id=new_id(),
            subject=subject,
            epoch=pieces.epochs[subject],
            reason="contained",
            cause=cause or f"order:{order.id}",
            at=pieces.clock.now(),
        )
    )
    await pieces.point.until(lambda: pieces.point.holds(subject, pieces.epochs[subject]), 5)


@pytest.mark.clause("12.3")
async def test_an_order_confirmed_before_a_crash_is_probed_after_it(pieces):
    breach, order, applied = await an_account_order(pieces)
    await cut_off(pieces, order)
    await pieces.say(applied)
    pieces.restart()
    assert await probe_round(pieces.runtime, pieces.knocker) == 1
    assert (await pieces.order_of(breach)).state == "probed"
    assert await probe_round(pieces.runtime, pieces.knocker) == 0


@pytest.mark.clause("12.3")
async def test_a_probe_whose_record_died_is_made_again_after_its_lease_and_counts_once(pieces):
    breach, order, applied = await an_account_order(pieces)
    await cut_off(pieces, order)
    await pieces.say(applied)
    (work,) = await pieces.claim()
    lost = await pieces.knocker.probe(work)
    pieces.restart()
    assert await pieces.claim() == []  # somebody may still hold it
    pieces.clock.advance(probing.LEASE)
    assert await probe_round(pieces.runtime, pieces.knocker) == 1
    await pieces.record(work, lost)  # the dead prober was only slow
    after = await pieces.order_of(breach)
    assert (after.state, len(after.probes)) == ("probed", 2)
    assert [step.state for step in after.timeline] == ["ordered", "confirmed", "probed"]
    assert await pieces.outbox("containment.probed") == 1


async def test_two_probers_never_take_the_same_order(pieces):
    _, order, applied = await an_account_order(pieces)
    await cut_off(pieces, order)
    await pieces.say(applied)
    async with pieces.runtime.database.transaction() as session:
        assert len(await probing.claim(session, pieces.runtime)) == 1
        assert await pieces.claim() == []


async def test_a_confirmation_that_comes_again_changes_nothing(pieces):
    breach, order, applied = await an_account_order(pieces)
    await cut_off(pieces, order)
    same = pieces.message(applied)
    await pieces.hear(same, same)
    await pieces.say(applied)  # said again under another number
    await probe_round(pieces.runtime, pieces.knocker)
    await pieces.say(applied)
    after = await pieces.order_of(breach)
    assert (after.state, [step.state for step in after.timeline]) == ("probed", ["ordered", "confirmed", "probed"])
    assert await pieces.outbox("containment.confirmed") == 1


async def test_an_answer_of_the_wrong_service_confirms_nothing(pieces):
    breach, order, _ = await an_account_order(pieces)
    await pieces.say(datashare.ContainmentApplied(order_id=order.id, grants=[], applied_at=pieces.clock.now()))
    await pieces.say(datashare.ContainmentApplied(order_id=new_id(), grants=[], applied_at=pieces.clock.now()))
    assert (await pieces.order_of(breach)).state == "ordered"


@pytest.mark.clause("12.3")
async def test_an_order_that_nobody_confirms_fails_visibly_and_a_late_confirmation_still_counts(pieces):
    breach, order, applied = await an_account_order(pieces)
    pieces.clock.advance(timedelta(seconds=9))
    await probe_round(pieces.runtime, pieces.knocker)
    assert (await pieces.order_of(breach)).state == "ordered"
    pieces.clock.advance(timedelta(seconds=1))
    await probe_round(pieces.runtime, pieces.knocker)
    file = await pieces.file_of(breach)
    assert (file.containment.state, file.orders[0].timeline[-1].detail) == ("failed", "not-confirmed")
    assert await pieces.outbox("containment.failed") == 1
    await cut_off(pieces, order)
    await pieces.say(applied)
    await probe_round(pieces.runtime, pieces.knocker)
    file = await pieces.file_of(breach)
    assert (file.containment.state, file.containment.within_target) == ("contained", False)


@pytest.mark.clause("12.3")
async def test_a_refusal_for_another_reason_is_no_pass_however_often_it_comes(pieces):
    breach, order, applied = await an_account_order(pieces)
    await cut_off(pieces, order, cause="departure:7")
    await pieces.say(applied)
    for _ in range(40):
        await probe_round(pieces.runtime, pieces.knocker)
        pieces.clock.advance(timedelta(seconds=2))
    file = await pieces.file_of(breach)
    assert file.containment.state == "failed"
    assert (file.containment.probed, file.containment.milliseconds) == (0, None)
    (order,) = file.orders
    assert len(order.probes) > 3
    assert {(probe.status, probe.problem, probe.passed) for probe in order.probes} == {
        (401, "urn:xindun:problem:credential-revoked", False)
    }
    assert order.timeline[-1].detail == "refused-for-another-reason"
    assert await pieces.outbox("containment.failed") == 1
    assert await pieces.outbox("containment.probed") == 1  # the deciding one, not passed
    await pieces.say(applied)  # said again, it does not wipe the failure out
    assert (await pieces.order_of(breach)).state == "failed"


@pytest.mark.clause("12.3")
async def test_a_door_that_stands_open_is_a_failure(pieces):
    breach, _, applied = await an_account_order(pieces)
    pieces.bend = lambda _: JSONResponse({"records": []})
    await pieces.say(applied)
    for _ in range(8):
        await probe_round(pieces.runtime, pieces.knocker)
        pieces.clock.advance(timedelta(seconds=2))
    order = await pieces.order_of(breach)
    assert (order.state, order.timeline[-1].detail) == ("failed", "probe-not-met")


async def test_no_answer_is_on_record_and_no_proof(pieces):
    breach, order, applied = await an_account_order(pieces)
    del pieces.orders[order.id]  # identity has not heard of the order yet
    await pieces.say(applied)
    await probe_round(pieces.runtime, pieces.knocker)
    (probe,) = (await pieces.order_of(breach)).probes
    assert (probe.status, probe.reason, probe.passed) == (0, "no-probe-credential-404", False)
    pieces.orders[order.id] = order
    await cut_off(pieces, order)
    pieces.clock.advance(timedelta(seconds=1))
    await probe_round(pieces.runtime, pieces.knocker)
    assert (await pieces.order_of(breach)).state == "probed"


async def test_a_prober_that_was_overtaken_by_a_lift_decides_nothing(pieces):
    breach, order, applied = await an_account_order(pieces)
    await cut_off(pieces, order)
    await pieces.say(applied)
    (work,) = await pieces.claim()
    attempts = await pieces.knocker.probe(work)
    async with pieces.runtime.database.transaction() as session:
        orders = await queries.lock_orders(session, breach)
        await service.lift(session, pieces.runtime, orders, proposed_by=new_id(), approved_by=new_id())
    await pieces.record(work, attempts)
    after = await pieces.order_of(breach)
    assert (after.state, len(after.probes), after.probed_at) == ("lifted", 1, None)
    await pieces.say(applied)  # a confirmation after the lift
    assert (await pieces.order_of(breach)).state == "lifted"
