"""Doors of the policies: everybody may read the rules, the authority alone sets them."""

from fastapi import Response

from common.problems import NotFound
from common.web.dependencies import IfMatchDep, SessionDep, etag
from common.web.routing import router
from identity.permissions import AnyCredential, CanSetPolicies
from identity.policies import service
from identity.policies.queries import versions_of
from identity.policies.schemas import NewPolicyVersion, PolicyView
from identity.runtime import RuntimeDep

__all__ = ["routes"]

routes = router("/identity/policies", "policies")


@routes.get("")
async def list_policies(_: AnyCredential, session: SessionDep) -> list[PolicyView]:
    """Return every version of every policy, by name."""
    return [PolicyView.of(row) for row in await versions_of(session)]


@routes.get("/{name}")
async def get_policy(name: str, _: AnyCredential, session: SessionDep, response: Response) -> list[PolicyView]:
    """Return the versions of one policy, oldest first; the ETag names the newest."""
    rows = await versions_of(session, name)
    if not rows:
        raise NotFound
    response.headers.update(etag(rows[-1].version))
    return [PolicyView.of(row) for row in rows]


@routes.post("/{name}/versions", status_code=201)
async def set_policy(
    name: str,
    body: NewPolicyVersion,
    *,
    principal: CanSetPolicies,
    if_match: IfMatchDep,
    session: SessionDep,
    runtime: RuntimeDep,
    response: Response,
) -> PolicyView:
    """Append a version; it reaches every process within the revocation bound."""
    row = await service.set_policy(
        session,
        runtime,
        name=name,
        value=body.value,
        effective_from=body.effective_from,
        basis=body.basis,
        by=principal.subject,
        if_match=if_match,
    )
    response.headers.update(etag(row.version))
    return PolicyView.of(row)
