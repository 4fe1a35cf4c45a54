"""Every endpoint × every role × own or another unit: each cell of docs/access-matrix.md is tried on the whole platform."""

import asyncio
import re
from dataclasses import dataclass

import httpx
import pytest

from common.ids import new_id
from gateway.routes import find_route
from tests.harness.in_process_platform import InProcessPlatform
from tests.platform.harness import RESOURCE, Person, Unit, World, bearer, slug
from tools.access_matrix import OWNED_PATH_PARAMETERS, ROLES, UNIT_ROLES, hides_other_units, is_allowed
from tools.api_inventory import Endpoint, list_endpoints, service_apps

DOORS = sorted(list_endpoints(service_apps()), key=lambda door: (door.path, door.method))
GUARDED = [door for door in DOORS if door.requires is not None]
SIGN_OUT = ("DELETE", "/identity/sessions/current")
AT_ONCE = 8

BODIES: dict[str, dict] = {
    "/identity/appointments/{appointment_id}/end": {"reason": "岗位调整"},
    "/identity/handovers/{handover_id}/settlements": {"outcome": "taken-over"},
    "/identity/systems/{system_id}/suspend": {"reason": "检查"},
    "/identity/systems/{system_id}/decommission": {"reason": "停用"},
    "/identity/training/attempts/{attempt_id}/answers": {"answers": {}},
    "/incident/breaches/{incident_id}/facts": {"kind": "aware", "at": None, "reason": "核实时间"},
    "/incident/breaches/{incident_id}/report-to-authority": {"content": "正在核查"},
    "/datashare/agreements/{agreement_id}/signatures": {"digest": "0" * 64},
    "/datashare/applications/{application_id}/withdraw": {"reason": "不再需要"},
}
"""Bodies that pass validation, so that what is asked about is looked up."""


def at(door: Endpoint, things: dict[str, str] | None = None) -> str:
    """The door's path with `things` in it, and what never was for the rest."""
    known = {"code": RESOURCE, "name": "access-token-term", "index": "0", "path": "0/000"} | (things or {})
    return re.sub(r"\{(\w+)(?::path)?\}", lambda named: known.get(named[1]) or str(new_id()), door.path)


@dataclass
class Cast:
    """Who plays each role, and two units with one of everything."""

    world: World
    own: Unit
    other: Unit
    tokens: dict[str, str]


async def _everything(world: World, unit: Unit) -> None:
    """Leave one thing of each kind in the unit, and note the ids."""
    leaver = await world.newcomer(unit.admin)
    appointment = await world.appoint(unit.admin, leaver)
    left = {"account_id": leaver.id, "kind": "departure", "left_at": world.clock.now().isoformat()}
    departure = (await unit.admin.done("/identity/departures", left))["departure"]["id"]
    cancelled = await world.center.done(f"/identity/departures/{departure}/cancel-account")
    await world.platform.settle()
    elsewhere = await world.system(unit.admin)
    await world.platform.settle()
    breach = await unit.admin.done("/incident/breaches", world.breach(systems=[elsewhere.id]))
    attempt = await unit.clerk.done("/identity/training/attempts")
    unit.things = {
        "account_id": unit.clerk.id,
        "agreement_id": unit.agreement,
        "application_id": unit.application,
        "appointment_id": appointment,
        "attempt_id": attempt["id"],
        "departure_id": departure,
        "grant_id": unit.grant,
        "handover_id": cancelled["departure"]["handover_id"],
        "incident_id": breach["id"],
        "system_id": unit.system.id,
        "unit_id": unit.id,
    }
    assert unit.things.keys() == OWNED_PATH_PARAMETERS


@pytest.fixture(scope="module")
async def cast(world: World) -> Cast:
    own, other = await world.unit(), await world.unit()
    await _everything(world, own)
    await _everything(world, other)
    tokens = {
        "authority-officer": world.authority.access,
        "center-officer": world.center.access,
        "unit-administrator": own.admin.access,
        "credit-clerk": own.clerk.access,
        "newcomer": (await world.newcomer(own.admin)).access,
        "connected-system": own.system.access,
    }
    assert tokens.keys() == ROLES.keys()
    return Cast(world, own, other, tokens)


