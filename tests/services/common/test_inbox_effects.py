"""The inbox: a foreign event takes effect once, in order per key, and no poison stops the others."""

import asyncio
import itertools
import json
import time
from uuid import UUID

import pytest
from prometheus_client import REGISTRY as METRICS
from sqlalchemy import text

from common.ids import new_id
from common.messaging import inbox as inbox_module
from common.messaging.bus import BusUnavailable, Message
from common.messaging.dead_letters import drop_dead_letter, replay_dead_letter
from common.messaging.events import PREFIX
from common.messaging.inbox import MAX_ATTEMPTS, MAX_MESSAGE_BYTES, Inbox
from common.messaging.topics import events_topic
from common.problems import Conflict, Invalid, NotFound, Unavailable
from common.storage.database import Database, DatabaseUnavailable
from tests.harness.polling import eventually
from tests.services.common.harness import ToyHarness
from tests.services.common.toy.events import QuestionAsked

ASKER = events_topic("asker")


@pytest.fixture
async def still(toy_database, monkeypatch):
    """The running toy whose waiting rows are tried only when the test says so."""

    async def never(_self):
        await asyncio.Event().wait()

    monkeypatch.setattr(inbox_module.Inbox, "run", never)
    async with ToyHarness(toy_database) as running:
        yield running


def asked(harness, about: str, words: str = "") -> Message:
    return harness.message(QuestionAsked(about=about, text=words))


async def effects(admin, about: str | None = None) -> list[str]:
    rows = await admin.fetch("SELECT text FROM effects WHERE $1::text IS NULL OR about = $1 ORDER BY n", about)
    return [row["text"] for row in rows]


async def states(admin) -> dict[str, tuple[str, int]]:
    """Key → state and attempts, of the newest row."""
    rows = await admin.fetch("SELECT key, status, attempts FROM inbox ORDER BY arrival")
    return {row["key"]: (row["status"], row["attempts"]) for row in rows}


def refusing(harness, *texts: str, error: type[Exception] = RuntimeError) -> set[str]:
    """Let the handler fail, after its effect, on these texts; what is taken out of the set is accepted again."""
    refused = set(texts)

    async def react(_, event):
        if event.text in refused:
            raise error

    harness.runtime.react = react
    return refused


async def retry_all(harness, seconds: float = 0) -> None:
    harness.pass_(seconds)
    while await harness.inbox.retry_one():
        pass


def handled(outcome: str) -> float:
    return METRICS.get_sample_value("xindun_inbox_handled_total", {"service": "toy", "outcome": outcome}) or 0.0


async def test_an_event_takes_effect_once_however_often_it_comes(still, admin):
    message = asked(still, "a", "1")
    for _ in range(3):
        await still.bus.publish([message, message])
    assert await effects(admin) == ["1"]
    assert await states(admin) == {"a": ("done", 0)}
    await eventually(lambda: len(still.bus.events()) == 1)


async def test_effect_inbox_row_and_outbox_row_are_one_transaction(still, admin):
    refusing(still, "bad")
    await still.bus.publish([asked(still, "a", "bad")])
    assert await effects(admin) == []
    assert await admin.fetchval("SELECT count(*) FROM outbox") == 0
    assert await states(admin) == {"a": ("waiting", 1)}


async def test_later_events_of_a_key_wait_behind_and_other_keys_go_on(still, admin):
    refused = refusing(still, "a1")
    messages = [asked(still, key, f"{key}{n}") for n in (1, 2, 3) for key in "ab"]
    await still.bus.publish(messages)
    assert await effects(admin, "a") == []
    assert await effects(admin, "b") == ["b1", "b2", "b3"]
    await still.bus.publish(messages)
    assert await effects(admin, "a") == [], "shown again they still wait"
    refused.clear()
    await retry_all(still, 0.05)
    assert await effects(admin, "a") == [], "the wait is not over"
    await still.bus.publish([asked(still, "a", "a4")])
    await retry_all(still, 0.2)
    assert await effects(admin, "a") == ["a1", "a2", "a3", "a4"]


