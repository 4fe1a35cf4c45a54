"""A gateway with short intervals, so that tests need not wait."""

import pytest

from gateway import http_upstream, pool, replica
from tests.services.gateway.harness import OK, REPEATABLE_UNITS, GatewayWorld, RawService, answer


@pytest.fixture(scope="module", autouse=True)
def short_intervals():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replica, "HEALTH_CHECK_INTERVAL", 0.1)
        patch.setattr(pool, "RESOLVE_INTERVAL", 0.2)
        patch.setattr(replica, "READY_TIMEOUT", 0.5)
        patch.setattr(http_upstream, "SWEEP_INTERVAL", 0.05)
        patch.setattr(http_upstream, "OPENAPI_INTERVAL", 0.1)
        yield


@pytest.fixture(scope="module")
async def running(short_intervals):
    async with RawService() as service, GatewayWorld(service) as world:
        yield world


@pytest.fixture
async def world(running):
    """The gateway, before one service that has seen nothing yet."""
    (service,) = running.services
    service.behave, service.reads_bodies, service.document = answer(OK), True, REPEATABLE_UNITS
    service.seen.clear()
    service.left.clear()
    await running.ready()
    return running


@pytest.fixture
def service(world):
    return world.services[0]
