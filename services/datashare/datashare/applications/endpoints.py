"""Endpoints of applications."""

from uuid import UUID

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from datashare.applications import queries, service
from datashare.applications.problems import (
    ApplicationStep,
    BeyondOpening,
    OriginOutsideSystems,
    SameHands,
    SystemNotUsable,
    TermOver,
)
from datashare.applications.queries import ApplicationDetails
from datashare.applications.schemas import (
    AdviceRequest,
    AdviceResponse,
    ApplicationRequest,
    ApplicationResponse,
    DecisionRequest,
    DecisionResponse,
)
from datashare.data_rules.problems import DataRulesMissing
from datashare.openings.problems import ResourceNotOpen
from datashare.permissions import CanAdvise, CanApply, CanDecide, CanSee
from datashare.runtime import RuntimeDep
from datashare.schemas import Quota, ReasonRequest

routes = router("/datashare/applications", "applications")


@routes.post("", status_code=201)
@operation(
    "提交使用申请",
    "Submit an application",
    ResourceNotOpen,
    DataRulesMissing,
    BeyondOpening,
    SystemNotUsable,
    OriginOutsideSystems,
    TermOver,
)
async def submit_application(
    body: ApplicationRequest, principal: CanApply, write: WriteDep, runtime: RuntimeDep
) -> ApplicationResponse:
    """Apply to use an open resource for stated purposes."""
    application = await service.submit_application(write.session, runtime, principal, body)
    return await _response(write.session, application.id, principal.unit)


@routes.get("")
@operation("查看使用申请列表", "List applications", Forbidden)
async def list_applications(principal: CanSee, page: PageDep, session: SessionDep) -> Page[ApplicationResponse]:
    """Return the applications of the caller's unit; authority and center see all."""
    return Page.of(await queries.list_applications(session, visible_unit(principal), page), _view)


@routes.get("/{application_id}")
@operation("查看使用申请", "Get an application", NotFound, Forbidden)
async def get_application(application_id: UUID, principal: CanSee, session: SessionDep) -> ApplicationResponse:
    """Return an application with its advice and decision."""
    return await _response(session, application_id, visible_unit(principal))


@routes.post("/{application_id}/advice", status_code=201)
@operation("对使用申请提出意见", "Advise on an application", NotFound, ApplicationStep, SameHands)
async def advise_on_application(
    application_id: UUID, body: AdviceRequest, principal: CanAdvise, write: WriteDep, runtime: RuntimeDep
) -> ApplicationResponse:
    """Give the center's opinion; the adviser is not the applicant."""
    await service.advise_on_application(
        write.session, runtime, principal, application_id, advice=body.advice, reason=body.reason
    )
    return await _response(write.session, application_id, None)


@routes.post("/{application_id}/decision", status_code=201)
@operation(
    "审批使用申请",
    "Decide an application",
    NotFound,
    ApplicationStep,
    SameHands,
    ResourceNotOpen,
    BeyondOpening,
    DataRulesMissing,
)
async def decide_application(
    application_id: UUID, body: DecisionRequest, principal: CanDecide, write: WriteDep, runtime: RuntimeDep
) -> ApplicationResponse:
    """Take the authority's decision after the advice; the person is neither applicant nor adviser."""
    await service.decide_application(
        write.session, runtime, principal, application_id, decision=body.decision, reason=body.reason
    )
    return await _response(write.session, application_id, None)


@routes.post("/{application_id}/withdraw")
@operation("撤回使用申请", "Withdraw an application", NotFound, ApplicationStep)
async def withdraw_application(
    application_id: UUID, body: ReasonRequest, principal: CanApply, write: WriteDep, runtime: RuntimeDep
) -> ApplicationResponse:
    """Withdraw an application of the caller's unit that is not decided yet."""
    await service.withdraw_application(write.session, runtime, application_id, principal.unit, reason=body.reason)
    return await _response(write.session, application_id, principal.unit)


async def _response(session: SessionDep, application_id: UUID, unit: UUID | None) -> ApplicationResponse:
    found = await queries.get_application(session, application_id, unit)
    if found is None:
        raise NotFound
    return _view(found)


def _view(details: ApplicationDetails) -> ApplicationResponse:
    application, resource, advice, decision, agreement_id = details
    return ApplicationResponse(
        id=application.id,
        unit_id=application.unit_id,
        resource=resource,
        applicant=application.applicant,
        purposes=application.purposes,
        fields=application.fields,
        systems=application.systems,
        origins=[str(origin) for origin in application.origins],
        term_days=application.term_days,
        ends_at=application.ends_at,
        quota=Quota(calls=application.quota_calls, rows=application.quota_rows, subjects=application.quota_subjects),
        reason=application.reason,
        state=application.state,
        submitted_at=application.submitted_at,
        withdrawn_at=application.withdrawn_at,
        withdrawn_for=application.withdrawn_for,
        advice=AdviceResponse.model_validate(advice, from_attributes=True) if advice else None,
        decision=DecisionResponse.model_validate(decision, from_attributes=True) if decision else None,
        agreement_id=agreement_id,
    )