async def test_the_waits_grow_and_after_eight_attempts_the_event_is_dead(still, admin):
    refusing(still, "bad")
    await still.bus.publish([asked(still, "a", "bad"), asked(still, "a", "behind")])
    waits = []
    while (await states(admin))["a"][0] != "done":
        due = await admin.fetchval("SELECT next_attempt_at FROM inbox WHERE next_attempt_at IS NOT NULL")
        if due:
            waits.append(round((due - still.clock.now()).total_seconds(), 3))
            still.pass_(waits[-1])
        await still.inbox.retry_one()
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
    rows = await admin.fetch("SELECT status, attempts, error FROM inbox ORDER BY arrival")
    assert tuple(rows[0]) == ("dead", MAX_ATTEMPTS, "RuntimeError")
    assert await effects(admin) == ["behind"], "a dead event holds nobody back"


async def dead_letter(harness, admin) -> UUID:
    refusing(harness, "bad")
    await harness.bus.publish([asked(harness, "a", "bad")])
    for _ in range(MAX_ATTEMPTS):
        await retry_all(harness, 20)
    return await admin.fetchval("SELECT message_id FROM inbox WHERE status = 'dead'")


async def test_an_operator_sees_replays_and_drops_dead_letters(still, admin):
    dead = await dead_letter(still, admin)
    operator = still.as_("operations.manage")
    path = f"/toy/operations/dead-letters/{dead}"
    listed = (await still.client.get("/toy/operations/dead-letters", headers=operator)).json()
    assert [(letter["message_id"], letter["error"], letter["attempts"]) for letter in listed] == [
        (str(dead), "RuntimeError", MAX_ATTEMPTS)
    ]
    assert "bad" not in str(listed), "what it says is not shown"
    assert (await still.client.post(f"{path}/replay", headers=operator)).status_code == 202
    assert (await states(admin))["a"] == ("waiting", 0)
    assert (await still.client.post(f"{path}/replay", headers=operator)).status_code == 409
    assert (await still.client.post(f"{path}/drop", headers=operator, json={"reason": "no longer"})).status_code == 409
    for _ in range(MAX_ATTEMPTS):
        await retry_all(still, 20)
    assert (await states(admin))["a"] == ("dead", MAX_ATTEMPTS)
    assert (await still.client.post(f"{path}/drop", headers=operator, json={"reason": " "})).status_code == 422
    assert (await still.client.post(f"{path}/drop", headers=operator, json={"reason": "no longer"})).status_code == 204
    row = await admin.fetchrow("SELECT status, reason, settled_by FROM inbox")
    assert row["status"] == "dropped"
    assert row["reason"] == "no longer"
    assert row["settled_by"].startswith("account:")
    assert (await still.client.post(f"{path}/replay", headers=operator)).status_code == 409
    nowhere = f"/toy/operations/dead-letters/{new_id()}/replay"
    assert (await still.client.post(nowhere, headers=operator)).status_code == 404
    assert (await still.client.post(f"{path}/replay", headers=still.as_("accounts.read"))).status_code == 403
    bodies = [json.loads(row["body"]) for row in await admin.fetch("SELECT body FROM outbox ORDER BY id")]
    recorded = [
        (body["type"], body["data"]["outcome"]) for body in bodies if body["data"].get("message_id") == str(dead)
    ]
    kind = "cn.xindun.toy.dead-letter.settled.v1"
    assert recorded == [(kind, "replayed"), (kind, "dropped")], "on record as what it is, not as what it settles"


async def test_a_replayed_letter_that_now_succeeds_takes_effect(still, admin):
    dead = await dead_letter(still, admin)
    still.runtime.react = None
    async with still.runtime.database.transaction() as session:
        await replay_dead_letter(session, dead, now=still.runtime.clock.now())
    await retry_all(still)
    assert await effects(admin) == ["bad"]
    async with still.runtime.database.transaction() as session:
        with pytest.raises(Conflict):
            await drop_dead_letter(session, dead, by="account:1", reason="too late")
        with pytest.raises(NotFound):
            await replay_dead_letter(session, new_id(), now=still.runtime.clock.now())


async def test_unknown_types_pass_by_and_unknown_fields_are_ignored(still, admin):
    event = QuestionAsked(about="a", text="1")
    unknown = still.message(event, type=f"{PREFIX}.asker.question.withdrawn.v1")
    newer = still.message(event, data={"about": "a", "text": "2", "tone": "friendly"})
    await still.bus.publish([unknown, newer])
    assert await effects(admin) == ["2"]
    assert len(await admin.fetch("SELECT FROM inbox")) == 1


