"""Acts whose answer comes after their commit and waits for what follows: committed once, answered with the state so far."""

from typing import Annotated

from fastapi import Header, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from common.web import idempotency
from incident.runtime import Runtime

__all__ = ["Repeatable", "WaitMs"]

WaitMs = Annotated[
    int, Query(ge=0, le=5000, description="how long the answer waits for confirmations and probes, in milliseconds")
]


class Repeatable:
    """The Idempotency-Key of a request that runs its own transaction: what was committed is answered again as it was then."""

    def __init__(
        self,
        request: Request,
        idempotency_key: Annotated[str | None, Header(description="Makes a write repeatable")] = None,
    ) -> None:
        self._request, self._key = request, idempotency_key
        self._claim: tuple[str, str] | None = None

    async def begin(self, session: AsyncSession, runtime: Runtime) -> None:
        """Claim the key first of all. Raises what `common.web.idempotency.begin` raises."""
        if self._key:
            self._claim = await idempotency.claim(session, self._request, self._key, runtime.clock)

    async def keep(self, session: AsyncSession, answer: BaseModel, status: int) -> None:
        """Keep the answer in the transaction of the act."""
        if self._claim:
            response = Response(answer.model_dump_json(), status, media_type="application/json")
            await idempotency.store(session, self._claim, response)
