"""The pure functions can check audit's answers from the outside."""

import base64
import itertools
from datetime import UTC, datetime

import pytest

from audit.tlog.merkle import leaf_hash, tree_root, verify_consistency, verify_inclusion
from audit.tlog.proofs import ProofError, TlogProof
from audit.tlog.signed_notes import Verifier, open_checkpoint
from audit.tlog.tiles import ENTRIES, Tile, changed_bundles, decode_bundle


def decoded(parts):
    return [base64.b64decode(part, validate=True) for part in parts]


async def log_key(harness):
    key = (await harness.get("log-key")).json()
    assert key["origin"] == harness.signer.name
    return Verifier.parse(key["key"])


async def checkpoint(harness):
    return open_checkpoint((await harness.get("checkpoint")).text, await log_key(harness))


async def test_checkpoint_key_tiles_and_verifier_are_public_and_typed(harness):
    await harness.deliver(*harness.messages(3))
    for path, kind, cached in (
        ("checkpoint", "text/plain; charset=utf-8", "no-cache"),
        ("tile/0/000.p/3", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("log-key", "application/json", None),
        ("verify.py", "text/x-python; charset=utf-8", "no-cache"),
    ):
        answer = await harness.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.headers.get("cache-control") == cached
    assert str(harness.signer.verifier) in (await harness.get("verify.py")).text


@pytest.mark.parametrize(
    "path",
    ["0/000", "0/000.p/4", "0/001.p/1", "1/000.p/1", "0/000.p/0", "0/000.p/256", "64/000", "0/0", "x", "0/x000/000"],
)
async def test_what_is_no_tile_of_the_log_is_404(harness, path):
    await harness.deliver(*harness.messages(3))
    answer = await harness.get(f"tile/{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:xindun:problem:tile-not-found")


async def test_a_narrower_tile_stays_readable_when_it_has_grown(harness):
    await harness.deliver(*harness.messages(3))
    before = (await harness.get("tile/0/000.p/2")).content
    await harness.deliver(*harness.messages(300))
    assert (await harness.get("tile/0/000.p/2")).content == before
    assert (await harness.get("tile/0/000")).content[:64] == before


@pytest.mark.clause("12.4")
async def test_entry_bundles_are_the_leaves_and_need_the_right_to_read(harness):
    messages = harness.messages(600)
    await harness.deliver(*messages)
    got = []
    for tile in changed_bundles(0, 600):
        assert tile.level == ENTRIES
        assert (await harness.get(tile.path)).status_code == 401
        assert (await harness.get(tile.path, harness.clerk)).status_code == 403
        answer = await harness.get(tile.path, harness.center)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")
        got += decode_bundle(answer.content, tile.width)
    assert got == [message.value for message in messages]
    # Wider than the refusals above can have made the last bundle.
    for path in (Tile(ENTRIES, 2, 150).path, Tile(ENTRIES, 3).path, "tile/entries/2"):
        assert (await harness.get(path, harness.center)).status_code == 404


@pytest.mark.clause("12.4")
async def test_inclusion_proofs_of_any_record_at_any_size_verify(harness):
    leaves = []
    for count in (1, 2, 254, 1, 60):
        messages = harness.messages(count)
        leaves += [message.value for message in messages]
        await harness.deliver(*messages)
    hashes = list(map(leaf_hash, leaves))
    newest = await checkpoint(harness)
    for index, size in ((0, 1), (0, 2), (2, 3), (255, 256), (256, 257), (255, 258), (0, 318), (200, 300), (317, 318)):
        proof = await harness.read("proofs/inclusion", index=index, size=size)
        (leaf, root), path = decoded([proof["leaf_hash"], proof["root"]]), decoded(proof["hashes"])
        assert (leaf, root) == (hashes[index], tree_root(hashes[:size]))
        assert verify_inclusion(hashes[index], index, size, path, root)
    proof = await harness.read("proofs/inclusion", index=100)
    assert verify_inclusion(hashes[100], 100, newest.size, decoded(proof["hashes"]), newest.root)


async def test_any_two_served_checkpoints_are_consistent(harness):
    served = [await checkpoint(harness)]
    for count in (1, 1, 5, 249, 1, 40, 300):
        await harness.deliver(*harness.messages(count))
        served.append(await checkpoint(harness))
    for old, new in itertools.combinations_with_replacement(served, 2):
        proof = await harness.read("proofs/consistency", old=old.size, new=new.size)
        assert verify_consistency(old.size, old.root, new.size, new.root, decoded(proof["hashes"]))
        assert decoded([proof["old_root"], proof["new_root"]]) == [old.root, new.root]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("inclusion", {"index": 3}),
        ("inclusion", {"index": 2, "size": 2}),
        ("inclusion", {"index": 0, "size": 4}),
        ("inclusion", {"index": -1}),
        ("consistency", {"old": 3, "new": 2}),
        ("consistency", {"old": 0, "new": 4}),
        ("consistency", {"old": 0, "new": 1 << 70}),
    ],
)
async def test_a_proof_about_what_the_log_never_was_is_refused(harness, path, asked):
    await harness.deliver(*harness.messages(3))
    answer = await harness.get(f"proofs/{path}", harness.authority, **asked)
    assert answer.status_code == 422


