"""Where breaches are reported, read, corrected, and reported on."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from common.web.dependencies import SessionDep, WriteDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from incident.breaches import queries, service
from incident.breaches.schemas import AuthorityReportRequest, BreachFile, BreachReport, BreachSummary, FactCorrection
from incident.breaches.views import file_of, read_file, settled_file, summary_of
from incident.idempotent_requests import Repeatable, WaitMs
from incident.permissions import CanReadIncidents, CanReportBreaches
from incident.runtime import RuntimeDep

__all__ = ["routes"]

routes = router("/incident/breaches", "breach")


@routes.post("", status_code=201)
async def report_breach(
    body: BreachReport,
    principal: CanReportBreaches,
    repeatable: Annotated[Repeatable, Depends()],
    runtime: RuntimeDep,
    wait_ms: WaitMs = 2000,
) -> BreachFile:
    """Report a breach: containment is ordered at once, and the answer waits a little to say how far it has come.

    What was not probed in time the file says as such, and shows later.
    """
    async with runtime.database.transaction() as session:
        await repeatable.begin(session, runtime)
        incident = await service.report(session, runtime, principal, body)
        await repeatable.keep(session, await file_of(session, runtime, incident), 201)
    return await settled_file(runtime, incident.id, wait_ms / 1000)


@routes.get("")
async def list_breaches(
    page: PageDep, principal: CanReadIncidents, session: SessionDep, runtime: RuntimeDep
) -> Page[BreachSummary]:
    """List breaches: one's own unit's, or all for the center and the authority."""
    rows = await queries.list_incidents(session, service.sight_of(principal), page.after, page.limit + 1)
    now = runtime.clock.now()
    return page_of(page, rows, lambda row: summary_of(row[0], row[1], row[2], now), lambda row: row[0].id)


@routes.get("/{incident_id}")
async def read_breach(
    incident_id: UUID, principal: CanReadIncidents, session: SessionDep, runtime: RuntimeDep
) -> BreachFile:
    """Read the whole file, as it stands now."""
    return await read_file(session, runtime, incident_id, service.sight_of(principal))


@routes.post("/{incident_id}/facts", status_code=201)
async def correct_fact(
    incident_id: UUID, body: FactCorrection, principal: CanReportBreaches, write: WriteDep, runtime: RuntimeDep
) -> BreachFile:
    """Append a later fact; the earlier one stays and shows as superseded."""
    incident = await service.correct_fact(write.session, runtime, principal, incident_id, body)
    return await file_of(write.session, runtime, incident)


@routes.post("/{incident_id}/report-to-authority", status_code=201)
async def report_to_authority(
    incident_id: UUID,
    body: AuthorityReportRequest,
    principal: CanReportBreaches,
    write: WriteDep,
    runtime: RuntimeDep,
) -> BreachFile:
    """Report the breach to the authority; the file says whether in time."""
    incident = await service.report_to_authority(write.session, runtime, principal, incident_id, body.content)
    return await file_of(write.session, runtime, incident)
