"""Endpoints of evidence exports."""

from typing import Any

from fastapi import Response

from audit.evidence import queries, service
from audit.evidence.problems import EvidenceEmpty, EvidenceTooLarge, EvidenceUnsettled
from audit.evidence.schemas import EvidenceExportResponse, EvidenceRequest
from audit.log.problems import LogBroken, LogNotOpen
from audit.permissions import CanExportEvidence, CanReadLog
from audit.runtime import RuntimeDep
from common.storage.database import DatabaseUnavailable
from common.web.dependencies import SessionDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router

routes = router("/audit/evidence", "evidence")

ZIP: dict[int | str, dict[str, Any]] = {
    201: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


class _RawResponse(Response):
    media_type = None


@routes.post("", status_code=201, response_class=_RawResponse, responses=ZIP)
@operation(
    "导出证据包",
    "Export evidence",
    EvidenceTooLarge,
    EvidenceEmpty,
    EvidenceUnsettled,
    LogBroken,
    LogNotOpen,
    DatabaseUnavailable,
    no_key=(
        "每次调用都是一次单独留痕的导出，证据包不另行保存",
        "Each call is an export of its own with its own record, and packages are not stored",
    ),
)
async def export_evidence(body: EvidenceRequest, principal: CanExportEvidence, runtime: RuntimeDep) -> Response:
    """Export evidence: a zip file to unpack into a folder, which `verify.py` then verifies without the platform.

    It covers the present log; the manifest states size and time. The export is recorded before the answer leaves.
    """
    archive = await service.export(runtime, principal, body)
    return Response(archive.data, status_code=201, media_type="application/zip", headers=archive.headers)


@routes.get("")
@operation("查看证据导出列表", "List evidence exports")
async def list_evidence_exports(page: PageDep, _: CanReadLog, session: SessionDep) -> Page[EvidenceExportResponse]:
    """List the exports of evidence, each with its person, purpose and size."""
    return Page.of(await queries.list_exports(session, page), EvidenceExportResponse.model_validate)
