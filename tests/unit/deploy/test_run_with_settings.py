"""A command runs with the settings of one component."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.run_with_settings import component_settings
from deploy.topology import PROCESS_TABLE, Process, Topology


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    """A platform in the process table; no process of it has to run."""
    processes = [Process("postgresql", 1, 21000), Process("kafka", 1, 21010)]
    processes += [Process(kind, 1, 21020 + n) for n, kind in enumerate(("identity", "audit", "gateway"))]
    topology = Topology(tmp_path / "processes", processes)
    (tmp_path / PROCESS_TABLE).write_text(topology.table({}))
    return topology


def run_with_settings(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XINDUN_DATA": str(data)}
    return subprocess.run(
        [sys.executable, "-m", "deploy.run_with_settings", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_runs_with_the_settings_of_one_component(topology: Topology, tmp_path: Path):
    ask = "import os; print(os.environ['XINDUN_SECRETS_DIR'])"
    result = run_with_settings(tmp_path, "audit", "python", "-c", ask)
    assert result.stdout.strip() == str(topology.secrets / "audit"), result.stderr
    assert run_with_settings(tmp_path, "jobs", "python", "-c", ask).stdout.strip() == str(topology.secrets / "jobs")


def test_the_superuser_connects_through_the_socket_with_the_servers_own_programs(topology: Topology, tmp_path: Path):
    settings = component_settings(topology, "postgres")
    assert settings == {"PGHOST": str(topology.socket_directory()), "PGPORT": "21000", "PGUSER": "postgres"}
    assert "18" in run_with_settings(tmp_path, "postgres", "psql", "--version").stdout


@pytest.mark.parametrize("words", [(), ("audit",), ("unknown", "true"), ("audit", "no-such-program")])
def test_a_command_that_cannot_run_is_reported(topology: Topology, tmp_path: Path, words: tuple[str, ...]):
    result = run_with_settings(tmp_path, *words)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1


def test_without_a_running_platform_the_command_fails(tmp_path: Path):
    result = run_with_settings(tmp_path, "audit", "true")
    assert result.returncode == 1
    assert "no local processes" in result.stderr
