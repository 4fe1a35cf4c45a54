"""The story as it is played: every step printed, measured, held against its expectation, and kept."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Expected", "Failed", "Step", "Story"]

PATIENCE = 10.0
"""Seconds that a step waits for an effect which events still carry."""


class Failed(RuntimeError):  # noqa: N818 - says what the story did
    """A step was answered otherwise than expected."""


@dataclass(frozen=True)
class Expected:
    """What the answer must be: its status, for a problem its slug, and members that the body must have."""

    status: int
    problem: str | None = None
    members: dict[str, Any] = field(default_factory=dict)
    shows: Callable[[Any], Any] | None = None
    """What must be true of the body besides."""

    def met_by(self, status: int, body: Any) -> bool:
        """Whether an answer is as expected."""
        if status != self.status:
            return False
        if self.problem and (not isinstance(body, dict) or body.get("type") != f"urn:xindun:problem:{self.problem}"):
            return False
        if self.shows and not self.shows(body):
            return False
        return all(isinstance(body, dict) and body.get(name) == value for name, value in self.members.items())

    def __str__(self) -> str:
        """For people."""
        return " ".join([str(self.status), self.problem or "", *(f"{n}={v}" for n, v in self.members.items())]).strip()


@dataclass(frozen=True)
class Step:
    """One request and its answer, as kept in story.json."""

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


class Story:
    """Plays steps and prints them."""

    def __init__(self, client: httpx.AsyncClient, patience: float = PATIENCE) -> None:
        self.client, self._patience = client, patience
        self.steps: list[Step] = []
        self._chapter = ""

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter = title
        print(f"\n\033[1m{title}\033[0m")

    def tell(self, text: str) -> None:
        """Print something that is not a request."""
        print(f"      {text}")

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
        """Make a request as `actor` and hold the answer against `expected`. Raises `Failed`.

        `eventually`: the effect asked for is on its way by an event; ask again until it is there, and say how long it took.
        `show` picks from the JSON answer what is printed.
        """
        headers = request.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        begun = time.perf_counter()
        while True:
            asked = time.perf_counter()
            response = await self.client.request(method, path, headers=headers, **request)
            milliseconds = (time.perf_counter() - asked) * 1000
            body = _body(response)
            met = expected.met_by(response.status_code, body)
            waited = (asked - begun) * 1000
            if met or not eventually or waited > self._patience * 1000:
                break
            await asyncio.sleep(0.02)
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
            raise Failed(f"step {step.number}: expected {expected}, got {response.status_code}: {answer}")
        return response

    @staticmethod
    def _print(step: Step) -> None:
        mark = "✓" if step.met else "✗"
        waited = f" (+{step.waited_milliseconds:.0f} ms)" if step.waited_milliseconds > 1 else ""
        print(f"{step.number:4d}. {mark} {step.actor}：{step.what}")
        print(f"        {step.request} → {step.status}  {step.milliseconds:.0f} ms{waited}  {step.answer}")

    def write(self, directory: Path) -> None:
        """Leave story.json."""
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
