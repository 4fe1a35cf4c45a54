"""Endpoints of applications."""

from uuid import UUID

from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep, page_of
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
from datashare.applications.queries import File
from datashare.applications.schemas import (
    AdviceGiven,
    AdviceView,
    ApplicationView,
    ApplicationWanted,
    DecisionTaken,
    DecisionView,
    Why,
)
from datashare.data_rules.problems import DataRulesMissing
from datashare.openings.problems import ResourceNotOpen
from datashare.openings.schemas import Quota
from datashare.permissions import CanAdvise, CanApply, CanDecide, CanSee
from datashare.runtime import RuntimeDep
from datashare.sight import own_unit

__all__ = ["routes"]

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
    body: ApplicationWanted, principal: CanApply, write: WriteDep, runtime: RuntimeDep
) -> ApplicationView:
    """Apply to use an open resource for stated purposes."""
    application = await service.apply(write.session, runtime, principal, body)
    return await _answer(write.session, application.id, principal.unit)


@routes.get("")
@operation("查看使用申请列表", "List applications", Forbidden)
async def list_applications(principal: CanSee, page: PageDep, session: SessionDep) -> Page[ApplicationView]:
    """Return the applications of the own unit; authority and center see all."""
    rows = await queries.files_of(session, own_unit(principal), page.after, page.limit + 1)
    return page_of(page, rows, _view, lambda row: row.application.id)


@routes.get("/{application_id}")
@operation("查看使用申请", "Get an application", NotFound, Forbidden)
async def get_application(application_id: UUID, principal: CanSee, session: SessionDep) -> ApplicationView:
    """Return an application with its advice and decision."""
    return await _answer(session, application_id, own_unit(principal))


@routes.post("/{application_id}/advice", status_code=201)
@operation("对使用申请提出意见", "Advise on an application", NotFound, ApplicationStep, SameHands)
async def advise_on_application(
    application_id: UUID, body: AdviceGiven, principal: CanAdvise, write: WriteDep, runtime: RuntimeDep
) -> ApplicationView:
    """Give the center's opinion: by another person than the applicant."""
    await service.advise(write.session, runtime, principal, application_id, advice=body.advice, reason=body.reason)
    return await _answer(write.session, application_id, None)


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
    application_id: UUID, body: DecisionTaken, principal: CanDecide, write: WriteDep, runtime: RuntimeDep
) -> ApplicationView:
    """Decide: the authority, after the advice, by another person than applicant and adviser."""
    await service.decide(write.session, runtime, principal, application_id, decision=body.decision, reason=body.reason)
    return await _answer(write.session, application_id, None)


@routes.post("/{application_id}/withdraw")
@operation("撤回使用申请", "Withdraw an application", NotFound, ApplicationStep)
async def withdraw_application(
    application_id: UUID, body: Why, principal: CanApply, write: WriteDep, runtime: RuntimeDep
) -> ApplicationView:
    """Take back an application of the own unit that is not decided yet."""
    await service.withdraw(write.session, runtime, application_id, principal.unit, reason=body.reason)
    return await _answer(write.session, application_id, principal.unit)


async def _answer(session: SessionDep, application_id: UUID, unit: UUID | None) -> ApplicationView:
    file = await queries.file_of(session, application_id, unit)
    if file is None:
        raise NotFound
    return _view(file)


def _view(file: File) -> ApplicationView:
    application, advice, decision = file.application, file.advice, file.decision
    return ApplicationView(
        id=application.id,
        unit_id=application.unit_id,
        resource=file.resource,
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
        advice=AdviceView.model_validate(advice, from_attributes=True) if advice else None,
        decision=DecisionView.model_validate(decision, from_attributes=True) if decision else None,
        agreement_id=file.agreement_id,
    )
