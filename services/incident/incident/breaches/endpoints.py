"""Endpoints of breaches."""

from uuid import UUID

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from incident.breaches import queries, service
from incident.breaches.problems import (
    AuthorityReceivesReports,
    BreachUnknown,
    FactImpossible,
    PersonNeeded,
    ScopeUnknown,
)
from incident.breaches.schemas import (
    AuthorityReportRequest,
    Breach,
    BreachReportRequest,
    BreachSummary,
    FactCorrectionRequest,
    WaitMs,
)
from incident.breaches.views import breach_view, get_breach_view, summary_view, wait_until_settled
from incident.permissions import CanReadIncidents, CanReportBreaches
from incident.runtime import RuntimeDep

routes = router("/incident/breaches", "breach")


@routes.post("", status_code=201)
@operation("报告安全事件", "Report a breach", PersonNeeded, ScopeUnknown, FactImpossible, Forbidden)
async def report_breach(
    body: BreachReportRequest,
    principal: CanReportBreaches,
    write: WriteDep,
    runtime: RuntimeDep,
    wait_ms: WaitMs = 2000,
) -> Breach:
    """Report a breach: containment is ordered at once, and the answer waits `wait_ms` for its progress.

    The file shows an order that no probe has reached by then as such, and shows the probe later.
    """
    incident = await service.report(write.session, runtime, principal, body)
    await write.commit(await breach_view(write.session, runtime, incident), 201)
    return await wait_until_settled(runtime, incident.id, wait_ms / 1000)


@routes.get("")
@operation("查看安全事件列表", "List breaches", Forbidden)
async def list_breaches(
    page: PageDep, principal: CanReadIncidents, session: SessionDep, runtime: RuntimeDep
) -> Page[BreachSummary]:
    """List the breaches of one's own unit; center and authority see those of all units."""
    now = runtime.clock.now()
    rows = await queries.list_incidents(session, visible_unit(principal), page)
    return Page.of(rows, lambda row: summary_view(*row, now))


@routes.get("/{incident_id}")
@operation("查看安全事件", "Get a breach", BreachUnknown, Forbidden)
async def get_breach(
    incident_id: UUID, principal: CanReadIncidents, session: SessionDep, runtime: RuntimeDep
) -> Breach:
    """Return the whole file, as it stands now."""
    return await get_breach_view(session, runtime, incident_id, visible_unit(principal))


@routes.post("/{incident_id}/facts", status_code=201)
@operation("更正事件事实", "Correct a fact of a breach", PersonNeeded, BreachUnknown, FactImpossible, Forbidden)
async def correct_fact(
    incident_id: UUID, body: FactCorrectionRequest, principal: CanReportBreaches, write: WriteDep, runtime: RuntimeDep
) -> Breach:
    """Append a later fact; the earlier one stays and shows as superseded."""
    incident = await service.correct_fact(write.session, runtime, principal, incident_id, body)
    return await breach_view(write.session, runtime, incident)


@routes.post("/{incident_id}/report-to-authority", status_code=201)
@operation(
    "向主管部门报告",
    "Report a breach to the authority",
    PersonNeeded,
    BreachUnknown,
    AuthorityReceivesReports,
    Forbidden,
)
async def report_to_authority(
    incident_id: UUID, body: AuthorityReportRequest, principal: CanReportBreaches, write: WriteDep, runtime: RuntimeDep
) -> Breach:
    """Report the breach to the authority; the file says whether the report was in time."""
    incident = await service.report_to_authority(write.session, runtime, principal, incident_id, body.content)
    return await breach_view(write.session, runtime, incident)
