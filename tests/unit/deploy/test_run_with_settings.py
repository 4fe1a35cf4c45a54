"""A command is told where the part of the platform is for which it speaks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.run_with_settings import component_settings
from deploy.topology import PROCESS_TABLE, Process, Topology


@pytest.fixture
def layout(tmp_path: Path) -> Topology:
    """A platform that is written down as running; nothing of it is needed."""
    processes = [Process("postgresql", 1, 21000), Process("kafka", 1, 21010)]
    processes += [Process(kind, 1, 21020 + n) for n, kind in enumerate(("identity", "audit", "gateway"))]
    layout = Topology(tmp_path / "processes", processes)
    (tmp_path / PROCESS_TABLE).write_text(layout.table({}))
    return layout


def told(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XINDUN_DATA": str(data)}
    return subprocess.run(
        [sys.executable, "-m", "deploy.run_with_settings", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_runs_with_the_settings_of_one_part(layout: Topology, tmp_path: Path):
    ask = "import os; print(os.environ['XINDUN_SECRETS_DIR'])"
    answer = told(tmp_path, "audit", "python", "-c", ask)
    assert answer.stdout.strip() == str(layout.secrets / "audit"), answer.stderr
    assert told(tmp_path, "jobs", "python", "-c", ask).stdout.strip() == str(layout.secrets / "jobs")


def test_the_superuser_comes_through_the_socket_with_the_servers_own_programs(layout: Topology, tmp_path: Path):
    settings = component_settings(layout, "postgres")
    assert settings == {"PGHOST": str(layout.socket_directory()), "PGPORT": "21000", "PGUSER": "postgres"}
    assert "18" in told(tmp_path, "postgres", "psql", "--version").stdout


@pytest.mark.parametrize("words", [(), ("audit",), ("nobody", "true"), ("audit", "no-such-program")])
def test_what_cannot_run_is_said(layout: Topology, tmp_path: Path, words: tuple[str, ...]):
    answer = told(tmp_path, *words)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1


def test_without_a_running_platform_nothing_is_told(tmp_path: Path):
    answer = told(tmp_path, "audit", "true")
    assert answer.returncode == 1
    assert "no local processes" in answer.stderr
