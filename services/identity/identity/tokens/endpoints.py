"""The OAuth 2 token endpoint, and the public keys."""

from fastapi import Request, Response

from common.auth import Public, origin_of
from common.events.identity import AccessRefused
from common.http import router
from common.runtime import Runtime, RuntimeDep
from identity.problems import OAuthRefused, RefreshRefused
from identity.sessions import service as sessions
from identity.tokens import service
from identity.tokens.clients import credentials_of, form_of
from identity.tokens.schemas import Jwks, TokenAnswer

__all__ = ["routes"]

routes = router("", "tokens")

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials", "refresh_token"]},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                        "refresh_token": {"type": "string"},
                    },
                }
            }
        },
    }
}


@routes.post("/identity/oauth/token", openapi_extra=FORM, response_model_exclude_none=True)
async def issue_token(request: Request, _: Public, runtime: RuntimeDep, response: Response) -> TokenAnswer:
    """Issue an access token: to a system by client credentials from a registered network, to a person by refresh token."""
    try:
        form = form_of(request.headers.get("content-type", ""), await request.body())
        answer = await _grant(request, runtime, form)
    except OAuthRefused as refused:
        refused.event = _record(request, refused)
        raise
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return answer


async def _grant(request: Request, runtime: Runtime, form: dict[str, str]) -> TokenAnswer:
    if form.get("grant_type") == "client_credentials":
        client_id, secret = credentials_of(request.headers.getlist("authorization"), form)
        async with runtime.database.transaction() as session:
            minted = await service.client_token(
                session, runtime, client_id=client_id, secret=secret, origin=origin_of(request)
            )
        return TokenAnswer(access_token=minted.token, expires_in=minted.expires_in)
    if form.get("grant_type") == "refresh_token":
        if not form.get("refresh_token"):
            raise OAuthRefused("invalid_request", "refresh-token-missing")
        try:
            tokens = await sessions.refresh(runtime, form["refresh_token"])
        except RefreshRefused as refused:
            raise OAuthRefused("invalid_grant", refused.extra["reason"]) from None
        return TokenAnswer(
            access_token=tokens.access.token, expires_in=tokens.access.expires_in, refresh_token=tokens.refresh
        )
    if "grant_type" not in form:
        raise OAuthRefused("invalid_request", "grant-type-missing")
    raise OAuthRefused("unsupported_grant_type", "grant-type")


def _record(request: Request, refused: OAuthRefused) -> AccessRefused:
    return AccessRefused(
        request_id=request.state.request_id,
        subject=refused.extra.get("subject", "unknown"),
        method=request.method,
        route="/identity/oauth/token",
        problem=refused.slug,
        reason=refused.extra["reason"],
        clause=refused.clause,
        origin=origin_of(request),
    )


@routes.get("/.well-known/jwks.json", include_in_schema=False)
@routes.get("/identity/.well-known/jwks.json")
async def get_jwks(_: Public, runtime: RuntimeDep, response: Response) -> Jwks:
    """Return the public keys with which access tokens are verified, for verifiers outside of the platform."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return Jwks.model_validate(runtime.point.keys.jwks())
