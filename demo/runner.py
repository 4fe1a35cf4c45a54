"""Performs the steps of the scenario: sends each request, compares the response with what is expected, prints, records."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

EFFECT_TIMEOUT = 10.0
"""Seconds that a step waits for an effect that arrives by an event."""
RETRY_INTERVAL = 0.02
"""Seconds between two attempts of such a step."""


class StepFailedError(RuntimeError):
    """The response to a step is not the expected one."""


@dataclass(frozen=True)
class Expected:
    """The expected response: its status, for a problem its slug, and members of its body."""

    status: int
    problem: str | None = None
    members: dict[str, Any] = field(default_factory=dict)
    predicate: Callable[[Any], Any] | None = None
    """Must be true of the body, too."""

    def matches(self, status: int, body: Any) -> bool:
        """Whether a response is as expected."""
        if status != self.status:
            return False
        if self.problem and (not isinstance(body, dict) or body.get("type") != f"urn:xindun:problem:{self.problem}"):
            return False
        if self.predicate and not self.predicate(body):
            return False
        return all(isinstance(body, dict) and body.get(name) == value for name, value in self.members.items())

    def __str__(self) -> str:
        """Return it as one line of text."""
        return " ".join([str(self.status), self.problem or "", *(f"{n}={v}" for n, v in self.members.items())]).strip()


@dataclass(frozen=True)
class Step:
    """One request and its response, as recorded in story.json."""

    number: int
    chapter: str
    actor: str
    what: str
    request: str
    status: int
    milliseconds: float
    waited_milliseconds: float
    expectation: str
    met: bool
    answer: str


class Runner:
    """Performs steps through `client`; those with `eventually` wait at most `effect_timeout` seconds."""

    def __init__(self, client: httpx.AsyncClient, effect_timeout: float = EFFECT_TIMEOUT) -> None:
        self.client, self._effect_timeout = client, effect_timeout
        self.steps: list[Step] = []
        self._chapter = ""

    def start_chapter(self, title: str) -> None:
        """Print a heading; the next steps belong to it."""
        self._chapter = title
        print(f"\n\033[1m{title}\033[0m")

    async def step(
        self,
        actor: str,
        what: str,
        method: str,
        path: str,
        expected: Expected,
        *,
        token: str | None = None,
        eventually: bool = False,
        show: Any = None,
        **request: Any,
    ) -> httpx.Response:
        """Send a request as `actor` and compare the response with `expected`. Raises `StepFailedError`.

        `eventually`: the effect arrives by an event; repeat the request until it is there, and record the time.
        `show` picks from the JSON body what is printed.
        """
        headers = request.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        started = time.perf_counter()
        while True:
            sent = time.perf_counter()
            response = await self.client.request(method, path, headers=headers, **request)
            milliseconds = (time.perf_counter() - sent) * 1000
            body = _body(response)
            met = expected.matches(response.status_code, body)
            waited = (sent - started) * 1000
            if met or not eventually or waited > self._effect_timeout * 1000:
                break
            await asyncio.sleep(RETRY_INTERVAL)
        answer = _summary(body, show) if met else json.dumps(body, ensure_ascii=False)[:2000]
        step = Step(
            number=len(self.steps) + 1,
            chapter=self._chapter,
            actor=actor,
            what=what,
            request=f"{method} {path}",
            status=response.status_code,
            milliseconds=round(milliseconds, 1),
            waited_milliseconds=round(waited, 1),
            expectation=str(expected),
            met=met,
            answer=answer,
        )
        self.steps.append(step)
        self._print(step)
        if not met:
            raise StepFailedError(f"step {step.number}: expected {expected}, got {response.status_code}: {answer}")
        return response

    @staticmethod
    def _print(step: Step) -> None:
        mark = "✓" if step.met else "✗"
        waited = f" (+{step.waited_milliseconds:.0f} ms)" if step.waited_milliseconds > 1 else ""
        print(f"{step.number:4d}. {mark} {step.actor}：{step.what}")
        print(f"        {step.request} → {step.status}  {step.milliseconds:.0f} ms{waited}  {step.answer}")

    def write(self, directory: Path) -> None:
        """Write story.json."""
        directory.mkdir(parents=True, exist_ok=True)
        steps = [step.__dict__ for step in self.steps]
        (directory / "story.json").write_text(json.dumps(steps, ensure_ascii=False, indent=2) + "\n")


def _body(response: httpx.Response) -> Any:
    if "json" in response.headers.get("content-type", ""):
        return response.json()
    return {"bytes": len(response.content)}


def _summary(body: Any, show: Any) -> str:
    if show is not None:
        return str(show(body))
    if isinstance(body, dict) and str(body.get("type", "")).startswith("urn:xindun:problem:"):
        reason = body.get("reason")
        parts = [body["title"], f"[{body['type'].rsplit(':', 1)[-1]}" + (f"/{reason}]" if reason else "]")]
        if body.get("clause"):
            parts.append(f"条款 {body['clause']}")
        return " ".join(parts)
    return ""
