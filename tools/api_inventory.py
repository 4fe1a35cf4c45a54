"""Inventory of the API: endpoints and OpenAPI documents of the services' apps, which are created but never started."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import audit.main
import datashare.main
import identity.main
import incident.main
from audit.settings import Settings as AuditSettings
from audit.tlog.signed_notes import generate_signer
from common.contracts.topics import TOPICS
from common.enforcement.tokens import SigningKey
from common.messaging.in_process import InProcessBus
from common.web.authorization import Requires, is_anonymous
from datashare.settings import Settings as DatashareSettings
from gateway import openapi
from gateway.in_process import InProcessUpstream
from identity.settings import Settings as IdentitySettings
from incident.settings import Settings as IncidentSettings

UNREACHABLE_DATABASE = "postgresql+asyncpg://unused@127.0.0.1:1/unused"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint; `requires` is None if it is public."""

    service: str
    method: str
    path: str
    summary: str
    requires: Requires | None
    markers: int
    """The number of its dependencies that declare who may use it: a permission or `Anonymous`."""


def service_apps() -> dict[str, FastAPI]:
    """Return the four services' apps; they never connect to a database."""
    bus = InProcessBus(TOPICS)
    secret = "used-by-no-running-service"  # noqa: S105
    return {
        "identity": identity.main.create_app(
            IdentitySettings.model_validate(
                {
                    "database_url": UNREACHABLE_DATABASE,
                    "signing_key_pem": SigningKey.generate().to_pem(),
                    "totp_key": base64.b64encode(bytes(range(32))).decode(),
                    "pepper": secret,
                    "incident_client_secret_hash": "0" * 64,
                }
            ),
            bus,
        ),
        "datashare": datashare.main.create_app(
            DatashareSettings.model_validate({"database_url": UNREACHABLE_DATABASE}), bus
        ),
        "incident": incident.main.create_app(
            IncidentSettings.model_validate(
                {"database_url": UNREACHABLE_DATABASE, "gateway_url": "http://127.0.0.1:1", "client_secret": secret}
            ),
            bus,
        ),
        "audit": audit.main.create_app(
            AuditSettings.model_validate(
                {
                    "database_url": UNREACHABLE_DATABASE,
                    "log_key": generate_signer("surface").private_text(),
                    "log_origin": "surface",
                }
            ),
            bus,
        ),
    }


async def merged_openapi(services: Mapping[str, FastAPI]) -> dict[str, Any]:
    """Return the OpenAPI document that the gateway serves."""
    documents = {name: await InProcessUpstream(app).openapi() for name, app in services.items()}
    return openapi.merge({name: orjson.loads(document) for name, document in documents.items()})


def list_endpoints(services: Mapping[str, FastAPI]) -> Iterator[Endpoint]:
    """Yield every endpoint of the API."""
    for service, app in services.items():
        for route in _routes(app.routes):
            if not route.include_in_schema:
                continue
            calls = list(_calls(route.dependant))
            requirements = [call for call in calls if isinstance(call, Requires)]
            for method in sorted(route.methods or ()):
                yield Endpoint(
                    service,
                    method,
                    route.path,
                    (route.description or route.name).split("\n", maxsplit=1)[0],
                    requirements[0] if requirements else None,
                    len(requirements) + sum(map(is_anonymous, calls)),
                )


def _routes(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif nested := getattr(getattr(route, "original_router", None), "routes", None) or getattr(
            route, "routes", None
        ):
            yield from _routes(nested)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)
