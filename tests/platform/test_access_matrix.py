"""Every endpoint × every role × own or another unit: each cell of docs/access-matrix.md is tried on the whole platform."""

import asyncio
import re
from dataclasses import dataclass

import httpx
import pytest

from common.ids import new_id
from gateway.routes import find_route
from tests.harness.client import bearer, slug
from tests.harness.in_process_platform import InProcessPlatform
from tests.harness.people import Person
from tests.platform.harness import RESOURCE, PlatformHarness, Unit
from tools.access_matrix import OWNED_PATH_PARAMETERS, ROLES, UNIT_ROLES, hides_other_units, is_allowed
from tools.api_inventory import Endpoint, list_endpoints, service_apps

ENDPOINTS = sorted(list_endpoints(service_apps()), key=lambda endpoint: (endpoint.path, endpoint.method))
GUARDED = [endpoint for endpoint in ENDPOINTS if endpoint.requires is not None]
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


def at(endpoint: Endpoint, things: dict[str, str] | None = None) -> str:
    """The endpoint's path with `things` in it, and what never was for the rest."""
    known = {"code": RESOURCE, "name": "access-token-term", "index": "0", "path": "0/000"} | (things or {})
    return re.sub(r"\{(\w+)(?::path)?\}", lambda named: known.get(named[1]) or str(new_id()), endpoint.path)


@dataclass
class Cast:
    """Who plays each role, and two units with one of everything."""

    harness: PlatformHarness
    own: Unit
    other: Unit
    tokens: dict[str, str]


async def _everything(harness: PlatformHarness, unit: Unit) -> None:
    """Leave one thing of each kind in the unit, and note the ids."""
    leaver = await harness.newcomer(unit.admin)
    appointment = (await harness.appoint(unit.admin, leaver)).json()["id"]
    left = {"account_id": leaver.id, "kind": "departure", "left_at": harness.clock.now().isoformat()}
    departure = (await unit.admin.done("/identity/departures", left))["departure"]["id"]
    cancelled = await harness.center.done(f"/identity/departures/{departure}/cancel-account")
    await harness.platform.settle()
    elsewhere = await harness.system(unit.admin)
    await harness.platform.settle()
    breach = await unit.admin.done("/incident/breaches", harness.breach(systems=[elsewhere.id]))
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
async def cast(harness: PlatformHarness) -> Cast:
    own, other = await harness.unit(), await harness.unit()
    await _everything(harness, own)
    await _everything(harness, other)
    tokens = {
        "authority-officer": harness.authority.access_token,
        "center-officer": harness.center.access_token,
        "unit-administrator": own.admin.access_token,
        "credit-clerk": own.clerk.access_token,
        "newcomer": (await harness.newcomer(own.admin)).access_token,
        "connected-system": own.system.access_token,
    }
    assert tokens.keys() == ROLES.keys()
    return Cast(harness, own, other, tokens)


