"""Figures of single services and of the gateway: CPU time and latency of requests."""

import asyncio
from collections.abc import Sequence

import psutil

from bench.fixtures import add_grants
from bench.harness import Harness
from bench.load import LoadResult
from demo.scenario import RESOURCE

GRANT_COUNT = 16
"""One for each connection of the load."""
MEBIBYTE = 1 << 20
SETTLE_SECONDS = 10.0
"""Time in which identity returns the memory of password hashing."""


def _request(method: str, path: str, *, token: str | None = None, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: bench"]
    if token:
        lines.append(f"authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _query(harness: Harness, token: str, path: str = "/datashare/queries", *, resource: str = RESOURCE) -> bytes:
    body = harness.fixtures.query(resource)
    return _request("POST", path, token=token, body=body, content_type="application/json")


def _record_load(harness: Harness, what: str, rounds: Sequence[LoadResult], goals: tuple[str, str, str]) -> None:
    """Record rate, median and 99th percentile of a load."""
    harness.record(f"{what}, answers", "1/s", [result.rate for result in rounds], goals[0])
    harness.record(f"{what}, p50", "ms", [result.p50 for result in rounds], goals[1])
    harness.record(f"{what}, p99", "ms", [result.p99 for result in rounds], goals[2])


async def gateway(harness: Harness) -> None:
    """Measure the gateway: an authorised query, a revoked token, an unknown token, and idle."""
    token = await harness.fixtures.token()
    rounds, cpu = harness.cpu_per_request(["gateway"], "gateway", [_query(harness, token)], status="200")
    _record_load(harness, "query through the gateway, 16 at once", rounds, ("", "", ""))
    harness.record("gateway CPU per authorised query", "µs", cpu["gateway"], "≤ 75")
    revoked = await _revoked(harness)
    rounds, cpu = harness.cpu_per_request(["gateway"], "gateway", [_query(harness, revoked)], status="401")
    harness.record("gateway, refusals of a revoked token", "1/s", [result.rate for result in rounds])
    harness.record("gateway CPU per refusal", "µs", cpu["gateway"])
    forged = token[:-8] + ("A" * 8 if not token.endswith("A" * 8) else "B" * 8)
    rounds, cpu = harness.cpu_per_request(["gateway"], "gateway", [_query(harness, forged)], status="401")
    harness.record("gateway, unknown tokens", "1/s", [result.rate for result in rounds])
    harness.record("gateway CPU per unknown token", "µs", cpu["gateway"])
    harness.record("gateway CPU at rest", "µs/s", await harness.idle_cpu("gateway"))


async def _revoked(harness: Harness) -> str:
    """Return a revoked token of the system; the system itself stays active."""
    scenario, token = harness.fixtures.scenario, await harness.fixtures.token()
    path = f"/identity/systems/{scenario.system.system_id}"
    await harness.fixtures.call(scenario.center, "POST", f"{path}/suspend", json={"reason": "度量"})
    await harness.fixtures.call(scenario.center, "POST", f"{path}/reinstate")
    return token


async def query(harness: Harness) -> None:
    """Measure the query at its service."""
    token = await harness.fixtures.token()
    single = harness.run_rounds("datashare", [_query(harness, token)], status="200", connections=1)
    harness.record("query at the service, one at a time, p50", "ms", [result.p50 for result in single], "≤ 3")
    harness.record("query at the service, one at a time, p99", "ms", [result.p99 for result in single])
    _many_queries(harness, "on one grant", [_query(harness, token)], "")
    resources = await add_grants(harness.fixtures, GRANT_COUNT)
    requests = [_query(harness, token, resource=resource) for resource in resources]
    _many_queries(harness, f"on {GRANT_COUNT} grants", requests, "≥ 800")
    checks = harness.run_rounds("datashare", [_query(harness, token, "/datashare/checks")], status="200", connections=1)
    harness.record("verdict without the data (check), p50", "ms", [result.p50 for result in checks])
    harness.record("verdict without the data (check), p99", "ms", [result.p99 for result in checks])


def _many_queries(harness: Harness, where: str, requests: Sequence[bytes], goal: str) -> None:
    rounds, cpu = harness.cpu_per_request(["datashare", "postgresql"], "datashare", requests, status="200")
    _record_load(harness, f"query at the service, 16 at once {where}", rounds, (goal, "", ""))
    harness.record(f"datashare CPU per query, {where}", "µs", cpu["datashare"])
    harness.record(f"PostgreSQL CPU per query, {where}", "µs", cpu["postgresql"])


async def tokens(harness: Harness) -> None:
    """Measure client-credentials tokens and introspections at identity."""
    system = harness.fixtures.scenario.system
    basic, form = system.basic()["Authorization"], "application/x-www-form-urlencoded"
    token_request = _request(
        "POST",
        "/identity/oauth/token",
        body=b"grant_type=client_credentials",
        content_type=form,
        authorization=basic,
    )
    rounds, cpu = harness.cpu_per_request(["identity", "postgresql"], "identity", [token_request], status="200")
    _record_load(harness, "client-credentials tokens", rounds, ("≥ 900", "", ""))
    harness.record("identity CPU per token", "µs", cpu["identity"])
    harness.record("PostgreSQL CPU per token", "µs", cpu["postgresql"])
    body = f"token={await harness.fixtures.token()}".encode()
    introspection = _request("POST", "/identity/oauth/introspect", body=body, content_type=form, authorization=basic)
    rounds, cpu = harness.cpu_per_request(["identity"], "identity", [introspection], status="200")
    _record_load(harness, "introspections", rounds, ("≥ 2,000", "", ""))
    harness.record("identity CPU per introspection", "µs", cpu["identity"])


async def memory(harness: Harness) -> None:
    """Measure the resident memory of each process, after all loads and a pause."""
    await asyncio.sleep(SETTLE_SECONDS)
    for name in harness.platform.table():
        if name.startswith("gateway-"):
            continue
        goal = "" if name in ("kafka", "postgresql") else "≤ 120"
        resident = psutil.Process(harness.platform.pid(name)).memory_info().rss
        harness.record(f"resident memory of {name}", "MiB", [resident / MEBIBYTE], goal)
