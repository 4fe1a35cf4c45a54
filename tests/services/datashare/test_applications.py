"""Applications: every state, event and role, walked; and what may be asked for."""

from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from common.contracts.events import identity
from common.contracts.permissions import POSTS, UnitKind
from common.ids import new_id
from datashare.applications.models import TRANSITIONS, ApplicationState
from tests.services.datashare.harness import APPLICATION, Actor, problem

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


def actors(world) -> dict[str, Actor]:
    """The usual people, and three who hold a second post that they should not have."""
    center, authority = UnitKind.CENTER, UnitKind.AUTHORITY
    officer = POSTS[authority]["authority-officer"]
    return {role: getattr(world, role) for role in ("clerk", "admin", "system", "stranger", "center", "authority")} | {
        "applicant-at-center": Actor(
            world, "account", world.center.unit, center, POSTS[center]["center-officer"], id=world.clerk.id
        ),
        "applicant-at-authority": Actor(world, "account", world.authority.unit, authority, officer, id=world.clerk.id),
        "adviser-at-authority": Actor(world, "account", world.authority.unit, authority, officer, id=world.center.id),
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
    if ApplicationState(target) not in TRANSITIONS[ApplicationState(state)]:
        return 409, "application-step"
    if role == "adviser-at-authority":
        return 403, "same-hands"
    return (200 if event == "withdraw" else 201), None


async def in_state(world, state: str) -> str:
    made = await world.applied()
    if state in ("advised", "approved", "rejected"):
        await world.advised(made)
    if state in ("approved", "rejected"):
        await world.authority.post(f"/applications/{made}/decision", {"decision": state, "reason": "理由"})
    if state == "withdrawn":
        await world.clerk.post(f"/applications/{made}/withdraw", {"reason": "理由"})
    assert (await world.clerk.get(f"/applications/{made}")).json()["state"] == state
    return made


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("state", list(ApplicationState))
async def test_every_state_event_and_role_ends_as_the_table_says(world, state):
    await world.opened(rows=0)
    await world.ready_unit()
    people = actors(world)
    made = None
    for event, role in product(EVENTS, ROLES):
        made = made or await in_state(world, state)
        path, body, _, target = EVENTS[event]
        answer = await people[role].post(f"/applications/{made}/{path}", body)
        status, slug = expected(state, event, role)
        assert answer.status_code == status, (state, event, role, answer.text)
        after = (await world.clerk.get(f"/applications/{made}")).json()["state"]
        if slug is None:
            assert after == target
            made = None  # it has moved on
        else:
            assert problem(answer) == slug
            assert after == state


@pytest.mark.clause("10.2")
@pytest.mark.parametrize(
    ("table", "hands"),
    [
        ("advices", {"advised_by": "applicant"}),
        ("decisions", {"advised_by": "adviser", "decided_by": "applicant"}),
        ("decisions", {"advised_by": "adviser", "decided_by": "adviser"}),
        ("decisions", {"advised_by": "somebody", "decided_by": "decider"}),
    ],
)
async def test_the_database_itself_keeps_the_hands_separate(world, table, hands):
    await world.opened(rows=0)
    await world.ready_unit()
    made = await world.applied()
    ids = {"applicant": world.clerk.id, "adviser": world.center.id, "somebody": new_id(), "decider": new_id()}
    if table == "decisions":
        await world.advised(made)
    extra = "advice, advised_at" if table == "advices" else "decided_by, decision, decided_at"
    values = "'support', now()" if table == "advices" else ":decided_by, 'approved', now()"
    engine = create_async_engine(world.database.owner)
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
async def test_without_current_rules_on_file_no_application_is_accepted(world):
    await world.opened(rows=0)
    refused = await world.clerk.post("/applications", APPLICATION)
    assert (refused.status_code, problem(refused), refused.json()["clause"]) == (403, "data-rules-missing", "10.1")
    assert [said["problem"] for said in await world.told("access.refused")] == ["data-rules-missing"]
    await world.ready_unit()
    assert await world.applied()


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
async def test_no_more_can_be_applied_for_than_is_open(world, change, beyond):
    await world.opened(rows=0)
    await world.ready_unit()
    refused = await world.clerk.post("/applications", APPLICATION | change)
    assert (refused.status_code, problem(refused)) == (403, "beyond-opening")
    assert refused.json()["beyond"] == beyond


@pytest.mark.clause("5d.3")
async def test_only_approved_systems_of_the_own_unit_can_be_named(world):
    await world.opened(rows=0)
    await world.ready_unit()
    foreign, pending = new_id(), new_id()
    await world.say(
        identity.SystemApproved(system_id=foreign, unit_id=world.other_unit, name="x", origins=["10.9.0.0/16"]),
        identity.SystemRegistered(
            system_id=pending, unit_id=world.unit, name="y", origins=["10.9.0.0/16"], responsible=world.admin.id
        ),
    )
    for system in (foreign, pending, new_id()):
        refused = await world.clerk.post("/applications", APPLICATION | {"systems": [str(system)]})
        assert (refused.status_code, problem(refused)) == (404, "system-not-usable")


@pytest.mark.clause("5d.3")
async def test_origins_are_those_registered_or_a_part_of_them(world):
    await world.opened(rows=0)
    await world.ready_unit()
    systems = [str(world.system.id)]
    outside = await world.clerk.post("/applications", APPLICATION | {"systems": systems, "origins": ["10.20.0.0/16"]})
    assert (outside.status_code, problem(outside)) == (422, "origin-outside-systems")
    part = await world.applied(origins=["10.20.0.0/29"])
    assert (await world.clerk.get(f"/applications/{part}")).json()["origins"] == ["10.20.0.0/29"]
    whole = await world.applied()
    assert (await world.clerk.get(f"/applications/{whole}")).json()["origins"] == ["10.20.0.0/24"]


async def test_an_application_that_no_longer_fits_the_opening_cannot_be_approved(world):
    await world.opened(rows=0)
    await world.ready_unit()
    made = await world.applied()
    await world.advised(made)
    await world.reopened(fields=["kind"])
    path = f"/applications/{made}/decision"
    refused = await world.authority.post(path, {"decision": "approved", "reason": "同意"})
    assert (refused.status_code, problem(refused)) == (403, "beyond-opening")
    assert (await world.authority.post(path, {"decision": "rejected", "reason": "不再开放"})).status_code == 201


async def test_silence_never_approves(world):
    from datetime import timedelta

    await world.opened(rows=0)
    await world.ready_unit()
    made = await world.applied()
    world.clock.advance(timedelta(days=3000))
    assert (await world.clerk.get(f"/applications/{made}")).json()["state"] == "submitted"


@pytest.mark.clause("6.5")
@pytest.mark.parametrize("path", ["suspended", "revoked", "departure"])
async def test_open_applications_of_who_leaves_are_withdrawn(world, path):
    await world.opened(rows=0)
    await world.ready_unit()
    first, second = await world.applied(), await world.applied()
    await world.advised(second)
    done = await in_state(world, "approved")
    who = {"account_id": world.clerk.id, "unit_id": world.unit}
    now = world.clock.now()
    await world.say(
        {
            "suspended": lambda: identity.AccountSuspended(**who, reason="x", cause="departure:1"),
            "revoked": lambda: identity.AccountRevoked(**who, reason="x"),
            "departure": lambda: identity.DepartureReported(
                departure_id=new_id(), **who, kind="departure", left_at=now, reported_at=now
            ),
        }[path]()
    )
    states = {row["id"]: row["state"] for row in (await world.authority.get("/applications")).json()["items"]}
    assert states == {first: "withdrawn", second: "withdrawn", done: "approved"}
    assert len(await world.told("application.withdrawn")) == 2


async def test_applications_of_other_units_do_not_exist(world):
    await world.opened(rows=0)
    await world.ready_unit()
    made = await world.applied()
    assert (await world.stranger.get(f"/applications/{made}")).status_code == 404
    assert (await world.stranger.get("/applications")).json()["items"] == []
    assert len((await world.center.get("/applications")).json()["items"]) == 1


async def test_a_repeated_application_is_made_once(world):
    await world.opened(rows=0)
    await world.ready_unit()
    answers = [await world.clerk.post("/applications", APPLICATION, idempotency_key="apply-once") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await world.count("applications") == 1