async def _walk(steps) -> list:
    """Run many requests, a few at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(step):
        async with gate:
            await asyncio.sleep(0)  # what is refused from memory gives nobody else of this process a turn
            return await step

    return await asyncio.gather(*map(one, steps))


def test_every_endpoint_says_exactly_once_who_may_use_it():
    assert len(ENDPOINTS) > 90
    assert [f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS if endpoint.markers != 1] == []


def test_the_gateway_lets_everybody_through_to_the_public_endpoints_and_to_no_other():
    example = {"path:path": "0/x001/234.p/17"}
    for endpoint in ENDPOINTS:
        path = re.sub(r"\{([\w:]+)\}", lambda named: example.get(named[1], "a1b2"), endpoint.path)
        path = path.replace("tile/entries/0/x001", "tile/entries/x001")
        route = find_route(path)
        assert route is not None
        assert route.service == endpoint.service
        assert route.public == (endpoint.requires is None)


@pytest.mark.clause("7.6")
async def test_without_a_credential_every_guarded_endpoint_answers_401_at_the_gateway_and_at_the_service(harness):
    platform: InProcessPlatform = harness.platform

    async def ask(client: httpx.AsyncClient, endpoint: Endpoint, headers: dict[str, str]):
        answer = await client.request(endpoint.method, at(endpoint), headers=headers, json={})
        return endpoint.path, headers, answer.status_code, slug(answer), answer.headers.get("www-authenticate", "")[:6]

    steps = [
        ask(client, endpoint, headers)
        for endpoint in GUARDED
        for client in (platform.client, platform.direct[endpoint.service])
        for headers in ({}, {"authorization": "Basic YTpi"}, bearer("eyJhbGciOiJub25lIn0.e30."))
    ]
    answers = await _walk(steps)
    assert len(answers) == 6 * len(GUARDED)
    assert [answer for answer in answers if answer[2] != 401 or answer[4] != "Bearer"] == []
    assert {answer[3] for answer in answers} == {"unauthenticated", "credential-invalid"}


async def test_public_endpoints_ask_for_no_credential(harness):
    for endpoint in ENDPOINTS:
        if endpoint.requires is None:
            answer = await harness.client.request(endpoint.method, at(endpoint), json={})
            assert answer.status_code != 403, endpoint.path
            assert slug(answer) not in ("unauthenticated", "credential-invalid", "permission-missing"), endpoint.path


@pytest.mark.clause("6.2")
@pytest.mark.clause("12.4")
async def test_each_role_opens_what_its_post_includes_and_every_other_refusal_is_on_record(cast):
    harness = cast.harness
    expected: dict[str, tuple[str, str, str]] = {}
    wrong: list[tuple] = []

    async def ask(role: str, endpoint: Endpoint, token: str) -> None:
        request = str(new_id())
        headers = bearer(token) | {"x-request-id": request}
        path = at(endpoint)
        answer = await harness.client.request(endpoint.method, path, headers=headers, json={"nothing": "known"})
        refused = (answer.status_code, slug(answer)) == (403, "permission-missing")
        if answer.status_code in (401, 500, 503) or refused == is_allowed(endpoint, role):
            wrong.append((role, endpoint.method, path, answer.status_code, slug(answer)))
        if refused:
            expected[request] = (
                endpoint.service,
                endpoint.path,
                str(endpoint.requires and endpoint.requires.permission and endpoint.requires.permission.name),
            )
            assert answer.json()["clause"], path
            assert answer.headers["x-request-id"] == request

    walked = [d for d in GUARDED if (d.method, d.path) != SIGN_OUT]
    await _walk([ask(role, endpoint, token) for role, token in cast.tokens.items() for endpoint in walked])
    assert wrong == []
    assert len(expected) > 200
    for service in harness.platform.apps:
        recorded = {
            event["data"]["request_id"]: event for event in await harness.platform.events(service, "access.refused")
        }
        for request, (refuser, route, permission) in expected.items():
            if refuser == service:
                data = recorded[request]["data"]
                assert (data["problem"], data["reason"]) == ("permission-missing", permission)
                assert recorded[request]["actor"] == data["subject"]
                assert data["route"] == route


async def test_everybody_may_sign_out_and_a_system_has_no_session_to_end(cast):
    person = await cast.harness.newcomer(cast.own.admin)
    answer = await cast.harness.client.request(*SIGN_OUT, headers=bearer(person.access_token))
    assert answer.status_code == 200, answer.text
    answer = await cast.harness.client.request(*SIGN_OUT, headers=bearer(cast.own.system.access_token))
    assert answer.status_code == 404


@pytest.mark.clause("7.5")
async def test_another_units_thing_is_answered_like_one_that_never_was(cast):
    harness, wrong, walked = cast.harness, [], []

    async def ask(role: str, endpoint: Endpoint) -> None:
        answers = []
        for things in (cast.other.things, {}):
            answer = await harness.client.request(
                endpoint.method, at(endpoint, things), headers=bearer(cast.tokens[role]), json=BODIES.get(endpoint.path)
            )
            body = {k: v for k, v in answer.json().items() if k not in ("request_id", "instance")}
            answers.append((answer.status_code, body))
        walked.append((role, endpoint.path))
        if answers[0] != answers[1] or answers[0][0] != 404:
            # That only people are trained is said to a system before anything is looked up: it tells nothing.
            if answers[0] == answers[1] and answers[0][1].get("type", "").endswith((":persons-only", ":person-needed")):
                return
            wrong.append((role, endpoint.method, endpoint.path, *answers))

    await _walk(
        [ask(role, endpoint) for endpoint in ENDPOINTS for role in UNIT_ROLES if hides_other_units(endpoint, role)]
    )
    assert wrong == []
    assert len(walked) > 30


async def test_the_same_things_are_there_for_their_own_unit(cast):
    """The other half: what was denied above exists, and would be found by its owner."""
    reading = [
        endpoint
        for endpoint in GUARDED
        if endpoint.method == "GET" and hides_other_units(endpoint, "unit-administrator")
    ]
    assert len(reading) >= 9
    for unit in (cast.own, cast.other):
        for endpoint in reading:
            answer = await unit.admin.get(at(endpoint, unit.things))
            assert answer.status_code == 200, (endpoint.path, answer.text)


@pytest.mark.clause("7.5")
@pytest.mark.parametrize("role", UNIT_ROLES)
async def test_no_list_shows_anything_of_another_unit(cast, role):
    foreign = set(cast.other.things.values()) | {cast.other.admin.id, cast.other.system.id}
    own_seen = 0
    for endpoint in GUARDED:
        if endpoint.method != "GET" or "{" in endpoint.path or not is_allowed(endpoint, role):
            continue
        answer = await cast.harness.client.get(endpoint.path, headers=bearer(cast.tokens[role]), params={"limit": 100})
        if answer.status_code == 422:
            answer = await cast.harness.client.get(endpoint.path, headers=bearer(cast.tokens[role]))
        assert answer.status_code == 200, (endpoint.path, answer.text)
        assert [thing for thing in foreign if thing in answer.text] == [], endpoint.path
        own_seen += any(thing in answer.text for thing in cast.own.things.values())
    assert own_seen > 3


@pytest.mark.clause("7.5")
async def test_another_units_things_named_in_a_body_or_query_are_not_there_either(cast):
    harness, own, other = cast.harness, cast.own, cast.other
    posts = (await own.admin.get("/identity/posts")).json()["items"]
    foreign_posts = (await other.admin.get("/identity/posts")).json()["items"]
    never = str(new_id())

    async def same(person: Person, method: str, path: str, of: str, statuses=(404, 422), **request) -> None:
        """The answer for `of` must be the one for an id that never was."""
        answers = []
        for thing in (of, never):
            text = {k: _with(v, thing) for k, v in request.items()}
            answer = await person.send(method, path, **text)
            body = {k: v for k, v in answer.json().items() if k not in ("request_id", "instance")}
            answers.append((answer.status_code, str(body).replace(thing, "THING")))
        assert answers[0] == answers[1]
        assert answers[0][0] in statuses, (path, answers[0])

    left = {"account_id": "THING", "kind": "departure", "left_at": harness.clock.now().isoformat()}
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
        await same(own.admin, "POST", "/incident/breaches", thing, json=harness.breach(**{kind: ["THING"]}))
    await same(own.admin, "POST", "/incident/breaches", other.id, json=harness.breach(units=["THING"]))
    query = harness.asked(own) | {"grant_id": "THING"}
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
