"""Creates agreements and takes their signatures; the second one activates the grant in the same transaction."""

from datetime import UTC
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import AgreementInForce, AgreementSigned
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.enforcement.tenancy import visible_unit
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from datashare.agreements.models import Agreement, Signature
from datashare.agreements.problems import AgreementStep, DigestDiffers, SideMissing
from datashare.agreements.queries import get_agreement, list_signatures, lock_agreement
from datashare.agreements.template import agreement_digest, render_agreement
from datashare.applications.models import Application
from datashare.applications.problems import SameHands
from datashare.grants import service as grants
from datashare.projections.queries import get_unit_name, lock_unit
from datashare.resources.models import Resource
from datashare.runtime import Runtime


async def create_agreement(
    session: AsyncSession, runtime: Runtime, application: Application, resource: Resource
) -> Agreement:
    """Create the agreement of an approved application. Clause 10.3."""
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
    text = render_agreement(
        terms,
        unit_name=await get_unit_name(session, application.unit_id) or str(application.unit_id),
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
        digest=agreement_digest(text, terms),
        drawn_up_at=runtime.clock.now(),
    )
    session.add(agreement)
    await session.flush()
    return agreement


async def sign_agreement(
    session: AsyncSession, runtime: Runtime, principal: Principal, agreement_id: UUID, digest: str
) -> Agreement:
    """Sign for the principal's side; the second signature puts the agreement in force and activates its grant.

    Clause 10.3. Raises `NotFound`, `SideMissing`, `DigestDiffers`, `AgreementStep`, `SameHands`.
    """
    side = _side(principal)
    found = await get_agreement(session, agreement_id, visible_unit(principal))
    if found is None:
        raise NotFound
    await lock_unit(session, found.unit_id)  # before the row, in the order of containment
    agreement = await lock_agreement(session, agreement_id)
    assert agreement is not None
    if digest != agreement.digest:
        raise DigestDiffers
    signatures = (await list_signatures(session, [agreement.id]))[agreement.id]
    if any(signature.side == side for signature in signatures):
        raise AgreementStep(state=agreement.state, side=side)
    if any(signature.signed_by == principal.uuid for signature in signatures):
        raise SameHands
    now = runtime.clock.now()
    signed_by_both = agreement.sign(now)
    session.add(Signature(agreement_id=agreement.id, side=side, signed_by=principal.uuid, digest=digest, signed_at=now))
    signed = AgreementSigned(
        agreement_id=agreement.id,
        application_id=agreement.application_id,
        side=side,
        signed_by=principal.uuid,
        digest=digest,
    )
    outbox.add(session, signed, at=now)
    if signed_by_both:
        in_force = AgreementInForce(
            agreement_id=agreement.id,
            application_id=agreement.application_id,
            unit_id=agreement.unit_id,
            digest=agreement.digest,
        )
        outbox.add(session, in_force, at=now)
        await session.flush()
        await grants.activate_grant(session, runtime, agreement)
    return agreement


def _side(principal: Principal) -> Literal["authority", "unit"]:
    if principal.unit_kind == UnitKind.AUTHORITY:
        return "authority"
    if principal.unit_kind in (None, UnitKind.CENTER):
        raise SideMissing
    return "unit"
