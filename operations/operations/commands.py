"""The commands that only read: status, lag, points, dead letters."""

from typing import Any

from common.contracts.services import SERVICES
from common.contracts.topics import EVENTS
from common.messaging.kafka import lag_of_groups, security_of
from operations.client import ApiClient, CommandError
from operations.output import Report, table
from operations.settings import OperatorSettings

MAX_QUEUE_AGE = 30.0
"""Seconds that an outbox row or an inbox event may wait before the command reports a fault."""
MAX_GROUP_LAG = 10_000
"""Messages that a consumer group may be behind at one partition."""


async def fetch_statuses(client: ApiClient) -> dict[str, Any]:
    """Return the status of each service, or the `CommandError` of its request."""
    answers = await client.get_all(f"/{service}/operations/status" for service in SERVICES)
    return dict(zip(SERVICES, answers, strict=True))


async def status_report(client: ApiClient) -> Report:
    """Report the state of services, relays, consumers and enforcement points."""
    found = await fetch_statuses(client)
    (registry,) = await client.get_all(["/identity/operations/points?cutoffs=0"])
    checks = await client.readiness()
    wrong = [f"未就绪 / not ready: {name}" for name, well in checks.items() if not well]
    wrong += [each for service, status in found.items() for each in _faults(service, status)]
    points = [] if isinstance(registry, CommandError) else registry["points"]
    rows: list[tuple[Any, ...]] = [
        (
            "服务 service",
            "实例 instance",
            "版本",
            "数据库 db",
            "待发 relay",
            "积压 waiting",
            "死信 dead",
            "执行点 point",
        )
    ]
    rows += [_status_row(service, status) for service, status in found.items() if isinstance(status, dict)]
    wrong += [str(registry)] if isinstance(registry, CommandError) else silent_points(registry)
    live = [each["point"] for each in points if each["live"]]
    data = {
        "services": {
            name: str(status) if isinstance(status, CommandError) else status for name, status in found.items()
        },
        "points": points,
        "ready": checks,
    }
    return Report(data, [*table(rows), f"执行点在线 / points live: {', '.join(live)}"], wrong)


def _status_row(service: str, status: dict[str, Any]) -> tuple[Any, ...]:
    relay, inbox, point = status["relay"], status["inbox"], status["point"]
    age = "?" if point["age"] is None else f"{point['age']:.1f} s"
    return (
        service,
        status["instance"],
        status["version"],
        "ok" if status["database"]["answers"] else "✗",
        f"{relay['unpublished']} ({relay['oldest_age']:.0f} s) @{relay['holder'] or '-'}" if relay else "?",
        inbox["waiting"] if inbox else "-",
        inbox["dead"] if inbox else "-",
        f"{'新鲜 fresh' if point['fresh'] else '过期 stale'} {age}, {point['cutoffs']} cutoffs",
    )


def _faults(service: str, status: Any) -> list[str]:
    if isinstance(status, CommandError):
        return [f"{service}: {status}"]
    wrong = []
    if not status["database"]["answers"]:
        wrong.append(f"{service}: 数据库无应答 / the database does not answer")
    if not status["delivering"]:
        wrong.append(f"{service}: 未在接收消息 / receives no messages from the bus")
    if not status["point"]["fresh"]:
        wrong.append(f"{service}: 撤销信息过期 / the enforcement point is stale and refuses requests")
    wrong += [f"{service}: {name} 未就绪 / the check fails" for name, well in status["checks"].items() if not well]
    return wrong + _queue_faults(service, status)


def _queue_faults(service: str, status: dict[str, Any]) -> list[str]:
    wrong = []
    relay, inbox = status["relay"], status["inbox"]
    if relay and relay["oldest_age"] > MAX_QUEUE_AGE:
        wrong.append(f"{service}: {relay['unpublished']} 条待发 / rows wait for the bus, {relay['oldest_age']:.0f} s")
    if relay and not relay["holder"]:
        wrong.append(f"{service}: 无中继 / no relay is active")
    if inbox and inbox["oldest_age"] > MAX_QUEUE_AGE:
        wrong.append(f"{service}: {inbox['waiting']} 个事件积压 / events wait, {inbox['oldest_age']:.0f} s")
    if inbox and inbox["dead"]:
        wrong.append(f"{service}: {inbox['dead']} 封死信 / dead letters")
    return wrong


