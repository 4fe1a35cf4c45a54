"""`python -m gateway`: settings from the environment, Kafka, one HTTP server, the services behind it by HTTP."""

from starlette.types import ASGIApp

from common.contracts.services import SERVICES
from common.contracts.topics import TOPICS
from common.messaging.bus import Bus
from common.web.client_address import ClientAddressStamp, service_key
from common.web.entrypoint import serve
from gateway.http_upstream import HttpUpstream
from gateway.main import create_app
from gateway.pool import Pool
from gateway.settings import Settings


def _create(settings: Settings, bus: Bus) -> ASGIApp:
    upstreams = {
        service: HttpUpstream(
            service,
            Pool(settings.targets(service)),
            ClientAddressStamp(service, service_key(settings.origin_key, service)),
        )
        for service in SERVICES
    }
    return create_app(settings, bus, upstreams)


if __name__ == "__main__":
    serve("gateway", Settings.load(), _create, topics=TOPICS)
