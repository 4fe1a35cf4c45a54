"""Refuses at the door what the services would refuse anyway: unknown, invalid and revoked credentials."""

from fastapi import Request
from starlette.types import Receive, Scope, Send

from common.contracts.events.gateway import AccessRefused
from common.enforcement.authentication import Principal, Verifier, bearer_token_in
from common.enforcement.enforcement_point import CredentialRevoked
from common.problems import Problem
from common.web.exception_handlers import problem_response
from gateway.refusals import Refusals
from gateway.routes import Route

__all__ = ["Guard"]


class Guard:
    """The gateway's enforcement point in front of a request."""

    def __init__(self, verifier: Verifier, refusals: Refusals) -> None:
        self._verifier, self._refusals = verifier, refusals

    def judge(self, route: Route, scope: Scope) -> Principal | None:
        """Return who asks, None where anybody may. Raises the problems of `bearer_token_in` and of `Verifier.principal`."""
        if route.public:
            return None
        if revoked := scope.get("xindun.revoked"):
            raise revoked
        return self._verifier.authenticate_and_check_revocation(bearer_token_in(scope["headers"]))

    async def lets_pass(self, route: Route, scope: Scope, receive: Receive, send: Send) -> bool:
        """Return whether the request may go on to its service; if not, it has been answered."""
        try:
            try:
                principal = self.judge(route, scope)
            except CredentialRevoked as revoked:
                request_id = scope["state"]["request_id"]
                await self._refusals.record(self._refusal(scope, request_id, route, revoked))
                raise
        except Problem as problem:
            await problem_response(Request(scope), problem)(scope, receive, send)
            return False
        scope["state"]["principal"] = principal  # for the log line; the service finds out for itself
        return True

    def counted(self, scope: Scope, request_id: str, route: Route, revoked: CredentialRevoked) -> bool:
        """Count a refusal with the same one that is on record; False where this one must be recorded, which takes waiting."""
        return self._refusals.counted(self._refusal(scope, request_id, route, revoked))

    @staticmethod
    def _refusal(scope: Scope, request_id: str, route: Route, problem: CredentialRevoked) -> AccessRefused:
        client = scope.get("client")
        return AccessRefused(
            request_id=request_id,
            subject=str(problem.extra["subject"]),
            method=scope["method"],
            route=f"/{route.service}",
            problem=problem.slug,
            reason=str(problem.extra["reason"]),
            clause=problem.clause,
            origin=client[0] if client else "",
        )
