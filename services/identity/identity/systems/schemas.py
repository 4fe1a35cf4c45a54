"""Bodies of the system endpoints."""

from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from identity.acknowledgements.schemas import EffectivenessResponse
from identity.systems.models import ConnectedSystem


class SystemRequest(BaseModel):
    """A new system. `origins`: networks as CIDR or single addresses; `responsible_id`: by default the caller."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=2, max_length=200)]
    origins: Annotated[list[IPv4Network | IPv6Network], Field(min_length=1, max_length=50)]
    responsible_id: UUID | None = None


class SystemResponse(BaseModel):
    """A connected system."""

    id: UUID
    unit_id: UUID
    name: str
    origins: list[str]
    responsible_id: UUID
    registered_by: UUID
    registered_at: datetime
    state: str
    approved_at: datetime | None
    approved_by: UUID | None
    secret_set_at: datetime | None
    decommissioned_at: datetime | None

    @classmethod
    def of(cls, system: ConnectedSystem) -> Self:
        """Build from a row."""
        return cls(
            id=system.id,
            unit_id=system.unit_id,
            name=system.name,
            origins=[str(origin) for origin in system.origins],
            responsible_id=system.responsible,
            registered_by=system.registered_by,
            registered_at=system.registered_at,
            state=system.state,
            approved_at=system.approved_at,
            approved_by=system.approved_by,
            secret_set_at=system.secret_set_at,
            decommissioned_at=system.decommissioned_at,
        )


class ClientSecretResponse(BaseModel):
    """The client credentials of a system; the secret is shown this once."""

    client_id: str
    client_secret: str
    set_at: datetime
    effective: EffectivenessResponse | None
    """Since when and where tokens of the secret before are refused; null: there was none."""


class SystemEffectResponse(BaseModel):
    """The system, and since when and where its credentials are refused."""

    system: SystemResponse
    effective: EffectivenessResponse