async def test_an_event_whose_data_do_not_fit_waits_and_dies_like_any_failure(still, admin):
    await still.bus.publish([still.message(QuestionAsked(about="a"), data={"text": "about what?"})])
    assert (await states(admin))["a"] == ("waiting", 1)
    assert await admin.fetchval("SELECT error FROM inbox") == "ValidationError"


@pytest.mark.clause("12.4")
@pytest.mark.parametrize(
    "changed",
    [
        {"source": "/toy"},
        {"source": "asker"},
        {"source": "//asker"},
        {"type": f"{PREFIX}.toy.thing.made.v1"},
        {"type": f"{PREFIX}.toy.question.asked.v1", "source": "/asker"},
    ],
)
async def test_nobody_says_anothers_facts(still, admin, changed, monkeypatch):
    """Whoever may write a topic could otherwise end anybody's account there."""
    handlers = still.inbox._handlers
    for type_ in {changed.get("type")} - {None}:
        monkeypatch.setitem(handlers._by_type, type_, handlers.of(QuestionAsked.type))
    before = handled("foreign-source")
    await still.bus.publish([still.message(QuestionAsked(about="a"), **changed)])
    assert await effects(admin) == []
    assert handled("foreign-source") == before + 1


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"\xff\xfe", b'{"id": 3}', b"[" * 5000])
async def test_what_cannot_be_read_blocks_nobody(still, admin, value):
    before = handled("unreadable")
    await still.bus.publish([Message(ASKER, "a", value), asked(still, "a", "next")])
    assert await effects(admin) == ["next"]
    assert handled("unreadable") == before + 1


async def test_a_message_too_long_to_be_an_event_blocks_nobody(still, admin):
    before = handled("too-long")
    long = asked(still, "a", "x" * MAX_MESSAGE_BYTES)
    await still.bus.publish([long, asked(still, "a", "next")])
    assert await effects(admin) == ["next"]
    assert handled("too-long") == before + 1


async def test_ten_thousand_messages_that_are_none_of_ours_cost_no_transaction(still):
    """Were there one, it would fail: this inbox has no database."""
    nowhere = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none", pool_size=1)
    without = Inbox("toy", nowhere, still.inbox._handlers, still.runtime, still.runtime.clock)
    unknown = [
        still.message(QuestionAsked(about=str(n)), type=f"{PREFIX}.asker.question.withdrawn.v1") for n in range(10_000)
    ]
    began = time.process_time()
    await without.deliver([*unknown, Message(ASKER, "a", bytes(10_000_000))])
    assert time.process_time() - began < 5, "seconds of the processor; a transaction each would be ten"
    with pytest.raises(Unavailable):
        await without.deliver([asked(still, "a")])
    await nowhere.close()


async def test_a_key_that_no_database_can_store_blocks_nobody(still, admin):
    poison = asked(still, "a")
    await still.bus.publish([Message(ASKER, "a\0", poison.value), asked(still, "a", "next")])
    assert await effects(admin) == ["next"]


async def test_without_the_database_the_bus_keeps_the_message_and_no_attempt_is_counted(still, admin):
    message = asked(still, "a", "1")
    await admin.execute("ALTER ROLE toy_app NOLOGIN")
    try:
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'toy_app'")
        with pytest.raises(BusUnavailable):
            await still.bus.publish([message])
    finally:
        await admin.execute("ALTER ROLE toy_app LOGIN")
    await eventually(still.runtime.database.ping)
    assert await admin.fetchval("SELECT count(*) FROM inbox") == 0
    await still.bus.publish([message])
    assert (await states(admin))["a"] == ("done", 0)


async def test_a_handler_that_meets_a_lock_waits_uncounted_and_blocks_nobody(still, admin):
    refused = refusing(still, "locked", error=DatabaseUnavailable)
    await still.bus.publish([asked(still, "a", "locked"), asked(still, "b", "free")])
    assert await effects(admin) == ["free"]
    assert (await states(admin))["a"] == ("waiting", 0)
    await still.bus.publish([asked(still, "c", "locked"), asked(still, "d", "free")])
    for _ in range(2 * MAX_ATTEMPTS):
        await still.inbox.retry_one()
        still.pass_(2)
    assert (await states(admin))["a"] == ("waiting", 0), "nothing speaks against the event"
    refused.clear()
    await retry_all(still, 2)
    assert await effects(admin, "a") == ["locked"]
    assert await effects(admin, "c") == ["locked"]


