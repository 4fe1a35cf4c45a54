"""Parses a client's form, and its credentials in header or form (RFC 6749 §2.3, §3.2)."""

import base64
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote_plus

from identity.tokens.problems import InvalidClient, OAuthRefused

MAX_FORM_FIELDS = 20
MAX_FORM_VALUE_LENGTH = 512
MAX_TOKEN_LENGTH = 4096
"""Characters: no access token is longer."""


def parse_form(content_type: str, body: bytes) -> dict[str, str]:
    """Return the parameters. Raises `OAuthRefused` for another media type, or a parameter that comes twice."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise OAuthRefused("invalid_request", "media-type")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), strict_parsing=bool(body), max_num_fields=MAX_FORM_FIELDS, errors="strict"
        )
    except ValueError:
        raise OAuthRefused("invalid_request", "form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthRefused("invalid_request", "parameter-twice")
    if any(
        len(value) > (MAX_TOKEN_LENGTH if name == "token" else MAX_FORM_VALUE_LENGTH) or not value.isprintable()
        for name, value in pairs
    ):
        raise OAuthRefused("invalid_request", "parameter-value")
    return form


def parse_credentials(authorization: Sequence[str], form: dict[str, str]) -> tuple[str, str]:
    """Return client id and secret. Raises `InvalidClient` without any, `OAuthRefused` for more than one method."""
    in_form = "client_secret" in form
    if len(authorization) > 1 or (authorization and in_form):
        raise OAuthRefused("invalid_request", "two-authentications")
    if not authorization:
        if not in_form or "client_id" not in form:
            raise InvalidClient
        return form["client_id"], form["client_secret"]
    scheme, _, value = authorization[0].partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # not base64, not ASCII, not UTF-8
        raise InvalidClient from None
    if not colon or len(user) > MAX_FORM_VALUE_LENGTH or len(password) > MAX_FORM_VALUE_LENGTH:
        raise InvalidClient
    return unquote_plus(user), unquote_plus(password)
