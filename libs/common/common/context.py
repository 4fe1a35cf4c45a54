"""The context of an act: actor, unit and request ids, carried in a context variable into events and logs."""

import os
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ActContext:
    """`actor` is `account:<id>`, `system:<id>` or `service:<name>`; the ids tie records, logs and answers together."""

    actor: str | None = None
    actorunit: str | None = None
    requestid: str | None = None
    traceparent: str | None = None


_current: ContextVar[ActContext] = ContextVar("act_context", default=ActContext())  # noqa: B039 - frozen


def get_context() -> ActContext:
    """Return the context of the running task."""
    return _current.get()


def set_context(context: ActContext) -> None:
    """Set the context of the running task."""
    _current.set(context)


def bind_actor(*, actor: str, unit: str | None) -> None:
    """Name who acts in the running task."""
    _current.set(replace(_current.get(), actor=actor, actorunit=unit))


def new_traceparent() -> str:
    """Return a W3C trace context header value for a trace that begins here."""
    random = os.urandom(24).hex()
    return f"00-{random[:32]}-{random[32:]}-01"
