"""The gateway's public map."""

import pytest

from common.contracts.services import SERVICES
from gateway.routes import find_route


@pytest.mark.parametrize(
    ("path", "service", "public"),
    [
        ("/identity/sessions", "identity", True),
        ("/identity/sessions/current", "identity", False),
        ("/identity/sessionsx", "identity", False),
        ("/identity/oauth/token", "identity", True),
        ("/identity/oauth/introspect", "identity", True),
        ("/identity/oauth/introspection", "identity", False),
        ("/identity/me", "identity", False),
        ("/.well-known/jwks.json", "identity", True),
        ("/.well-known/oauth-authorization-server", "identity", True),
        ("/identity/.well-known/oauth-authorization-server", "identity", True),
        ("/datashare/queries", "datashare", False),
        ("/audit/checkpoint", "audit", True),
        ("/audit/tile/0/x001/234.p/5", "audit", True),
        ("/audit/tile/entries/000", "audit", False),
        ("/audit/records", "audit", False),
    ],
)
def test_a_path_leads_to_its_service_and_only_listed_ones_are_public(path, service, public):
    route = find_route(path)
    assert route is not None
    assert (route.service, route.public) == (service, public)


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/identity2/x", "//identity/sessions", "/Identity/me", "/..%2fidentity", "", "/docs2"]
)
def test_a_path_outside_the_services_leads_nowhere(path):
    assert find_route(path) is None


def test_a_service_s_own_health_and_metrics_are_not_reachable_through_the_gateway():
    for service in SERVICES:
        for page in ("health", "ready", "metrics", "openapi.json"):
            route = find_route(f"/{service}/{page}")
            assert route is not None
            assert not route.public


def test_only_record_files_may_be_large():
    large = find_route("/datashare/resources/administrative-penalties/records")
    assert large is not None
    assert large.body_limit == 64 << 20
    assert find_route("/datashare/resources").body_limit is None
    assert find_route("/datashare/resources/a/b/records").body_limit is None
