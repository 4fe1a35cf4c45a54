"""Issues probe credentials for containment orders."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import ProbeIssued
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts import queries as accounts
from identity.containment.models import Containment
from identity.containment.queries import get_order
from identity.probes.problems import ProbeImpossible
from identity.probes.schemas import ProbeRequest, ProbeResponse, ProbeSubject
from identity.runtime import Runtime
from identity.systems import queries as systems
from identity.tokens.service import mint


async def issue(session: AsyncSession, runtime: Runtime, request: ProbeRequest) -> ProbeResponse:
    """Return a probe credential for a known containment order, for `probe-term` seconds. Clause 12.3.

    It carries the order's id and no permission: services read no data for it, and answer only whether access is open.
    Raises `NotFound` for an unknown order or subject, `ProbeImpossible`.
    """
    order = await get_order(session, request.order_id)
    if order is None:
        raise NotFound
    subject = request.subject or _target(order)
    if subject is None:
        raise ProbeImpossible(
            "该指令的对象不是系统或账号，须指明探测主体", "Name a subject: the order's target is no system or account"
        )
    epoch = None
    if request.kind == "before":
        if order.epoch_before is None or subject != _target(order):
            raise ProbeImpossible("该指令没有撤销此主体的凭证", "The order did not cut off this subject")
        epoch = order.epoch_before
    if subject.kind == "system":
        unit = await systems.get_unit_of_system(session, subject.id)
    else:
        unit = await accounts.get_unit_of_account(session, subject.id)
    if unit is None:
        raise NotFound
    issued = await mint(
        session,
        runtime,
        subject=f"{subject.kind}:{subject.id}",
        unit=unit,
        permissions=(),
        term=timedelta(seconds=runtime.policies.at("probe-term", runtime.clock.now()).value),
        extra={"probe": str(order.order_id)},
        epoch=epoch,
    )
    event = ProbeIssued(
        order_id=order.order_id, subject=f"{subject.kind}:{subject.id}", token_id=issued.jti, kind=request.kind
    )
    outbox.add(session, event, at=runtime.clock.now())
    return ProbeResponse(access_token=issued.token, expires_at=issued.expires_at, subject=subject)


def _target(order: Containment) -> ProbeSubject | None:
    if order.target_kind in ("system", "account"):
        return ProbeSubject.model_validate({"kind": order.target_kind, "id": order.target_id})
    return None
