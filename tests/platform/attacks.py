"""What is sent by hand: bodies, paths, queries, headers, credentials and files that are not what they should be."""

import json

from common.web.routing import MAX_JSON_DEPTH
from tests.platform.harness import RESOURCE


def _deep(levels: int) -> bytes:
    return b'{"name":' + b"[" * levels + b"]" * levels + b"}"


BODIES = {
    "nothing": b"",
    "not json": b"{not json",
    "an array": b"[]",
    "null": b"null",
    "a number": b"1e400",
    "nan": b'{"name": NaN}',
    "nul in a value": b'{"name": "a\\u0000b", "login": "abc", "id_number": "350203198801011234"}',
    "nul in a name": b'{"na\\u0000me": 1}',
    "a raw nul": b'{"name": "a\x00b"}',
    "a lone surrogate": b'{"name": "\\ud800\\ud800", "login": "abc", "id_number": "350203198801011234"}',
    "invalid utf-8": b'{"name": "\xff\xfe"}',
    "utf-16": '{"name": "王"}'.encode("utf-16"),
    "a byte order mark": "\ufeff{}".encode(),
    "deep": _deep(MAX_JSON_DEPTH + 1),
    "very deep": _deep(100_000),
    "a huge integer": b'{"name": ' + b"9" * 5000 + b"}",
    "a huge exponent": b'{"value": 1e999999999}',
    "a name twice": b'{"name": "a", "name": {"b": 1}}',
    "long text": b'{"name": "' + b"x" * 100_000 + b'"}',
    "many members": json.dumps({f"m{n}": n for n in range(5_000)}).encode(),
    "a form": b"name=a&login=b",
}
ENDPOINTS = (
    ("POST", "/identity/accounts"),
    ("POST", "/identity/sessions"),
    ("POST", "/identity/activations"),
    ("POST", "/identity/oauth/token"),
    ("POST", "/identity/oauth/introspect"),
    ("POST", "/datashare/data-rules"),
    ("POST", "/datashare/queries"),
    ("POST", "/incident/breaches"),
    ("POST", "/audit/evidence"),
)
TYPES = ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", "")

PATHS = (
    "/identity/../identity/accounts",
    "/identity/%2e%2e/audit/records",
    "/audit/tile/../../identity/accounts",
    "/audit/tile/%2e%2e/%2e%2e/etc/passwd",
    "/audit/tile/0/../../../../etc/passwd",
    "/docs/static/../../../../../etc/passwd",
    "/docs/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/docs/static/..%2f..%2f__init__.py",
    "//identity/accounts",
    "/identity//accounts",
    "/IDENTITY/accounts",
    "/identity/accounts/%00",
    "/identity/accounts/" + "a" * 4000,
    "/identity/accounts/" + "9" * 300,
    "/identity/accounts/%ff%fe",
    "/identity/accounts/01890000-0000-7000-8000-00000000000g",
    "/identity/accounts/{account_id}",
    "/identity/policies/%00",
    "/identity/policies/" + "a" * 5000,
    "/datashare/resources/%00",
    "/datashare/resources/%F0%9F%98%80/opening",
    f"/datashare/resources/{RESOURCE}%20",
    "/datashare/resources/" + "é" * 500 + "/loads",
    "/audit/records/99999999999999999999999999",
    "/audit/records/-1",
    "/audit/records/1e3",
    "/audit/records/%E2%85%A7",
    "/incident/breaches/%0d%0aset-cookie:a=b",
    "/metrics",
    "/identity/metrics",
    "/.well-known/../identity/accounts",
    "/openapi.json/../identity",
    "/ready/x",
)