def silent_points(registry: dict[str, Any]) -> list[str]:
    """Report every enforcement point that stopped its heartbeats without signing off."""
    return [
        f"执行点失联 / silent enforcement point: {each['point']}, {each['last_sign_age']:.0f} s"
        for each in registry["points"]
        if not each["live"]
    ]


async def lag(client: ApiClient, settings: OperatorSettings) -> Report:
    """Report the lag of relays behind their outboxes, and of consumer groups behind their topics."""
    found = await fetch_statuses(client)
    relays = {name: status["relay"] if isinstance(status, dict) else str(status) for name, status in found.items()}
    rows: list[tuple[Any, ...]] = [("中继 relay", "待发 unpublished", "最久 oldest", "末号 last")]
    wrong = []
    for name, status in found.items():
        wrong += _queue_faults(name, status) if isinstance(status, dict) else [f"{name}: {status}"]
        if isinstance(status, dict) and (relay := status["relay"]):
            rows.append((name, relay["unpublished"], f"{relay['oldest_age']:.1f} s", relay["last_published"]))
    if not settings.kafka_bootstrap:
        note = "此部署无消息代理，或未设置 XINDUN_OPERATOR_KAFKA_… / no broker, or XINDUN_OPERATOR_KAFKA_… is not set"
        return Report({"relays": relays, "groups": None}, [*table(rows), note], wrong)
    groups = {group: [topic.name for topic in EVENTS if group in topic.readers] for group in SERVICES}
    places = await lag_of_groups(settings.kafka_bootstrap, groups, security=security_of(settings))
    behind: list[tuple[Any, ...]] = [("组 group", "主题 topic", "分区", "已取 committed", "末尾 end", "落后 lag")]
    behind += [(p.group, p.topic, p.partition, p.committed, p.end, p.lag) for p in places]
    wrong += [f"{p.group} @ {p.topic}/{p.partition}: 落后 / behind {p.lag}" for p in places if p.lag > MAX_GROUP_LAG]
    data = {"relays": relays, "groups": [{name: getattr(p, name) for name in p.__slots__} for p in places]}
    return Report(data, [*table(rows), "", *table(behind)], wrong)


async def points(client: ApiClient) -> Report:
    """Report every enforcement point, and how fast it applied the newest cutoffs."""
    registry = await client.get("/identity/operations/points")
    rows: list[tuple[Any, ...]] = [("执行点 point", "在线 live", "最近应答 last sign")]
    rows += [
        (p["point"], "是 yes" if p["live"] else "否 no", f"{p['last_sign_age']:.1f} s") for p in registry["points"]
    ]
    cuts: list[tuple[Any, ...]] = [("撤销 cutoff", "对象 subject", "原因 reason", "回执 receipts", "最慢 slowest")]
    for cut in registry["cutoffs"]:
        slowest = max((receipt["delay"] for receipt in cut["receipts"]), default=None)
        last = "-" if slowest is None else f"{slowest * 1000:.0f} ms"
        cuts.append((cut["at"], cut["subject"], cut["reason"], len(cut["receipts"]), last))
    return Report(registry, [*table(rows), "", *table(cuts)], silent_points(registry))


async def dead_letters(client: ApiClient) -> Report:
    """List the dead letters of every service that has an inbox."""
    found: dict[str, Any] = {}
    rows: list[tuple[Any, ...]] = [("服务 service", "消息 message", "类型 type", "次数", "错误 error", "收到 received")]
    for service, status in (await fetch_statuses(client)).items():
        if isinstance(status, CommandError):
            raise status
        if status["inbox"] is None:
            continue
        found[service] = await client.get(f"/{service}/operations/dead-letters", limit=100)
        rows += [
            (service, each["message_id"], each["type"], each["attempts"], each["error"], each["received_at"])
            for each in found[service]
        ]
    wrong = [f"{service}: {len(each)} 封死信 / dead letters" for service, each in found.items() if each]
    return Report(found, table(rows) if wrong else ["无死信 / no dead letters"], wrong)
