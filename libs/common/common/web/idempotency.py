"""Idempotency-Key: the transaction of a write stores its answer, and a repeat of the request gets that answer.

An answer may hold secrets (a token, an activation code): it is encrypted under the client's key, of which only a digest
is stored. Readers of the table learn nothing; clients should make their keys at random.
"""

import hashlib
import hmac
import re

import orjson
from fastapi import Request, Response
from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import Clock
from common.problems import Invalid
from common.storage.encryption import decrypt, encrypt
from common.web.request_state import request_state

idempotency = Table(
    "idempotency",
    MetaData(),
    Column("actor", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("media_type", Text),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

KEY_FORMAT = re.compile(r"[\x21-\x7e]{8,128}")


class IdempotencyConflict(Invalid):
    """422: the key was used for another request."""

    slug = "idempotency-key-reused"
    zh, en = "Idempotency-Key 已用于另一请求", "The Idempotency-Key was used for another request"


class ReplayedError(Exception):
    """The request was answered before: `response` is that answer."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


Claim = tuple[str, str]
"""Actor and key."""


async def claim(session: AsyncSession, request: Request, key: str, clock: Clock) -> Claim:
    """Claim `key` for this request; a concurrent holder is waited for.

    Raises `ReplayedError` when it was answered, `IdempotencyConflict` when it belongs to another request, `Invalid`.
    """
    if not KEY_FORMAT.fullmatch(key):
        raise Invalid(
            "Idempotency-Key 须为 8 至 128 个可见 ASCII 字符", "Idempotency-Key takes 8 to 128 visible ASCII characters"
        )
    principal = request_state(request.scope).principal
    actor = principal.subject if principal else "anonymous"
    digest = hashlib.sha256(key.encode()).hexdigest()
    whole = "\n".join((request.method, request.url.path, request.url.query)).encode() + b"\n" + await request.body()
    fingerprint = hmac.digest(key.encode(), whole, "sha256")  # keyed, because the body may hold a password
    claimed = await session.scalar(
        insert(idempotency)
        .values(actor=actor, key=digest, fingerprint=fingerprint, created_at=clock.now())
        .on_conflict_do_nothing()
        .returning(idempotency.c.key)
    )
    if claimed is None:
        row = (
            await session.execute(select(idempotency).where(idempotency.c.actor == actor, idempotency.c.key == digest))
        ).one()
        if not hmac.compare_digest(row.fingerprint, fingerprint):
            raise IdempotencyConflict
        head, _, body = decrypt(_sealing_key(key), row.body, digest).partition(b"\n")
        headers = orjson.loads(head) | {"Idempotency-Replayed": "true"}
        raise ReplayedError(Response(body, row.status, headers, media_type=row.media_type))
    return actor, key


def _sealing_key(key: str) -> bytes:
    return hmac.digest(key.encode(), b"xindun idempotency", "sha256")


async def store(session: AsyncSession, claim: Claim, response: Response) -> None:
    """Keep the answer with the act."""
    actor, key = claim
    digest = hashlib.sha256(key.encode()).hexdigest()
    headers = {name: response.headers[name] for name in ("etag", "location") if name in response.headers}
    answer = orjson.dumps(headers) + b"\n" + bytes(response.body)
    await session.execute(
        update(idempotency)
        .where(idempotency.c.actor == actor, idempotency.c.key == digest)
        .values(
            status=response.status_code,
            media_type=response.headers.get("content-type"),
            body=encrypt(_sealing_key(key), answer, digest),
        )
    )
