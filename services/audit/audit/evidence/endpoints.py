"""Where evidence is taken, and where one sees who took which."""

from typing import Any

from fastapi import Response

from audit.evidence import queries, service
from audit.evidence.schemas import EvidenceRequest, ExportView
from audit.permissions import CanExportEvidence, CanReadLog
from audit.runtime import RuntimeDep
from common.web.dependencies import SessionDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router

__all__ = ["routes"]

routes = router("/audit/evidence", "evidence")

ZIP: dict[int | str, dict[str, Any]] = {
    201: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


class _Raw(Response):
    media_type = None


@routes.post("", status_code=201, response_class=_Raw, responses=ZIP)
async def export_evidence(body: EvidenceRequest, principal: CanExportEvidence, runtime: RuntimeDep) -> Response:
    """Take evidence: a zip file to unpack into a folder, which `verify.py` then confirms without the platform.

    It stands on what the log holds now; the manifest says the size and the time. Each call is an export of its own, and
    on record before the answer leaves: no Idempotency-Key is taken.
    """
    archive = await service.export(runtime, principal, body)
    return Response(archive.data, status_code=201, media_type="application/zip", headers=archive.headers)


@routes.get("")
async def list_exports(page: PageDep, _: CanReadLog, session: SessionDep) -> Page[ExportView]:
    """List what left as evidence: who took it, why, how much."""
    rows = await queries.list_exports(session, page)
    return page_of(page, rows, ExportView.of, lambda row: row.id)
