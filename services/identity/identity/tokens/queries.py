"""Reads who a client is, and writes down that it got a token: one statement each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from common.addresses import normalize_address
from common.enforcement.permissions import UnitKind
from common.storage.database import Database
from identity.systems.models import SystemState
from identity.units.models import UnitState

CLIENT = """
    SELECT s.id, s.unit_id, s.state, u.state AS unit_state, u.kind,
           coalesce(s.secret_hash = $2, false) AS known,
           coalesce($3::inet <<= ANY (s.origins::inet[]), false) AS near
    FROM systems s JOIN units u ON u.id = s.unit_id
    WHERE s.id = $1"""
EPOCHS = """
    SELECT client.*, coalesce(own.epoch, 0) AS epoch, coalesce(units.epoch, 0) AS unit_epoch
    FROM client
    LEFT JOIN epochs own ON own.subject = 'system:' || client.id
    LEFT JOIN epochs units ON units.subject = 'unit:' || client.unit_id"""
READ = f"WITH client AS ({CLIENT}) {EPOCHS}"
# The rows stay as read until the commit, so that the record of a token never follows that of a suspension. The epochs
# are of the statement's beginning: where it had to wait for a change, they are at most too low, which ends the token.
ISSUE = f"""
    WITH client AS MATERIALIZED ({CLIENT} FOR SHARE OF s, u), said AS (
        INSERT INTO outbox (topic, key, body, created_at)
        SELECT $4, $5, convert_to(replace($6, $7, unit_id::text), 'UTF8'), $8 FROM client
        WHERE known AND near AND state = '{SystemState.APPROVED}' AND unit_state = '{UnitState.REGISTERED}'
    ) {EPOCHS}"""  # noqa: S608 - constants of this page


@dataclass(frozen=True, slots=True)
class Client:
    """A system that brings a secret: `known` says whether it is the one in force, `near` whether the network is registered."""

    id: UUID
    unit_id: UUID
    state: str
    unit_state: str
    kind: UnitKind
    known: bool
    near: bool
    epoch: int
    unit_epoch: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Build from a row."""
        return cls(**{**row, "kind": UnitKind(row["kind"])})

    @property
    def subject(self) -> str:
        """The subject of its cutoffs."""
        return f"system:{self.id}"

    @property
    def epochs(self) -> dict[str, int]:
        """Epochs that cutoffs are compared with, read together with secret and state."""
        return {self.subject: self.epoch, f"unit:{self.unit_id}": self.unit_epoch}


async def get_client(database: Database, system_id: UUID, digest: bytes, origin: str) -> Client | None:
    """Return the client of this id."""
    async with database.raw_transaction(begin=False) as connection:
        row = await connection.fetchrow(READ, system_id, digest, normalize_address(origin))
    return Client.of(row) if row else None


async def client_for_token(
    database: Database,
    system_id: UUID,
    digest: bytes,
    origin: str,
    *,
    topic: str,
    body: bytes,
    stand_in: UUID,
    at: datetime,
) -> Client | None:
    """Return the client of this id, and if it may have a token, put `body` into the outbox.

    In `body` its unit takes the place of `stand_in`: what the event says of it is known only here.
    """
    key, text = str(system_id), body.decode()
    async with database.raw_transaction(begin=False) as connection:
        row = await connection.fetchrow(
            ISSUE, system_id, digest, normalize_address(origin), topic, key, text, str(stand_in), at
        )
    return Client.of(row) if row else None
