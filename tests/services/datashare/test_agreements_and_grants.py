"""Agreements are fixed by their digest and signed by two sides; grants by every state, event and role."""

import hashlib

import orjson
import pytest

from common.contracts.permissions import POSTS
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from datashare.grants.models import TRANSITIONS, GrantState
from tests.harness.client import slug
from tests.harness.service import Actor

ROLES = ("authority", "center", "admin", "clerk", "system", "stranger_admin")


async def drawn_up(harness, **application) -> str:
    made = await harness.applied(**application)
    await harness.advised(made)
    return await harness.approved(made)


@pytest.mark.clause("10.3")
async def test_no_grant_is_live_before_both_sides_have_signed(harness):
    await harness.opened()
    await harness.ready_unit()
    agreement = await drawn_up(harness)
    assert slug(await harness.query(3)) == "agreement-missing"
    half = await harness.signed(agreement, harness.authority)
    assert (half["state"], half["grant_id"]) == ("half-signed", None)
    assert slug(await harness.query(3)) == "agreement-missing"
    both = await harness.signed(agreement, harness.admin)
    assert both["state"] == "in-force"
    assert both["grant_id"]
    assert (await harness.query(3)).status_code == 200
    assert [
        len(await harness.events(name)) for name in ("agreement.signed", "agreement.in-force", "grant.activated")
    ] == [
        2,
        1,
        1,
    ]


