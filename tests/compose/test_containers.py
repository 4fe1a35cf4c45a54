"""What `docker compose up` brings: the life on it, its borders, its deaths, more of a kind, three brokers."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from common.contracts.services import MEMBERS
from tests.compose.containers import Containers, run, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

JOBS = ("databases", "topics", "migrate-identity", "migrate-datashare", "migrate-incident", "migrate-audit")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    containers = Containers(tmp_path_factory.mktemp("one"), "xindun-test")
    try:
        containers.up("--build")
        containers.first_administrators()
        yield containers
    finally:
        containers.down()


async def test_the_life_plays_on_containers(running):
    await running.play()


def test_every_job_ended_well_before_its_service_began(running):
    jobs = {job: running.of(job)["State"] for job in JOBS}
    assert all(job["Status"] == "exited" and job["ExitCode"] == 0 for job in jobs.values()), jobs
    for member in MEMBERS:
        began = running.of(member)["State"]["StartedAt"]
        assert jobs["topics"]["FinishedAt"] < began
        if member != "gateway":
            assert jobs["databases"]["FinishedAt"] < jobs[f"migrate-{member}"]["FinishedAt"] < began


def test_no_container_has_more_rights_than_it_needs(running):
    for name, container in running.inspected(all_of_them=True).items():
        host = container["HostConfig"]
        assert container["Config"]["User"] not in ("", "0", "root"), name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert not host["Privileged"], name
        assert "no-new-privileges" in host["SecurityOpt"], name
        assert 0 < host["Memory"] <= 1 << 30, name
        assert 0 < host["PidsLimit"] <= 256, name
        assert host["LogConfig"]["Config"]["max-size"], name


def test_the_processes_themselves_are_nobodys_and_cannot_write(running):
    for name in running.inspected():
        status = dict(line.split(":", 1) for line in run("docker", "exec", name, "cat", "/proc/1/status").splitlines())
        assert "0" not in status["Uid"].split(), name
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0, name
        assert status["NoNewPrivs"].strip() == "1", name
        for place in ("/", "/opt", "/etc", "/run/secrets"):
            tried = subprocess.run(["docker", "exec", name, "touch", f"{place}/x"], capture_output=True, check=False)
            assert tried.returncode, (name, place)


def test_one_port_is_published_and_on_this_machine_alone(running):
    published = {
        name: [port for ports in container["NetworkSettings"]["Ports"].values() for port in ports or []]
        for name, container in running.inspected().items()
    }
    open_ones = {name: ports for name, ports in published.items() if ports}
    assert list(open_ones) == [running.of("gateway")["Name"].lstrip("/")]
    assert all(port["HostIp"] == "127.0.0.1" for ports in open_ones.values() for port in ports)


def test_only_the_gateway_has_a_way_out(running):
    for name, container in running.inspected().items():
        inside = [network for network in container["NetworkSettings"]["Networks"] if network.endswith("_inside")]
        others = set(container["NetworkSettings"]["Networks"]) - set(inside)
        assert bool(others) == ("gateway" in name), name
    assert json.loads(run("docker", "network", "inspect", inside[0]))[0]["Internal"]


def test_no_secret_is_shown_by_the_engine_or_in_a_log_or_a_list_of_processes(running):
    secrets = {}
    for file in running.secrets.rglob("*"):
        if file.is_file() and file.name != "cluster_id":
            lines = file.read_text().split("\n")
            secrets[file.name] = lines[1] if lines[0].startswith("-----BEGIN") else lines[0]
    known = json.dumps(running.inspected(all_of_them=True))
    logs = running.compose("logs", "--no-color")
    processes = running.compose("top")
    assert "Kafka Server started" in logs
    for name, secret in secrets.items():
        for where, text in (("inspect", known), ("logs", logs), ("top", processes)):
            assert secret not in text, (name, where)


@pytest.mark.parametrize("service", [*MEMBERS, "kafka-1", "postgres"])
def test_a_process_that_dies_comes_back_and_the_platform_is_ready_by_itself(running, service):
    running.kill(service)
    until(running.ready, f"the platform did not recover from the death of {service}")


async def test_and_the_life_plays_again_on_what_was_killed(running):
    until(running.ready, "not ready")
    await running.play()


async def test_more_of_a_kind_serve_beside_each_other(running):
    running.up("--no-recreate", "--scale", "datashare=3", "--scale", "gateway=2")
    addresses = {running.url(1), running.url(2)}
    assert len(addresses) == 2
    until(lambda: running.ready(1) and running.ready(2), "not ready")
    names = {name: container["Config"]["Hostname"] for name, container in running.inspected().items()}
    assert len(set(names.values())) == len(names)
    await running.play(2)
    running.up("--no-recreate", "--scale", "datashare=1", "--scale", "gateway=1")
    until(running.ready, "not ready")
