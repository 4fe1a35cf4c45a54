"""Applications: every state, event and role, walked; and what may be asked for."""

from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from common.contracts.events import identity
from common.contracts.permissions import POSTS
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from datashare.applications.models import Application, ApplicationState
from tests.harness.client import slug
from tests.harness.service import Actor
from tests.services.datashare.harness import APPLICATION

EVENTS = {
    "advise": ("advice", {"advice": "oppose", "reason": "理由"}, "applications.advise", "advised"),
    "approve": ("decision", {"decision": "approved", "reason": "理由"}, "applications.decide", "approved"),
    "reject": ("decision", {"decision": "rejected", "reason": "理由"}, "applications.decide", "rejected"),
    "withdraw": ("withdraw", {"reason": "理由"}, "applications.apply", "withdrawn"),
}
ROLES = (
    "clerk",
    "admin",
    "system",
    "stranger",
    "center",
    "authority",
    "applicant-at-center",
    "applicant-at-authority",
    "adviser-at-authority",
)


def actors(harness) -> dict[str, Actor]:
    """The usual people, and three who hold a second post that they should not have."""
    center, authority = UnitKind.CENTER, UnitKind.AUTHORITY
    officer = POSTS[authority]["authority-officer"]
    return {
        role: getattr(harness, role) for role in ("clerk", "admin", "system", "stranger", "center", "authority")
    } | {
        "applicant-at-center": Actor(
            harness, "account", harness.center.unit, center, POSTS[center]["center-officer"], id=harness.clerk.id
        ),
        "applicant-at-authority": Actor(
            harness, "account", harness.authority.unit, authority, officer, id=harness.clerk.id
        ),
        "adviser-at-authority": Actor(
            harness, "account", harness.authority.unit, authority, officer, id=harness.center.id
        ),
    }


def permissions(role: str) -> tuple[str, ...]:
    if role.endswith("-at-center") or role == "center":
        return POSTS[UnitKind.CENTER]["center-officer"]
    if role.endswith("-at-authority") or role == "authority":
        return POSTS[UnitKind.AUTHORITY]["authority-officer"]
    if role == "system":
        return ("credit-data.query",)
    return POSTS[UnitKind.AGENCY]["unit-administrator" if role == "admin" else "credit-clerk"]


def expected(state: str, event: str, role: str) -> tuple[int, str | None]:
    _, _, permission, target = EVENTS[event]
    if permission not in permissions(role):
        return 403, "permission-missing"
    if event == "withdraw" and role == "stranger":
        return 404, "not-found"
    if role.startswith("applicant-at"):
        return 403, "same-hands"
    if ApplicationState(target) not in Application.TRANSITIONS[ApplicationState(state)]:
        return 409, "application-step"
    if role == "adviser-at-authority":
        return 403, "same-hands"
    return (200 if event == "withdraw" else 201), None


async def in_state(harness, state: str) -> str:
    made = await harness.applied()
    if state in ("advised", "approved", "rejected"):
        await harness.advised(made)
    if state in ("approved", "rejected"):
        await harness.authority.post(f"/applications/{made}/decision", {"decision": state, "reason": "理由"})
    if state == "withdrawn":
        await harness.clerk.post(f"/applications/{made}/withdraw", {"reason": "理由"})
    assert (await harness.clerk.get(f"/applications/{made}")).json()["state"] == state
    return made


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("state", list(ApplicationState))
async def test_every_state_event_and_role_ends_as_the_table_says(harness, state):
    await harness.opened(rows=0)
    await harness.ready_unit()
    people = actors(harness)
    made = None
    for event, role in product(EVENTS, ROLES):
        made = made or await in_state(harness, state)
        path, body, _, target = EVENTS[event]
        answer = await people[role].post(f"/applications/{made}/{path}", body)
        status, reason = expected(state, event, role)
        assert answer.status_code == status, (state, event, role, answer.text)
        after = (await harness.clerk.get(f"/applications/{made}")).json()["state"]
        if reason is None:
            assert after == target
            made = None  # it has moved on
        else:
            assert slug(answer) == reason
            assert after == state


@pytest.mark.clause("10.2")
@pytest.mark.parametrize(
    ("table", "hands"),
    [
        ("advices", {"advised_by": "applicant"}),
        ("decisions", {"advised_by": "adviser", "decided_by": "applicant"}),
        ("decisions", {"advised_by": "adviser", "decided_by": "adviser"}),
        ("decisions", {"advised_by": "other", "decided_by": "decider"}),
    ],
)
async def test_the_database_itself_keeps_the_hands_separate(harness, table, hands):
    await harness.opened(rows=0)
    await harness.ready_unit()
    made = await harness.applied()
    ids = {"applicant": harness.clerk.id, "adviser": harness.center.id, "other": new_id(), "decider": new_id()}
    if table == "decisions":
        await harness.advised(made)
    extra = "advice, advised_at" if table == "advices" else "decided_by, decision, decided_at"
    values = "'support', now()" if table == "advices" else ":decided_by, 'approved', now()"
    engine = create_async_engine(harness.database.owner)
    try:
        async with engine.connect() as connection:
            with pytest.raises(IntegrityError):
                await connection.execute(
                    text(
                        f"INSERT INTO {table} (application_id, applicant, advised_by, reason, {extra})"
                        f" VALUES (:application, :applicant, :advised_by, 'r', {values})"
                    ),
                    {"application": made, "applicant": ids["applicant"]}
                    | {name: ids[hand] for name, hand in hands.items()},
                )
    finally:
        await engine.dispose()


