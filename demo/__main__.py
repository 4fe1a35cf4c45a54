"""`python -m demo`: run the scenario on a new platform, or with PLATFORM_URL and BOOTSTRAP on a running one."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from demo.actors import Person, first_administrator
from demo.runner import Runner, StepFailedError
from demo.scenario import Scenario
from demo.steps import run_scenario

READY_TIMEOUT = 60.0
"""Seconds."""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _new_platform() -> Iterator[tuple[str, Path]]:
    """Start a platform on new data, yield its URL and its first administrators' file, then stop and delete it."""
    directory = Path(tempfile.mkdtemp(prefix="xindun-demo-"))
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "deploy.embedded_platform", "--data", str(directory), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        started = time.perf_counter()
        while not _ready(url):
            if process.poll() is not None or time.perf_counter() - started > READY_TIMEOUT:
                raise SystemExit("平台未能启动 / the platform did not start")
            time.sleep(0.05)
        print(f"平台就绪，用时 {time.perf_counter() - started:.1f} 秒 / ready at {url}")
        administrators = [sys.executable, "-m", "deploy.bootstrap", "--data", str(directory)]
        bootstrap = directory / "first-administrators.json"
        bootstrap.write_bytes(subprocess.run(administrators, check=True, capture_output=True).stdout)  # noqa: S603
        yield url, bootstrap
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(directory, ignore_errors=True)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=2).is_success
    except httpx.TransportError:
        return False


def _save_credentials(path: Path, people: dict[str, Person]) -> None:
    """Save the credentials for the next run, readable by this user only."""
    content = {
        role: {"login": person.login, "activation_code": person.activation_code}
        if person.activation_code
        else {
            "login": person.login,
            "password": person.password,
            "totp_secret": person.totp_secret,
            "last_step": person.last_step,
        }
        for role, person in people.items()
    }
    fresh = path.with_suffix(".new")
    with open(fresh, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(content, file, indent=2)
    fresh.replace(path)


async def _run(url: str, bootstrap: Path, known: dict[str, Any], out: Path) -> int:
    rng = random.Random(os.environ.get("DEMO_SEED") or None)  # noqa: S311 - invented people
    people = {
        "authority": first_administrator("市发改委（主管部门）", known["authority"], rng),
        "center": first_administrator("市信用中心", known["center"], rng),
    }
    shutil.rmtree(out / "evidence", ignore_errors=True)
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        runner = Runner(client)
        scenario = Scenario(runner, rng, people["authority"], people["center"], out)
        try:
            await run_scenario(scenario)
        except StepFailedError as error:
            print(f"\n✗ {error}", file=sys.stderr)
            return 1
        finally:
            runner.write(out)
            _save_credentials(bootstrap, people)
    verified = subprocess.run(  # noqa: ASYNC221, S603 - no task runs any more
        [sys.executable, "-I", str(out / "verify.py"), str(out / "evidence")], check=False
    )
    print(f"\n{len(runner.steps)} 步全部如期 / steps, all as expected. → {out}")
    return verified.returncode


def main() -> int:
    """Run the scenario; return the exit status."""
    out = Path(os.environ.get("DEMO_OUT") or ".data/demo").resolve()
    out.mkdir(parents=True, exist_ok=True)
    if url := os.environ.get("PLATFORM_URL"):
        administrators = os.environ.get("BOOTSTRAP")
        if not administrators:
            raise SystemExit(
                "PLATFORM_URL 须配合 BOOTSTRAP=首批管理员文件（make admins 的输出）/ BOOTSTRAP= is missing"
            )
        return asyncio.run(_run(url, Path(administrators), json.loads(Path(administrators).read_text()), out))
    with _new_platform() as (url, bootstrap):
        return asyncio.run(_run(url, bootstrap, json.loads(bootstrap.read_text()), out))


if __name__ == "__main__":
    sys.exit(main())
