"""`python -m demo`: on a platform of its own, or with PLATFORM_URL and BOOTSTRAP on a running one."""

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

from demo.actors import Person
from demo.play import play
from demo.runner import Failed, Story
from demo.scenario import Life

READY_WITHIN = 60.0
"""Seconds."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _own_platform() -> Iterator[tuple[str, Path]]:
    """Start a platform on fresh data and give its address and its first administrators' file; end and remove it."""
    directory = Path(tempfile.mkdtemp(prefix="xindun-demo-"))
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "deploy.embedded_platform", "--data", str(directory), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        begun = time.perf_counter()
        while not _ready(url):
            if process.poll() is not None or time.perf_counter() - begun > READY_WITHIN:
                raise SystemExit("平台未能启动 / the platform did not start")
            time.sleep(0.05)
        print(f"平台就绪，用时 {time.perf_counter() - begun:.1f} 秒 / ready at {url}")
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


def administrator(name: str, known: dict[str, Any], rng: random.Random) -> Person:
    """Return a first administrator: with the credentials that an earlier run left in the file, or with the code."""
    words = ("granite", "lantern", "orchid", "harbor", "thunder", "velvet")
    person = Person(
        name=name,
        login=known["login"],
        password=known.get("password") or "-".join(rng.sample(words, 4)) + str(rng.randrange(100, 999)),
        totp=known.get("totp_secret"),
        last_step=known.get("last_step", 0),
    )
    if person.totp is None:
        person.extra["code"] = known["activation_code"]
    return person


def _keep(path: Path, people: dict[str, Person]) -> None:
    """Put what the activation made beside the logins, so that the life can be played again: for this user's eyes only."""
    content = {
        role: {
            "login": person.login,
            "password": person.password,
            "totp_secret": person.totp,
            "last_step": person.last_step,
        }
        if person.totp
        else {"login": person.login, "activation_code": person.extra["code"]}
        for role, person in people.items()
    }
    fresh = path.with_suffix(".new")
    with open(fresh, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(content, file, indent=2)
    fresh.replace(path)


async def _play(url: str, bootstrap: Path, known: dict[str, Any], out: Path) -> int:
    rng = random.Random(os.environ.get("DEMO_SEED") or None)  # noqa: S311 - names of a story, no secrets
    people = {
        "authority": administrator("市发改委（主管部门）", known["authority"], rng),
        "center": administrator("市信用中心", known["center"], rng),
    }
    shutil.rmtree(out / "evidence", ignore_errors=True)
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        story = Story(client)
        life = Life(story, rng, people["authority"], people["center"], out)
        try:
            await play(life)
        except Failed as failed:
            print(f"\n✗ {failed}", file=sys.stderr)
            return 1
        finally:
            story.write(out)
            _keep(bootstrap, people)
    verified = subprocess.run(  # noqa: ASYNC221, S603 - the story is over
        [sys.executable, "-I", str(out / "verify.py"), str(out / "evidence")], check=False
    )
    print(f"\n{len(story.steps)} 步全部如期 / steps, all as expected. → {out}")
    return verified.returncode


def main() -> int:
    """Play, and return the exit status."""
    out = Path(os.environ.get("DEMO_OUT") or ".data/demo").resolve()
    out.mkdir(parents=True, exist_ok=True)
    if url := os.environ.get("PLATFORM_URL"):
        given = os.environ.get("BOOTSTRAP")
        if not given:
            raise SystemExit(
                "PLATFORM_URL 须配合 BOOTSTRAP=首批管理员文件（make admins 的输出）/ BOOTSTRAP= is missing"
            )
        return asyncio.run(_play(url, Path(given), json.loads(Path(given).read_text()), out))
    with _own_platform() as (url, bootstrap):
        return asyncio.run(_play(url, bootstrap, json.loads(bootstrap.read_text()), out))


if __name__ == "__main__":
    sys.exit(main())
