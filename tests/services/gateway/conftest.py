"""A gateway that looks at its services often, so that tests need not wait."""

import pytest

from gateway import replicas, upstream
from tests.services.gateway.gateway_world import OK, GatewayWorld, RawService, answer


@pytest.fixture(scope="module", autouse=True)
def quick_looks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicas, "LOOK_EVERY", 0.1)
        patch.setattr(replicas, "RESOLVE_EVERY", 0.2)
        patch.setattr(replicas, "READY_WITHIN", 0.5)
        patch.setattr(upstream, "SWEEP_EVERY", 0.05)
        yield


@pytest.fixture(scope="module")
async def running(quick_looks):
    async with RawService() as service, GatewayWorld(service) as world:
        yield world


@pytest.fixture
async def world(running):
    """The gateway, before one service that has seen nothing yet."""
    (service,) = running.services
    service.behave, service.reads_bodies = answer(OK), True
    service.seen.clear()
    service.left.clear()
    await running.ready()
    return running


@pytest.fixture
def service(world):
    return world.services[0]