async def _walk(steps) -> list:
    """Run many requests, a few at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(step):
        async with gate:
            await asyncio.sleep(0)  # what is refused from memory gives nobody else of this process a turn
            return await step

    return await asyncio.gather(*map(one, steps))


def test_every_endpoint_says_exactly_once_who_may_use_it():
    assert len(DOORS) > 90
    assert [f"{door.method} {door.path}" for door in DOORS if door.markers != 1] == []


def test_the_gateway_lets_everybody_through_to_the_public_endpoints_and_to_no_other():
    example = {"path:path": "0/x001/234.p/17"}
    for door in DOORS:
        path = re.sub(r"\{([\w:]+)\}", lambda named: example.get(named[1], "a1b2"), door.path)
        path = path.replace("tile/entries/0/x001", "tile/entries/x001")
        route = find_route(path)
        assert route is not None
        assert route.service == door.service
        assert route.public == (door.requires is None)


@pytest.mark.clause("7.6")
async def test_without_a_credential_every_guarded_endpoint_answers_401_at_the_gateway_and_at_the_service(world):
    platform: InProcessPlatform = world.platform

    async def ask(client: httpx.AsyncClient, door: Endpoint, headers: dict[str, str]):
        answer = await client.request(door.method, at(door), headers=headers, json={})
        return door.path, headers, answer.status_code, slug(answer), answer.headers.get("www-authenticate", "")[:6]

    steps = [
        ask(client, door, headers)
        for door in GUARDED
        for client in (platform.client, platform.direct[door.service])
        for headers in ({}, {"authorization": "Basic YTpi"}, bearer("eyJhbGciOiJub25lIn0.e30."))
    ]
    answers = await _walk(steps)
    assert len(answers) == 6 * len(GUARDED)
    assert [answer for answer in answers if answer[2] != 401 or answer[4] != "Bearer"] == []
    assert {answer[3] for answer in answers} == {"unauthenticated", "credential-invalid"}


async def test_public_endpoints_ask_for_no_credential(world):
    for door in DOORS:
        if door.requires is None:
            answer = await world.client.request(door.method, at(door), json={})
            assert answer.status_code != 403, door.path
            assert slug(answer) not in ("unauthenticated", "credential-invalid", "permission-missing"), door.path


@pytest.mark.clause("6.2")
@pytest.mark.clause("12.4")
async def test_each_role_opens_what_its_post_includes_and_every_other_refusal_is_on_record(cast):
    world = cast.world
    expected: dict[str, tuple[str, str, str]] = {}
    wrong: list[tuple] = []

    async def ask(role: str, door: Endpoint, token: str) -> None:
        request = str(new_id())
        headers = bearer(token) | {"x-request-id": request}
        path = at(door)
        answer = await world.client.request(door.method, path, headers=headers, json={"nothing": "known"})
        refused = (answer.status_code, slug(answer)) == (403, "permission-missing")
        if answer.status_code in (401, 500, 503) or refused == is_allowed(door, role):
            wrong.append((role, door.method, path, answer.status_code, slug(answer)))
        if refused:
            expected[request] = (
                door.service,
                door.path,
                str(door.requires and door.requires.permission and door.requires.permission.name),
            )
            assert answer.json()["clause"], path
            assert answer.headers["x-request-id"] == request

    walked = [d for d in GUARDED if (d.method, d.path) != SIGN_OUT]
    await _walk([ask(role, door, token) for role, token in cast.tokens.items() for door in walked])
    assert wrong == []
    assert len(expected) > 200
    for service in world.platform.apps:
        told = {event["data"]["request_id"]: event for event in await world.platform.told(service, "access.refused")}
        for request, (refuser, route, permission) in expected.items():
            if refuser == service:
                data = told[request]["data"]
                assert (data["problem"], data["reason"]) == ("permission-missing", permission)
                assert told[request]["actor"] == data["subject"]
                assert data["route"] == route


async def test_everybody_may_sign_out_and_a_system_has_no_session_to_end(cast):
    person = await cast.world.newcomer(cast.own.admin)
    answer = await cast.world.client.request(*SIGN_OUT, headers=bearer(person.access))
    assert answer.status_code == 200, answer.text
    answer = await cast.world.client.request(*SIGN_OUT, headers=bearer(cast.own.system.access))
    assert answer.status_code == 404


@pytest.mark.clause("7.5")
async def test_another_units_thing_is_answered_like_one_that_never_was(cast):
    world, wrong, walked = cast.world, [], []

    async def ask(role: str, door: Endpoint) -> None:
        answers = []
        for things in (cast.other.things, {}):
            answer = await world.client.request(
                door.method, at(door, things), headers=bearer(cast.tokens[role]), json=BODIES.get(door.path)
            )
            told = {k: v for k, v in answer.json().items() if k not in ("request_id", "instance")}
            answers.append((answer.status_code, told))
        walked.append((role, door.path))
        if answers[0] != answers[1] or answers[0][0] != 404:
            # That only people are trained is said to a system before anything is looked up: it tells nothing.
            if answers[0] == answers[1] and answers[0][1].get("type", "").endswith((":persons-only", ":person-needed")):
                return
            wrong.append((role, door.method, door.path, *answers))

    await _walk([ask(role, door) for door in DOORS for role in UNIT_ROLES if hides_other_units(door, role)])
    assert wrong == []
    assert len(walked) > 30


async def test_the_same_things_are_there_for_their_own_unit(cast):
    """The other half: what was denied above exists, and would be found by its owner."""
    reading = [door for door in GUARDED if door.method == "GET" and hides_other_units(door, "unit-administrator")]
    assert len(reading) >= 9
    for unit in (cast.own, cast.other):
        for door in reading:
            answer = await unit.admin.get(at(door, unit.things))
            assert answer.status_code == 200, (door.path, answer.text)


@pytest.mark.clause("7.5")
@pytest.mark.parametrize("role", UNIT_ROLES)
async def test_no_list_shows_anything_of_another_unit(cast, role):
    foreign = set(cast.other.things.values()) | {cast.other.admin.id, cast.other.system.id}
    own_seen = 0
    for door in GUARDED:
        if door.method != "GET" or "{" in door.path or not is_allowed(door, role):
            continue
        answer = await cast.world.client.get(door.path, headers=bearer(cast.tokens[role]), params={"limit": 100})
        if answer.status_code == 422:
            answer = await cast.world.client.get(door.path, headers=bearer(cast.tokens[role]))
        assert answer.status_code == 200, (door.path, answer.text)
        assert [thing for thing in foreign if thing in answer.text] == [], door.path
        own_seen += any(thing in answer.text for thing in cast.own.things.values())
    assert own_seen > 3


@pytest.mark.clause("7.5")
async def test_another_units_things_named_in_a_body_or_query_are_not_there_either(cast):
    world, own, other = cast.world, cast.own, cast.other
    posts = (await own.admin.get("/identity/posts")).json()["items"]
    foreign_posts = (await other.admin.get("/identity/posts")).json()["items"]
    never = str(new_id())

    async def same(person: Person, method: str, path: str, of: str, statuses=(404, 422), **request) -> None:
        """The answer for `of` must be the one for an id that never was."""
        answers = []
        for thing in (of, never):
            text = {k: _with(v, thing) for k, v in request.items()}
            answer = await person.send(method, path, **text)
            told = {k: v for k, v in answer.json().items() if k not in ("request_id", "instance")}
            answers.append((answer.status_code, str(told).replace(thing, "THING")))
        assert answers[0] == answers[1]
        assert answers[0][0] in statuses, (path, answers[0])

    left = {"account_id": "THING", "kind": "departure", "left_at": world.clock.now().isoformat()}
    await same(own.admin, "POST", "/identity/departures", other.clerk.id, json=left)
    to = {"account_id": "THING", "post_id": posts[0]["id"]}
    await same(own.admin, "POST", "/identity/appointments", other.clerk.id, json=to)
    of = {"account_id": own.clerk.id, "post_id": "THING"}
    await same(own.admin, "POST", "/identity/appointments", foreign_posts[0]["id"], json=of)
    system = {"name": "又一系统", "origins": ["10.0.0.1"], "responsible_id": "THING"}
    await same(own.admin, "POST", "/identity/systems", other.admin.id, json=system)
    for listed in ("/identity/posts", "/identity/appointments", "/identity/accounts"):
        await same(own.admin, "GET", listed, other.id, params={"unit": "THING"})
    for kind, thing in (("systems", other.system.id), ("accounts", other.clerk.id), ("grants", other.grant)):
        await same(own.admin, "POST", "/incident/breaches", thing, json=world.breach(**{kind: ["THING"]}))
    await same(own.admin, "POST", "/incident/breaches", other.id, json=world.breach(units=["THING"]))
    query = world.asked(own) | {"grant_id": "THING"}
    await same(own.clerk, "POST", "/datashare/queries", other.grant, statuses=(403,), json=query)
    await same(own.clerk, "POST", "/datashare/checks", other.grant, statuses=(403,), json=query)
    wanted = {
        "resource": RESOURCE,
        "purposes": ["qualification-review"],
        "fields": ["uscc"],
        "systems": ["THING"],
        "term_days": 30,
        "reason": "资格核查",
    }
    await same(
        own.clerk, "POST", "/datashare/applications", other.system.id, statuses=(403, 404, 409, 422), json=wanted
    )


def _with(value, thing: str):
    if isinstance(value, dict):
        return {k: _with(v, thing) for k, v in value.items()}
    if isinstance(value, list):
        return [_with(v, thing) for v in value]
    return thing if value == "THING" else value
