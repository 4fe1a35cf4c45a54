"""Endpoints of data-security rules."""

from datetime import datetime

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from datashare.data_rules import queries, service
from datashare.data_rules.models import DataRules
from datashare.data_rules.schemas import DataRulesRequest, DataRulesResponse
from datashare.permissions import CanFileDataRules, CanSee
from datashare.runtime import RuntimeDep

routes = router("/datashare/data-rules", "data-rules")


@routes.post("", status_code=201)
@operation("报备数据安全管理细则", "File data-security rules")
async def file_data_rules(
    body: DataRulesRequest, principal: CanFileDataRules, write: WriteDep, runtime: RuntimeDep
) -> DataRulesResponse:
    """File the unit's data-security rules; without current rules it can neither apply nor query."""
    return _view(await service.file_data_rules(write.session, runtime, principal, body), runtime.clock.now())


@routes.get("")
@operation("查看数据安全管理细则报备情况", "List the filings of data-security rules", Forbidden)
async def list_data_rules(
    principal: CanSee, page: PageDep, session: SessionDep, runtime: RuntimeDep
) -> Page[DataRulesResponse]:
    """Return the filings of the caller's unit; authority and center see all."""
    rows = await queries.list_data_rules(session, visible_unit(principal), page)
    now = runtime.clock.now()
    return Page.of(rows, lambda row: _view(row, now))


def _view(rules: DataRules, now: datetime) -> DataRulesResponse:
    return DataRulesResponse(
        id=rules.id,
        unit_id=rules.unit_id,
        title=rules.title,
        digest=rules.digest,
        filed_at=rules.filed_at,
        valid_until=rules.valid_until,
        current=rules.filed_at <= now < rules.valid_until,
    )
