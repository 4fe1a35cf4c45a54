"""Whatever is sent, the answer is a problem that says what is wrong and where, never a defect and never a lie's success."""

import asyncio
import json
import re
from itertools import product
from pathlib import Path

import httpx
import pytest

from common.ids import new_id
from tests.harness.client import HERE, bearer, slug
from tests.platform.attacks import AUTHORIZATIONS, BODIES, CSVS, ENDPOINTS, HEADERS, PATHS, QUERIES, TIMES, TYPES
from tests.platform.bad_cases import BadCase, cases_from
from tests.platform.harness import RESOURCE, PlatformHarness, Unit
from tools.access_matrix import ROLES, is_allowed
from tools.api_inventory import list_endpoints, service_apps

DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "docs/contracts/openapi.json").read_text())
AT_ONCE = 6
ENDS_ITS_OWN = ("DELETE", "/identity/sessions/current")
INTERNALS = re.compile(
    r"Traceback|sqlalchemy|asyncpg|psycopg|/site-packages/|pydantic_core|SELECT |INSERT ", re.IGNORECASE
)


@pytest.fixture(scope="module")
def cases() -> list[BadCase]:
    return cases_from(DOCUMENT)


@pytest.fixture(scope="module")
async def unit(cases, harness: PlatformHarness) -> Unit:
    """Only now: making the cases holds everything up for longer than an enforcement point may be without news."""
    await harness.platform.awake()
    return await harness.unit()


def well_said(answer: httpx.Response) -> str | None:
    """Return what is wrong with an answer, None for nothing."""
    if answer.status_code >= 500:
        return f"{answer.status_code}"
    if not answer.headers.get("x-request-id"):
        return "no request id"
    if answer.status_code < 400:
        return None
    oauth = answer.request.url.path.startswith("/identity/oauth/")
    if answer.headers.get("content-type") not in ("application/problem+json", oauth and "application/json"):
        return f"content type {answer.headers.get('content-type')}"
    body = answer.json()
    if not str(body["type"]).startswith("urn:xindun:problem:") or not body["title"]:
        return "no type or title"
    if body["status"] != answer.status_code or body["request_id"] != answer.headers["x-request-id"]:
        return "status or request id differ"
    if INTERNALS.search(answer.text):
        return f"internals: {answer.text[:200]}"
    for error in body.get("errors", ()):
        places = {"pointer", "parameter", "position"} & error.keys()
        if not places or not error["type"] or not (error.get("detail") or body.get("detail")):
            return f"an error without a place: {error}"
        if "pointer" in error and not error["pointer"].startswith("#"):
            return f"not a pointer: {error}"
    return None


def _tokens(harness: PlatformHarness, unit: Unit) -> dict[str, str]:
    return {
        "authority-officer": harness.authority.access_token,
        "center-officer": harness.center.access_token,
        "unit-administrator": unit.admin.access_token,
        "credit-clerk": unit.clerk.access_token,
        "newcomer": unit.clerk.access_token,
        "connected-system": unit.system.access_token,
    }


async def test_no_request_made_from_the_document_brings_anything_but_an_answer_or_a_problem(cases, harness, unit):
    tokens = _tokens(harness, unit)
    roles = {
        (endpoint.method, endpoint.path.replace(":path", "")): next(
            (role for role in ROLES if is_allowed(endpoint, role)), "newcomer"
        )
        for endpoint in list_endpoints(service_apps())
    }
    gate = asyncio.Semaphore(AT_ONCE)
    seen: dict[int, int] = {}
    wrong: list[str] = []

    async def one(case: BadCase) -> None:
        async with gate:
            headers = bearer(tokens[roles[case.method, case.template]])
            answer = await case.send(harness.client, headers)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        if said := well_said(answer):
            wrong.append(f"{case}: {said}")

    await asyncio.gather(*(one(case) for case in cases if (case.method, case.template) != ENDS_ITS_OWN))
    assert wrong == []
    assert len(cases) > 350
    assert seen[422] > 120, seen


async def test_no_body_in_any_clothes_brings_a_defect(harness, unit):
    wrong: list[tuple] = []
    for (method, path), (name, body) in product(ENDPOINTS, BODIES.items()):
        token = harness.authority.access_token if path.startswith("/audit") else unit.admin.access_token
        if path.endswith("queries"):
            token = unit.clerk.access_token
        kinds = TYPES if name in ("nothing", "a form", "an array") else TYPES[:1]
        for kind in kinds:
            headers = (
                {"content-type": kind}
                if path.endswith(("token", "introspect", "sessions", "activations"))
                else bearer(token)
            )
            answer = await harness.client.request(method, path, content=body, headers=headers | {"content-type": kind})
            if (said := well_said(answer)) or answer.status_code not in (400, 401, 413, 422):
                wrong.append((path, name, kind, answer.status_code, said, answer.text[:200]))
    assert wrong == []


