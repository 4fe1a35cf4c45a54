"""The door through which incident gets probe credentials."""

from common.web.dependencies import SessionDep, router
from common.web.runtime import RuntimeDep
from identity.permissions import CanIssueProbes
from identity.probes import service
from identity.probes.schemas import ProbeCredential, ProbeRequest

__all__ = ["routes"]

routes = router("/identity/probes", "probes")


@routes.post("", status_code=201)
async def issue_probe(
    body: ProbeRequest, _: CanIssueProbes, session: SessionDep, runtime: RuntimeDep
) -> ProbeCredential:
    """Issue a probe credential for a containment order: for the platform's own incident service."""
    return await service.issue(session, runtime, body)
