"""Three brokers: what was acknowledged is on two of them, and any one may die."""

from collections.abc import Iterator

import pytest

from tests.compose.containers import ROOT, Containers, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    scale = str(ROOT / "deploy" / "compose" / "scale.env")
    containers = Containers(tmp_path_factory.mktemp("three"), "xindun-test-three", "--env-file", scale)
    try:
        containers.up("--build")
        yield containers
    finally:
        containers.down()


def test_a_broker_dies_while_the_life_plays(three):
    admins = three.first_administrators()
    three.play(admins)
    with three.life(admins) as life:
        assert life.stdout is not None
        told = []
        for line in life.stdout:
            told.append(line)
            if line.lstrip().startswith("20."):
                three.kill("kafka-2")
    assert life.returncode == 0, "".join(told[-20:])
    until(three.ready, "not ready")


def test_every_topic_is_on_three_brokers_and_the_job_finds_nothing_to_complain_of(three):
    three.compose("run", "--rm", "--no-deps", "topics", "python", "-m", "common.jobs", "topics", "--check")
