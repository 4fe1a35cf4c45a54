"""Endpoints of data-security rules."""

from datetime import datetime

from common.problems import Forbidden
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from datashare.data_rules import queries, service
from datashare.data_rules.models import DataRules
from datashare.data_rules.schemas import DataRulesFiling, DataRulesView
from datashare.permissions import CanFileDataRules, CanSee
from datashare.runtime import RuntimeDep
from datashare.sight import own_unit

__all__ = ["routes"]

routes = router("/datashare/data-rules", "data-rules")


@routes.post("", status_code=201)
@operation("报备数据安全管理细则", "File data-security rules")
async def file_data_rules(
    body: DataRulesFiling, principal: CanFileDataRules, write: WriteDep, runtime: RuntimeDep
) -> DataRulesView:
    """File the unit's data-security rules; without current ones it can neither apply nor query."""
    return _view(await service.file_rules(write.session, runtime, principal, body), runtime.clock.now())


@routes.get("")
@operation("查看数据安全管理细则报备情况", "List the filings of data-security rules", Forbidden)
async def list_data_rules(
    principal: CanSee, page: PageDep, session: SessionDep, runtime: RuntimeDep
) -> Page[DataRulesView]:
    """Return the filings of the own unit; authority and center see all."""
    rows = await queries.filings_of(session, own_unit(principal), page.after, page.limit + 1)
    now = runtime.clock.now()
    return page_of(page, rows, lambda row: _view(row, now), lambda row: row.id)


def _view(rules: DataRules, now: datetime) -> DataRulesView:
    return DataRulesView(
        id=rules.id,
        unit_id=rules.unit_id,
        title=rules.title,
        digest=rules.digest,
        filed_at=rules.filed_at,
        valid_until=rules.valid_until,
        current=rules.filed_at <= now < rules.valid_until,
    )
