"""Headers of requests to services and of responses to clients. The length of a body is written from what was parsed."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Scope

from common.web.client_address import CLIENT_ADDRESS_HEADER, ClientAddressStamp
from gateway.problems import BadRequest

HOP_BY_HOP_HEADERS = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110 §7.6.1."""
FRAMING_HEADERS = (b"content-length", b"transfer-encoding")
REWRITTEN_HEADERS = frozenset((*FRAMING_HEADERS, b"host", b"expect"))
REMOVED_FROM_REQUESTS = (HOP_BY_HOP_HEADERS - {b"transfer-encoding"}) | {
    b"x-request-id",
    b"traceparent",
    b"forwarded",
    CLIENT_ADDRESS_HEADER,
}
"""Hop-by-hop headers, and those that only the gateway may set."""
REMOVED_FROM_RESPONSES = HOP_BY_HOP_HEADERS | {b"date", b"server"}  # our server sets its own
BODILESS = (204, 304)
SAFE_METHODS = ("GET", "HEAD")


@dataclass(slots=True)
class UpstreamRequest:
    """A request's head without Host and without the length of its body."""

    method: str
    path: str
    request_line: bytes
    header_lines: bytes
    length: int | None
    """Content-Length of the client's request."""
    chunked: bool
    has_idempotency_key: bool

    @property
    def safe(self) -> bool:
        """Whether the method is safe (RFC 9110 §9.2.1)."""
        return self.method in SAFE_METHODS

    @property
    def has_body(self) -> bool:
        """Whether the client announced a body."""
        return self.chunked or bool(self.length)

    def head(self, host_line: bytes, length: int | None) -> bytes:
        """Return the head for a replica; a body of unknown length is chunked."""
        if length is not None:
            return b"%b%b%bcontent-length: %d\r\n\r\n" % (self.request_line, host_line, self.header_lines, length)
        return b"%b%b%btransfer-encoding: chunked\r\n\r\n" % (self.request_line, host_line, self.header_lines)

    def head_without_body(self, host_line: bytes) -> bytes:
        """Return the head of a request without any body."""
        return self.request_line + host_line + self.header_lines + b"\r\n"


def forwardable_headers(
    headers: Iterable[tuple[bytes, bytes]], request_id: str, traceparent: str
) -> list[tuple[bytes, bytes]]:
    """Return the request headers for the service, with our ids and without any that a caller could forge."""
    kept = _without(headers, REMOVED_FROM_REQUESTS)
    kept.append((b"x-request-id", request_id.encode()))
    kept.append((b"traceparent", traceparent.encode()))
    return kept


def response_headers(status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the response headers for the client."""
    if status in BODILESS:
        return _without(headers, REMOVED_FROM_RESPONSES | {b"content-length"})
    return _without(headers, REMOVED_FROM_RESPONSES)


def _without(headers: Iterable[tuple[bytes, bytes]], removed: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Return `headers` without `removed`, those that `Connection` names, and `X-Forwarded-*`."""
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"close", b"keep-alive"):
            removed = removed | {option.strip().lower() for option in value.split(b",")} - {*FRAMING_HEADERS}
    return [header for header in headers if header[0] not in removed and not header[0].startswith(b"x-forwarded")]


def build_upstream_request(
    scope: Scope, stamp: ClientAddressStamp, request_id: str, traceparent: str
) -> UpstreamRequest:
    """Build the request for the service. Raises `BadRequest` where its end or its lines are ambiguous."""
    length: int | None = None
    chunked = has_idempotency_key = False
    lines: list[bytes] = []
    for name, value in forwardable_headers(scope["headers"], request_id, traceparent):
        if name not in REWRITTEN_HEADERS:
            has_idempotency_key = has_idempotency_key or name == b"idempotency-key"
            lines.append(name + b": " + value)
        elif name == b"content-length":
            if length is not None or not value.isdigit():
                raise BadRequest
            length = int(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise BadRequest
            chunked = True
    if chunked and length is not None:
        raise BadRequest
    client = scope.get("client")
    proof = stamp.of(request_id, client[0]) if client else None
    if proof:
        lines.append(CLIENT_ADDRESS_HEADER + b": " + proof)
    method, query = scope["method"], scope["query_string"]
    target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
    request_line = method.encode() + b" " + target + b" HTTP/1.1\r\n"
    header_lines = b"\r\n".join(lines) + b"\r\n"
    # A line break in a name, a value or the target would be a second line, or a second request.
    if not header_lines.count(b"\n") == header_lines.count(b"\r") == len(lines) or len(request_line.split()) != 3:  # noqa: PLR2004
        raise BadRequest
    return UpstreamRequest(method, scope["path"], request_line, header_lines, length, chunked, has_idempotency_key)
