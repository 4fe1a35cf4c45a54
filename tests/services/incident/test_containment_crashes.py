"""Whatever dies between confirmation, probe and record: the order is probed, and takes each step once."""

from datetime import timedelta

import pytest
from starlette.responses import JSONResponse

from common.contracts.events import datashare, identity
from common.enforcement.revocation_feed import Cutoff
from common.ids import new_id
from incident.orders import queries, service
from incident.probes import task_queue
from incident.probes.worker import probe_round


async def an_account_order(paused):
    """Return breach, order, and the executor's answer, not delivered yet."""
    unit = await paused.agency()
    breach = await paused.breach(unit, accounts=[await paused.account(unit)])
    order = await paused.order_of(breach)
    paused.orders[order.id] = order
    paused.before[order.id] = 0
    now = paused.clock.now()
    return breach, order, identity.ContainmentApplied(order_id=order.id, known=True, effective_at=now, points={})


async def cut_off(paused, order, cause=None) -> None:
    subject = f"account:{order.target_id}"
    paused.epochs[subject] += 1
    await paused.feed(
        Cutoff(
            id=new_id(),
            subject=subject,
            epoch=paused.epochs[subject],
            reason="contained",
            cause=cause or f"order:{order.id}",
            at=paused.clock.now(),
        )
    )
    await paused.point.until(lambda: paused.point.holds(subject, paused.epochs[subject]), 5)


@pytest.mark.clause("12.3")
async def test_an_order_confirmed_before_a_crash_is_probed_after_it(paused):
    breach, order, applied = await an_account_order(paused)
    await cut_off(paused, order)
    await paused.publish(applied)
    paused.restart()
    assert await probe_round(paused.runtime, paused.probe_client) == 1
    assert (await paused.order_of(breach)).state == "probed"
    assert await probe_round(paused.runtime, paused.probe_client) == 0


@pytest.mark.clause("12.3")
async def test_a_probe_whose_record_died_is_made_again_after_its_lease_and_counts_once(paused):
    breach, order, applied = await an_account_order(paused)
    await cut_off(paused, order)
    await paused.publish(applied)
    (work,) = await paused.claim()
    lost = await paused.probe_client.probe(work)
    paused.restart()
    assert await paused.claim() == []  # another worker may still hold it
    paused.clock.advance(task_queue.CLAIM_LEASE)
    assert await probe_round(paused.runtime, paused.probe_client) == 1
    await paused.record(work, lost)  # the worker was not dead but slow
    after = await paused.order_of(breach)
    assert (after.state, len(after.probes)) == ("probed", 2)
    assert [step.state for step in after.timeline] == ["ordered", "confirmed", "probed"]
    assert len(await paused.events("containment.probed")) == 1


async def test_two_workers_never_claim_the_same_order(paused):
    _, order, applied = await an_account_order(paused)
    await cut_off(paused, order)
    await paused.publish(applied)
    async with paused.runtime.database.transaction() as session:
        assert len(await task_queue.claim(session, paused.runtime)) == 1
        assert await paused.claim() == []


async def test_a_confirmation_that_comes_again_changes_nothing(paused):
    breach, order, applied = await an_account_order(paused)
    await cut_off(paused, order)
    same = paused.message(applied)
    await paused.inbox.deliver([same, same])
    await paused.publish(applied)  # said again under another number
    await probe_round(paused.runtime, paused.probe_client)
    await paused.publish(applied)
    after = await paused.order_of(breach)
    assert (after.state, [step.state for step in after.timeline]) == ("probed", ["ordered", "confirmed", "probed"])
    assert len(await paused.events("containment.confirmed")) == 1


async def test_an_answer_of_the_wrong_service_confirms_nothing(paused):
    breach, order, _ = await an_account_order(paused)
    await paused.publish(datashare.ContainmentApplied(order_id=order.id, grants=[], applied_at=paused.clock.now()))
    await paused.publish(datashare.ContainmentApplied(order_id=new_id(), grants=[], applied_at=paused.clock.now()))
    assert (await paused.order_of(breach)).state == "ordered"


