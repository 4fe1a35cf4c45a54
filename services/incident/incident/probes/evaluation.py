"""Evaluates answers to probes: only a refusal for this very order shows that the order works."""

from dataclasses import dataclass
from typing import Any

REVOKED = "urn:xindun:problem:credential-revoked"
OK, UNAUTHORIZED = 200, 401
REFUSAL_STATUSES = (403, 404, 429)
"""Statuses of datashare's refusals; the first false link of the chain decides which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status (0: no answer came), and the problem's members if it was a problem."""

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
class Evaluation:
    """Whether the answer proves what it should, and the reason that it gave."""

    passed: bool
    reason: str | None


def evaluate(answer: Answer, *, executor: str, expectation: str, cause: str) -> Evaluation:
    """Evaluate `answer` for an order whose cause at the executors is `cause`. Clause 12.3.

    Refused by identity: the credential is revoked because of `cause`. Refused by datashare: `cause` made one of the false
    links of the chain false. Allowed by datashare: the query succeeds. Allowed by identity: the credential is valid, that
    is, datashare reaches any verdict.
    """
    if answer.status == 0:
        return Evaluation(passed=False, reason=answer.reason)
    if expectation == "allowed":
        reached = answer.status in REFUSAL_STATUSES and bool(answer.links)
        return Evaluation(answer.status == OK or (executor == "identity" and reached), answer.reason)
    if executor == "identity":
        revoked = answer.status == UNAUTHORIZED and answer.problem == REVOKED
        return Evaluation(revoked and answer.body.get("cause") == cause, answer.reason)
    for link in answer.links:
        if answer.status in REFUSAL_STATUSES and link.get("cause") == cause:
            reason = link.get("reason")
            return Evaluation(passed=True, reason=reason if isinstance(reason, str) else None)
    return Evaluation(passed=False, reason=answer.reason)
