"""Endpoints of OAuth 2: tokens, introspection, keys and metadata."""

from typing import Any

import orjson
from fastapi import Request, Response

from common.contracts.events.identity import AccessRefused
from common.enforcement.enforcement_point import FeedStale
from common.problems import BadRequest, TooLarge
from common.storage.database import DatabaseUnavailable
from common.web.authorization import Anonymous, client_ip
from common.web.fast_routes import fast_router
from common.web.openapi import operation
from common.web.request_state import request_state
from common.web.routing import router
from identity.runtime import Runtime, RuntimeDep
from identity.sessions import service as sessions
from identity.sessions.problems import RefreshRefused
from identity.signing.problems import SigningKeyMissing
from identity.tokens import service
from identity.tokens.client_authentication import parse_credentials, parse_form
from identity.tokens.introspection import introspect
from identity.tokens.problems import InvalidClient, OAuthRefused, OriginNotRegistered, SystemNotUsable
from identity.tokens.schemas import AuthorizationServerResponse, IntrospectionResponse, JwksResponse, TokenResponse

oauth_routes = fast_router("/identity/oauth", "tokens")
routes = router("", "tokens")

CLIENT_PROBLEMS = (
    OAuthRefused,
    InvalidClient,
    SystemNotUsable,
    OriginNotRegistered,
    DatabaseUnavailable,
    TooLarge,
    BadRequest,
)
CLIENT_METHODS = ["client_secret_basic", "client_secret_post"]
UNSTORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def _form(required: str, **properties: object) -> dict[str, object]:
    members = {"client_id": {"type": "string"}, "client_secret": {"type": "string"}} | properties
    schema = {"type": "object", "required": [required], "properties": members}
    return {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}}


TOKEN_FORM = _form(
    "grant_type",
    grant_type={"type": "string", "enum": ["client_credentials", "refresh_token"]},
    refresh_token={"type": "string"},
)
INTROSPECTION_FORM = _form("token", token={"type": "string"}, token_type_hint={"type": "string"})


@oauth_routes.post("/token", openapi_extra=TOKEN_FORM, response_model=TokenResponse)
@operation(
    "签发访问令牌",
    "Issue an access token",
    *CLIENT_PROBLEMS,
    SigningKeyMissing,
    FeedStale,
    no_key=("答复含令牌，不予保存；可再次申请", "The answer holds a token and is not stored; request another one"),
)
async def issue_token(request: Request, _: Anonymous, runtime: RuntimeDep) -> Response:
    """Issue an access token: to a system by client credentials from a registered network, to a person by refresh token."""
    try:
        return _response(await _grant(request, runtime, await _form_of(request)))
    except OAuthRefused as refused:
        refused.event = _record(request, refused)
        raise


@oauth_routes.post("/introspect", openapi_extra=INTROSPECTION_FORM, response_model=IntrospectionResponse)
@operation(
    "查验访问令牌",
    "Introspect an access token",
    *CLIENT_PROBLEMS,
    FeedStale,
    no_key=("不改变任何状态", "It changes nothing"),
)
async def introspect_token(request: Request, _: Anonymous, runtime: RuntimeDep) -> Response:
    """Return whether an access token is active (RFC 7662), to a connected system that received it.

    The system authenticates with its client credentials, from a registered network. An inactive token, or one that is
    not meant for it, gets `{"active": false}` and nothing else.
    """
    try:
        form = await _form_of(request)
        client_id, secret = parse_credentials(request.headers.getlist("authorization"), form)
        token = form.get("token")
        if not token:
            raise OAuthRefused("invalid_request", "token-missing")
        return _response(
            await introspect(runtime, client_id=client_id, secret=secret, origin=client_ip(request), token=token)
        )
    except OAuthRefused as refused:
        refused.event = _record(request, refused)
        raise


async def _form_of(request: Request) -> dict[str, str]:
    return parse_form(request.headers.get("content-type", ""), await request.body())


def _response(members: dict[str, Any]) -> Response:
    return Response(orjson.dumps(members), media_type="application/json", headers=UNSTORED)


async def _grant(request: Request, runtime: Runtime, form: dict[str, str]) -> dict[str, Any]:
    if form.get("grant_type") == "client_credentials":
        client_id, secret = parse_credentials(request.headers.getlist("authorization"), form)
        issued = await service.client_token(runtime, client_id=client_id, secret=secret, origin=client_ip(request))
        return _token_members(issued)
    if form.get("grant_type") == "refresh_token":
        if not form.get("refresh_token"):
            raise OAuthRefused("invalid_request", "refresh-token-missing")
        try:
            tokens = await sessions.refresh(runtime, form["refresh_token"])
        except RefreshRefused as refused:
            raise OAuthRefused("invalid_grant", refused.extra["reason"]) from None
        return _token_members(tokens.access) | {"refresh_token": tokens.refresh}
    if "grant_type" not in form:
        raise OAuthRefused("invalid_request", "grant-type-missing")
    raise OAuthRefused("unsupported_grant_type", "grant-type")


def _token_members(issued: service.IssuedToken) -> dict[str, Any]:
    return {"access_token": issued.token, "token_type": "Bearer", "expires_in": issued.expires_in}


def _record(request: Request, refused: OAuthRefused) -> AccessRefused:
    return AccessRefused(
        request_id=request_state(request.scope).request_id,
        subject=refused.extra.get("subject", "unknown"),
        method=request.method,
        route=request.scope["path"],
        problem=refused.slug,
        reason=refused.extra["reason"],
        clause=refused.clause,
        origin=client_ip(request),
    )


@routes.get("/.well-known/jwks.json", include_in_schema=False)
@routes.get("/identity/.well-known/jwks.json")
@operation("令牌验证公钥", "Get the verification keys")
async def get_jwks(_: Anonymous, runtime: RuntimeDep, response: Response) -> JwksResponse:
    """Return the public keys with which access tokens are verified, for verifiers outside of the platform."""
    published = runtime.point.keys.jwks()["keys"]
    response.headers["Cache-Control"] = "public, max-age=300"
    return JwksResponse(keys=published)


@routes.get("/.well-known/oauth-authorization-server", include_in_schema=False)
@routes.get("/identity/.well-known/oauth-authorization-server")
@operation("授权服务元数据", "Get the authorization server's metadata")
async def get_metadata(_: Anonymous, runtime: RuntimeDep, response: Response) -> AuthorizationServerResponse:
    """Return the metadata from which OAuth 2 clients configure themselves (RFC 8414)."""
    issuer = runtime.settings.issuer
    response.headers["Cache-Control"] = "public, max-age=300"
    return AuthorizationServerResponse(
        issuer=issuer,
        token_endpoint=f"{issuer}/identity/oauth/token",
        introspection_endpoint=f"{issuer}/identity/oauth/introspect",
        jwks_uri=f"{issuer}/.well-known/jwks.json",
        grant_types_supported=["client_credentials", "refresh_token"],
        response_types_supported=[],
        token_endpoint_auth_methods_supported=CLIENT_METHODS,
        introspection_endpoint_auth_methods_supported=CLIENT_METHODS,
    )
