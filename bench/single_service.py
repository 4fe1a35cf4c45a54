"""Figures of one service and of the gateway: what a request costs, and how long it takes."""

import asyncio
from collections.abc import Sequence

import psutil

from bench.fixtures import more_grants
from bench.harness import Bench
from bench.load import Seen
from demo.scenario import RESOURCE

__all__ = ["gateway", "memory", "query", "tokens"]

GRANTS = 16
"""As many as the load has connections."""
MEBI = 1 << 20
REST = 10.0
"""Seconds: identity gives back what hashing took once it is quiet."""


def _request(method: str, path: str, *, token: str | None = None, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: bench"]
    if token:
        lines.append(f"authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _query(bench: Bench, token: str, path: str = "/datashare/queries", *, resource: str = RESOURCE) -> bytes:
    body = bench.world.query(resource)
    return _request("POST", path, token=token, body=body, content_type="application/json")


def _three(bench: Bench, what: str, rounds: Sequence[Seen], goals: tuple[str, str, str]) -> None:
    """Note a second's worth, median and 99 of 100 of a load."""
    bench.note(f"{what}, answers", "1/s", [seen.rate for seen in rounds], goals[0])
    bench.note(f"{what}, p50", "ms", [seen.p50 for seen in rounds], goals[1])
    bench.note(f"{what}, p99", "ms", [seen.p99 for seen in rounds], goals[2])


async def gateway(bench: Bench) -> None:
    """The gateway before an authorised query, a refusal of a revoked token, an unknown token, and doing nothing."""
    token = await bench.world.token()
    rounds, cpu = bench.cpu_per_answer(["gateway"], "gateway", [_query(bench, token)], status="200")
    _three(bench, "query through the gateway, 16 at once", rounds, ("", "", ""))
    bench.note("gateway CPU per authorised query", "µs", cpu["gateway"], "≤ 75")
    revoked = await _revoked(bench)
    rounds, cpu = bench.cpu_per_answer(["gateway"], "gateway", [_query(bench, revoked)], status="401")
    bench.note("gateway, refusals of a revoked token", "1/s", [seen.rate for seen in rounds])
    bench.note("gateway CPU per refusal", "µs", cpu["gateway"])
    forged = token[:-8] + ("A" * 8 if not token.endswith("A" * 8) else "B" * 8)
    rounds, cpu = bench.cpu_per_answer(["gateway"], "gateway", [_query(bench, forged)], status="401")
    bench.note("gateway, unknown tokens", "1/s", [seen.rate for seen in rounds])
    bench.note("gateway CPU per unknown token", "µs", cpu["gateway"])
    bench.note("gateway CPU at rest", "µs/s", await bench.cpu_at_rest("gateway"))


async def _revoked(bench: Bench) -> str:
    """Return a token of the system that was good until now; the system itself goes on."""
    scenario, token = bench.world.scenario, await bench.world.token()
    path = f"/identity/systems/{scenario.system.system_id}"
    await bench.world.call(scenario.center, "POST", f"{path}/suspend", json={"reason": "度量"})
    await bench.world.call(scenario.center, "POST", f"{path}/reinstate")
    return token


async def query(bench: Bench) -> None:
    """The query at its service."""
    token = await bench.world.token()
    alone = bench.rounds("datashare", [_query(bench, token)], status="200", connections=1)
    bench.note("query at the service, one at a time, p50", "ms", [seen.p50 for seen in alone], "≤ 3")
    bench.note("query at the service, one at a time, p99", "ms", [seen.p99 for seen in alone])
    _many_queries(bench, "on one grant", [_query(bench, token)], "")
    resources = await more_grants(bench.world, GRANTS)
    asked = [_query(bench, token, resource=resource) for resource in resources]
    _many_queries(bench, f"on {GRANTS} grants", asked, "≥ 800")
    checks = bench.rounds("datashare", [_query(bench, token, "/datashare/checks")], status="200", connections=1)
    bench.note("verdict without the data (check), p50", "ms", [seen.p50 for seen in checks])
    bench.note("verdict without the data (check), p99", "ms", [seen.p99 for seen in checks])


def _many_queries(bench: Bench, where: str, asked: Sequence[bytes], goal: str) -> None:
    rounds, cpu = bench.cpu_per_answer(["datashare", "postgresql"], "datashare", asked, status="200")
    _three(bench, f"query at the service, 16 at once {where}", rounds, (goal, "", ""))
    bench.note(f"datashare CPU per query, {where}", "µs", cpu["datashare"])
    bench.note(f"PostgreSQL CPU per query, {where}", "µs", cpu["postgresql"])


async def tokens(bench: Bench) -> None:
    """Client-credentials tokens and introspections at identity."""
    system = bench.world.scenario.system
    basic, form = system.basic()["Authorization"], "application/x-www-form-urlencoded"
    ask = _request(
        "POST",
        "/identity/oauth/token",
        body=b"grant_type=client_credentials",
        content_type=form,
        authorization=basic,
    )
    rounds, cpu = bench.cpu_per_answer(["identity", "postgresql"], "identity", [ask], status="200")
    _three(bench, "client-credentials tokens", rounds, ("≥ 900", "", ""))
    bench.note("identity CPU per token", "µs", cpu["identity"])
    bench.note("PostgreSQL CPU per token", "µs", cpu["postgresql"])
    body = f"token={await bench.world.token()}".encode()
    look = _request("POST", "/identity/oauth/introspect", body=body, content_type=form, authorization=basic)
    rounds, cpu = bench.cpu_per_answer(["identity"], "identity", [look], status="200")
    _three(bench, "introspections", rounds, ("≥ 2,000", "", ""))
    bench.note("identity CPU per introspection", "µs", cpu["identity"])


async def memory(bench: Bench) -> None:
    """The resident memory of each process: after all loads and a rest, as it stays."""
    await asyncio.sleep(REST)
    for name in bench.platform.table():
        if name.startswith("gateway-"):
            continue
        goal = "" if name in ("kafka", "postgresql") else "≤ 120"
        resident = psutil.Process(bench.platform.pid(name)).memory_info().rss
        bench.note(f"resident memory of {name}", "MiB", [resident / MEBI], goal)
