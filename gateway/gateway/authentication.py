"""Authentication at the edge: the gateway rejects the credentials that every service would reject too."""

from starlette.types import Scope

from common.contracts.events.gateway import AccessRefused
from common.enforcement.enforcement_point import CredentialRevoked
from common.enforcement.verifier import Verifier
from common.web.authorization import bearer_token_in
from common.web.request_state import request_state
from gateway.denial_log import DenialLog
from gateway.routes import Route


class Authentication:
    """The gateway's enforcement point."""

    def __init__(self, verifier: Verifier, denials: DenialLog) -> None:
        self._verifier, self._denials = verifier, denials

    async def authenticate(self, route: Route, scope: Scope) -> None:
        """Set the principal of the request, None on a public route; the service authenticates the request itself.

        Raises `Unauthorized` and the problems of `Verifier.authenticate_and_check_revocation`. A revoked credential is
        recorded before it is raised.
        """
        if route.public:
            return
        state = request_state(scope)
        try:
            state.principal = self._verifier.authenticate_and_check_revocation(bearer_token_in(scope["headers"]))
        except CredentialRevoked as revoked:
            client = scope.get("client")
            denial = AccessRefused(
                request_id=state.request_id,
                subject=str(revoked.extra["subject"]),
                method=scope["method"],
                route=f"/{route.service}",
                problem=revoked.slug,
                reason=str(revoked.extra["reason"]),
                clause=revoked.clause,
                origin=client[0] if client else "",
            )
            await self._denials.record(denial)
            raise
