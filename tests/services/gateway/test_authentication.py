"""Denials at the gateway: recorded before the response, in the client's language, and unseen by the service."""

import asyncio
import json

import httpx
import pytest

from gateway import denial_log
from tests.services.gateway.harness import request

STATUSES = {"revoked": 401, "unknown": 401, "none": 401, "two": 401, "stale": 503}


@pytest.mark.parametrize("size", [1, 70_000], ids=["with the head", "after the head"])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("how", STATUSES)
async def test_a_request_without_a_good_credential_is_denied(world, service, monkeypatch, how, language, size):
    monkeypatch.setattr(denial_log, "WINDOW", 60.0)
    subject = f"account:0199a000-0000-7000-8000-{len(how):012d}"
    token = world.token_of(subject)
    headers = httpx.Headers({"authorization": f"Bearer {token}", "accept-language": language})
    if how == "revoked":
        await world.cut_off(subject)
    elif how == "unknown":
        headers["authorization"] = f"Bearer {token[:-8]}AAAAAAAA"
    elif how == "none":
        headers["authorization"] = "none"
    elif how == "two":
        headers = httpx.Headers([*headers.multi_items(), ("authorization", "Bearer x")])
    elif how == "stale":
        monkeypatch.setattr(world.app.app.point, "_confirmed_at", -1e9)
        monkeypatch.setattr(world.app.app.point, "_confirm", lambda _: None)
    for _ in range(2):
        found = await world.client.post("/identity/units", content=b"x" * size, headers=headers)
        assert found.status_code == STATUSES[how]
        assert found.headers["content-language"] == language
        assert found.headers["content-type"] == "application/problem+json"
        assert found.json()["request_id"] == found.headers["x-request-id"]
        assert ("www-authenticate" in found.headers) is (how in ("unknown", "none", "two"))
    assert service.seen == []


async def test_the_first_denial_of_a_subject_is_on_record_before_it_is_answered(world, monkeypatch):
    subject = "account:0199a000-0000-7000-8000-00000000ffff"
    token = {"authorization": f"Bearer {world.token_of(subject)}"}
    assert (await world.client.get("/identity/units", headers=token)).status_code == 200
    await world.cut_off(subject)
    recorded: list[dict] = []
    publish = world.bus.publish

    async def record(messages):
        recorded.extend(json.loads(message.value) for message in messages if b"access.refused" in message.value)
        await publish(messages)

    monkeypatch.setattr(world.bus, "publish", record)
    first = await world.client.get("/identity/units", headers=token)
    assert [entry["subject"] for entry in recorded] == [subject]
    second = await world.client.get("/identity/units", headers=token)
    assert len(recorded) == 1
    assert [first.status_code, second.status_code] == [401, 401]
    assert recorded[0]["requestid"] == first.headers["x-request-id"]


async def test_a_token_revoked_between_two_requests_of_one_connection_does_not_pass_again(world, service):
    subject = "account:0199a000-0000-7000-8000-00000000eeee"
    token = world.token_of(subject)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(request(world, token=token))
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    await world.cut_off(subject)
    writer.write(request(world, token=token))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")
    writer.transport.abort()
    assert len(service.seen) == 1
