"""The door through which incident gets probe credentials."""

from common.web.dependencies import WriteDep
from common.web.routing import router
from identity.permissions import CanIssueProbes
from identity.probes import service
from identity.probes.schemas import ProbeCredential, ProbeRequest
from identity.runtime import RuntimeDep

__all__ = ["routes"]

routes = router("/identity/probes", "probes")


@routes.post("", status_code=201)
async def issue_probe(body: ProbeRequest, _: CanIssueProbes, write: WriteDep, runtime: RuntimeDep) -> ProbeCredential:
    """Issue a probe credential for a containment order: for the platform's own incident service."""
    return await service.issue(write.session, runtime, body)
