"""Draws up agreements and takes their signatures; the second one activates the grant in the same transaction."""

from datetime import UTC
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import AgreementInForce, AgreementSigned
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from datashare.agreements.models import Agreement, Signature
from datashare.agreements.problems import AgreementStep, DigestDiffers, SideMissing
from datashare.agreements.queries import agreement_of, signatures_of
from datashare.agreements.template import digest_of, wording
from datashare.applications.models import Application
from datashare.applications.problems import SameHands
from datashare.grants import service as grants
from datashare.projections.queries import hold_unit, unit_name
from datashare.resources.models import Resource
from datashare.runtime import Runtime
from datashare.sight import own_unit

__all__ = ["draw_up", "sign"]


async def draw_up(session: AsyncSession, runtime: Runtime, application: Application, resource: Resource) -> Agreement:
    """Write the agreement that an approved application needs. Clause 10.3."""
    agreement_id = new_id()
    terms = {
        "agreement_id": str(agreement_id),
        "application_id": str(application.id),
        "unit_id": str(application.unit_id),
        "resource": resource.code,
        "resource_id": str(resource.id),
        "fields": list(application.fields),
        "purposes": list(application.purposes),
        "systems": [str(system) for system in application.systems],
        "origins": [str(origin) for origin in application.origins],
        "term_days": application.term_days,
        "ends_at": application.ends_at.astimezone(UTC).isoformat() if application.ends_at else None,
        "quota": {
            "calls": application.quota_calls,
            "rows": application.quota_rows,
            "subjects": application.quota_subjects,
        },
    }
    text = wording(
        terms,
        unit_name=await unit_name(session, application.unit_id) or str(application.unit_id),
        title=resource.title,
        labels={spec.name: spec.zh for spec in resource.specs()},
    )
    agreement = Agreement(
        id=agreement_id,
        application_id=application.id,
        unit_id=application.unit_id,
        resource_id=resource.id,
        text=text,
        terms=terms,
        digest=digest_of(text, terms),
        drawn_up_at=runtime.clock.now(),
    )
    session.add(agreement)
    await session.flush()
    return agreement


async def sign(
    session: AsyncSession, runtime: Runtime, principal: Principal, agreement_id: UUID, digest: str
) -> Agreement:
    """Sign for the principal's side; the second signature puts the agreement in force and activates its grant.

    Clause 10.3. Raises `NotFound`, `SideMissing`, `DigestDiffers`, `AgreementStep`, `SameHands`.
    """
    side = _side(principal)
    found = await agreement_of(session, agreement_id, own_unit(principal))
    if found is None:
        raise NotFound
    await hold_unit(session, found.unit_id)  # before the row: whoever contains the unit's grants goes the same way
    agreement = await agreement_of(session, agreement_id, own_unit(principal), lock=True)
    assert agreement is not None
    if digest != agreement.digest:
        raise DigestDiffers
    signatures = (await signatures_of(session, [agreement.id]))[agreement.id]
    if any(signature.side == side for signature in signatures):
        raise AgreementStep(state=agreement.state, side=side)
    if any(signature.signed_by == principal.uuid for signature in signatures):
        raise SameHands
    now = runtime.clock.now()
    both = agreement.sign(now)
    session.add(Signature(agreement_id=agreement.id, side=side, signed_by=principal.uuid, digest=digest, signed_at=now))
    signed = AgreementSigned(
        agreement_id=agreement.id,
        application_id=agreement.application_id,
        side=side,
        signed_by=principal.uuid,
        digest=digest,
    )
    outbox.add(session, signed, at=now)
    if both:
        in_force = AgreementInForce(
            agreement_id=agreement.id,
            application_id=agreement.application_id,
            unit_id=agreement.unit_id,
            digest=agreement.digest,
        )
        outbox.add(session, in_force, at=now)
        await session.flush()
        await grants.activate(session, runtime, agreement)
    return agreement


def _side(principal: Principal) -> Literal["authority", "unit"]:
    if principal.unit_kind == UnitKind.AUTHORITY:
        return "authority"
    if principal.unit_kind in (None, UnitKind.CENTER):
        raise SideMissing
    return "unit"
