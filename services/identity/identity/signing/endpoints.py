"""Where operators see the signing keys and end one."""

from typing import Annotated

from fastapi import Path

from common.web.dependencies import SessionDep
from common.web.routing import router
from identity.permissions import CanManageOperations
from identity.runtime import RuntimeDep
from identity.signing import queries, service
from identity.signing.schemas import RetiredKey, RetireKey, SigningKeyView

__all__ = ["routes"]

routes = router("/identity/operations/signing-keys", "operations")

Kid = Annotated[str, Path(min_length=43, max_length=43, pattern="^[A-Za-z0-9_-]+$", description="RFC 7638 thumbprint")]


@routes.get("")
async def list_signing_keys(_: CanManageOperations, session: SessionDep, runtime: RuntimeDep) -> list[SigningKeyView]:
    """List every key that ever was on the feed, the oldest first."""
    now = runtime.clock.now()
    return [SigningKeyView.of(row, now) for row in await queries.published_keys(session)]


@routes.post("/{kid}/retire")
async def retire_signing_key(
    kid: Kid, body: RetireKey, principal: CanManageOperations, runtime: RuntimeDep
) -> RetiredKey:
    """End a key: one that leaked with all tokens that it signed, any other when the last of them has expired."""
    row, effective_at = await service.retire(runtime, kid, by=principal.subject, reason=body.reason, leaked=body.leaked)
    return RetiredKey(key=SigningKeyView.of(row, runtime.clock.now()), effective_at=effective_at)
