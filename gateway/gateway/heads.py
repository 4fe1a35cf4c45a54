"""What of a message's head goes on: to the service, and back to the client. Where a body ends is said anew each time."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Scope

from common.web.client_address import CLIENT_ADDRESS_HEADER as ORIGIN
from common.web.client_address import ClientAddressStamp
from gateway.problems import BadRequest
from gateway.routes import PUBLIC

__all__ = ["Outgoing", "answer_headers", "outgoing", "passed_on"]

HOPPING = frozenset(
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
FRAMING = (b"content-length", b"transfer-encoding")
SAID_ANEW = frozenset((*FRAMING, b"host", b"expect"))
REQUEST_ENDS_HERE = (HOPPING - {b"transfer-encoding"}) | {b"x-request-id", b"traceparent", b"forwarded", ORIGIN}
"""Of one hop, or said anew by us, or nothing that a caller may say."""
ANSWER_ENDS_HERE = HOPPING | {b"date", b"server"}  # our server writes its own
BODILESS = (204, 304)
SAFE = ("GET", "HEAD")


@dataclass(slots=True)
class Outgoing:
    """A request on its way: everything of its head but Host and what frames the body."""

    first: bytes
    lines: bytes
    head: bool
    length: int | None
    """Bytes that the client announced."""
    chunked: bool
    repeatable: bool
    """Whether sending it twice does no more than sending it once."""

    def to(self, host_line: bytes, length: int | None) -> bytes:
        """Return the head for a replica; a body of unknown length goes in chunks."""
        if length is not None:
            return b"%b%b%bcontent-length: %d\r\n\r\n" % (self.first, host_line, self.lines, length)
        return b"%b%b%btransfer-encoding: chunked\r\n\r\n" % (self.first, host_line, self.lines)

    def bodiless(self, host_line: bytes) -> bytes:
        """Return the head of a request that has no body at all."""
        return b"%b%b%b\r\n" % (self.first, host_line, self.lines)


def passed_on(headers: Iterable[tuple[bytes, bytes]], request_id: str, traceparent: str) -> list[tuple[bytes, bytes]]:
    """Return what of a request's headers is for the service, with our ids and nothing that a caller could pretend with."""
    kept = _without_hops(headers, REQUEST_ENDS_HERE)
    kept.append((b"x-request-id", request_id.encode()))
    kept.append((b"traceparent", traceparent.encode()))
    return kept


def _without_hops(headers: Iterable[tuple[bytes, bytes]], ends: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"close", b"keep-alive"):
            ends = ends | {option.strip().lower() for option in value.split(b",")} - {*FRAMING}
    return [header for header in headers if header[0] not in ends and not header[0].startswith(b"x-forwarded")]


def outgoing(scope: Scope, stamp: ClientAddressStamp, request_id: str, traceparent: str) -> Outgoing:
    """Read a request's head. Raises `BadRequest` where it is in doubt."""
    method: str = scope["method"]
    length: int | None = None
    chunked = keyed = False
    lines: list[bytes] = []
    for name, value in passed_on(scope["headers"], request_id, traceparent):
        if name not in SAID_ANEW:
            keyed = keyed or name == b"idempotency-key"
            lines += (name, b": ", value, b"\r\n")
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
        lines += (ORIGIN, b": ", proof, b"\r\n")
    query = scope["query_string"]
    target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
    first = b"%b %b HTTP/1.1\r\n" % (method.encode(), target)
    together = b"".join(lines)
    # A line break in a name, a value or the target would be a second line, or a second request.
    if not together.count(b"\n") == together.count(b"\r") == len(lines) // 4 or len(first.split()) != 3:  # noqa: PLR2004
        raise BadRequest
    # The doors that give out credentials keep no answers: a refresh token that came twice would end its session.
    repeatable = method in SAFE or (keyed and not PUBLIC.fullmatch(scope["path"]))
    return Outgoing(first, together, method == "HEAD", length, chunked, repeatable)


def answer_headers(status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return what of an answer's headers is the client's."""
    if status in BODILESS:
        return _without_hops(headers, ANSWER_ENDS_HERE | {b"content-length"})
    return _without_hops(headers, ANSWER_ENDS_HERE)