@pytest.mark.clause("12.4")
async def test_the_proof_of_a_record_checks_offline(harness):
    messages = harness.messages(20)
    await harness.deliver(*messages)
    key = await log_key(harness)
    record = await harness.read("records/7")
    answer = await harness.get("records/7/proof", harness.authority)
    proof = TlogProof.parse(answer.content)
    leaf = base64.b64decode(record["leaf"])
    assert leaf == messages[7].value
    assert proof.verify(leaf, key).size == 20
    with pytest.raises(ProofError):
        proof.verify(leaf + b" ", key)
    for path in ("records/20", "records/20/proof", "records/999999999999"):
        assert (await harness.get(path, harness.authority)).status_code == 404


async def test_records_are_found_by_what_they_say(harness):
    day = [datetime(2026, 3, n, tzinfo=UTC) for n in (1, 2, 3)]
    await harness.deliver(
        harness.message(subject="s-1", actor="account:1", requestid="r-1", time=day[0]),
        harness.message(subject="s-2", actor="account:2", requestid="r-1", time=day[1], name="account.suspended"),
        harness.message(
            "/datashare", subject="s-1", actor="account:2", requestid="r-2", time=day[2], name="data.queried"
        ),
    )

    async def found(**asked):
        return [item["index"] for item in (await harness.read("records", **asked))["items"]]

    assert await found() == [2, 1, 0]
    assert await found(order="oldest") == [0, 1, 2]
    assert await found(subject="s-1") == [2, 0]
    assert await found(actor="account:2") == [2, 1]
    assert await found(request_id="r-1") == [1, 0]
    assert await found(type="cn.xindun.identity.account.suspended.v1") == [1]
    assert await found(since=day[1].isoformat()) == [2, 1]
    assert await found(until=day[1].isoformat()) == [0]
    assert await found(subject="s-1", actor="account:2") == [2]
    assert await found(subject="nobody") == []
    (item,) = (await harness.read("records", request_id="r-2"))["items"]
    assert (item["source"], item["sequence"], item["subject"]) == ("/datashare", 1, "s-1")
    whole = await harness.read("records/1")
    assert whole["record"]["data"] == {"note": "数据"}


async def test_lists_go_on_by_cursor_in_both_orders(harness):
    await harness.deliver(*harness.messages(25))
    for order in ("newest", "oldest"):
        seen, cursor = [], {}
        while True:
            page = await harness.read("records", limit=10, order=order, **cursor)
            seen += [item["index"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert seen == sorted(range(25), reverse=order == "newest")
    for cursor in ("x", "_____________________w"):
        assert (await harness.get("records", harness.authority, cursor=cursor)).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "records",
        "records/0",
        "records/0/proof",
        "proofs/inclusion?index=0",
        "proofs/consistency?old=0&new=1",
        "producers",
        "rejected",
        "evidence",
        "tile/entries/000.p/1",
    ],
)
@pytest.mark.clause("12.4")
async def test_the_log_is_read_by_authority_and_center_alone_and_the_refusal_is_recorded(harness, path):
    await harness.deliver(harness.message())
    assert (await harness.get(path)).status_code == 401
    answer = await harness.get(path, harness.clerk)
    assert (answer.status_code, answer.json()["permission"]) == (403, "log.read")
    rows = await harness.sql("SELECT body FROM outbox WHERE topic = 'xindun.audit.events'")
    assert any(b"access.refused" in row["body"] for row in rows)
    for who in (harness.authority, harness.center):
        assert (await harness.get(path, who)).status_code == 200
