"""Files a unit's data-security rules."""

import hashlib
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import DataRulesFiled
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from datashare.data_rules.models import DataRules
from datashare.data_rules.schemas import DataRulesRequest
from datashare.runtime import Runtime


async def file_data_rules(
    session: AsyncSession, runtime: Runtime, principal: Principal, request: DataRulesRequest
) -> DataRules:
    """File the rules of the principal's unit; they are valid for `data-rules-term` days. Clause 10.1."""
    assert principal.unit is not None
    now = runtime.clock.now()
    digest = request.digest or hashlib.sha256((request.text or "").encode()).hexdigest()
    rules = DataRules(
        id=new_id(),
        unit_id=principal.unit,
        title=request.title,
        text=request.text,
        digest=digest,
        filed_by=principal.uuid,
        filed_at=now,
        valid_until=now + timedelta(days=runtime.policies.at("data-rules-term", now).value),
    )
    session.add(rules)
    event = DataRulesFiled(
        filing_id=rules.id, unit_id=rules.unit_id, digest=rules.digest, valid_until=rules.valid_until
    )
    outbox.add(session, event, at=now)
    return rules
