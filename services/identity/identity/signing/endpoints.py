"""Endpoints of signing keys, for operators."""

from typing import Annotated

from fastapi import Path

from common.problems import NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.routing import router
from identity.permissions import CanManageOperations
from identity.runtime import RuntimeDep
from identity.signing import queries, service
from identity.signing.problems import SigningKeyNeeded
from identity.signing.schemas import RetiredKeyResponse, RetireKeyRequest, SigningKeyResponse

routes = router("/identity/operations/signing-keys", "operations")

Kid = Annotated[str, Path(min_length=43, max_length=43, pattern="^[A-Za-z0-9_-]+$", description="RFC 7638 thumbprint")]


@routes.get("")
@operation("查看签名密钥", "List signing keys")
async def list_signing_keys(
    _: CanManageOperations, session: SessionDep, runtime: RuntimeDep
) -> list[SigningKeyResponse]:
    """List every key that was ever published, the oldest first."""
    now = runtime.clock.now()
    return [SigningKeyResponse.of(row, now) for row in await queries.list_keys(session)]


@routes.post("/{kid}/retire")
@operation("停用签名密钥", "Retire a signing key", NotFound, SigningKeyNeeded)
async def retire_signing_key(
    kid: Kid, body: RetireKeyRequest, principal: CanManageOperations, write: WriteDep, runtime: RuntimeDep
) -> RetiredKeyResponse:
    """Retire a key: a leaked one with all its tokens at once, any other after its last token has expired."""
    row = await service.retire(
        write.session, runtime, kid, by=principal.subject, reason=body.reason, leaked=body.leaked
    )
    view = SigningKeyResponse.of(row, runtime.clock.now())
    await write.commit(RetiredKeyResponse(key=view, effective_at=None))
    return RetiredKeyResponse(key=view, effective_at=await service.wait_until_retired(runtime, kid))
