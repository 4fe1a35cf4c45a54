"""The operators' command line, as its own process, on a whole platform."""

import asyncio
import json
import os
import socket
import sys
from contextlib import asynccontextmanager

import pytest
import uvicorn

from common.ids import new_id
from operations.checkpoints import Checkpoint, is_consistent, store
from tests.platform.harness import PlatformHarness


@asynccontextmanager
async def served(app):
    """The gateway at a port; its lifespan runs already."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@pytest.fixture(scope="module")
async def url(harness: PlatformHarness):
    async with served(harness.platform.gateway) as url:
        yield url


class Command:
    def __init__(self, harness: PlatformHarness, url: str) -> None:
        self.harness, self.url = harness, url

    async def __call__(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Return its exit status, what it printed, and what it complained of."""
        await self.harness.center.refresh()
        variables = (
            os.environ | {"XINDUN_URL": self.url, "XINDUN_TOKEN": self.harness.center.access_token} | environment
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "operations", *arguments),
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def json(self, *arguments: str, **environment: str) -> tuple[int, dict]:
        status, out, err = await self(*arguments, "--json", **environment)
        assert out, err
        return status, json.loads(out)


@pytest.fixture
async def command(harness: PlatformHarness, url: str) -> Command:
    await harness.platform.awake()
    await harness.platform.settle()
    return Command(harness, url)


async def test_a_platform_that_is_well_is_reported_so_and_ends_with_zero(command):
    status, report = await command.json("status")
    assert (status, report["well"], report["wrong"]) == (0, True, [])
    assert set(report["found"]["services"]) == {"identity", "datashare", "incident", "audit"}
    assert {point["point"] for point in report["found"]["points"]} == {
        f"{member}-1" for member in ("identity", "datashare", "incident", "audit", "gateway")
    }
    status, out, _ = await command("status")
    assert status == 0
    assert "执行点在线 / points live: audit-1, datashare-1, gateway-1, identity-1, incident-1" in out


async def test_all_promises_are_checked(command, tmp_path):
    kept = tmp_path / "checkpoint"
    for _ in range(2):
        status, report = await command.json("promises", "--checkpoint", str(kept))
        assert (status, report["wrong"]) == (0, [])
        assert [promise["name"] for promise in report["found"]] == [f"P{n}" for n in range(1, 11)]
    p8 = report["found"][7]
    assert any("consistent with the stored checkpoint" in each for each in p8["seen"])
    seen = {promise["name"] for promise in report["found"] if promise["seen"]}
    assert seen == {"P1", "P3", "P4", "P5", "P8", "P9", "P10"}


@pytest.mark.clause("12.4")
async def test_a_log_that_does_not_continue_the_checkpoint_kept_is_reported(command, tmp_path):
    kept = tmp_path / "checkpoint"
    await command.json("promises", "--checkpoint", str(kept))
    known = json.loads(kept.read_text())
    store(kept, Checkpoint(known["origin"], known["size"], bytes(32)), known["key"])
    status, report = await command.json("promises", "--checkpoint", str(kept))
    assert status == 1
    assert any(each.startswith("P8: 不是") for each in report["wrong"])


async def test_a_dead_letter_is_seen_replayed_and_dropped_with_its_reason(command, harness):
    admin = harness.platform.admins["datashare"]
    message = str(new_id())
    await admin.execute(
        "INSERT INTO inbox (message_id, topic, key, type, status, attempts, payload, error, received_at)"
        " VALUES ($1, 'xindun.identity.events', 'k', 't', 'dead', 8, '\\x7b7d', 'ValueError', now())",
        message,
    )
    status, report = await command.json("dead-letters", "list")
    assert status == 1
    assert [each["message_id"] for each in report["found"]["datashare"]] == [message]
    status, report = await command.json("status")
    assert (status, report["wrong"]) == (1, ["datashare: 1 封死信 / dead letters"])
    status, report = await command.json("promises")
    assert status == 1
    assert report["wrong"] == ["P4: datashare: 1 封死信 / dead letters"]
    assert (await command("dead-letters", "drop", "datashare", message))[0] == 2, "a reason is needed"
    status, _, err = await command("dead-letters", "drop", "incident", message, "--reason", "not here")
    assert status == 1
    assert "not-found" in err
    assert (await command("dead-letters", "drop", "datashare", message, "--reason", "made by a test"))[0] == 0
    row = await admin.fetchrow("SELECT status, reason FROM inbox WHERE message_id = $1", message)
    assert tuple(row) == ("dropped", "made by a test")
    assert (await command("dead-letters", "list"))[0] == 0


async def test_lag_without_a_broker_says_so(command):
    status, report = await command.json("lag")
    assert status == 0
    assert report["found"]["groups"] is None
    assert report["found"]["relays"]["identity"]["unpublished"] == 0
    assert "no broker" in (await command("lag"))[1]


async def test_points_are_listed_with_their_receipts(command):
    status, report = await command.json("points")
    assert status == 0
    assert len(report["found"]["points"]) == 5


async def test_whoever_may_not_is_refused_and_a_wrong_use_ends_with_two(command, harness, tmp_path):
    token = tmp_path / "token"
    await harness.authority.refresh()
    token.write_text(harness.authority.access_token)
    status, out, _ = await command("status", "--token-file", str(token), XINDUN_TOKEN="")
    assert (status, "permission-missing" in out) == (1, True)
    status, _, err = await command("status", XINDUN_TOKEN="")
    assert status == 2
    assert "a token is needed" in err
    assert (await command("status", "--token-file", str(tmp_path / "none")))[0] == 2
    assert (await command("nothing"))[0] == 2
    status, report = await command.json("status", XINDUN_URL="http://127.0.0.1:1")
    assert (status, report["well"]) == (1, False)


def test_a_checkpoint_is_continued_only_by_one_that_has_all_of_it():
    empty, one = Checkpoint("a", 0, bytes(32)), Checkpoint("a", 1, b"1" * 32)
    assert is_consistent(empty, one, [])
    assert is_consistent(one, one, [])
    assert not is_consistent(one, Checkpoint("a", 1, b"2" * 32), [])
    assert not is_consistent(one, empty, [])
    assert not is_consistent(one, Checkpoint("b", 1, b"1" * 32), [])
    assert not is_consistent(one, Checkpoint("a", 3, b"3" * 32), [])
