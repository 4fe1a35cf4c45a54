"""FastAPI dependencies of every service: the transaction of a read, the transaction of a write, If-Match."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from common.problems import Invalid, PreconditionFailed, PreconditionRequired, Unavailable
from common.storage.database import Database
from common.web import idempotency
from common.web.idempotency import Claim
from common.web.request_state import request_state
from common.web.runtime import RuntimeDep


async def read_transaction(runtime: RuntimeDep) -> AsyncIterator[AsyncSession]:
    """Yield the session of a reading request."""
    async with runtime.database.transaction() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(read_transaction, scope="function")]
"""The transaction of a reading request. Declare it after the permission."""


class Write:
    """The transaction of a writing request, and its Idempotency-Key.

    The endpoint works on `session`. Returning commits before the answer leaves; raising rolls back. With a key, the
    transaction also holds the answer, and a repeated request gets that answer instead of a second act.
    """

    def __init__(self, database: Database, session: AsyncSession, claim: Claim | None) -> None:
        self.session = session
        self._database, self._claim = database, claim
        self._committed = False

    async def commit(self, answer: BaseModel, status_code: int = 200) -> None:
        """Commit now: the endpoint goes on to wait for what follows, holding neither connection nor lock.

        `answer` is what a repeat gets from here on; the answer that the endpoint returns later takes its place.
        """
        if self._claim:
            body = Response(answer.model_dump_json(), status_code, media_type="application/json")
            await idempotency.store(self.session, self._claim, body)
        await self._database.commit(self.session)
        self._committed = True

    async def keep(self, response: Response) -> None:
        """Store the answer that the endpoint returned."""
        if self._claim is None:
            return
        if not self._committed:
            await idempotency.store(self.session, self._claim, response)
            return
        with contextlib.suppress(Unavailable):  # the act stands, and the answer of its commit is stored
            async with self._database.transaction() as session:
                await idempotency.store(session, self._claim, response)


async def write_transaction(
    request: Request,
    runtime: RuntimeDep,
    idempotency_key: Annotated[str | None, Header(description="Makes a write repeatable, for 7 days")] = None,
) -> AsyncIterator[Write]:
    """Claim the key, yield the transaction, store the answer, commit. Raises what `idempotency.claim` raises."""
    async with runtime.database.transaction() as session:
        claim = None
        if idempotency_key is not None:
            if len(request.headers.getlist("idempotency-key")) > 1:
                raise Invalid("Idempotency-Key 只能有一个", "There can be only one Idempotency-Key")
            claim = await idempotency.claim(session, request, idempotency_key, runtime.clock)
        write = Write(runtime.database, session, claim)
        yield write
        response = request_state(request.scope).response
        assert response is not None  # `Route` leaves it there before the dependencies end
        await write.keep(response)


WriteDep = Annotated[Write, Depends(write_transaction, scope="function")]
"""The transaction of a writing request. Declare it after the permission."""


def etag(version: int) -> dict[str, str]:
    """Return the header that names a version of a thing."""
    return {"ETag": f'"{version}"'}


class IfMatch:
    """The version that an edit says it edits."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def check(self, version: int) -> None:
        """Raise `PreconditionRequired` without the header, `PreconditionFailed` when it names another version."""
        if self._header is None:
            raise PreconditionRequired(current=version)
        if self._header.strip() != f'"{version}"':
            raise PreconditionFailed(headers=etag(version))


async def if_match(
    header: Annotated[str | None, Header(alias="If-Match", description='ETag of what was read, like "3"')] = None,
) -> IfMatch:
    """Return the version that a request says it edits."""
    return IfMatch(header)


IfMatchDep = Annotated[IfMatch, Depends(if_match)]
"""The version that a request says it edits; a plain class as a dependency would cost a thread hop."""
