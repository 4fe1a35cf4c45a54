"""HTTP as every service speaks it: problems, bounds, ids, transactions and repeats, at a running service."""

import asyncio
import io
import json
import logging
import sys

import orjson
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.context import new_traceparent
from common.enforcement.principals import Principal
from common.enforcement.revocation_feed import Cutoff, Heartbeat
from common.ids import new_id
from common.log_config import configure_logging
from common.web.access_log import AccessLog
from tests.harness.polling import eventually
from tests.services.common.harness import ToyHarness

ID_NUMBER = "110101199003070012"


async def names(admin) -> list[str]:
    return [row["name"] for row in await admin.fetch("SELECT name FROM things ORDER BY id")]


# Problems


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "zh"),
        ("", "zh"),
        ("zh-CN", "zh"),
        ("en", "en"),
        ("EN-us", "en"),
        ("en;q=0.5, zh;q=0.4", "en"),
        ("en;q=0.4, zh;q=0.5", "zh"),
        ("en, zh", "zh"),
        ("en; Q=0.9, zh;q=0.1", "en"),
        ("en;q=0", "zh"),
        ("fr, *", "zh"),
        ("en;q=2", "zh"),
        ("en;q=nan", "zh"),
        (";;;,,,q=", "zh"),
        ("e" * 5000, "zh"),
        ("xx," * 50 + "en", "zh"),
        ("en;level=1;q=0.3", "zh"),
    ],
)
async def test_a_problem_speaks_the_clients_language(calm_harness, header, language):
    headers = {"accept-language": header} if header is not None else {}
    answer = await calm_harness.client.get("/toy/nowhere", headers=headers)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == language
    body = answer.json()
    assert body["title"] == {"zh": "未找到", "en": "Not found"}[language]
    assert body["type"] == "urn:xindun:problem:not-found"
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("body", "pointer", "type_"),
    [
        ({"name": ID_NUMBER * 5}, "#/name", "string_too_long"),
        ({"name": 110101199003070012}, "#/name", "string_type"),
        ({"name": "ok", "size": ID_NUMBER + "x"}, "#/size", "int_parsing"),
        ({"name": "ok", ID_NUMBER[:5] + "/~": ID_NUMBER}, "#/" + ID_NUMBER[:5] + "~1~0", "extra_forbidden"),
        ({}, "#/name", "missing"),
        ([ID_NUMBER], "#", "model_attributes_type"),
        (ID_NUMBER, "#", "model_attributes_type"),
    ],
)
async def test_a_validation_error_points_to_the_field_and_never_quotes_it(calm_harness, body, pointer, type_, language):
    headers = calm_harness.as_("accounts.invite") | {"accept-language": language}
    answer = await calm_harness.client.post("/toy/things", json=body, headers=headers)
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert (error["pointer"], error["type"]) == (pointer, type_)
    assert error["detail"]
    assert ID_NUMBER not in answer.text


async def test_a_parameter_that_does_not_fit_is_named(calm_harness):
    headers = calm_harness.as_("accounts.invite") | {"accept-language": "en"}
    answer = await calm_harness.client.get("/toy/things", params={"limit": "1000000"}, headers=headers)
    assert answer.json()["errors"][0] | {"detail": ""} == {
        "in": "query",
        "type": "less_than_equal",
        "parameter": "limit",
        "detail": "",
    }
    answer = await calm_harness.client.put("/toy/things/zzz", json={"name": "ok"}, headers=headers)
    assert "z" not in answer.json()["errors"][0]["detail"]


async def test_the_name_of_a_member_is_not_echoed_at_length(calm_harness):
    answer = await calm_harness.client.post("/toy/notes", json={"x" * 100_000: 1})
    assert answer.status_code == 422
    assert len(answer.content) < 1000


@pytest.mark.parametrize("cursor", ["x", "%00", "é", "AAAA", "A" * 65, "../../etc", "A" * 21, "💥", ""])
async def test_a_cursor_that_we_did_not_give_is_refused(calm_harness, cursor):
    answer = await calm_harness.client.get(
        "/toy/things", params={"cursor": cursor}, headers=calm_harness.as_("accounts.invite")
    )
    assert answer.status_code == 422


