"""Which writes the gateway may send twice: those whose operation declares that it honours the Idempotency-Key."""

import orjson
import pytest

from gateway.repeatable_writes import RepeatableWrites

KEPT, NOT_KEPT = {"key": True}, {"key": False, "reason": {"zh": "签发凭证", "en": "issues a credential"}}
DOCUMENT = orjson.dumps(
    {
        "paths": {
            "/identity/units": {"post": {"x-idempotency": KEPT}, "get": {}},
            "/identity/units/{unit_id}": {"put": {"x-idempotency": KEPT}, "delete": {}},
            "/identity/units/{unit_id}/posts/{post}": {"post": {"x-idempotency": KEPT}},
            "/identity/units/import": {"put": {"x-idempotency": NOT_KEPT}},
            "/identity/sessions": {"post": {"x-idempotency": NOT_KEPT}},
            "/identity/a.b": {"post": {"x-idempotency": KEPT}},
            "/identity/odd": {"post": {"x-idempotency": "yes"}, "parameters": []},
        }
    }
)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/identity/units", True),
        ("PUT", "/identity/units", False),
        ("PUT", "/identity/units/7", True),
        ("PUT", "/identity/units/import", False),
        ("DELETE", "/identity/units/7", False),
        ("PUT", "/identity/units/7/posts", False),
        ("POST", "/identity/units/7/posts/8", True),
        ("POST", "/identity/sessions", False),
        ("POST", "/identity/a.b", True),
        ("POST", "/identity/axb", False),
        ("POST", "/identity/odd", False),
        ("POST", "/identity/unknown", False),
    ],
)
def test_a_write_is_repeatable_only_where_its_operation_declares_it(method, path, allowed):
    assert RepeatableWrites(DOCUMENT).allows(method, path) is allowed


def test_nothing_is_repeatable_before_a_document_is_known():
    assert not RepeatableWrites().allows("POST", "/identity/units")
