"""Evidence is exported whole and on record, and one file is enough to confirm it."""

import asyncio
import io
import json
import sys
import zipfile
from datetime import timedelta
from hashlib import sha256

import pytest

from audit.evidence import service
from common.clock import ManualClock
from common.storage.database import DatabaseUnavailable
from tests.services.audit.harness import unpack

pytestmark = pytest.mark.clause("12.4")


@pytest.fixture
async def filled(harness):
    await harness.deliver(*harness.messages(20), *harness.messages(10, "/datashare"))
    return harness


async def judge(harness, root, *options):
    """Run the served verifier as its own process, isolated from this environment."""
    program = root.parent / "verify.py"
    program.write_bytes((await harness.get("verify.py")).content)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", program, root, "--json", *options, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await process.communicate()
    return process.returncode, json.loads(answer)


async def exported(harness, tmp_path, scope=None):
    answer = await harness.export(scope)
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/zip"
    return unpack(answer.content, tmp_path / "evidence")


def manifest_of(root):
    return json.loads((root / "manifest.json").read_bytes())


async def test_the_whole_log_is_confirmed_by_the_served_verifier_alone(filled, tmp_path):
    root = await exported(filled, tmp_path)
    code, verdict = await judge(filled, root)
    assert (code, verdict["ok"], verdict["records"], verdict["scope"]["complete"]) == (0, True, 30, True)
    manifest = manifest_of(root)
    assert manifest["checkpoint"]["size"] == 30
    assert manifest["context"]["why"] == "案件 7 取证"
    assert manifest["context"]["who"].startswith("account:")
    bodies = await filled.bodies()
    assert [(root / f"records/{n:08d}.json").read_bytes() for n in range(30)] == bodies[:30]


async def test_one_changed_byte_anywhere_is_found_and_its_file_named(filled, tmp_path):
    root = await exported(filled, tmp_path)
    for name in ("records/00000007.json", "proofs/00000003.tlog-proof", "checkpoint", "manifest.json", "README.txt"):
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
        code, verdict = await judge(filled, root)
        assert (code, verdict["name"], verdict["what"]) == (1, name, "altered")
        (root / name).write_bytes(content)
    assert (await judge(filled, root))[0] == 0


@pytest.mark.parametrize(
    ("scope", "indices", "complete"),
    [
        ({"from_index": 5, "to_index": 9}, range(5, 10), True),
        ({"to_index": 3}, range(4), True),
        ({"from_index": 25, "to_index": 1000}, range(25, 30), True),
        ({"subjects": ["a-1"]}, [1, 8, 15, 21, 28], False),
        ({"subjects": ["a-1", "a-2"], "to_index": 9}, [1, 2, 8, 9], False),
        ({"request_ids": ["request-4"]}, [3, 23], False),
        ({"from_time": "2026-01-05T00:00:00Z"}, range(30), False),
    ],
)
async def test_a_scope_holds_what_it_says(filled, tmp_path, scope, indices, complete):
    root = await exported(filled, tmp_path, scope)
    manifest = manifest_of(root)
    assert [record["index"] for record in manifest["records"]] == list(indices)
    assert manifest["scope"]["complete"] is complete
    assert json.loads(manifest["context"]["scope"]).keys() == scope.keys()
    assert (await judge(filled, root))[0] == 0


async def test_events_that_overtook_each_other_at_the_edge_of_a_range_are_no_gap(harness, tmp_path):
    one, two, three, four = harness.messages(4)
    await harness.deliver(one, three, four, two)
    root = await exported(harness, tmp_path, {"from_index": 0, "to_index": 1})
    assert [record["index"] for record in manifest_of(root)["records"]] == [0, 1, 3]
    code, verdict = await judge(harness, root)
    assert (code, verdict["scope"]) == (0, {"first": 0, "last": 1, "complete": True})


async def test_an_export_of_the_whole_waits_for_events_that_were_overtaken(harness, tmp_path, monkeypatch):
    one, two, three = harness.messages(3)
    await harness.deliver(one, three)
    asked = asyncio.Event()
    missing = service.list_missing

    async def tampering(*arguments, **more):
        found = await missing(*arguments, **more)
        asked.set()
        return found

    monkeypatch.setattr(service, "list_missing", tampering)
    export = asyncio.create_task(exported(harness, tmp_path))
    await asked.wait()
    await harness.deliver(two)
    root = await export
    assert len(manifest_of(root)["records"]) == 3
    assert (await judge(harness, root))[0] == 0


