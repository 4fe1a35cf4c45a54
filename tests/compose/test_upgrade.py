"""This version takes over the volumes and the secrets of an earlier version's containers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.platform_process import free_port
from tests.compose.containers import Containers, run
from tests.faults.earlier_version import EarlierVersion, RunningVersion
from tests.faults.upgrade import upgrade

pytestmark = [pytest.mark.compose, pytest.mark.long, pytest.mark.timeout(3600)]

PROJECT = "xindun-upgrade"
READY_TIMEOUT = "600"


@contextmanager
def _earlier(version: EarlierVersion, directory: Path) -> Iterator[RunningVersion]:
    """Run the earlier version's containers on volumes and networks that stay; build this version's images meanwhile.

    Networks stay because systems register the address that they call from: a new network may get another subnet.
    """
    secrets, port = directory / "secrets", free_port(10)
    version.run("deploy.secrets", str(secrets))
    variables = {
        "COMPOSE_PROJECT_NAME": PROJECT,
        "XINDUN_SECRETS": str(secrets),
        "XINDUN_SECRETS_GROUP": str((secrets / "identity").stat().st_gid),
        "XINDUN_PORT": f"{port}-{port + 9}",
    }
    command = (
        "docker",
        "compose",
        "--project-directory",
        str(version.root),
        "-f",
        f"{version.root}/docker-compose.yml",
    )
    removal = ["down", "--volumes"]
    try:
        run(*command, "up", "--build", "--detach", "--wait", "--wait-timeout", READY_TIMEOUT, **variables)
        administrators = directory / "administrators.json"
        administrators.write_text(version.run("deploy.administrators", "--compose", **variables), encoding="utf-8")
        run("docker", "compose", "build", **variables)
        yield RunningVersion("http://" + run(*command, "port", "gateway", "8000", **variables).strip(), administrators)
        removal = ["rm", "--stop", "--force"]
    finally:
        run(*command, *removal, **variables)


@contextmanager
def _later(directory: Path) -> Iterator[str]:
    containers = Containers(directory, PROJECT)
    try:
        containers.up()
        yield containers.url()
    finally:
        containers.down()


async def test_the_containers_take_over_the_volumes(tmp_path: Path):
    version = EarlierVersion.extract(tmp_path / "code")
    await upgrade(version, _earlier(version, tmp_path), _later(tmp_path), tmp_path)