@pytest.mark.clause("12.3")
async def test_an_unconfirmed_order_fails_visibly_and_a_late_confirmation_still_counts(paused):
    breach, order, applied = await an_account_order(paused)
    paused.clock.advance(timedelta(seconds=9))
    await probe_round(paused.runtime, paused.probe_client)
    assert (await paused.order_of(breach)).state == "ordered"
    paused.clock.advance(timedelta(seconds=1))
    await probe_round(paused.runtime, paused.probe_client)
    file = await paused.file_of(breach)
    assert (file.containment.state, file.orders[0].timeline[-1].detail) == ("failed", "not-confirmed")
    assert len(await paused.events("containment.failed")) == 1
    await cut_off(paused, order)
    await paused.publish(applied)
    await probe_round(paused.runtime, paused.probe_client)
    file = await paused.file_of(breach)
    assert (file.containment.state, file.containment.within_target) == ("contained", False)


@pytest.mark.clause("12.3")
async def test_a_refusal_for_another_reason_is_no_pass_however_often_it_comes(paused):
    breach, order, applied = await an_account_order(paused)
    await cut_off(paused, order, cause="departure:7")
    await paused.publish(applied)
    for _ in range(40):
        await probe_round(paused.runtime, paused.probe_client)
        paused.clock.advance(timedelta(seconds=2))
    file = await paused.file_of(breach)
    assert file.containment.state == "failed"
    assert (file.containment.probed, file.containment.milliseconds) == (0, None)
    (order,) = file.orders
    assert len(order.probes) > 3
    assert {(probe.status, probe.problem, probe.passed) for probe in order.probes} == {
        (401, "urn:xindun:problem:credential-revoked", False)
    }
    assert order.timeline[-1].detail == "refused-for-another-reason"
    assert len(await paused.events("containment.failed")) == 1
    assert len(await paused.events("containment.probed")) == 1  # the deciding one, not passed
    await paused.publish(applied)  # said again, it does not wipe the failure out
    assert (await paused.order_of(breach)).state == "failed"


@pytest.mark.clause("12.3")
async def test_access_that_stays_open_is_a_failure(paused):
    breach, _, applied = await an_account_order(paused)
    paused.bend = lambda _: JSONResponse({"records": []})
    await paused.publish(applied)
    for _ in range(8):
        await probe_round(paused.runtime, paused.probe_client)
        paused.clock.advance(timedelta(seconds=2))
    order = await paused.order_of(breach)
    assert (order.state, order.timeline[-1].detail) == ("failed", "probe-not-met")


async def test_no_answer_is_on_record_and_no_proof(paused):
    breach, order, applied = await an_account_order(paused)
    del paused.orders[order.id]  # the order has not reached identity yet
    await paused.publish(applied)
    await probe_round(paused.runtime, paused.probe_client)
    (probe,) = (await paused.order_of(breach)).probes
    assert (probe.status, probe.reason, probe.passed) == (0, "no-probe-credential-404", False)
    paused.orders[order.id] = order
    await cut_off(paused, order)
    paused.clock.advance(timedelta(seconds=1))
    await probe_round(paused.runtime, paused.probe_client)
    assert (await paused.order_of(breach)).state == "probed"


async def test_a_worker_that_was_overtaken_by_a_lift_decides_nothing(paused):
    breach, order, applied = await an_account_order(paused)
    await cut_off(paused, order)
    await paused.publish(applied)
    (work,) = await paused.claim()
    attempts = await paused.probe_client.probe(work)
    async with paused.runtime.database.transaction() as session:
        orders = await queries.lock_orders(session, breach)
        await service.lift(session, paused.runtime, orders, proposed_by=new_id(), approved_by=new_id())
    await paused.record(work, attempts)
    after = await paused.order_of(breach)
    assert (after.state, len(after.probes), after.probed_at) == ("lifted", 1, None)
    await paused.publish(applied)  # a confirmation after the lift
    assert (await paused.order_of(breach)).state == "lifted"
