"""Endpoints of agreements."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from datashare.agreements import queries, service
from datashare.agreements.models import Agreement
from datashare.agreements.problems import AgreementStep, DigestDiffers, SideMissing
from datashare.agreements.schemas import AgreementResponse, SignatureRequest, SignatureResponse
from datashare.applications.problems import SameHands, TermOver
from datashare.permissions import CanSee, CanSign
from datashare.runtime import RuntimeDep

routes = router("/datashare/agreements", "agreements")


@routes.get("")
@operation("查看使用协议列表", "List agreements", Forbidden)
async def list_agreements(principal: CanSee, page: PageDep, session: SessionDep) -> Page[AgreementResponse]:
    """Return the agreements of the caller's unit; authority and center see all."""
    agreements = await queries.list_agreements(session, visible_unit(principal), page)
    return Page(items=await _views(session, agreements.rows), next=agreements.next_cursor)


@routes.get("/{agreement_id}")
@operation("查看使用协议", "Get an agreement", NotFound, Forbidden)
async def get_agreement(agreement_id: UUID, principal: CanSee, session: SessionDep) -> AgreementResponse:
    """Return an agreement with the text that the parties sign."""
    agreement = await queries.get_agreement(session, agreement_id, visible_unit(principal))
    if agreement is None:
        raise NotFound
    return (await _views(session, [agreement]))[0]


@routes.post("/{agreement_id}/signatures", status_code=201)
@operation(
    "签署使用协议", "Sign an agreement", NotFound, SideMissing, DigestDiffers, AgreementStep, SameHands, TermOver
)
async def sign_agreement(
    agreement_id: UUID, body: SignatureRequest, principal: CanSign, write: WriteDep, runtime: RuntimeDep
) -> AgreementResponse:
    """Sign for the authority or for the unit; with both signatures the grant becomes active."""
    agreement = await service.sign_agreement(write.session, runtime, principal, agreement_id, body.digest)
    await write.session.flush()
    return (await _views(write.session, [agreement]))[0]


async def _views(session: AsyncSession, rows: Sequence[Agreement]) -> list[AgreementResponse]:
    ids = [row.id for row in rows]
    signatures = await queries.list_signatures(session, ids)
    grants = await queries.get_grant_ids(session, ids)
    return [
        AgreementResponse(
            id=row.id,
            application_id=row.application_id,
            unit_id=row.unit_id,
            state=row.state,
            text=row.text,
            terms=row.terms,
            digest=row.digest,
            drawn_up_at=row.drawn_up_at,
            in_force_at=row.in_force_at,
            signatures=[SignatureResponse.model_validate(s, from_attributes=True) for s in signatures.get(row.id, ())],
            grant_id=grants.get(row.id),
        )
        for row in rows
    ]
