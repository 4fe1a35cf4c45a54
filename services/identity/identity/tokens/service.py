"""Mints access tokens, for people, for connected systems, and for the platform's own client."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.context import get_context
from common.contracts.events.identity import ServiceTokenIssued
from common.contracts.permissions import PERMISSIONS
from common.enforcement.permissions import UnitKind
from common.enforcement.tokens import SigningKey, sign
from common.enforcement.verifier import AUDIENCE
from common.ids import new_id
from common.messaging import outbox
from common.messaging.topics import events_topic
from identity.cutoffs.queries import get_epochs
from identity.runtime import Runtime
from identity.systems.models import SystemState
from identity.tokens.problems import InvalidClient, OriginNotRegistered, SystemNotUsable
from identity.tokens.queries import Client, get_client_and_record_token
from identity.units.models import Unit, UnitState

INCIDENT_CLIENT_ID = "service:incident"
"""The platform's own client: its only permission is to issue probe credentials."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token; `expires_in` in seconds."""

    token: str
    jti: str
    issued_at: datetime
    expires_at: datetime

    @property
    def expires_in(self) -> int:
        """Lifetime in seconds."""
        return int((self.expires_at - self.issued_at).total_seconds())


async def mint(
    session: AsyncSession,
    runtime: Runtime,
    *,
    subject: str,
    unit: Unit | None,
    permissions: Iterable[str],
    sid: UUID | None = None,
    term: timedelta | None = None,
    until: datetime | None = None,
    extra: Mapping[str, Any] | None = None,
    epoch: int | None = None,
) -> IssuedToken:
    """Return an access token for `term` (None: policy `access-token-term`), never beyond `until`.

    The caller holds the row locks of subject and unit, and the epochs are read in this transaction. So a cutoff comes
    before, and nothing is minted, or after, and ends the token. `epoch` replaces the subject's own (probes).
    Raises `ValueError` when less than a second is left, `SigningKeyMissing`.
    """
    draft = _draft(runtime, term=term, until=until)
    epochs = await get_epochs(session, [subject, *([unit.subject] if unit else [])])
    claims = dict(extra or {})
    if unit:
        claims |= {"unit": str(unit.id), "uknd": str(unit.kind), "uepc": epochs[unit.subject]}
    if sid:
        claims["sid"] = str(sid)
    own = epochs[subject] if epoch is None else epoch
    return _sign(runtime, draft, subject=subject, epoch=own, permissions=permissions, claims=claims)


@dataclass(frozen=True, slots=True)
class _TokenDraft:
    """Times and id of a token, fixed before its epochs are read: an unsignable token is not recorded."""

    key: SigningKey
    jti: str
    issued_at: datetime
    expires_at: datetime


def _draft(runtime: Runtime, *, term: timedelta | None = None, until: datetime | None = None) -> _TokenDraft:
    now = runtime.clock.now()
    expires_at = now + (term or timedelta(seconds=runtime.policies.at("access-token-term", now).value))
    if until is not None:
        expires_at = min(expires_at, until)
    key = runtime.signing_keys.current
    return _TokenDraft(key, str(new_id()), now.replace(microsecond=0), expires_at.replace(microsecond=0))


def _sign(
    runtime: Runtime,
    draft: _TokenDraft,
    *,
    subject: str,
    epoch: int,
    permissions: Iterable[str],
    claims: Mapping[str, Any],
) -> IssuedToken:
    issued = int(draft.issued_at.timestamp())
    common: dict[str, Any] = {
        "iss": runtime.settings.issuer,
        "aud": AUDIENCE,
        "sub": subject,
        "epc": epoch,
        "perms": sorted(permissions),
        "iat": issued,
        "nbf": issued,
        "exp": int(draft.expires_at.timestamp()),
        "jti": draft.jti,
    }
    token = sign(draft.key, common | dict(claims))
    return IssuedToken(token, draft.jti, draft.issued_at, draft.expires_at)


async def client_token(runtime: Runtime, *, client_id: str, secret: str, origin: str) -> IssuedToken:
    """Return an access token by client credentials (RFC 6749 §4.4). Clause 5d.3.

    One statement, and so one transaction, reads the client and its epochs and records the token (P3).
    Raises `InvalidClient`, `SystemNotUsable`, `OriginNotRegistered`.
    """
    if client_id == INCIDENT_CLIENT_ID:
        async with runtime.database.transaction() as session:
            return await _incident_token(session, runtime, secret)
    system_id, draft, unit_placeholder = parse_client_id(client_id), _draft(runtime), new_id()
    subject, now = f"system:{system_id}", runtime.clock.now()
    event = ServiceTokenIssued(
        system_id=system_id, unit_id=unit_placeholder, token_id=draft.jti, origin=origin, expires_at=draft.expires_at
    )
    context = replace(get_context(), actor=subject, actorunit=str(unit_placeholder))
    client = await get_client_and_record_token(
        runtime.database,
        system_id,
        secret_digest(secret),
        origin,
        topic=events_topic(event.publisher),
        body=outbox.serialize(event, at=now, context=context),
        unit_placeholder=unit_placeholder,
        at=now,
    )
    client = require_usable(client, origin)
    claims = {"unit": str(client.unit_id), "uknd": str(client.kind), "uepc": client.unit_epoch}
    return _sign(
        runtime, draft, subject=subject, epoch=client.epoch, permissions=_system_permissions(client.kind), claims=claims
    )


def parse_client_id(client_id: str) -> UUID:
    """Return the system's id. Raises `InvalidClient` for an unreadable one."""
    try:
        return UUID(client_id)
    except ValueError:
        raise InvalidClient from None


def secret_digest(secret: str) -> bytes:
    """Return the hash of a client secret as stored: the secret is random, so one hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


def require_usable(client: Client | None, origin: str) -> Client:
    """Return a client that may have a token.

    Raises `InvalidClient` before all others, so that a wrong secret reveals nothing; `SystemNotUsable`,
    `OriginNotRegistered`.
    """
    if client is None or not client.secret_matches:
        raise InvalidClient
    if client.unit_state != UnitState.REGISTERED:
        raise SystemNotUsable("invalid_client", f"unit-{client.unit_state}", subject=client.subject)
    if client.state != SystemState.APPROVED:
        raise SystemNotUsable("invalid_client", f"system-{client.state}", subject=client.subject)
    if not client.origin_allowed:
        raise OriginNotRegistered("unauthorized_client", "origin-not-registered", subject=client.subject, origin=origin)
    return client


@cache
def _system_permissions(kind: UnitKind) -> tuple[str, ...]:
    """Return the permissions of connected systems of a unit of this kind."""
    return tuple(
        permission.name for permission in PERMISSIONS.values() if permission.system and kind in permission.kinds
    )


async def _incident_token(session: AsyncSession, runtime: Runtime, secret: str) -> IssuedToken:
    if not hmac.compare_digest(secret_digest(secret).hex(), runtime.settings.incident_client_secret_hash):
        raise InvalidClient
    return await mint(session, runtime, subject=INCIDENT_CLIENT_ID, unit=None, permissions=("probes.issue",))
