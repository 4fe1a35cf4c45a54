"""One data use from registration to evidence, as users play it."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from demo.actors import first_administrator
from demo.runner import Runner
from demo.scenario import Scenario
from demo.steps import run_scenario as play_life
from tests.harness.embedded_platform import ROOT, EmbeddedPlatform

SECRET_MEMBERS = {
    "password", "totp_secret", "otpauth_uri", "access_token", "refresh_token", "client_secret", "activation_code",
    "id_number", "code",
}  # fmt: skip


class SecretCollector:
    """Notes every secret and every piece of record content that passes in the clear between client and gateway."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()

    async def request(self, request: httpx.Request) -> None:
        authorization = request.headers.get("authorization", "")
        self.secrets.update(authorization.split()[1:])
        if "json" in request.headers.get("content-type", ""):
            self._collect(json.loads(request.content))
        elif "csv" in request.headers.get("content-type", "") and b"penalty_date" in request.content:
            rows = request.content.decode().splitlines()[1:]
            self.secrets.update(cell for row in rows for cell in row.split(",") if len(cell) > 9)

    async def response(self, response: httpx.Response) -> None:
        if "json" in response.headers.get("content-type", ""):
            await response.aread()
            self._collect(response.json())

    def _collect(self, body: object) -> None:
        if isinstance(body, dict):
            for name, value in body.items():
                if name in SECRET_MEMBERS and isinstance(value, str):
                    self.secrets.add(value)
                self._collect(value)
        elif isinstance(body, list):
            for value in body:
                self._collect(value)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPlatform]:
    running = EmbeddedPlatform(tmp_path_factory.mktemp("scenario"))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def administrators(platform: EmbeddedPlatform) -> Path:
    path = platform.directory / "administrators.json"
    path.write_bytes(platform.first_administrators())
    return path


def _demo(platform: EmbeddedPlatform, administrators: Path, out: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {
        "PLATFORM_URL": platform.url,
        "BOOTSTRAP": str(administrators),
        "DEMO_OUT": str(out),
        "PYTHONUTF8": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "demo"], cwd=ROOT, env=environment, capture_output=True, check=False, timeout=200
    )


@pytest.mark.clause("4.1")
@pytest.mark.clause("5d.3")
@pytest.mark.clause("6.1")
@pytest.mark.clause("6.2")
@pytest.mark.clause("6.5")
@pytest.mark.clause("6.6")
@pytest.mark.clause("7.4")
@pytest.mark.clause("10.1")
@pytest.mark.clause("10.2")
@pytest.mark.clause("10.3")
@pytest.mark.clause("10.4")
@pytest.mark.clause("12.3")
@pytest.mark.clause("12.4")
@pytest.mark.clause("12.5")
def test_the_life_plays_from_registration_to_evidence_again_and_again(platform, administrators, tmp_path):
    for play in ("first", "second"):
        out = tmp_path / play
        outcome = _demo(platform, administrators, out)
        assert outcome.returncode == 0, outcome.stdout.decode()[-3000:] + outcome.stderr.decode()[-2000:]
        story = json.loads((out / "story.json").read_text())
        assert len(story) > 80
        assert all(step["met"] for step in story)
        assert {"number", "actor", "request", "status", "milliseconds", "expectation"} <= set(story[0])
        verify = [sys.executable, "-I", str(out / "verify.py"), str(out / "evidence")]
        assert subprocess.run(verify, capture_output=True, check=False).returncode == 0


@pytest.mark.clause("12.4")
def test_evidence_with_one_byte_changed_is_named_and_no_evidence_is_unreadable(platform, administrators, tmp_path):
    out = tmp_path / "out"
    assert _demo(platform, administrators, out).returncode == 0
    verify = [sys.executable, "-I", str(out / "verify.py")]
    record = sorted((out / "evidence" / "records").iterdir())[7]
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    record.write_bytes(content)
    altered = subprocess.run([*verify, str(out / "evidence")], capture_output=True, check=False)
    assert altered.returncode == 1
    assert record.name in altered.stdout.decode()
    assert subprocess.run([*verify, str(out / "nothing")], capture_output=True, check=False).returncode == 2


def test_the_log_of_a_whole_life_holds_no_secret_no_id_number_and_no_record_content(tmp_path):
    platform = EmbeddedPlatform(tmp_path / "data")
    platform.start()
    try:
        people = json.loads(platform.first_administrators())
        collector = SecretCollector()

        async def play() -> None:
            hooks = {"request": [collector.request], "response": [collector.response]}
            async with httpx.AsyncClient(base_url=platform.url, timeout=30, event_hooks=hooks) as client:
                rng = Random()
                authority = first_administrator("authority", people["authority"], rng)
                center = first_administrator("center", people["center"], rng)
                await play_life(Scenario(Runner(client), rng, authority, center, tmp_path))

        asyncio.run(play())
        assert len(collector.secrets) > 100
        log = (platform.directory / "platform.log").read_text() + (platform.directory / "output.txt").read_text()
        log += (platform.directory / "postgres" / "server.log").read_text()
        assert len(log.splitlines()) > 200
        found = [secret for secret in collector.secrets if len(secret) > 7 and secret in log]
        assert not found, [secret[:6] + "…" for secret in found]
        assert not re.search(r"eyJ[A-Za-z0-9_-]{20,}\.", log)
    finally:
        platform.stop()


def test_a_second_start_on_the_same_data_says_so_and_the_first_goes_on(platform):
    command = [sys.executable, "-m", "deploy.embedded_platform", "--data", str(platform.directory), "--port", "0"]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert second.returncode == 1
    assert str(platform.process.pid) in second.stderr.decode()
    assert httpx.get(f"{platform.url}/ready").status_code == 200


def test_sigterm_ends_it_in_order_and_started_again_it_has_everything(platform, administrators, tmp_path):
    before = httpx.get(f"{platform.url}/audit/checkpoint").text.splitlines()[1]
    assert platform.stop() == 0
    platform.start()
    after = httpx.get(f"{platform.url}/audit/checkpoint").text.splitlines()[1]
    assert int(after) >= int(before)
    assert _demo(platform, administrators, tmp_path / "again").returncode == 0


@pytest.mark.clause("7.6")
def test_the_first_administrators_are_made_once(platform, administrators):
    command = [sys.executable, "-m", "deploy.bootstrap", "--data", str(platform.directory)]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert again.returncode == 1
    assert again.stdout == b""
