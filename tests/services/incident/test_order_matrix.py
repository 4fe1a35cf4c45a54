"""Every state of an order × every event, on the real database; and every act × every role."""

from uuid import UUID

import pytest
from starlette.responses import JSONResponse

from common.contracts.events import identity
from common.contracts.permissions import POSTS
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.ids import new_id
from common.problems import Problem
from incident.orders import queries, service
from incident.orders.models import Order, OrderState
from incident.probes.worker import probe_round

STATES = list(OrderState)
STAYS = {state: state for state in STATES}
AS_FOUND = {OrderState.CONFIRMED: "refused", OrderState.RESTORED: "allowed"}

EVENTS: dict[str, dict[OrderState, OrderState | str]] = {
    # A failed order of this walk was never confirmed: a late confirmation counts.
    "confirmed": STAYS | {OrderState.ORDERED: OrderState.CONFIRMED, OrderState.FAILED: OrderState.CONFIRMED},
    "target unknown": STAYS | {OrderState.ORDERED: OrderState.FAILED},
    "lift applied": STAYS | {OrderState.LIFTED: OrderState.RESTORED, OrderState.NOT_REOPENED: OrderState.RESTORED},
    "lift approved": {
        state: OrderState.LIFTED if OrderState.LIFTED in Order.TRANSITIONS[state] else "containment-step-forbidden"
        for state in STATES
    },
    "deadline passed": STAYS
    | {OrderState.ORDERED: OrderState.FAILED, OrderState.LIFTED: OrderState.NOT_REOPENED}
    # These are probed, and the stand-in below gives the answer that shows it.
    | {OrderState.CONFIRMED: OrderState.PROBED, OrderState.RESTORED: OrderState.REOPENED},
    "probe asked again": dict.fromkeys(STATES, "containment-step-forbidden")
    | {OrderState.NOT_REOPENED: OrderState.RESTORED},
}
UNDER_WAY = {OrderState.ORDERED, OrderState.CONFIRMED, OrderState.LIFTED, OrderState.RESTORED}


async def order_in(paused, state: OrderState) -> UUID:
    """Return an order of a new breach, put into `state` with what belongs to it."""
    unit = await paused.agency()
    account = await paused.account(unit)
    await paused.grant(unit)
    breach = await paused.breach(unit, accounts=[account])
    order_id = (await paused.order_of(breach)).id
    now = paused.clock.now()
    async with paused.runtime.database.transaction() as session:
        order = await session.get_one(Order, order_id)
        order.state = state
        order.next_at = order.give_up_at = now if state in UNDER_WAY else None
        if state not in (OrderState.ORDERED, OrderState.FAILED):
            order.confirmed_at = now
        if state == OrderState.PROBED:
            order.probed_at = now
        if state in (OrderState.RESTORED, OrderState.REOPENED, OrderState.NOT_REOPENED):
            order.restored_at = now
    paused.orders[order_id] = order
    paused.before[order_id] = 0
    return order_id


async def happen(paused, event: str, order_id: UUID) -> str | None:
    """Let it happen; return the slug of the refusal."""
    now = paused.clock.now()
    if event in ("confirmed", "target unknown"):
        known = event == "confirmed"
        await paused.publish(identity.ContainmentApplied(order_id=order_id, known=known, effective_at=now, points={}))
    elif event == "lift applied":
        await paused.publish(identity.ContainmentLiftApplied(order_id=order_id, reinstated=True))
    elif event == "deadline passed":
        revoked = {"type": "urn:xindun:problem:credential-revoked", "cause": f"order:{order_id}"}
        refused = paused.orders[order_id].state == OrderState.CONFIRMED
        paused.bend = lambda _: JSONResponse(revoked, 401) if refused else JSONResponse({})
        await probe_round(paused.runtime, paused.probe_client)
    else:
        try:
            async with paused.runtime.database.transaction() as session:
                order = await queries.lock_order(session, order_id)
                if event == "lift approved":
                    await service.lift(session, paused.runtime, [order], proposed_by=new_id(), approved_by=new_id())
                else:
                    person = Principal("account", str(new_id()), new_id(), None, frozenset(), None, {}, now)
                    await service.probe_again(session, paused.runtime, person, order_id, unit=None)
        except Problem as problem:
            return problem.slug
    return None


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("event", EVENTS)
async def test_whatever_happens_in_whatever_state_ends_where_the_table_says(paused, event):
    found = {}
    for state in STATES:
        order_id = await order_in(paused, state)
        refusal = await happen(paused, event, order_id)
        async with paused.runtime.database.transaction() as session:
            order = await session.get_one(Order, order_id)
            found[state] = refusal or OrderState(order.state)
            if order.state not in UNDER_WAY:
                assert order.next_at is None
            order.next_at = None  # so that the next round of this walk leaves it alone
    assert found == EVENTS[event]