async def test_a_list_is_read_whole_page_by_page(harness):
    who = harness.as_("accounts.invite")
    for number in range(7):
        assert (await harness.client.post("/toy/things", json={"name": f"n{number}"}, headers=who)).status_code == 201
    seen, cursor = [], None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await harness.client.get("/toy/things", params=params, headers=who)).json()
        seen += page["items"]
        if not (cursor := page["next"]):
            break
    assert seen == [f"n{number}" for number in range(7)]


@pytest.fixture
def whole_log(monkeypatch):
    """All that the process writes to its log, as a running service writes it."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    configure_logging()
    before = structlog.get_config()
    structlog.configure(cache_logger_on_first_use=False, logger_factory=structlog.PrintLoggerFactory(written))
    yield written
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.configure(**before)


@pytest.mark.clause("7.2")
async def test_an_unexpected_error_shows_an_id_and_no_internals(whole_log, harness):
    answer = await harness.client.get("/toy/broken", headers={"accept-language": "en"})
    assert answer.status_code == 500
    body = answer.json()
    assert set(body) == {"type", "title", "status", "instance", "request_id"}
    line = next(orjson.loads(line) for line in whole_log.getvalue().splitlines() if "request.unexpected" in line)
    assert line["request_id"] == body["request_id"]
    assert line["exception"] == "RuntimeError"
    assert any("broken" in frame for frame in line["frames"])
    assert ID_NUMBER not in whole_log.getvalue() + answer.text
    assert "eyJ" not in whole_log.getvalue() + answer.text


async def test_other_libraries_errors_are_logged_without_their_text(whole_log):
    try:
        raise ValueError(ID_NUMBER)
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    line = orjson.loads(whole_log.getvalue())
    assert line["exception"] == "ValueError"
    assert ID_NUMBER not in whole_log.getvalue()


@pytest.mark.clause("7.2")
async def test_no_token_and_no_content_comes_into_the_log(whole_log, toy_database, admin):
    async with ToyHarness(toy_database) as harness:
        who = harness.as_("accounts.invite")
        for headers in (who, harness.as_(), {"authorization": "Bearer " + harness.tokens[0][:-4] + "AAAA"}):
            await harness.client.post("/toy/things", json={"name": ID_NUMBER}, headers=headers)
            await harness.client.post("/toy/things", json={"name": "too good", "id": ID_NUMBER}, headers=headers)
        await harness.client.post(
            "/toy/things", json={"name": ID_NUMBER}, headers=who | {"idempotency-key": "key-" + "1" * 20}
        )
        await harness.client.get("/toy/broken", headers=who)
        await harness.client.get(f"/toy/things?cursor={ID_NUMBER}&token={harness.tokens[0]}", headers=who)
        await admin.execute("DROP TABLE things")
        assert (await harness.client.post("/toy/things", json={"name": ID_NUMBER}, headers=who)).status_code == 500
    log = whole_log.getvalue()
    assert log.count('"request"') > 8
    for secret in (
        *harness.tokens,
        *(token.rsplit(".", 1)[-1] for token in harness.tokens),
        ID_NUMBER,
        "eyJ",
        "1" * 20,
    ):
        assert secret not in log


# Bounds


async def chunks(*parts: bytes):
    for part in parts:
        yield part


async def test_a_body_over_the_bound_is_413_by_its_length_and_by_its_chunks(toy_database):
    async with ToyHarness(toy_database, body_limit=1000) as harness:
        big = orjson.dumps({"text": "x" * 2000})
        headers = {"content-type": "application/json"}
        for content in (big, chunks(big[:700], big[700:])):
            answer = await harness.client.post("/toy/notes", content=content, headers=headers)
            assert answer.status_code == 413, answer.text
            assert answer.json()["type"] == "urn:xindun:problem:too-large"
            assert answer.json()["limit"] == 1000
        answer = await harness.client.post(
            "/toy/things",
            content=chunks(big[:700], big[700:]),
            headers=headers | harness.as_("accounts.invite") | {"idempotency-key": "12345678"},
        )
        assert answer.status_code == 413
        fits = await harness.client.post("/toy/notes", content=chunks(b'{"text":', b'"ok"}'), headers=headers)
        assert fits.json() == {"length": 2}


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1", "1e9", "abc", "9" * 18])
async def test_a_senseless_content_length_is_no_defect_of_ours(calm_harness, length):
    headers = [(b"content-length", length.encode("latin-1")), (b"content-type", b"application/json")]
    answer = await calm_harness.client.post("/toy/notes", content=chunks(b"{}"), headers=headers)
    assert answer.status_code in (200, 413)


def nested(depth: int) -> bytes:
    return b'{"nested":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (nested(31), 200),
        (nested(33), 422),
        (nested(100_000), 422),
        (b'{"nested":' + b'{"a":' * 40 + b"1" + b"}" * 41, 422),
        (b'{"text":"\\u0000"}', 422),
        (b'{"nested":{"a":["x\\u0000"]}}', 422),
        (b'{"nested":{"\\u0000":1}}', 422),
        (b'{"text":"\\\\u0000"}', 200),
        (b'{"text":"a\x00b"}', 422),
        (b'{"number":NaN}', 422),
        (b'{"number":Infinity}', 422),
        (b'{"number":1e999}', 422),
        (b'{"number":' + b"9" * 5000 + b"}", 422),
        (b'{"text":"\xff\xfe"}', 422),
        (b'{"text":"\\ud800"}', 422),
        (b'{"text":"\xed\xa0\x80"}', 422),
        (b"\xef\xbb\xbf{}", 422),
        (b"", 422),
        (b"null", 422),
        (b"{}{}", 422),
        (b"{'text':1}", 422),
        (b'"' + b'\\"' * 400_000, 422),
        (b'{"nested":[' + b"{}," * 250_000 + b"1]}", 200),
    ],
)
async def test_a_body_that_is_not_bounded_clean_json_is_refused_quickly(calm_harness, body, status):
    async with asyncio.timeout(10):
        answer = await calm_harness.client.post(
            "/toy/notes", content=body, headers={"content-type": "application/json"}
        )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(st.none() | st.text(), st.lists, max_leaves=5).map(lambda v: json.dumps(v).encode()),
    ),
    kind=st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", "a/b; c", "\x7f", ""]),
)
async def test_no_body_whatever_makes_a_500(calm_harness, body, kind):
    answer = await calm_harness.client.post("/toy/notes", content=body, headers={"content-type": kind})
    assert answer.status_code in (200, 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", None, "application/json; charset=utf-16"])
async def test_another_content_type_is_refused_or_read_as_utf_8(calm_harness, kind):
    headers = {"content-type": kind} if kind else {}
    answer = await calm_harness.client.post("/toy/notes", content=b'{"text":"x"}', headers=headers)
    assert answer.status_code == (200 if kind and "json" in kind else 422)


async def test_values_that_no_column_can_store_are_the_clients_to_correct(harness):
    who = harness.as_("accounts.invite")
    for size in (1 << 40, 1 << 70):
        answer = await harness.client.post("/toy/things", json={"name": "big", "size": size}, headers=who)
        assert answer.status_code == 422, answer.text


async def test_what_takes_too_long_is_given_up_and_rolled_back(toy_database, admin):
    async with ToyHarness(toy_database, request_timeout=0.5) as harness:
        answer = await harness.client.get("/toy/slow")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert await harness.runtime.database.ping()
    idle = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'toy_app' AND state = 'idle in transaction'"
    assert await admin.fetchval(idle) == 0


# Ids


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [("abcdefgh-1", True), ("short", False), ("x" * 65, False), ("a b c d e f", False), ("éééééééé", False)],
)
async def test_a_sane_request_id_is_kept_and_another_replaced(calm_harness, given_id, kept):
    headers = [(b"x-request-id", given_id.encode("latin-1"))]
    answered = (await calm_harness.client.get("/health", headers=headers)).headers["x-request-id"]
    assert (answered == given_id) is kept
    assert len(answered) >= 8


async def test_the_trace_of_a_request_is_carried_into_its_events(harness):
    traceparent = new_traceparent()
    who = harness.as_("accounts.invite") | {"traceparent": traceparent, "x-request-id": "request-12345"}
    assert (await harness.client.post("/toy/things", json={"name": "traced"}, headers=who)).status_code == 201
    await eventually(harness.bus.events)
    (event,) = harness.bus.events()
    assert event.traceparent == traceparent
    assert event.requestid == "request-12345"
    assert event.actor.startswith("account:")
    who["traceparent"] = "00-" + "0" * 32 + "-" + "0" * 16 + "-01"
    await harness.client.post("/toy/things", json={"name": "untraced"}, headers=who)
    await eventually(lambda: len(harness.bus.events()) == 2)
    assert harness.bus.events()[1].traceparent not in (traceparent, who["traceparent"])


async def test_what_a_caller_within_the_process_left_in_the_state_proves_nothing(calm_harness, monkeypatch):
    forged = Principal("account", "1", None, None, frozenset(), None, {}, calm_harness.clock.now())
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/toy/whoami",
        "raw_path": b"/toy/whoami",
        "query_string": b"",
        "headers": [],
        "state": {"principal": forged},
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("toy.test", 80),
    }
    logged = []
    monkeypatch.setattr(AccessLog, "record", lambda _, state, *__: logged.append(state.principal))
    await calm_harness.app(scope, receive, send)
    assert sent[0]["status"] == 401
    assert logged == [None]
    assert scope["state"] == {"principal": forged}, "nor is the caller's state touched"


# Transactions


async def test_the_commit_happens_before_the_answer_leaves(harness, admin):
    """The name collides only at the commit: had the answer left before, it would say 201."""
    who = harness.as_("accounts.invite")
    assert (await harness.client.post("/toy/things", json={"name": "once"}, headers=who)).status_code == 201
    assert await names(admin) == ["once"]
    answer = await harness.client.post("/toy/things", json={"name": "once"}, headers=who)
    assert answer.status_code == 409
    await eventually(lambda: len(harness.bus.events()) == 1)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_lost_before_the_commit_is_503_and_nothing_happened(harness, admin, when):
    async def cut():
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'toy_app'")

    setattr(harness.runtime, when, cut)
    answer = await harness.client.post("/toy/things", json={"name": "cut"}, headers=harness.as_("accounts.invite"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["type"] == "urn:xindun:problem:database-unavailable"
    assert await names(admin) == []
    assert await admin.fetchval("SELECT count(*) FROM outbox") == 0


async def test_without_the_database_the_answer_is_503_and_later_all_is_well(harness, admin):
    who = harness.as_("accounts.invite")
    await admin.execute("ALTER ROLE toy_app NOLOGIN")
    try:
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'toy_app'")
        answer = await harness.client.post("/toy/things", json={"name": "later"}, headers=who)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        ready = await harness.client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] is False
        assert (await harness.client.get("/health")).status_code == 200
        refused = await harness.client.post("/toy/things", json={"name": "later"}, headers=harness.as_())
        assert refused.status_code == 503, "a refusal that cannot be recorded is not given as if it were"
    finally:
        await admin.execute("ALTER ROLE toy_app LOGIN")
    await eventually(harness.runtime.database.ping)
    assert (await harness.client.post("/toy/things", json={"name": "later"}, headers=who)).status_code == 201


@pytest.mark.clause("12.4")
async def test_a_refusal_is_on_record_before_it_is_answered_and_the_act_is_not(harness, admin):
    harness.bus.away = True
    subject = f"account:{new_id()}"
    who = harness.as_("accounts.invite", subject=subject)
    answer = await harness.client.post("/toy/things", json={"name": "too good"}, headers=who)
    assert answer.status_code == 403
    bodies = [orjson.loads(row["body"]) for row in await admin.fetch("SELECT body FROM outbox")]
    (refusal,) = bodies
    assert refusal["type"] == "cn.xindun.toy.access.refused.v1"
    assert refusal["data"]["problem"] == "too-good"
    assert refusal["data"]["subject"] == subject
    assert refusal["data"]["route"] == "/toy/things"
    assert refusal["requestid"] == answer.headers["x-request-id"]
    assert await names(admin) == []


@pytest.mark.clause("6.2")
async def test_a_missing_permission_names_itself_and_its_clause(harness):
    answer = await harness.client.post("/toy/things", json={"name": "ok"}, headers=harness.as_("accounts.read"))
    assert answer.status_code == 403
    assert answer.json()["permission"] == "accounts.invite"
    assert answer.json()["clause"] == "7.6"


@pytest.mark.clause("6.5")
async def test_the_refusal_of_a_revoked_credential_is_recorded_with_its_name(harness, admin):
    subject = f"account:{new_id()}"
    who = harness.as_("accounts.invite", subject=subject)
    assert (await harness.client.get("/toy/whoami", headers=who)).status_code == 200
    now = harness.clock.now()
    await harness.feed(Cutoff(id=new_id(), subject=subject, epoch=1, reason="account-revoked", at=now))
    await eventually(lambda: harness.point.holds(subject, 1))
    answer = await harness.client.get("/toy/whoami", headers=who)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:xindun:problem:credential-revoked"
    (body,) = [orjson.loads(row["body"]) for row in await admin.fetch("SELECT body FROM outbox")]
    assert body["data"]["subject"] == subject
    assert body["actor"] == subject


async def test_a_request_without_a_credential_or_with_two_is_401(calm_harness):
    token = calm_harness.as_()["authorization"]
    for headers in (
        [],
        [("authorization", token), ("authorization", token)],
        [("authorization", "Basic abc")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer  x")],
        [("authorization", "Bearer x.y.z")],
    ):
        answer = await calm_harness.client.get("/toy/whoami", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.clause("6.5")
async def test_acts_of_class_a_end_when_the_revoker_is_silent(harness):
    who = harness.as_("credit-data.query")
    assert (await harness.client.post("/toy/queries", headers=who)).status_code == 200
    harness.point._revoker_seen_at -= 61
    answer = await harness.client.post("/toy/queries", headers=who)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:xindun:problem:revoker-silent"
    assert (await harness.client.get("/toy/whoami", headers=who)).status_code == 200
    seen_at = harness.point._revoker_seen_at
    await harness.feed(Heartbeat(at=harness.clock.now()))
    await eventually(lambda: harness.point._revoker_seen_at > seen_at)
    assert (await harness.client.post("/toy/queries", headers=who)).status_code == 200


# Repeats and edits


async def test_a_repeated_write_is_answered_again_and_done_once(harness, admin):
    who = harness.as_("accounts.invite") | {"idempotency-key": "0123456789abcdef"}
    first = await harness.client.post("/toy/things", json={"name": "mine"}, headers=who)
    again = await harness.client.post("/toy/things", json={"name": "mine"}, headers=who)
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    for name in ("etag", "location", "content-type"):
        assert first.headers[name] == again.headers[name]
    assert await names(admin) == ["mine"]
    kept = await admin.fetchrow("SELECT * FROM idempotency")
    assert b"mine" not in kept["body"]
    assert "0123456789abcdef" not in str(dict(kept))


@pytest.mark.parametrize("changed", ["body", "path", "query"])
async def test_a_key_serves_one_request_only(harness, admin, changed):
    who = harness.as_("accounts.invite") | {"idempotency-key": "0123456789abcdef"}
    first = await harness.client.post("/toy/things", json={"name": "mine"}, headers=who)
    if changed == "path":
        path = first.headers["location"]
        other = await harness.client.put(path, json={"name": "mine"}, headers=who | {"if-match": '"1"'})
    else:
        path = "/toy/things?a=1" if changed == "query" else "/toy/things"
        other = await harness.client.post(path, json={"name": "mine" if changed == "query" else "other"}, headers=who)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:xindun:problem:idempotency-key-reused"
    assert await names(admin) == ["mine"]


async def test_another_person_may_use_the_same_key(harness, admin):
    for name in ("mine", "yours"):
        who = harness.as_("accounts.invite") | {"idempotency-key": "0123456789abcdef"}
        assert (await harness.client.post("/toy/things", json={"name": name}, headers=who)).status_code == 201
    assert await names(admin) == ["mine", "yours"]


async def test_a_write_that_failed_leaves_its_key_free(harness, admin):
    who = harness.as_("accounts.invite") | {"idempotency-key": "0123456789abcdef"}

    async def fail():
        raise RuntimeError

    harness.runtime.before = fail
    assert (await harness.client.post("/toy/things", json={"name": "mine"}, headers=who)).status_code == 500
    harness.runtime.before = None
    assert (await harness.client.post("/toy/things", json={"name": "mine"}, headers=who)).status_code == 201
    assert await names(admin) == ["mine"]


async def test_concurrent_repeats_wait_for_the_first_and_get_its_answer(harness, admin):
    who = harness.as_("accounts.invite") | {"idempotency-key": "0123456789abcdef"}
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def wait():
        entered.set()
        await go_on.wait()

    harness.runtime.before = wait
    calls = [
        asyncio.create_task(harness.client.post("/toy/things", json={"name": "mine"}, headers=who)) for _ in range(4)
    ]
    await entered.wait()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'toy_app' AND wait_event_type = 'Lock'"

    async def all_wait() -> bool:
        return await admin.fetchval(waiting) == 3

    await eventually(all_wait)
    go_on.set()
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 3
    assert await names(admin) == ["mine"]


@pytest.mark.parametrize("key", ["", "short", "x" * 129, "with space", "é" * 10])
async def test_a_key_of_the_wrong_form_is_refused(harness, admin, key):
    headers = [*harness.as_("accounts.invite").items(), ("idempotency-key", key.encode("latin-1"))]
    headers = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
    assert (await harness.client.post("/toy/things", json={"name": "mine"}, headers=headers)).status_code == 422
    assert await names(admin) == []


async def test_two_keys_are_refused(harness, admin):
    headers = [*harness.as_("accounts.invite").items(), ("idempotency-key", "1" * 8), ("idempotency-key", "2" * 8)]
    assert (await harness.client.post("/toy/things", json={"name": "mine"}, headers=headers)).status_code == 422
    assert await names(admin) == []


async def test_an_edit_meets_the_version_that_it_read(harness):
    who = harness.as_("accounts.invite")
    made = await harness.client.post("/toy/things", json={"name": "mine"}, headers=who)
    path, tag = made.headers["location"], made.headers["etag"]
    body = {"name": "mine", "size": 3}
    missing = await harness.client.put(path, json=body, headers=who)
    assert missing.status_code == 428
    edited = await harness.client.put(path, json=body, headers=who | {"if-match": tag})
    assert (edited.status_code, edited.headers["etag"]) == (204, '"2"')
    for stale in (tag, "*", 'W/"2"', "2", '"2", "1"', '""'):
        answer = await harness.client.put(path, json=body, headers=who | {"if-match": stale})
        assert answer.status_code == 412, stale
        assert answer.headers["etag"] == '"2"'
    nowhere = await harness.client.put(f"/toy/things/{new_id()}", json=body, headers=who | {"if-match": tag})
    assert nowhere.status_code == 404


async def test_of_two_concurrent_edits_of_one_version_one_is_made(harness):
    who = harness.as_("accounts.invite")
    made = await harness.client.post("/toy/things", json={"name": "mine"}, headers=who)
    edits = [
        harness.client.put(
            made.headers["location"], json={"name": "mine", "size": n}, headers=who | {"if-match": '"1"'}
        )
        for n in range(5)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*edits))
    assert statuses == [204, 412, 412, 412, 412]


async def test_a_method_that_is_not_there_says_which_are(calm_harness):
    answer = await calm_harness.client.patch("/toy/things")
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"] or "GET" in answer.headers["allow"]
    assert answer.json()["type"] == "urn:xindun:problem:method-not-allowed"


async def test_methods_of_clients_own_make_no_time_series(calm_harness):
    for number in range(3):
        await calm_harness.client.request(f"MADEUP{number}", "/toy/things")
    metrics = (await calm_harness.client.get("/metrics")).text
    assert "MADEUP" not in metrics
    assert 'method="other"' in metrics
