"""Rotates signing keys without refusing a token, and retires leaked ones at once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import SigningKeyAdopted, SigningKeyPublished, SigningKeyRetired
from common.enforcement.enforcement_point import POLL_INTERVAL, EnforcementPoint
from common.enforcement.revocation_feed import VerificationKey
from common.enforcement.tokens import SigningKey
from common.messaging import outbox
from common.problems import NotFound, Unavailable
from identity.acknowledgements.collector import BUS_TIMEOUT
from identity.runtime import Runtime
from identity.signing import queries
from identity.signing.models import MAX_TOKEN_TERM, SIGNING_LEASE, PublishedKey
from identity.signing.problems import SigningKeyNeeded

log = structlog.get_logger()

IDENTITY_SERVICE = "service:identity"


async def publish_keys(runtime: Runtime) -> None:
    """Publish the public half of every private key of this process, once. The very first key signs at once."""
    async with runtime.database.transaction() as session:
        first = not await queries.list_keys(session)
        for key in runtime.signing_keys.own.values():
            await _publish(session, runtime, key, signs=first)
            first = False


async def _publish(session: AsyncSession, runtime: Runtime, key: SigningKey, *, signs: bool) -> None:
    now = runtime.clock.now()
    if await queries.insert_key(
        session,
        kid=key.kid,
        jwk=key.public_jwk,
        published_at=now,
        signs_from=now if signs else None,
        needed_until=now + SIGNING_LEASE + MAX_TOKEN_TERM if signs else None,
    ):
        outbox.add_entry(session, VerificationKey(kid=key.kid, jwk=key.public_jwk), at=now)
        outbox.add(session, SigningKeyPublished(kid=key.kid), at=now)


async def rotate_signing_keys(runtime: Runtime) -> None:
    """Rotate keys: sign with the newest usable key, record its term ahead, retire unneeded keys. Runs in every replica."""
    point = runtime.point
    while True:
        seen_generation = point.key_generation
        try:
            await choose_signing_key(runtime)
        except Unavailable:
            log.warning("signing_keys.database_away")
        await point.until(partial(_moved, point, seen_generation), 1.0)


def _moved(point: EnforcementPoint, since: int) -> bool:
    return point.key_generation != since


async def choose_signing_key(runtime: Runtime) -> None:
    """Choose the signing key and record changes."""
    keys, now = runtime.signing_keys, runtime.clock.now()
    async with runtime.database.transaction() as session:
        rows = {row.kid: row for row in await queries.list_keys(session)}
        chosen = keys.newest_usable(rows, runtime.point)
        if chosen and not await _extend_lease(session, rows[chosen], now):
            chosen = None  # retired since the read
        await _retire_unneeded(session, runtime, list(rows.values()), now)
    keys.use(chosen)


async def _extend_lease(session: AsyncSession, known: PublishedKey, now: datetime) -> bool:
    """Record that this process signs with the key until its lease ends; False when the key was retired meanwhile."""
    if known.has_lease(now):
        return True
    row = await queries.lock_key(session, known.kid)
    if row is None or row.retired_at:
        return False
    if row.signs_from is None:
        outbox.add(session, SigningKeyAdopted(kid=known.kid), at=now)
    row.extend_lease(now)
    return True


async def _retire_unneeded(
    session: AsyncSession, runtime: Runtime, rows: Sequence[PublishedKey], now: datetime
) -> None:
    """Retire superseded keys, once the last token that they signed has expired."""
    for row in rows:
        if row.signs_from is None or row.retired_at or row.needed(now):
            continue
        if not any(other.signs(now) for other in rows if other is not row):
            continue
        locked = await queries.lock_key(session, row.kid)
        if locked and not locked.retired_at and not locked.needed(now):
            _end(session, runtime, locked, by=IDENTITY_SERVICE, reason="superseded")


def _end(session: AsyncSession, runtime: Runtime, row: PublishedKey, *, by: str, reason: str) -> None:
    now = runtime.clock.now()
    row.retire(now, by, reason)
    outbox.add_entry(session, VerificationKey(kid=row.kid, jwk=row.jwk, retired=True), at=now)
    outbox.add(session, SigningKeyRetired(kid=row.kid, retired_by=by, reason=reason), at=now)


async def retire(
    session: AsyncSession, runtime: Runtime, kid: str, *, by: str, reason: str, leaked: bool
) -> PublishedKey:
    """Retire a key; a retired key stays as it is.

    A `leaked` key is retired while its tokens are in force: people and systems get new ones.
    Raises `NotFound`, `SigningKeyNeeded`.
    """
    row = await queries.lock_key(session, kid)
    if row is None:
        raise NotFound
    if not row.retired_at:
        now = runtime.clock.now()
        if row.needed(now) and not leaked:
            raise SigningKeyNeeded(needed_until=row.needed_until and row.needed_until.isoformat())
        if not any(other.signs(now) for other in await queries.list_keys(session) if other is not row):
            raise SigningKeyNeeded(
                "没有其他密钥在签发令牌，请先加入新密钥并重启身份服务",
                "No other key signs: add a new one and restart identity first",
            )
        _end(session, runtime, row, by=by, reason=reason)
    return row


async def wait_until_retired(runtime: Runtime, kid: str) -> datetime | None:
    """Wait until no enforcement point accepts tokens of a retired key, and return since when (P1).

    None: the bus did not take the retirement yet; it takes effect soon after the bus is back.
    """
    point = runtime.point
    if not await point.until(lambda: kid not in point.keys, BUS_TIMEOUT):
        return None
    # Within the bound, every point has read the retirement, or refuses because it could not confirm the feed's end.
    await asyncio.sleep(point.bound() + POLL_INTERVAL)
    return runtime.clock.now()