def roles(harness):
    unit = harness.unit
    return {
        "unit administrator": harness.person(unit),
        "credit clerk": harness.person(unit, post="credit-clerk"),
        "foreign administrator": harness.person(new_id()),
        "center officer": harness.center(),
        "authority officer": harness.authority(),
    }


MAY = {
    "report": {"unit administrator", "credit clerk", "center officer", "authority officer"},
    "read": {"unit administrator", "credit clerk", "center officer", "authority officer"},
    "correct": {"unit administrator", "credit clerk", "center officer", "authority officer"},
    "report to the authority": {"unit administrator", "credit clerk", "center officer"},
    "propose a lift": {"center officer", "authority officer"},
    "approve a lift": {"center officer", "authority officer"},
    "probe again": {"center officer", "authority officer"},
}


@pytest.mark.clause("6.2")
async def test_every_role_may_do_what_its_post_says_and_nothing_else(harness):
    harness.executors = False
    harness.unit = await harness.agency()
    system = await harness.system(harness.unit)
    allowed: dict[str, set[str]] = {act: set() for act in MAY}
    refusals = set()
    for role, person in roles(harness).items():
        file = (await harness.report(harness.center(), wait_ms=0, systems=[system])).json()
        breach = f"/incident/breaches/{file['id']}"
        proposal = await harness.center().post(f"{breach}/lift-proposals", {"reason": "漏洞已修复"})
        fact = {"kind": "aware", "at": None, "reason": "尚不清楚"}
        requests = {
            "report": ("POST", "/incident/breaches?wait_ms=0", harness.report_body(systems=[system])),
            "read": ("GET", breach, None),
            "correct": ("POST", f"{breach}/facts", fact),
            "report to the authority": ("POST", f"{breach}/report-to-authority", {"content": "情况说明"}),
            "propose a lift": ("POST", f"{breach}/lift-proposals", {"reason": "漏洞已修复"}),
            "probe again": ("POST", f"/incident/orders/{file['orders'][0]['id']}/probes?wait_ms=0", None),
            "approve a lift": (
                "POST",
                f"/incident/lift-proposals/{proposal.json()['id']}/approve?wait_ms=0",
                None,
            ),
        }
        for act, (method, path, body) in requests.items():
            answer = await person.send(method, path, body)
            if answer.status_code < 400 or answer.status_code == 409:  # 409: may, but not in this state
                allowed[act].add(role)
            else:
                refusals.add((role == "foreign administrator", answer.status_code))
    assert allowed == MAY
    assert refusals == {(False, 403), (True, 404), (True, 403)}


@pytest.mark.clause("12.3")
async def test_a_probe_asked_for_twice_with_one_key_is_one_probe_and_one_answer(harness):
    harness.executors = False
    system = await harness.system(await harness.agency())
    file = (await harness.report(harness.center(), wait_ms=0, systems=[system])).json()
    async with harness.runtime.database.transaction() as session:
        order = await session.get_one(Order, UUID(file["orders"][0]["id"]))
        order.advance(OrderState.CONFIRMED, next_at=None)
        order.confirmed_at = harness.clock.now()
        order.advance(OrderState.FAILED, next_at=None)
    path = f"/incident/orders/{order.id}/probes?wait_ms=0"
    headers = harness.center().headers | {"idempotency-key": "probe-it-once"}
    answers = [await harness.client.post(path, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202], answers[-1].text
    assert answers[-1].headers["idempotency-replayed"] == "true"
    assert len(await harness.wait_for_events("probe.requested")) == 1


def test_every_state_of_the_matrix_is_named():
    for table in EVENTS.values():
        assert set(table) == set(STATES)
    assert set(POSTS[UnitKind.CENTER]) == {"center-officer"}
