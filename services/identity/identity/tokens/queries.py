"""Queries of clients: read a client, or read it and record its token, in one statement each."""

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

CLIENT_SQL = """
    SELECT s.id, s.unit_id, s.state, u.state AS unit_state, u.kind,
           coalesce(s.secret_hash = $2, false) AS secret_matches,
           coalesce($3::inet <<= ANY (s.origins::inet[]), false) AS origin_allowed
    FROM systems s JOIN units u ON u.id = s.unit_id
    WHERE s.id = $1"""
EPOCHS_SQL = """
    SELECT client.*, coalesce(own.epoch, 0) AS epoch, coalesce(units.epoch, 0) AS unit_epoch
    FROM client
    LEFT JOIN epochs own ON own.subject = 'system:' || client.id
    LEFT JOIN epochs units ON units.subject = 'unit:' || client.unit_id"""
READ_SQL = f"WITH client AS ({CLIENT_SQL}) {EPOCHS_SQL}"
# The rows stay as read until the commit, so that the record of a token never follows that of a suspension. The statement
# reads the epochs when it begins: if it then waits for a change, they may be too low, and the cutoff ends the token.
ISSUE_SQL = f"""
    WITH client AS MATERIALIZED ({CLIENT_SQL} FOR SHARE OF s, u), recorded AS (
        INSERT INTO outbox (topic, key, body, created_at)
        SELECT $4, $5, convert_to(replace($6, $7, unit_id::text), 'UTF8'), $8 FROM client
        WHERE secret_matches AND origin_allowed AND state = '{SystemState.APPROVED}' AND unit_state = '{UnitState.REGISTERED}'
    ) {EPOCHS_SQL}"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class Client:
    """A system that authenticates. `secret_matches`: with its current secret; `origin_allowed`: from a registered network."""

    id: UUID
    unit_id: UUID
    state: str
    unit_state: str
    kind: UnitKind
    secret_matches: bool
    origin_allowed: bool
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
        row = await connection.fetchrow(READ_SQL, system_id, digest, normalize_address(origin))
    return Client.of(row) if row else None


async def get_client_and_record_token(
    database: Database,
    system_id: UUID,
    digest: bytes,
    origin: str,
    *,
    topic: str,
    body: bytes,
    unit_placeholder: UUID,
    at: datetime,
) -> Client | None:
    """Return the client of this id, and put `body` into the outbox when it may have a token.

    The statement replaces `unit_placeholder` in `body` by the client's unit, which only the statement reads.
    """
    key, text = str(system_id), body.decode()
    async with database.raw_transaction(begin=False) as connection:
        row = await connection.fetchrow(
            ISSUE_SQL, system_id, digest, normalize_address(origin), topic, key, text, str(unit_placeholder), at
        )
    return Client.of(row) if row else None