async def test_a_waiting_row_that_is_unavailable_does_not_starve_the_others(still, admin):
    refused = refusing(still, "a", "b")
    await still.bus.publish([asked(still, "a", "a"), asked(still, "b", "b")])
    refused.remove("b")
    still.runtime.react = _unavailable_on("a")
    await retry_all(still, 1)
    assert await effects(admin) == ["b"]


def _unavailable_on(words: str):
    async def react(_, event):
        if event.text == words:
            raise Unavailable

    return react


STEPS = ("before", "handler", "rolled back", "parked")


@pytest.mark.parametrize(("fails", "dies"), [(False, "before"), (False, "handler"), *itertools.product([True], STEPS)])
async def test_a_death_between_any_two_steps_leaves_the_effect_once(still, admin, fails, dies, monkeypatch):
    """A process that dies is a delivery that is cancelled: what it had not committed is gone, and is shown again."""
    message = asked(still, "a", "bad" if fails else "good")
    real_apply, real_park = still.inbox._apply, still.inbox._park
    died = asyncio.Event()

    async def die(*_):
        died.set()
        raise asyncio.CancelledError

    async def react(_, event):
        if dies == "handler" and not died.is_set():
            await die()
        if event.text == "bad":
            raise RuntimeError

    async def apply(*arguments):
        if dies == "before" and not died.is_set():
            await die()
        await real_apply(*arguments)

    async def park(*arguments):
        if dies == "rolled back" and not died.is_set():
            await die()
        await real_park(*arguments)
        if dies == "parked" and not died.is_set():
            await die()

    still.runtime.react = react
    monkeypatch.setattr(still.inbox, "_apply", apply)
    monkeypatch.setattr(still.inbox, "_park", park)
    for _ in range(3):
        try:
            await still.bus.publish([message])
        except BusUnavailable:
            assert died.is_set()
    rows = await admin.fetch("SELECT status, attempts FROM inbox")
    assert [tuple(row) for row in rows] == [("waiting", 1) if fails else ("done", 0)]
    assert await effects(admin) == ([] if fails else ["good"])


async def test_a_retry_that_dies_before_its_commit_is_done_again(still, admin):
    refused = refusing(still, "bad")
    await still.bus.publish([asked(still, "a", "bad")])
    refused.clear()
    still.pass_(1)

    async def die(*_):
        raise asyncio.CancelledError

    still.runtime.react = die
    with pytest.raises(asyncio.CancelledError):
        await still.inbox.retry_one()
    assert (await states(admin))["a"] == ("waiting", 1)
    still.runtime.react = None
    await retry_all(still)
    assert await effects(admin) == ["bad"]
    assert (await states(admin))["a"] == ("done", 2)


async def test_two_processes_that_retry_share_the_rows(still, admin):
    refused = refusing(still, *"abcdef")
    await still.bus.publish([asked(still, key, key) for key in "abcdef"])
    refused.clear()
    still.pass_(1)
    outcomes = await asyncio.gather(*(still.inbox.retry_one() for _ in range(6)))
    await retry_all(still)
    assert any(outcomes)
    assert sorted(await effects(admin)) == list("abcdef")


async def test_a_running_inbox_retries_by_itself(harness, admin):
    refused = refusing(harness, "bad")
    await harness.bus.publish([asked(harness, "a", "bad")])
    refused.clear()
    harness.pass_(1)

    async def applied() -> bool:
        return await effects(admin) == ["bad"]

    await eventually(applied)


async def test_what_no_handler_can_store_is_a_failure_of_the_event_not_of_the_database(still, admin):
    async def react(session, _):
        await session.execute(
            text("INSERT INTO things VALUES (:id, 'n', CAST(:n AS integer), 1)"), {"id": new_id(), "n": 1 << 40}
        )

    still.runtime.react = react
    await still.bus.publish([asked(still, "a", "1")])
    assert (await states(admin))["a"] == ("waiting", 1)
    assert await admin.fetchval("SELECT error FROM inbox") == Invalid.__name__