async def test_an_error_points_to_the_field_in_the_language_of_the_client(harness, unit):
    body = {"name": "王", "login": "X", "id_number": 7, "more": 1}
    for language, sentence in (("zh-CN", "不允许的字段"), ("en", "This member is not known here")):
        headers = {"accept-language": language}
        answer = await unit.admin.post("/identity/accounts", body, headers=headers)
        errors = {error["pointer"]: error for error in answer.json()["errors"]}
        assert errors.keys() == {"#/name", "#/login", "#/id_number", "#/more"}
        assert errors["#/more"]["detail"] == sentence
        assert answer.headers["content-language"] == language[:2]
    answer = await unit.admin.get("/identity/accounts", params={"limit": "many"})
    assert answer.json()["errors"][0]["parameter"] == "limit"
    answer = await unit.admin.post("/datashare/data-rules", {"title": "细则标题", "text": "x\0y"})
    assert answer.json()["errors"] == [{"in": "body", "type": "nul", "pointer": "#/text"}]


@pytest.mark.parametrize("entry", ["gateway", "service"])
async def test_a_body_over_its_bound_is_refused_however_it_says_its_length(harness, unit, entry):
    client = harness.client if entry == "gateway" else harness.platform.direct["identity"]
    limit = harness.platform.apps["identity"].state.runtime.settings.body_limit

    async def stream():
        for _ in range(limit // 65536 + 2):
            yield b"x" * 65536

    headers = bearer(unit.admin.access_token) | {"content-type": "application/json"}
    for body, more in ((b"x" * (limit + 1), {}), (stream(), {}), (b"{}", {"content-length": "9" * 30})):
        answer = await client.post("/identity/accounts", content=body, headers=headers | more)
        assert (answer.status_code, slug(answer)) == (413, "too-large"), answer.text
        assert well_said(answer) is None


async def test_no_path_leads_out_of_the_map_or_to_a_defect(harness):
    for path in PATHS:
        for method in ("GET", "POST", "TRACE"):
            scope_path = httpx.URL(f"http://platform{path}").raw_path
            answer = await harness.client.request(
                method,
                httpx.URL("http://platform").copy_with(raw_path=scope_path),
                headers=bearer(harness.center.access_token),
            )
            assert answer.status_code < 500, (method, path, answer.text)
            if answer.status_code >= 400 and not path.startswith("/docs"):
                assert well_said(answer) is None, (method, path, answer.text)
            assert "root:" not in answer.text
            assert "set-cookie" not in answer.headers
            if answer.status_code < 300:
                # What was normalised by the client leads where its normal form leads, and nowhere else.
                assert answer.request.url.path in ("/identity/accounts", "/audit/records", "/ready"), path


async def test_no_query_string_brings_a_defect(harness, unit):
    lists = [
        endpoint
        for endpoint in list_endpoints(service_apps())
        if endpoint.method == "GET" and "{" not in endpoint.path and endpoint.requires
    ]
    tokens = _tokens(harness, unit)
    for endpoint in lists:
        token = tokens[next(role for role in ROLES if is_allowed(endpoint, role))]
        for query in QUERIES:
            answer = await harness.client.get(endpoint.path, params=query, headers=bearer(token))
            assert well_said(answer) is None, (endpoint.path, query, answer.status_code, answer.text)


@pytest.mark.parametrize("entry", ["gateway", "service"])
async def test_no_header_brings_a_defect_or_comes_back(harness, unit, entry):
    client = harness.client if entry == "gateway" else harness.platform.direct["identity"]
    for headers in HEADERS:
        own = [(b"authorization", f"Bearer {unit.admin.access_token}".encode()), (b"content-type", b"application/json")]
        for method, path in (("GET", "/identity/accounts"), ("POST", "/identity/accounts")):
            request = client.build_request(method, path, content=b"{}")
            request.headers = httpx.Headers([*own, *headers])
            answer = await client.send(request)
            assert well_said(answer) is None, (headers[0][0], answer.status_code, answer.text)
            assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", answer.headers["x-request-id"])
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("entry", ["gateway", "service"])
async def test_anything_but_exactly_one_good_authorization_is_401(harness, unit, entry):
    client = harness.client if entry == "gateway" else harness.platform.direct["identity"]
    token = unit.admin.access_token
    head, payload, signature = token.split(".")
    stand_ins = {
        b"GOOD": f"Bearer {token}".encode(),
        b"TAMPERED": f"Bearer {head}.{payload}x.{signature}".encode(),
        b"UNSIGNED": f"Bearer eyJhbGciOiJub25lIn0.{payload}.".encode(),
        b"GOOD, GOOD": f"Bearer {token}, Bearer {token}".encode(),
    }
    for values in AUTHORIZATIONS:
        headers = [(b"authorization", stand_ins.get(value, value)) for value in values]
        answer = await client.get("/identity/me", headers=headers)
        assert answer.status_code == 401, (values, answer.text)
        assert well_said(answer) is None
    assert (await client.get("/identity/me", headers=bearer(token))).status_code == 200


LIES = (
    "x-forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-forwarded-host",
    "x-xindun-origin",
)


@pytest.mark.clause("5d.3")
async def test_no_header_changes_where_a_request_comes_from(harness, unit):
    lies = dict.fromkeys(LIES, "203.0.113.9") | {"forwarded": "for=203.0.113.9;host=elsewhere"}
    for client in (harness.client, harness.platform.direct["identity"]):
        answer = await client.get("/identity/me", headers=bearer(unit.admin.access_token) | lies)
        assert answer.json()["origin"] == HERE
    async with harness.platform.client_at("203.0.113.9") as elsewhere:
        truth = dict.fromkeys(LIES, HERE) | {"forwarded": f"for={HERE}"}
        answer = await elsewhere.post(
            "/identity/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=httpx.BasicAuth(unit.system.id, unit.system.secret),
            headers=truth,
        )
        assert (answer.status_code, slug(answer)) == (403, "origin-not-registered")
        headers = bearer(unit.system.access_token) | truth
        answer = await elsewhere.post("/datashare/queries", json=harness.asked(unit), headers=headers)
        assert answer.status_code == 403, answer.text
        assert "origin" in str(slug(answer))
    refused = await harness.platform.events("identity", "access.refused")
    assert refused[-1]["data"]["origin"] == "203.0.113.9"
    refused = await harness.platform.events("datashare", "query.refused")
    assert refused[-1]["data"]["origin"] == "203.0.113.9"


@pytest.mark.parametrize("time", TIMES)
async def test_no_time_at_the_end_of_time_breaks_the_lists_that_it_would_stand_in(harness, unit, time):
    person = await harness.newcomer(unit.admin)
    post = (await unit.admin.get("/identity/posts")).json()["items"][0]["id"]
    versions = "/identity/policies/access-token-term/versions"
    current = (await harness.authority.get("/identity/policies/access-token-term")).headers["etag"]
    left = {"account_id": person.id, "kind": "departure", "left_at": time}
    appointed = {"account_id": person.id, "post_id": post, "until": time}
    term = {"value": 600, "effective_from": time, "basis": "规程"}
    answers = [
        await unit.admin.post("/identity/departures", left),
        await unit.admin.post("/identity/appointments", appointed),
        await harness.authority.post(versions, term, headers={"if-match": current}),
        await harness.center.get("/audit/records", params={"since": str(time)}),
        await harness.authority.post("/audit/evidence", {"purpose": "留证核查", "scope": {"from_time": time}}),
    ]
    report = harness.breach(accounts=[person.id])
    answers += [
        await unit.admin.post("/incident/breaches", report | {name: time})
        for name in ("occurred_at", "detected_at", "aware_at")
    ]
    for answer in answers:
        assert answer.status_code == 422, answer.text
        assert well_said(answer) is None
        assert answer.json()["errors"], answer.text
    assert (await person.try_refresh()).status_code == 200
    for path in ("/identity/departures", "/identity/appointments", "/identity/policies", "/incident/breaches"):
        for reader in (unit.admin, harness.center):
            assert (await reader.get(path)).status_code == 200, path


@pytest.mark.parametrize("name", CSVS)
async def test_a_malformed_file_registers_and_loads_nothing_and_says_why(harness, unit, name):
    headers = {"content-type": "text/csv"}
    units = await harness.center.post("/identity/units/import", content=CSVS[name], headers=headers)
    records = await harness.center.post(
        f"/datashare/resources/{RESOURCE}/records", content=CSVS[name] + str(new_id()).encode(), headers=headers
    )
    for answer in (units, records):
        assert well_said(answer) is None, answer.text
        if answer.status_code == 200:
            body = answer.json()
            assert not body.get("registered")
            assert not body.get("loaded")
        else:
            assert answer.status_code in (413, 422), answer.text
    for refused in units.json().get("rejected", ()):
        assert refused["line"] > 0
        assert refused["reason_zh"]


async def test_after_all_that_everything_still_works(harness, unit):
    assert (await harness.client.get("/ready")).json()["ready"] is True
    assert (await harness.query(unit, unit.system.access_token)).status_code == 200
    await harness.platform.settle()
    for service in ("identity", "datashare", "incident"):
        letters = await harness.center.get(f"/{service}/operations/dead-letters")
        assert letters.json() == []