QUERIES = (
    {"limit": "0"},
    {"limit": "-1"},
    {"limit": "99999999999999999999"},
    {"limit": "1.5"},
    {"limit": "٣"},
    {"cursor": "\0"},
    {"cursor": "x" * 5000},
    {"cursor": "' OR 1=1 --"},
    {"cursor": "AAAA"},
    {"unit": "not-a-uuid"},
    {"unit": "\ud800".encode("utf-8", "surrogatepass")},
    {"since": "yesterday"},
    {"since": "+999999-01-01T00:00:00Z"},
    {"since": "0001-01-01T00:00:00+23:59"},
    {"until": "9999-12-31T23:59:59-23:59"},
    {"subject": "%00\x00"},
    {"after": "-5"},
    {"wait_ms": "1e9"},
    {"order": "sideways"},
)

HEADERS: tuple[list[tuple[bytes, bytes]], ...] = (
    [(b"x-request-id", b"a\r\nset-cookie: a=b")],
    [(b"x-request-id", b"\xff" * 20)],
    [(b"x-request-id", b"a" * 5000)],
    [(b"traceparent", b"00-zz-zz-01")],
    [(b"accept-language", b"en;q=" + b"9" * 5000)],
    [(b"accept-language", b"," * 50_000)],
    [(b"accept-language", b"\xff\xfe")],
    [(b"idempotency-key", b"short")],
    [(b"idempotency-key", b"k" * 5000)],
    [(b"idempotency-key", b"\xff" * 20)],
    [(b"idempotency-key", b"twice-1234"), (b"idempotency-key", b"twice-5678")],
    [(b"if-match", b"*")],
    [(b"if-match", b'W/"1", "2"')],
    [(b"content-length", b"-1")],
    [(b"content-length", b"1_0")],
    [(b"content-length", "٣".encode())],
    [(b"host", b"evil.example")],
    [(b"cookie", b"session=" + b"x" * 4000)],
    [(b"range", b"bytes=0-0,5-1")],
)

AUTHORIZATIONS: tuple[list[bytes], ...] = (
    [b"GOOD", b"GOOD"],
    [b"GOOD", b"Bearer x"],
    [b"Bearer x", b"GOOD"],
    [b"GOOD, GOOD"],
    [b"Bearer"],
    [b"Bearer "],
    [b"Bearer \xff\xfe"],
    [b"Bearer " + b"a" * 100_000],
    [b"Bearer " + b"." * 10_000],
    [b"Bearer a.b.c"],
    [b"Basic \xff"],
    [b"\x00"],
    [b"TAMPERED"],
    [b"UNSIGNED"],
)

CSVS = {
    "nothing": b"",
    "a header alone": b"name,uscc,kind,level,duties\n",
    "no header": b"a,b,c\n1,2,3\n",
    "unclosed quote": b'name,uscc,kind,level,duties\n"a,b,c\n',
    "too few cells": b"name,uscc,kind,level,duties\na,b\n",
    "too many cells": b"name,uscc,kind,level,duties\na,b,c,d,e,f,g\n",
    "nul": b"name,uscc,kind,level,duties\na\x00,b,c,d,e\n",
    "invalid utf-8": b"name,uscc,kind,level,duties\n\xff\xfe,b,c,d,e\n",
    "gb18030": "name,uscc,kind,level,duties\n厦门市,b,c,d,e\n".encode("gb18030"),
    "utf-16": "name,uscc,kind,level,duties\n".encode("utf-16"),
    "header twice": b"name,name,uscc,kind,level,duties\na,a,b,c,d,e\n",
    "a formula": b'name,uscc,kind,level,duties\n=HYPERLINK("http://x"),b,agency,municipal,uses\n',
    "a huge cell": b"name,uscc,kind,level,duties\n" + b"x" * 200_000 + b",b,c,d,e\n",
    "carriage returns": b"name,uscc,kind,level,duties\ra,b,c,d,e\r",
    "json": b"{}",
    "binary": bytes(range(256)) * 16,
}

TIMES = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "1899-12-31T23:59:59Z",
    "2200-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-23:59",
    "2026-03-01T00:00:00",
    "1e400",
    -62135596800000,
)
