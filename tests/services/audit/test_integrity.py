"""Every change of the log by a role with all rights on the database is found, and closes the log."""

import pytest
from asyncpg import InsufficientPrivilegeError

from audit.tlog.merkle import leaf_hash
from audit.tlog.signed_notes import Checkpoint, generate_signer, sign_checkpoint
from audit.tlog.tiles import Tile, grow
from common.problems import Unavailable
from tests.services.audit.harness import ORIGIN

KEPT = ("leaves", "tiles", "checkpoints", "rejected", "gaps", "watermarks", "silences", "evidence_exports")
COLUMN = {
    "leaves": "body",
    "tiles": "data",
    "checkpoints": "note",
    "gaps": "before",
    "watermarks": "number",
    "silences": "source",
}
pytestmark = pytest.mark.clause("12.4")


@pytest.fixture
async def filled(harness):
    """A log of 700 leaves in three batches, with a rejection."""
    for count in (1, 300, 399):
        await harness.deliver(*harness.messages(count))
    return harness


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_serving_role_can_only_insert_and_select(harness, table, statement):
    name = COLUMN.get(table, "id")
    with pytest.raises(InsufficientPrivilegeError, match="permission denied"):
        await harness.sql(statement.format(table, name, name), as_app=True)


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_a_second_wall_refuses_change_even_to_owner_and_superuser(harness, table, statement):
    name = COLUMN.get(table, "id")
    with pytest.raises(InsufficientPrivilegeError, match="never changed"):
        await harness.sql(statement.format(table, name, name))


async def test_the_serving_role_may_do_nothing_else_anywhere(harness):
    rows = await harness.sql("""
        SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'audit_app'
        UNION SELECT table_name, privilege_type FROM information_schema.role_column_grants WHERE grantee = 'audit_app'""")
    assert {row["privilege_type"] for row in rows} == {"SELECT", "INSERT"}


async def reopened(make_harness, harness):
    """Audit started again on the same database; the log's state as its checkpoint answers."""
    again = await make_harness(harness.database, signer=harness.signer)
    return again, (await again.get("checkpoint")).status_code


async def assert_closed(make_harness, harness):
    again, status = await reopened(make_harness, harness)
    assert status == 503
    answer = await again.get("checkpoint")
    assert answer.json()["type"] == "urn:xindun:problem:log-broken"
    size = len(await harness.sql("SELECT FROM leaves"))
    with pytest.raises(Unavailable):
        await again.deliver(again.message("/incident"))
    assert len(await harness.sql("SELECT FROM leaves")) == size
    for path in ("proofs/inclusion?index=0", "proofs/consistency?old=0&new=1", "records/0/proof"):
        assert (await again.get(path, again.authority)).status_code == 503
    assert (await again.export()).status_code == 503
    assert (await again.get("records", again.authority)).status_code == 200, "what is left can be looked at"
    rows = await harness.sql("SELECT body FROM outbox")
    assert any(b"cn.xindun.audit.integrity.broken.v1" in row["body"] for row in rows)


async def test_an_intact_log_opens_again(make_harness, filled):
    assert (await reopened(make_harness, filled))[1] == 200
    assert await filled.fsck() == (700, [])


@pytest.mark.parametrize("index", [0, 255, 256, 699])
async def test_an_altered_leaf_is_named(filled, index):
    await filled.sql("UPDATE leaves SET body = set_byte(body, 30, 35) WHERE index = $1", index, free="leaves")
    _, found = await filled.fsck()
    assert (found[0].index, found[0].what) == (index, "altered")
    assert {finding.index for finding in found} == {index}
    answer = await filled.get(f"records/{index}/proof", filled.authority)
    assert (answer.status_code, answer.json()["index"]) == (503, index)
    answer = await filled.export()
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:xindun:problem:log-broken")


async def test_an_altered_leaf_of_the_last_tile_closes_the_log_at_the_next_start(make_harness, filled):
    await filled.sql("UPDATE leaves SET body = body || ' ' WHERE index = 698", free="leaves")
    await assert_closed(make_harness, filled)


@pytest.mark.parametrize("column", ["subject", "actor", "type"])
async def test_a_search_column_that_hides_a_record_is_named(filled, column):
    await filled.sql(f"UPDATE leaves SET {column} = 'somebody-else' WHERE index = 300", free="leaves")
    _, found = await filled.fsck()
    assert [(finding.index, finding.what) for finding in found] == [(300, "columns")]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (257, 257), (250, 260), (256, 511)])
async def test_deleted_leaves_are_named(filled, first, last):
    await filled.sql("DELETE FROM leaves WHERE index BETWEEN $1 AND $2", first, last, free="leaves")
    _, found = await filled.fsck()
    assert [(finding.index, finding.what) for finding in found] == [(first, "deleted")]


