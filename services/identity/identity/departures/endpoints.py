"""Doors of the departures."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.problems import NotFound
from common.web.dependencies import SessionDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from identity.acknowledgements.waiting import effect_on
from identity.departures import queries, service
from identity.departures.models import Departure
from identity.departures.schemas import CutoffView, DepartureFile, DepartureReport, DepartureView, Revoked
from identity.handovers.queries import handover_of_departure
from identity.permissions import CanReadAccounts, CanReportDepartures, CanRevokeAccounts
from identity.runtime import Runtime, RuntimeDep
from identity.sight import border_of

__all__ = ["routes"]

routes = router("/identity/departures", "departures")


@routes.post("", status_code=201)
async def report_departure(body: DepartureReport, principal: CanReportDepartures, runtime: RuntimeDep) -> Revoked:
    """Report that somebody of the own unit transfers or leaves; the account is suspended before this answers."""
    async with runtime.database.transaction() as session:
        departure = await service.report(
            session, runtime, principal, account_id=body.account_id, kind=body.kind, left_at=body.left_at
        )
    return await _revoked(runtime, departure)


@routes.post("/{departure_id}/cancel-account")
async def cancel_account(departure_id: UUID, principal: CanRevokeAccounts, runtime: RuntimeDep) -> Revoked:
    """Cancel the account for good, and open the handover; answers when no enforcement point accepts it any more."""
    async with runtime.database.transaction() as session:
        departure = await service.cancel_account(session, runtime, principal, departure_id)
    return await _revoked(runtime, departure)


@routes.get("")
async def list_departures(
    principal: CanReadAccounts, page: PageDep, session: SessionDep, runtime: RuntimeDep
) -> Page[DepartureView]:
    """Return the files of the own unit; center and authority see all."""
    rows = await queries.departures_of(session, border_of(principal), page.after, page.limit + 1)
    views = {row.id: await _view(session, runtime, row) for row in rows}
    return page_of(page, rows, lambda row: views[row.id], lambda row: row.id)


@routes.get("/{departure_id}")
async def get_departure(
    departure_id: UUID, principal: CanReadAccounts, session: SessionDep, runtime: RuntimeDep
) -> DepartureFile:
    """Return a file with its cutoffs and their receipts."""
    departure = await queries.departure_of(session, departure_id, border_of(principal))
    if departure is None:
        raise NotFound
    cutoffs = await queries.cutoffs_of(session, departure.id)
    receipts = await queries.receipts_of(session, cutoffs)
    view = await _view(session, runtime, departure)
    return DepartureFile(
        **view.model_dump(),
        cutoffs=[
            CutoffView(
                subject=cutoff.subject,
                reason=cutoff.reason,
                at=cutoff.at,
                effective_at=cutoff.effective_at,
                receipts={row.point: row.applied_at for row in receipts if row.cutoff_id == cutoff.id},
            )
            for cutoff in cutoffs
        ],
    )


async def _revoked(runtime: Runtime, departure: Departure) -> Revoked:
    """Answer when the account's last cutoff holds everywhere, outside of any transaction."""
    async with runtime.database.transaction() as session:
        view = await _view(session, runtime, departure)
    return Revoked(departure=view, effective=await effect_on(runtime, f"account:{departure.account_id}"))


async def _view(session: AsyncSession, runtime: Runtime, departure: Departure) -> DepartureView:
    handover = await handover_of_departure(session, departure.id)
    return DepartureView(
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
