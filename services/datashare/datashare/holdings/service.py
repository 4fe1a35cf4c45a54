"""Lists for a handover what the leaving person was responsible for and obtained (6.6)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import HoldingsListed
from common.messaging import outbox
from datashare.holdings import queries
from datashare.runtime import Runtime

__all__ = ["MOST", "list_holdings"]

MOST = 500
"""Items of a kind; older queries are told by grant."""
PER_EVENT = 60
"""Items of one event: keeps it below `outbox.LARGEST` also with the longest titles."""


async def list_holdings(session: AsyncSession, runtime: Runtime, handover_id: UUID, account_id: UUID) -> None:
    """Answer an opened handover, also when there is nothing. Clause 6.6."""
    now = runtime.clock.now()
    items = [
        _item("application", row.id, f"使用申请（{row.state}）：{row.title}", row.submitted_at)
        for row in await queries.applications_made(session, account_id, MOST)
    ]
    items += [
        _item("agreement", row.id, f"签署的使用协议：{row.title}", row.signed_at)
        for row in await queries.agreements_signed(session, account_id, MOST)
    ]
    items += [
        _item("grant", row.id, f"负责的授权：{row.title}", row.valid_from)
        for row in await queries.grants_resting_on(session, account_id, now, MOST)
    ]
    for got in await queries.obtained(session, account_id, MOST):
        when = got.day.isoformat() if got.day else "earlier"
        label = got.day.isoformat() if got.day else "更早"
        description = f"查询获取（{label}）：{got.resource}，{got.queries} 次，{got.rows} 条"
        items.append(_item("query", f"{got.grant_id}:{when}", description, got.since))
    pieces = [items[begin : begin + PER_EVENT] for begin in range(0, len(items), PER_EVENT)] or [[]]
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
