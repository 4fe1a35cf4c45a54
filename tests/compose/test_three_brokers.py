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
        containers.first_administrators()
        yield containers
    finally:
        containers.down()


async def test_a_broker_dies_while_the_life_plays(three):
    killed = []

    def at_step(number: int) -> None:
        if number == 40:
            killed.append(number)
            three.kill("kafka-2")

    await three.play(at_step=at_step)
    assert killed
    until(three.ready, "not ready")
    await three.play()


def test_every_topic_is_on_three_brokers_and_the_job_finds_nothing_to_complain_of(three):
    three.compose("run", "--rm", "--no-deps", "topics", "python", "-m", "deploy.setup_commands", "topics", "--check")
