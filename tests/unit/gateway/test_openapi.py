"""The merged document."""

from gateway.openapi import merge


def _document(schema: dict) -> dict:
    return {
        "paths": {
            "/x/things": {
                "get": {
                    "responses": {
                        "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}}},
                        "422": {"content": {"x": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}}},
                    }
                }
            }
        },
        "components": {"schemas": {"Page": schema, "HTTPValidationError": {}}},
    }


def test_equal_names_with_different_meaning_keep_apart():
    first, second = _document({"type": "object"}), _document({"type": "array"})
    second["paths"] = {"/y/things": second["paths"].pop("/x/things")}
    merged = merge({"first": first, "second": second})
    assert merged["components"]["schemas"]["Page"] == {"type": "object"}
    assert merged["components"]["schemas"]["SecondPage"] == {"type": "array"}
    answer = merged["paths"]["/y/things"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/SecondPage"}


def test_equal_names_with_one_meaning_become_one():
    merged = merge({"first": _document({"type": "object"}), "second": _document({"type": "object"})})
    assert sorted(merged["components"]["schemas"]) == ["Page", "Problem"]


def test_every_operation_says_that_it_may_answer_with_a_problem():
    operation = merge({"first": _document({})})["paths"]["/x/things"]["get"]
    assert "422" not in operation["responses"]
    assert "application/problem+json" in operation["responses"]["default"]["content"]