async def test_a_truncated_log_is_named_and_closes(make_harness, filled):
    await filled.sql("DELETE FROM leaves WHERE index >= 690", free="leaves")
    _, found = await filled.fsck()
    assert [(finding.index, finding.what) for finding in found] == [(690, "truncated")]
    await assert_closed(make_harness, filled)


async def test_swapped_leaves_are_named_as_reordered(filled):
    await filled.sql("ALTER TABLE leaves DROP CONSTRAINT leaves_pkey")
    await filled.sql("UPDATE leaves SET index = 311 - index WHERE index IN (10, 301)", free="leaves")
    _, found = await filled.fsck()
    assert [(finding.index, finding.what) for finding in found] == [(10, "reordered"), (301, "reordered")]


async def test_an_inserted_leaf_is_named_and_closes(make_harness, filled):
    await filled.sql(
        """
        INSERT INTO leaves SELECT 700, gen_random_uuid(), source, 9999, type, subject, time, actor, requestid, logged_at, body
        FROM leaves WHERE index = 3"""
    )
    _, found = await filled.fsck()
    assert (found[0].index, found[0].what) == (700, "inserted")
    await assert_closed(make_harness, filled)


@pytest.mark.parametrize("level", [0, 1])
async def test_an_altered_tile_is_named(filled, level):
    await filled.sql(
        "UPDATE tiles SET data = set_byte(data, 5, (get_byte(data, 5) + 1) % 256) WHERE level = $1 AND index = 0",
        level,
        free="tiles",
    )
    _, found = await filled.fsck()
    assert {finding.what for finding in found} == {"tile"}
    assert found[0].index == 0


@pytest.mark.parametrize("where", ["level = 0 AND index = 2 AND width = 188", "level = 1 AND width = 2"])
async def test_an_altered_tile_at_the_edge_closes_the_log(make_harness, filled, where):
    await filled.sql(f"UPDATE tiles SET data = set_byte(data, 5, 255 - get_byte(data, 5)) WHERE {where}", free="tiles")
    await assert_closed(make_harness, filled)


async def test_a_lost_tile_at_the_edge_closes_the_log(make_harness, filled):
    await filled.sql("DELETE FROM tiles WHERE level = 0 AND index = 2", free="tiles")
    _, found = await filled.fsck()
    assert [finding.what for finding in found] == ["tile"]
    await assert_closed(make_harness, filled)


async def rewrite(harness, signer):
    """Act as a thorough thief: alter a leaf, recompute the whole log, and sign with another key."""
    await harness.sql("UPDATE leaves SET body = body || ' ' WHERE index = 5", free="leaves")
    bodies = await harness.bodies()
    frontier, tiles = grow(0, [leaf_hash(body) for body in bodies], dict[Tile, bytes]().__getitem__)
    await harness.sql("DELETE FROM tiles", free="tiles")
    for tile, data in tiles.items():
        await harness.sql("INSERT INTO tiles VALUES ($1, $2, $3, $4)", tile.level, tile.index, tile.width, data)
    if signer:
        note = sign_checkpoint(Checkpoint(ORIGIN, frontier.size, frontier.root()), signer)
        await harness.sql(
            "UPDATE checkpoints SET root = $1, note = $2 WHERE size = $3",
            frontier.root(),
            note,
            frontier.size,
            free="checkpoints",
        )


async def test_a_log_recomputed_without_the_key_is_found_and_closes(make_harness, filled):
    await rewrite(filled, None)
    _, found = await filled.fsck()
    assert "forked" in {finding.what for finding in found}
    await assert_closed(make_harness, filled)


async def test_a_log_signed_with_another_key_is_found_and_closes(make_harness, filled):
    await rewrite(filled, generate_signer(ORIGIN))
    _, found = await filled.fsck()
    assert {"checkpoint", "forked"} <= {finding.what for finding in found}
    await assert_closed(make_harness, filled)


async def test_a_running_log_that_is_rolled_back_is_not_appended_to(filled):
    """Only this process still knows that the log was longer; what is left is consistent in itself."""
    await filled.sql("DELETE FROM leaves WHERE index >= 301", free="leaves")
    await filled.sql("DELETE FROM checkpoints WHERE size > 301", free="checkpoints")
    assert len(await filled.sql("SELECT FROM leaves")) == 301
    with pytest.raises(Unavailable):
        await filled.deliver(filled.message("/incident"))
    assert len(await filled.sql("SELECT FROM leaves")) == 301
    assert (await filled.get("checkpoint")).json()["type"] == "urn:xindun:problem:log-broken"


async def test_a_running_log_whose_edge_is_altered_is_not_appended_to(filled):
    await filled.sql("UPDATE tiles SET data = set_byte(data, 5, 255 - get_byte(data, 5))", free="tiles")
    with pytest.raises(Unavailable):
        await filled.deliver(filled.message("/incident"))
    assert len(await filled.sql("SELECT FROM leaves")) == 700
