"""Every route of every service keeps the house rules: one mark of who may, asked before the database is."""

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from common.web.authorization import Requires, is_anonymous
from common.web.dependencies import read_transaction, write_transaction
from common.web.openapi import operation_of
from common.web.routing import Route
from tools.api_inventory import _calls, _routes, service_apps

OPERATIONS = {"/health", "/ready", "/metrics"}


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, APIRoute]]:
    return [(service, route) for service, app in service_apps().items() for route in _routes(app.routes)]


def named(service: str, route: APIRoute) -> str:
    return f"{service}: {'/'.join(sorted(route.methods))} {route.path}"


def is_mark(call: object) -> bool:
    return isinstance(call, Requires) or is_anonymous(call)


@pytest.mark.clause("6.2")
def test_every_route_says_once_who_may(routes):
    assert len(routes) > 60
    assert [named(*each) for each in routes if sum(map(is_mark, _calls(each[1].dependant))) != 1] == []


def test_who_may_is_asked_before_the_database_is(routes):
    transactions = {read_transaction, write_transaction}
    wrong = []
    for service, route in routes:
        calls = [dependency.call for dependency in route.dependant.dependencies]
        first = next((index for index, call in enumerate(calls) if call in transactions), None)
        if first is not None and not any(map(is_mark, calls[:first])):
            wrong.append(named(service, route))
    assert wrong == []


def test_every_route_reads_bounded_requests(routes):
    assert [named(*each) for each in routes if not isinstance(each[1], Route)] == []


def test_every_route_stands_under_the_name_of_its_service(routes):
    assert [
        named(service, route)
        for service, route in routes
        if route.path not in OPERATIONS and not route.path.startswith((f"/{service}/", "/.well-known/"))
    ] == []


def test_no_body_takes_members_that_it_does_not_know(routes):
    wrong = []
    for service, route in routes:
        for field in route.dependant.body_params:
            model = field.field_info.annotation
            if isinstance(model, type) and issubclass(model, BaseModel) and model.model_config.get("extra") != "forbid":
                wrong.append(f"{named(service, route)}: {model.__name__}")
    assert wrong == []


def test_every_route_has_one_method(routes):
    assert [named(*each) for each in routes if len(each[1].methods) != 1] == []


def test_every_operation_declares_its_summary_in_both_languages(routes):
    wrong = [
        named(service, route)
        for service, route in routes
        if route.include_in_schema and operation_of(route.endpoint) is None
    ]
    assert wrong == []


def test_every_writing_operation_takes_the_key_or_declares_why_not(routes):
    wrong = []
    for service, route in routes:
        if not route.include_in_schema or route.methods <= {"GET", "HEAD"}:
            continue
        stated = route.openapi_extra["x-idempotency"]
        if not stated["key"] and not (stated["reason"]["zh"] and stated["reason"]["en"]):
            wrong.append(named(service, route))
    assert wrong == []


def test_operation_ids_are_unique_over_all_services(routes):
    ids = [route.operation_id for _, route in routes if route.include_in_schema]
    assert [name for name in set(ids) if ids.count(name) > 1] == []
