"""Says what an answer to a probe proves: only a refusal for this very order shows that the order works."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Judgement", "judge"]

REVOKED = "urn:xindun:problem:credential-revoked"
OK, UNAUTHORIZED = 200, 401
VERDICTS = (403, 404, 429)
"""Statuses of datashare's refusals; which one depends on the first false link, the others are named beside it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status (0: nothing did), and the problem's members where it was one."""

    status: int
    body: dict[str, Any]

    @property
    def problem(self) -> str | None:
        """The problem's type URN."""
        type_ = self.body.get("type")
        return type_ if isinstance(type_, str) and self.status != OK else None

    @property
    def reason(self) -> str | None:
        """The problem's machine-readable reason."""
        reason = self.body.get("reason")
        return reason if isinstance(reason, str) else None

    @property
    def links(self) -> list[dict[str, Any]]:
        """The false links of the legal chain that a verdict of datashare names."""
        links = self.body.get("links")
        return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the answer proves what it should, and what it gave as its reason."""

    passed: bool
    reason: str | None


def judge(answer: Answer, *, executor: str, expectation: str, cause: str) -> Judgement:
    """Judge `answer` for an order that executors know by `cause`. Clause 12.3.

    Refused by identity: the credential is dead because of `cause`. Refused by datashare: among the false links of the
    chain is one that `cause` made false. Allowed by datashare: the query is answered. Allowed by identity: the
    credential is alive, that is, datashare came to a verdict, whichever.
    """
    if answer.status == 0:
        return Judgement(passed=False, reason=answer.reason)
    if expectation == "allowed":
        reached = answer.status in VERDICTS and bool(answer.links)
        return Judgement(answer.status == OK or (executor == "identity" and reached), answer.reason)
    if executor == "identity":
        dead = answer.status == UNAUTHORIZED and answer.problem == REVOKED
        return Judgement(dead and answer.body.get("cause") == cause, answer.reason)
    for link in answer.links:
        if answer.status in VERDICTS and link.get("cause") == cause:
            reason = link.get("reason")
            return Judgement(passed=True, reason=reason if isinstance(reason, str) else None)
    return Judgement(passed=False, reason=answer.reason)
