"""Lists what a leaving person was responsible for and obtained, for the handover (6.6)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import HoldingsListed
from common.messaging import outbox
from datashare.holdings import queries
from datashare.runtime import Runtime

MAX_ITEMS_PER_KIND = 500
"""Items of one kind; older queries are summed up by grant."""
MAX_ITEMS_PER_EVENT = 60
"""Items of one event: keeps it below `MAX_EVENT_BYTES` also with the longest titles."""


async def list_holdings(session: AsyncSession, runtime: Runtime, handover_id: UUID, account_id: UUID) -> None:
    """Publish the holdings for an opened handover, also when there are none. Clause 6.6."""
    now = runtime.clock.now()
    items = [
        _item("application", row.id, f"使用申请（{row.state}）：{row.title}", row.submitted_at)
        for row in await queries.list_submitted_applications(session, account_id, MAX_ITEMS_PER_KIND)
    ]
    items += [
        _item("agreement", row.id, f"签署的使用协议：{row.title}", row.signed_at)
        for row in await queries.list_signed_agreements(session, account_id, MAX_ITEMS_PER_KIND)
    ]
    items += [
        _item("grant", row.id, f"负责的授权：{row.title}", row.valid_from)
        for row in await queries.list_held_grants(session, account_id, now, MAX_ITEMS_PER_KIND)
    ]
    for access in await queries.list_data_access(session, account_id, MAX_ITEMS_PER_KIND):
        when = access.day.isoformat() if access.day else "earlier"
        label = access.day.isoformat() if access.day else "更早"
        description = f"查询获取（{label}）：{access.resource}，{access.queries} 次，{access.rows} 条"
        items.append(_item("query", f"{access.grant_id}:{when}", description, access.since))
    pieces = [items[begin : begin + MAX_ITEMS_PER_EVENT] for begin in range(0, len(items), MAX_ITEMS_PER_EVENT)] or [[]]
    for part, piece in enumerate(pieces, 1):
        event = HoldingsListed(
            handover_id=handover_id, account_id=account_id, items=piece, part=part, parts=len(pieces)
        )
        outbox.add(session, event, at=now)


def _item(kind: str, reference: UUID | str, description: str, since: datetime) -> dict[str, Any]:
    return {
        "kind": kind,
        "reference": str(reference),
        "description": description,
        "since": since.isoformat(),
    }
