"""Endpoints of policies: every credential reads them, the authority sets them."""

from fastapi import Response

from common.problems import NotFound
from common.web.dependencies import IfMatchDep, SessionDep, WriteDep, etag
from common.web.openapi import operation
from common.web.routing import router
from identity.permissions import AnyCredential, CanSetPolicies
from identity.policies import service
from identity.policies.problems import PolicyOutOfBounds, PolicyRetroactive
from identity.policies.queries import list_versions
from identity.policies.schemas import PolicyVersionRequest, PolicyVersionResponse
from identity.runtime import RuntimeDep

routes = router("/identity/policies", "policies")


@routes.get("")
@operation("查看规则列表", "List policies")
async def list_policies(_: AnyCredential, session: SessionDep) -> list[PolicyVersionResponse]:
    """Return every version of every policy, by name."""
    return [PolicyVersionResponse.of(row) for row in await list_versions(session)]


@routes.get("/{name}")
@operation("查看规则", "Get a policy", NotFound)
async def get_policy(
    name: str, _: AnyCredential, session: SessionDep, response: Response
) -> list[PolicyVersionResponse]:
    """Return the versions of one policy, oldest first; the ETag names the newest."""
    rows = await list_versions(session, name)
    if not rows:
        raise NotFound
    response.headers.update(etag(rows[-1].version))
    return [PolicyVersionResponse.of(row) for row in rows]


@routes.post("/{name}/versions", status_code=201)
@operation("制定规则", "Set a policy", NotFound, PolicyOutOfBounds, PolicyRetroactive)
async def set_policy(
    name: str,
    body: PolicyVersionRequest,
    *,
    principal: CanSetPolicies,
    if_match: IfMatchDep,
    write: WriteDep,
    runtime: RuntimeDep,
    response: Response,
) -> PolicyVersionResponse:
    """Append a version; it reaches every process within the revocation bound."""
    row = await service.set_policy(
        write.session,
        runtime,
        name=name,
        value=body.value,
        effective_from=body.effective_from,
        basis=body.basis,
        by=principal.subject,
        if_match=if_match,
    )
    response.headers.update(etag(row.version))
    return PolicyVersionResponse.of(row)
