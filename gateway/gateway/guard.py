"""Refuses at the door what the services would refuse anyway: unknown, invalid and revoked credentials."""

from fastapi import Request
from starlette.types import Receive, Scope, Send

from common.answers import problem_response
from common.auth import Verifier, bearer_of, origin_of
from common.cutoffs import CredentialRevoked
from common.events.gateway import AccessRefused
from common.problems import Problem
from gateway.refusals import Refusals
from gateway.routes import Route

__all__ = ["Guard"]


class Guard:
    """The gateway's enforcement point in front of a request."""

    def __init__(self, verifier: Verifier, refusals: Refusals) -> None:
        self._verifier, self._refusals = verifier, refusals

    async def lets_pass(self, route: Route, scope: Scope, receive: Receive, send: Send) -> bool:
        """Return whether the request may go on to its service; if not, it has been answered."""
        if route.public:
            return True
        request = Request(scope)
        try:
            token = bearer_of(request)
            try:
                principal = self._verifier.principal(token)
            except CredentialRevoked as revoked:
                await self._refusals.record(self._refusal(request, route, revoked))
                raise
        except Problem as problem:
            await problem_response(request, problem)(scope, receive, send)
            return False
        scope["state"]["principal"] = principal  # for the log line; the service finds out for itself
        return True

    @staticmethod
    def _refusal(request: Request, route: Route, problem: CredentialRevoked) -> AccessRefused:
        return AccessRefused(
            request_id=request.scope["state"]["request_id"],
            subject=str(problem.extra["subject"]),
            method=request.method,
            route=f"/{route.service}",
            problem=problem.slug,
            reason=str(problem.extra["reason"]),
            clause=problem.clause,
            origin=origin_of(request),
        )
