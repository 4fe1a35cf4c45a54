"""Reads what a client sends to the token endpoint: a form, and its credentials in one of two ways (RFC 6749 §2.3, §3.2)."""

import base64
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote_plus

from identity.problems import InvalidClient, OAuthRefused

__all__ = ["credentials_of", "form_of"]

MOST_FIELDS = 20
LONGEST = 512
LONGEST_TOKEN = 4096
"""Characters: no access token is longer."""


def form_of(content_type: str, body: bytes) -> dict[str, str]:
    """Return the parameters. Raises `OAuthRefused` for another media type, or a parameter that comes twice."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise OAuthRefused("invalid_request", "media-type")
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=bool(body), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise OAuthRefused("invalid_request", "form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthRefused("invalid_request", "parameter-twice")
    if any(
        len(value) > (LONGEST_TOKEN if name == "token" else LONGEST) or not value.isprintable() for name, value in pairs
    ):
        raise OAuthRefused("invalid_request", "parameter-value")
    return form


def credentials_of(authorization: Sequence[str], form: dict[str, str]) -> tuple[str, str]:
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
    if not colon or len(user) > LONGEST or len(password) > LONGEST:
        raise InvalidClient
    return unquote_plus(user), unquote_plus(password)
