"""Mints access tokens, for people, for connected systems, and for the platform's own client."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common import outbox
from common.auth import AUDIENCE
from common.context import acting
from common.events.identity import ServiceTokenIssued
from common.ids import new_id
from common.permissions import PERMISSIONS, UnitKind
from common.runtime import Runtime
from common.tokens import sign
from identity.cutoffs.service import current_epochs
from identity.problems import InvalidClient, OriginNotRegistered, SystemNotUsable
from identity.settings import settings_of
from identity.signing.keys import signing_keys_of
from identity.systems.models import ConnectedSystem, SystemState
from identity.systems.queries import system_of
from identity.units.models import Unit
from identity.units.queries import unit_of

__all__ = ["INCIDENT", "Minted", "client_token", "mint"]

INCIDENT = "service:incident"
"""The platform's own client: it may ask for probe credentials, and nothing else."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A token; `expires_in` in seconds."""

    token: str
    jti: str
    issued_at: datetime
    expires_at: datetime

    @property
    def expires_in(self) -> int:
        """Seconds that it lasts."""
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
) -> Minted:
    """Return an access token for `term` (None: policy `access-token-term`), never beyond `until`.

    Its epochs are read in this transaction: the caller holds the rows of subject and unit, so that a cutoff comes
    either before, and nothing is minted, or after, and ends the token. `epoch` sets the subject's own (probes).
    Raises `ValueError` when less than a second is left, `SigningKeyMissing`.
    """
    now = runtime.clock.now()
    expires_at = now + (term or timedelta(seconds=runtime.policies.at("access-token-term", now).value))
    if until is not None:
        expires_at = min(expires_at, until)
    epochs = await current_epochs(session, [subject, *([unit.subject] if unit else [])])
    issued, jti = int(now.timestamp()), str(new_id())
    claims: dict[str, Any] = {
        "iss": runtime.settings.issuer,
        "aud": AUDIENCE,
        "sub": subject,
        "epc": epochs[subject] if epoch is None else epoch,
        "perms": sorted(permissions),
        "iat": issued,
        "nbf": issued,
        "exp": int(expires_at.timestamp()),
        "jti": jti,
    }
    if unit:
        claims |= {"unit": str(unit.id), "uknd": str(unit.kind), "uepc": epochs[unit.subject]}
    if sid:
        claims["sid"] = str(sid)
    token = sign(signing_keys_of(runtime).current, claims | dict(extra or {}))
    return Minted(token, jti, datetime.fromtimestamp(issued, tz=UTC), datetime.fromtimestamp(claims["exp"], tz=UTC))


async def client_token(session: AsyncSession, runtime: Runtime, *, client_id: str, secret: str, origin: str) -> Minted:
    """Return an access token by client credentials (RFC 6749 §4.4). Clause 5d.3.

    Raises `InvalidClient`, `SystemNotUsable`, `OriginNotRegistered`.
    """
    if client_id == INCIDENT:
        return await _incident_token(session, runtime, secret)
    try:
        system_id = UUID(client_id)
    except ValueError:
        raise InvalidClient from None
    system = await system_of(session, system_id, None, lock="share")
    if system is None or not system.knows(secret):
        raise InvalidClient
    unit = await unit_of(session, system.unit_id, lock="share")
    assert unit is not None
    _usable(system, unit)
    if not system.comes_from(origin):
        raise OriginNotRegistered("unauthorized_client", "origin-not-registered", subject=system.subject, origin=origin)
    acting(actor=system.subject, unit=str(unit.id))
    minted = await mint(
        session, runtime, subject=system.subject, unit=unit, permissions=_of_systems(UnitKind(unit.kind))
    )
    event = ServiceTokenIssued(
        system_id=system.id, unit_id=unit.id, token_id=minted.jti, origin=origin, expires_at=minted.expires_at
    )
    outbox.add(session, event, at=runtime.clock.now())
    return minted


def _usable(system: ConnectedSystem, unit: Unit) -> None:
    if not unit.active:
        raise SystemNotUsable("invalid_client", f"unit-{unit.state}", subject=system.subject)
    if system.state != SystemState.APPROVED:
        raise SystemNotUsable("invalid_client", f"system-{system.state}", subject=system.subject)


def _of_systems(kind: UnitKind) -> list[str]:
    """Return what a connected system of a unit of this kind may do."""
    return [permission.name for permission in PERMISSIONS.values() if permission.system and kind in permission.kinds]


async def _incident_token(session: AsyncSession, runtime: Runtime, secret: str) -> Minted:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    if not hmac.compare_digest(digest, settings_of(runtime).incident_client_secret_hash):
        raise InvalidClient
    return await mint(session, runtime, subject=INCIDENT, unit=None, permissions=("probes.issue",))
