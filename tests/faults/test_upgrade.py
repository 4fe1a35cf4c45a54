"""This version starts on the data of an earlier one: people, secrets, grants, revocations, containments and the log stay."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.earlier_version import EarlierVersion
from tests.faults.upgrade import running, upgrade
from tests.harness.embedded_platform import EmbeddedPlatform
from tests.harness.process_platform import ProcessPlatform

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def earlier_version() -> Iterator[EarlierVersion]:
    # Not below pytest's own directory: PostgreSQL's account must be able to pass through.
    with tempfile.TemporaryDirectory(prefix="xindun-earlier-", ignore_cleanup_errors=True) as directory:
        yield EarlierVersion.extract(Path(directory) / "code")


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="xindun-upgrade-", ignore_cleanup_errors=True) as directory:
        yield Path(directory) / "data"


async def test_the_embedded_platform_takes_over_the_data(earlier_version: EarlierVersion, data: Path, tmp_path: Path):
    platform = EmbeddedPlatform(data)
    earlier = earlier_version.running("gateway.all_in_one", data, platform.port)
    await upgrade(earlier_version, earlier, running(platform), tmp_path)


@pytest.mark.kafka
@pytest.mark.processes
async def test_the_processes_take_over_the_data(earlier_version: EarlierVersion, data: Path, tmp_path: Path):
    earlier_version.share_jars()
    platform = ProcessPlatform(data)
    earlier = earlier_version.running("deploy.processes", data, platform.port)
    await upgrade(earlier_version, earlier, running(platform), tmp_path)