@pytest.mark.clause("10.1")
async def test_without_current_rules_on_file_no_application_is_accepted(harness):
    await harness.opened(rows=0)
    refused = await harness.clerk.post("/applications", APPLICATION)
    assert (refused.status_code, slug(refused), refused.json()["clause"]) == (403, "data-rules-missing", "10.1")
    assert [said["problem"] for said in await harness.events("access.refused")] == ["data-rules-missing"]
    await harness.ready_unit()
    assert await harness.applied()


@pytest.mark.clause("10.2")
@pytest.mark.parametrize(
    ("change", "beyond"),
    [
        ({"purposes": ["marketing"]}, {"purposes": ["marketing"]}),
        ({"fields": ["uscc", "facts"]}, {"fields": ["facts"]}),
        ({"fields": ["salary"]}, {"fields": ["salary"]}),
        ({"term_days": 366}, {"term_days": 365}),
        ({"quota": {"calls": 101, "rows": 1, "subjects": 1}}, {"quota_calls": 100}),
    ],
)
async def test_no_more_can_be_applied_for_than_is_open(harness, change, beyond):
    await harness.opened(rows=0)
    await harness.ready_unit()
    refused = await harness.clerk.post("/applications", APPLICATION | change)
    assert (refused.status_code, slug(refused)) == (403, "beyond-opening")
    assert refused.json()["beyond"] == beyond


@pytest.mark.clause("5d.3")
async def test_only_approved_systems_of_the_own_unit_can_be_named(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    foreign, pending = new_id(), new_id()
    await harness.publish(
        identity.SystemApproved(system_id=foreign, unit_id=harness.other_unit, name="x", origins=["10.9.0.0/16"]),
        identity.SystemRegistered(
            system_id=pending, unit_id=harness.unit, name="y", origins=["10.9.0.0/16"], responsible=harness.admin.id
        ),
    )
    for system in (foreign, pending, new_id()):
        refused = await harness.clerk.post("/applications", APPLICATION | {"systems": [str(system)]})
        assert (refused.status_code, slug(refused)) == (404, "system-not-usable")


@pytest.mark.clause("5d.3")
async def test_origins_are_those_registered_or_a_part_of_them(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    systems = [str(harness.system.id)]
    outside = await harness.clerk.post("/applications", APPLICATION | {"systems": systems, "origins": ["10.20.0.0/16"]})
    assert (outside.status_code, slug(outside)) == (422, "origin-outside-systems")
    part = await harness.applied(origins=["10.20.0.0/29"])
    assert (await harness.clerk.get(f"/applications/{part}")).json()["origins"] == ["10.20.0.0/29"]
    whole = await harness.applied()
    assert (await harness.clerk.get(f"/applications/{whole}")).json()["origins"] == ["10.20.0.0/24"]


async def test_an_application_that_no_longer_fits_the_opening_cannot_be_approved(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    made = await harness.applied()
    await harness.advised(made)
    await harness.reopened(fields=["kind"])
    path = f"/applications/{made}/decision"
    refused = await harness.authority.post(path, {"decision": "approved", "reason": "同意"})
    assert (refused.status_code, slug(refused)) == (403, "beyond-opening")
    assert (await harness.authority.post(path, {"decision": "rejected", "reason": "不再开放"})).status_code == 201


async def test_silence_never_approves(harness):
    from datetime import timedelta

    await harness.opened(rows=0)
    await harness.ready_unit()
    made = await harness.applied()
    harness.clock.advance(timedelta(days=3000))
    assert (await harness.clerk.get(f"/applications/{made}")).json()["state"] == "submitted"


@pytest.mark.clause("6.5")
@pytest.mark.parametrize("path", ["suspended", "revoked", "departure"])
async def test_open_applications_of_who_leaves_are_withdrawn(harness, path):
    await harness.opened(rows=0)
    await harness.ready_unit()
    first, second = await harness.applied(), await harness.applied()
    await harness.advised(second)
    done = await in_state(harness, "approved")
    who = {"account_id": harness.clerk.id, "unit_id": harness.unit}
    now = harness.clock.now()
    await harness.publish(
        {
            "suspended": lambda: identity.AccountSuspended(**who, reason="x", cause="departure:1"),
            "revoked": lambda: identity.AccountRevoked(**who, reason="x"),
            "departure": lambda: identity.DepartureReported(
                departure_id=new_id(), **who, kind="departure", left_at=now, reported_at=now
            ),
        }[path]()
    )
    states = {row["id"]: row["state"] for row in (await harness.authority.get("/applications")).json()["items"]}
    assert states == {first: "withdrawn", second: "withdrawn", done: "approved"}
    assert len(await harness.events("application.withdrawn")) == 2


async def test_applications_of_other_units_do_not_exist(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    made = await harness.applied()
    assert (await harness.stranger.get(f"/applications/{made}")).status_code == 404
    assert (await harness.stranger.get("/applications")).json()["items"] == []
    assert len((await harness.center.get("/applications")).json()["items"]) == 1


async def test_a_repeated_application_is_made_once(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    answers = [await harness.clerk.post("/applications", APPLICATION, idempotency_key="apply-once") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await harness.count("applications") == 1
