"""Endpoints of departures."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, Write, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from identity.acknowledgements.queries import list_receipts_by_cutoff
from identity.acknowledgements.waiting import commit_and_wait
from identity.cutoffs.queries import list_cutoffs_of_cause
from identity.departures import queries, service
from identity.departures.models import Departure
from identity.departures.problems import DepartureKnown, DepartureTimes, OwnDeparture
from identity.departures.schemas import (
    DepartureCutoffResponse,
    DepartureDetailResponse,
    DepartureEffectResponse,
    DepartureRequest,
    DepartureResponse,
)
from identity.handovers.queries import get_handover_of_departure
from identity.permissions import CanReadAccounts, CanReportDepartures, CanRevokeAccounts
from identity.runtime import Runtime, RuntimeDep

routes = router("/identity/departures", "departures")


@routes.post("", status_code=201)
@operation("报告转岗、离职", "Report a departure", NotFound, OwnDeparture, DepartureKnown, DepartureTimes)
async def report_departure(
    body: DepartureRequest, principal: CanReportDepartures, write: WriteDep, runtime: RuntimeDep
) -> DepartureEffectResponse:
    """Report that a person of the caller's unit transfers or leaves; the account is suspended before the answer."""
    departure = await service.report(
        write.session, runtime, principal, account_id=body.account_id, kind=body.kind, left_at=body.left_at
    )
    return await _effect(write, runtime, departure, 201)


@routes.post("/{departure_id}/cancel-account")
@operation("注销离岗账号", "Cancel the account of a departure", NotFound, OwnDeparture)
async def cancel_account(
    departure_id: UUID, principal: CanRevokeAccounts, write: WriteDep, runtime: RuntimeDep
) -> DepartureEffectResponse:
    """Cancel the account for good and open the handover; wait until no enforcement point accepts the account."""
    departure = await service.cancel_account(write.session, runtime, principal, departure_id)
    return await _effect(write, runtime, departure)


@routes.get("")
@operation("查看离岗列表", "List departures", Forbidden)
async def list_departures(
    principal: CanReadAccounts, page: PageDep, session: SessionDep, runtime: RuntimeDep
) -> Page[DepartureResponse]:
    """Return the departures of the caller's unit; center and authority see all."""
    found = await queries.list_departures(session, visible_unit(principal), page)
    views = {row.id: await _view(session, runtime, row) for row in found.rows}
    return Page.of(found, lambda row: views[row.id])


@routes.get("/{departure_id}")
@operation("查看离岗档案", "Get a departure", NotFound, Forbidden)
async def get_departure(
    departure_id: UUID, principal: CanReadAccounts, session: SessionDep, runtime: RuntimeDep
) -> DepartureDetailResponse:
    """Return a departure with its cutoffs and their receipts."""
    departure = await queries.get_departure(session, departure_id, visible_unit(principal))
    if departure is None:
        raise NotFound
    cutoffs = await list_cutoffs_of_cause(session, f"departure:{departure.id}")
    receipts = await list_receipts_by_cutoff(session, [cutoff.id for cutoff in cutoffs])
    view = await _view(session, runtime, departure)
    return DepartureDetailResponse(
        **view.model_dump(),
        cutoffs=[
            DepartureCutoffResponse(
                subject=cutoff.subject,
                reason=cutoff.reason,
                at=cutoff.at,
                effective_at=cutoff.effective_at,
                receipts={row.point: row.applied_at for row in receipts[cutoff.id]},
            )
            for cutoff in cutoffs
        ],
    )


async def _effect(
    write: Write, runtime: Runtime, departure: Departure, status_code: int = 200
) -> DepartureEffectResponse:
    """Commit, then wait until the account's last cutoff is effective everywhere."""
    await write.session.flush()
    view = await _view(write.session, runtime, departure)
    return await commit_and_wait(
        write,
        runtime,
        f"account:{departure.account_id}",
        lambda effective: DepartureEffectResponse(departure=view, effective=effective),
        status_code,
    )


async def _view(session: AsyncSession, runtime: Runtime, departure: Departure) -> DepartureResponse:
    handover = await get_handover_of_departure(session, departure.id)
    return DepartureResponse(
        id=departure.id,
        account_id=departure.account_id,
        unit_id=departure.unit_id,
        kind=departure.kind,
        state=departure.state,
        left_at=departure.left_at,
        reported_at=departure.reported_at,
        late=service.is_late(runtime, departure),
        cancelled_at=departure.cancelled_at,
        closed_at=departure.closed_at,
        handover_id=handover.id if handover else None,
    )