@pytest.mark.clause("10.3")
async def test_the_digest_fixes_text_and_terms(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    read = (await harness.admin.get(f"/agreements/{await drawn_up(harness)}")).json()
    terms = orjson.dumps(read["terms"], option=orjson.OPT_SORT_KEYS)
    assert hashlib.sha256(read["text"].encode() + b"\n" + terms).hexdigest() == read["digest"]
    assert "市住房局" in read["text"]
    assert "180 日" in read["text"]
    other = await harness.admin.post(f"/agreements/{read['id']}/signatures", {"digest": "0" * 64})
    assert (other.status_code, slug(other)) == (409, "agreement-digest-differs")


@pytest.mark.clause("10.3")
async def test_each_side_signs_once_and_with_its_own_hand(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    agreement = await drawn_up(harness)
    read = (await harness.admin.get(f"/agreements/{agreement}")).json()
    path, body = f"/agreements/{agreement}/signatures", {"digest": read["digest"]}
    assert (await harness.clerk.post(path, body)).status_code == 403
    assert (await harness.center.post(path, body)).status_code == 403
    assert (await harness.stranger_admin.post(path, body)).status_code == 404
    assert (await harness.authority.post(path, body)).status_code == 201
    assert slug(await harness.authority2.post(path, body)) == "agreement-step"
    both_hats = Actor(
        harness,
        "account",
        harness.unit,
        UnitKind.AGENCY,
        POSTS[UnitKind.AGENCY]["unit-administrator"],
        id=harness.authority.id,
    )
    assert slug(await both_hats.post(path, body)) == "same-hands"
    assert (await harness.admin.post(path, body)).status_code == 201
    assert slug(await harness.admin.post(path, body)) == "agreement-step"


async def test_a_new_agreement_takes_the_place_of_the_old_one(harness):
    old = await harness.all_ready()
    new = await harness.granted(fields=["uscc"])
    states = {row["id"]: row["state"] for row in (await harness.admin.get("/grants")).json()["items"]}
    assert states == {old: "revoked", new: "active"}
    assert (await harness.query(3)).json()["fields"] == ["uscc"]
    assert [said["reason"] for said in await harness.events("grant.revoked")] == ["superseded"]


@pytest.mark.clause("12.3")
async def test_a_new_agreement_is_no_way_out_of_a_suspension(harness):
    old = await harness.all_ready()
    order = await harness.order("grant", old)
    new = await harness.granted()
    assert (await harness.admin.get(f"/grants/{new}")).json()["state"] == "suspended"
    await harness.lift(order)
    assert (await harness.query(3)).status_code == 200


# The grant's matrix

STATES = ("active", "suspended", "contained", "both", "revoked")
OF = {
    "active": GrantState.ACTIVE,
    "suspended": GrantState.SUSPENDED,
    "contained": GrantState.SUSPENDED,
    "both": GrantState.SUSPENDED,
    "revoked": GrantState.REVOKED,
}
AFTER = {
    ("active", "suspend"): "suspended",
    ("suspended", "suspend"): "suspended",
    ("contained", "suspend"): "both",
    ("both", "suspend"): "both",
    ("suspended", "lift"): "active",
    ("both", "lift"): "contained",
    **{(state, "revoke"): "revoked" for state in STATES if state != "revoked"},
}
"""What the authority's acts make of a grant; all else is refused."""


async def grant_in(harness, state: str) -> tuple[str, dict]:
    grant = await harness.granted()
    if state in ("suspended", "both"):
        await harness.authority.post(f"/grants/{grant}/suspensions", {"reason": "核查"})
    if state in ("contained", "both"):
        await harness.order("grant", grant)
    if state == "revoked":
        await harness.authority.post(f"/grants/{grant}/revoke", {"reason": "终止"})
    seen = (await harness.authority.get(f"/grants/{grant}")).json()
    assert seen["state"] == OF[state]
    return grant, seen


async def act(actor, event: str, grant: str, seen: dict):
    if event == "lift":
        by_hand = [s["id"] for s in seen["suspensions"] if s["cause"].startswith("decision:") and not s["lifted_at"]]
        by_order = [s["id"] for s in seen["suspensions"] if s["cause"].startswith("order:") and not s["lifted_at"]]
        which = (by_hand or by_order or [str(new_id())])[0]
        return await actor.post(f"/grants/{grant}/suspensions/{which}/lift")
    path = {"suspend": "suspensions", "revoke": "revoke"}[event]
    return await actor.post(f"/grants/{grant}/{path}", {"reason": "理由"})


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("event", ["suspend", "lift", "revoke"])
@pytest.mark.parametrize("state", STATES)
async def test_every_state_event_and_role_of_a_grant_ends_as_the_table_says(harness, state, event):
    await harness.opened(rows=0)
    await harness.ready_unit()
    grant, seen = await grant_in(harness, state)
    for role in ROLES[1:]:
        answer = await act(getattr(harness, role), event, grant, seen)
        assert (answer.status_code, slug(answer)) == (403, "permission-missing"), role
        assert (await harness.authority.get(f"/grants/{grant}")).json() == seen
    answer = await act(harness.authority, event, grant, seen)
    after = (await harness.authority.get(f"/grants/{grant}")).json()
    if (state, event) in AFTER:
        assert answer.status_code in (200, 201), answer.text
        assert after["state"] == OF[AFTER[state, event]]
        assert GrantState(after["state"]) in TRANSITIONS[OF[state]]
    else:
        assert answer.status_code in (403, 404, 409), answer.text
        assert after == seen


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("state", STATES)
async def test_an_order_and_its_lifting_leave_every_state_as_it_was(harness, state):
    await harness.opened(rows=0)
    await harness.ready_unit()
    grant, seen = await grant_in(harness, state)
    order = await harness.order("grant", grant)
    during = (await harness.authority.get(f"/grants/{grant}")).json()["state"]
    assert during == ("revoked" if state == "revoked" else "suspended")
    await harness.lift(order)
    assert (await harness.authority.get(f"/grants/{grant}")).json()["state"] == seen["state"]


@pytest.mark.clause("12.3")
async def test_what_containment_suspended_no_single_person_restores(harness):
    grant = await harness.all_ready()
    await harness.order("grant", grant)
    seen = (await harness.authority.get(f"/grants/{grant}")).json()
    answer = await act(harness.authority, "lift", grant, seen)
    assert (answer.status_code, slug(answer)) == (403, "containment-holds")
    assert slug(await harness.query(3)) == "grant-suspended"


async def test_a_suspension_by_decision_rests_on_another_clause_than_one_by_order(harness):
    grant = await harness.all_ready()
    await harness.authority.post(f"/grants/{grant}/suspensions", {"reason": "核查"})
    refused = (await harness.query(3)).json()
    assert (refused["reason"], refused["clause"]) == ("grant-suspended", "10.2")
    assert refused["cause"].startswith("decision:")


async def test_lists_page_by_the_ids_of_what_they_list(harness):
    await harness.opened()
    await harness.ready_unit()
    grants = []
    for application in [await harness.applied() for _ in range(3)]:
        await harness.advised(application)
        grants.append((await harness.signed(await harness.approved(application)))["grant_id"])
    for path in ("/applications", "/agreements", "/grants"):
        listed = [item["id"] for item in (await harness.admin.get(path)).json()["items"]]
        first = (await harness.admin.get(f"{path}?limit=2")).json()
        rest = (await harness.admin.get(f"{path}?limit=2&cursor={first['next']}")).json()
        assert [[item["id"] for item in page["items"]] for page in (first, rest)] == [listed[:2], listed[2:]]
        assert rest["next"] is None
    usable = (await harness.clerk.get("/grants?usable=true&limit=1")).json()
    assert ([item["id"] for item in usable["items"]], usable["next"]) == (grants[-1:], None)