async def test_nothing_is_signed_as_complete_while_a_number_may_only_be_late(make_harness, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "SETTLE_TIMEOUT_SECONDS", 0)
    harness = await make_harness(clock=ManualClock())
    one, two, three, four, five = harness.messages(5)
    await harness.deliver(one, three, five)
    for scope in (None, {"from_index": 0, "to_index": 1}):
        answer = await harness.export(scope)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:xindun:problem:evidence-unsettled")
        assert answer.json()["missing"][0] == {"source": "/identity", "after": 1, "before": 3}
        assert answer.headers["retry-after"]
    for scope in ({"to_index": 0}, {"from_index": 1, "to_index": 1}, {"subjects": ["a-0", "a-2"]}):
        assert (await harness.export(scope)).status_code == 201, "nothing is missing of that"
    await harness.deliver(two, four)
    assert (await judge(harness, await exported(harness, tmp_path)))[0] == 0


async def test_a_number_that_stays_missing_shows_in_the_evidence(make_harness, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "SETTLE_TIMEOUT_SECONDS", 0)
    harness = await make_harness(clock=ManualClock())
    one, _, three = harness.messages(3)
    await harness.deliver(one, three)
    await harness.producers.scan()
    assert (await harness.export()).status_code == 503
    harness.clock.advance(timedelta(seconds=31))
    await harness.producers.scan()
    code, verdict = await judge(harness, await exported(harness, tmp_path))
    assert (code, verdict["what"], verdict["name"]) == (1, "gap", "records/00000001.json")


async def test_an_export_is_on_record_with_its_digest_before_it_leaves(filled):
    answer = await filled.export({"to_index": 4})
    digest = sha256(answer.content).hexdigest()
    (row,) = await filled.sql(
        "SELECT convert_from(body, 'UTF8') AS body FROM outbox WHERE position($1 IN body) > 0", b"evidence.exported"
    )
    event = json.loads(row["body"])
    assert event["data"]["digest"] == digest
    assert (event["data"]["size"], event["data"]["records"]) == (30, 5)
    assert event["actor"] == event["data"]["exported_by"]
    (item,) = (await filled.read("evidence"))["items"]
    assert (item["id"], item["digest"], item["records"]) == (answer.headers["evidence-id"], digest, 5)
    assert item["scope"] == {"to_index": 4}


async def test_nothing_leaves_when_it_cannot_be_recorded(filled, monkeypatch):
    def fail(*_, **__):
        raise DatabaseUnavailable

    monkeypatch.setattr(service.outbox, "add", fail)
    answer = await filled.client.post("/audit/evidence", json={"purpose": "案件 7 取证"}, headers=filled.authority)
    assert answer.status_code == 503
    assert await filled.sql("SELECT FROM evidence_exports") == []


async def test_the_same_scope_makes_the_same_bytes(make_harness):
    harness = await make_harness(clock=ManualClock())
    await harness.deliver(*harness.messages(6))
    first, second = await harness.export({"to_index": 5}), await harness.export({"to_index": 5})
    assert first.content == second.content
    with zipfile.ZipFile(io.BytesIO(first.content)) as archive:
        assert {(entry.date_time, entry.compress_type) for entry in archive.infolist()} == {((1980, 1, 1, 0, 0, 0), 0)}


async def test_a_scope_over_the_bound_is_refused_with_its_count(make_harness):
    harness = await make_harness(evidence_most_records=10)
    await harness.deliver(*harness.messages(11))
    answer = await harness.export()
    assert (answer.status_code, answer.json()["records"], answer.json()["most_records"]) == (422, 11, 10)
    assert (await harness.export({"to_index": 9})).status_code == 201
    assert (await harness.export({"subjects": ["nobody"]})).json()["type"] == "urn:xindun:problem:evidence-empty"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"purpose": "x"},
        {"purpose": "取证四字", "scope": {"from_index": -1}},
        {"purpose": "取证四字", "scope": {"subject": ["a"]}},
        {"purpose": "取证四字", "scope": {"from_time": "2026-01-05T00:00:00"}},
    ],
)
async def test_a_request_that_does_not_say_what_for_and_of_what_is_refused(filled, body):
    answer = await filled.client.post("/audit/evidence", json=body, headers=filled.authority)
    assert answer.status_code == 422


async def test_only_the_authority_exports_and_the_refusal_is_recorded(filled):
    assert (await filled.client.post("/audit/evidence", json={"purpose": "取证四字"})).status_code == 401
    for who in (filled.center, filled.clerk):
        answer = await filled.export(who=who)
        assert (answer.status_code, answer.json()["permission"]) == (403, "evidence.export")
    rows = await filled.sql("SELECT FROM outbox WHERE position($1 IN body) > 0", b"access.refused")
    assert len(rows) == 2
    assert await filled.sql("SELECT FROM evidence_exports") == []
