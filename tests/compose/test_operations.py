"""What `docs/operations` says of containers: looked at, passwords and keys changed, stores away, a new version, a restore."""

import asyncio
import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.contracts.services import MEMBERS, SERVICES
from tests.compose.containers import ROOT, Containers, run, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

PROJECT = "xindun-operations"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    containers = Containers(tmp_path_factory.mktemp("operations"), PROJECT)
    try:
        containers.up("--build")
        containers.first_administrators()
        asyncio.run(containers.play())
        yield containers
    finally:
        containers.down()


async def test_operations_look_from_a_container(running):
    for command in ("status", "lag", "points", "promises", "signing-keys"):
        report = await running.operations(command)
        assert report["well"], report
    assert not any((await running.operations("dead-letters", "list"))["found"].values())


def test_the_log_and_the_databases_are_looked_at_from_inside(running):
    running.compose("run", "--rm", "--no-deps", "audit", "python", "-m", "audit.fsck")
    assert "1 row" in running.compose("exec", "--no-TTY", "postgres", "psql", "-c", "SELECT 1", "identity")


@pytest.mark.parametrize(("what", "whose", "job"), [("database", "audit", "databases"), ("kafka", "audit", "topics")])
async def test_a_password_is_changed(running, what, whose, job):
    setting = shlex.join([*running.command, "run", "--rm", job])
    await running.operations_outside("rotate", f"{what}-password", whose, "--job", setting)
    running.compose("restart", whose)
    until(running.ready, "not ready after the change")
    assert (await running.operations("status"))["well"]


async def test_a_leaked_signing_key_ends(running):
    keys = (await running.operations("signing-keys"))["found"]
    (leaked,) = [key["kid"] for key in keys if key["state"] == "signs"]
    changing = asyncio.create_task(running.operations_outside("rotate", "signing-key", f"--leaked={leaked}"))
    file = running.secrets / "identity/xindun_identity_signing_key_pem"
    while file.read_text().count("BEGIN") < 2:
        await asyncio.sleep(0.1)
    await asyncio.to_thread(running.compose, "restart", "identity")
    assert leaked in await changing
    until(running.ready, "not ready with the new key")
    await running.play()


@pytest.mark.parametrize("store", ["kafka-1", "postgres"])
async def test_a_store_that_was_away_comes_back_to_everybody(running, store):
    running.compose("stop", store)
    until(lambda: not running.ready(), f"ready without {store}")
    running.compose("start", store)
    until(running.ready, f"not ready with {store}")
    assert await _broken(running) <= {"P1"}


async def test_a_new_version_takes_the_place_of_the_old_one(running, tmp_path):
    labelled = tmp_path / "labelled.json"
    services = {member: {"build": {"labels": {"org.opencontainers.image.version": "2"}}} for member in MEMBERS}
    labelled.write_text(json.dumps({"services": services}))
    new = (*running.command, "-f", "docker-compose.yml", "-f", str(labelled))
    before = {member: running.of(member)["Image"] for member in MEMBERS}
    run(*new, "build")
    for service in SERVICES:
        run(*new, "run", "--rm", f"migrate-{service}")
    run(*new, "run", "--rm", "topics")
    for member in ("audit", "incident", "datashare", "identity", "gateway"):
        run(*new, "up", "--detach", "--wait", "--no-deps", member)
    until(running.ready, "not ready with the new version")
    assert not any(running.of(member)["Image"] == image for member, image in before.items())
    await running.play()


async def test_a_backup_brings_back_what_it_holds(running, tmp_path):
    backup = tmp_path / "postgres.tar"
    _back_up(running, backup)
    size = _size(running)
    running.compose("down")
    run("docker", "volume", "rm", f"{PROJECT}_postgres", f"{PROJECT}_kafka-1")
    _put_back(running, backup)
    running.up()
    until(running.ready, "not ready after the restore")
    for service in SERVICES:
        again = "UPDATE outbox SET published_at = NULL WHERE published_at > now() - interval '1 day'"
        running.compose("exec", "--no-TTY", "postgres", "psql", "-c", again, service)
    assert _size(running) >= size
    running.compose("run", "--rm", "--no-deps", "audit", "python", "-m", "audit.fsck")
    await running.play()
    assert await _broken(running) <= {"P1"}


async def _broken(running: Containers) -> set[str]:
    """Return the promises that do not hold; P1's time is missed where a machine is busy with more than this."""
    return {promise["name"] for promise in (await running.operations("promises"))["found"] if not promise["holds"]}


def _back_up(running: Containers, backup: Path) -> None:
    take = ("exec", "--no-TTY", "postgres", "pg_basebackup", "--pgdata=-", "--format=tar", "--wal-method=fetch")
    with backup.open("wb") as file:
        subprocess.run([*running.command, *take, "--checkpoint=fast"], cwd=ROOT, stdout=file, check=True)


def _put_back(running: Containers, backup: Path) -> None:
    put = "mkdir -p -m 700 $PGDATA && tar -x -C $PGDATA"
    with backup.open("rb") as file:
        restore = ("run", "--rm", "--no-TTY", "--no-deps", "postgres", "bash", "-c", put)
        subprocess.run([*running.command, *restore], cwd=ROOT, stdin=file, check=True)


def _size(running: Containers) -> int:
    """Return how many records the newest checkpoint covers."""
    asked = "SELECT max(size) FROM checkpoints"
    return int(running.compose("exec", "--no-TTY", "postgres", "psql", "-tAc", asked, "audit"))
