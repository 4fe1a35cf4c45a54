"""Endpoints of agreements."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from datashare.agreements import queries, service
from datashare.agreements.models import Agreement
from datashare.agreements.problems import AgreementStep, DigestDiffers, SideMissing
from datashare.agreements.schemas import AgreementView, SignatureGiven, SignatureView
from datashare.applications.problems import SameHands, TermOver
from datashare.permissions import CanSee, CanSign
from datashare.runtime import RuntimeDep
from datashare.sight import own_unit

__all__ = ["routes"]

routes = router("/datashare/agreements", "agreements")


@routes.get("")
@operation("查看使用协议列表", "List agreements", Forbidden)
async def list_agreements(principal: CanSee, page: PageDep, session: SessionDep) -> Page[AgreementView]:
    """Return the agreements of the own unit; authority and center see all."""
    rows = await queries.agreements_of(session, own_unit(principal), page.after, page.limit + 1)
    views = {view.id: view for view in await _views(session, rows)}
    return page_of(page, rows, lambda row: views[row.id], lambda row: row.id)


@routes.get("/{agreement_id}")
@operation("查看使用协议", "Get an agreement", NotFound, Forbidden)
async def get_agreement(agreement_id: UUID, principal: CanSee, session: SessionDep) -> AgreementView:
    """Return an agreement: what is to be read before it is signed."""
    agreement = await queries.agreement_of(session, agreement_id, own_unit(principal))
    if agreement is None:
        raise NotFound
    return (await _views(session, [agreement]))[0]


@routes.post("/{agreement_id}/signatures", status_code=201)
@operation(
    "签署使用协议", "Sign an agreement", NotFound, SideMissing, DigestDiffers, AgreementStep, SameHands, TermOver
)
async def sign_agreement(
    agreement_id: UUID, body: SignatureGiven, principal: CanSign, write: WriteDep, runtime: RuntimeDep
) -> AgreementView:
    """Sign for the authority or for the unit; with both signatures the grant becomes active."""
    agreement = await service.sign(write.session, runtime, principal, agreement_id, body.digest)
    await write.session.flush()
    return (await _views(write.session, [agreement]))[0]


async def _views(session: AsyncSession, rows: Sequence[Agreement]) -> list[AgreementView]:
    ids = [row.id for row in rows]
    signatures = await queries.signatures_of(session, ids)
    grants = await queries.grants_of_agreements(session, ids)
    return [
        AgreementView(
            id=row.id,
            application_id=row.application_id,
            unit_id=row.unit_id,
            state=row.state,
            text=row.text,
            terms=row.terms,
            digest=row.digest,
            drawn_up_at=row.drawn_up_at,
            in_force_at=row.in_force_at,
            signatures=[SignatureView.model_validate(s, from_attributes=True) for s in signatures.get(row.id, ())],
            grant_id=grants.get(row.id),
        )
        for row in rows
    ]
