"""Endpoint of probe credentials, for the incident service."""

from common.problems import NotFound
from common.web.dependencies import WriteDep
from common.web.openapi import operation
from common.web.routing import router
from identity.permissions import CanIssueProbes
from identity.probes import service
from identity.probes.problems import ProbeImpossible
from identity.probes.schemas import ProbeRequest, ProbeResponse
from identity.runtime import RuntimeDep
from identity.signing.problems import SigningKeyMissing

routes = router("/identity/probes", "probes")


@routes.post("", status_code=201)
@operation("签发探测凭证", "Issue a probe credential", NotFound, ProbeImpossible, SigningKeyMissing)
async def issue_probe(body: ProbeRequest, _: CanIssueProbes, write: WriteDep, runtime: RuntimeDep) -> ProbeResponse:
    """Issue a probe credential for a containment order: for the platform's own incident service."""
    return await service.issue(write.session, runtime, body)
