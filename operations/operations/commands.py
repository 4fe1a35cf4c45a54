"""The commands that look: status, lag, points, dead letters."""

from typing import Any

from common.contracts.services import SERVICES
from common.contracts.topics import EVENTS
from common.messaging.kafka import lag_of_groups, security_of
from operations.client import Door, Failed
from operations.output import Report, table
from operations.settings import OperatorSettings

__all__ = ["dead_letters", "lag", "points", "status_report", "statuses", "well_of_points"]

OLDEST = 30.0
"""Seconds that a row may wait for its publication, or an event for its effect, before that is wrong."""
FURTHEST = 10_000
"""Messages that a group may be behind at one partition."""


async def statuses(door: Door) -> dict[str, Any]:
    """Return the status of each service; a `Failed` where it did not answer."""
    answers = await door.every(f"/{service}/operations/status" for service in SERVICES)
    return dict(zip(SERVICES, answers, strict=True))


async def status_report(door: Door) -> Report:
    """All services, their relays, consumers and points at a glance."""
    found = await statuses(door)
    (pointed,) = await door.every(["/identity/operations/points?cutoffs=0"])
    checks = await door.readiness()
    wrong = [f"未就绪 / not ready: {name}" for name, well in checks.items() if not well]
    wrong += [each for service, told in found.items() for each in _wrong_of(service, told)]
    seen = [] if isinstance(pointed, Failed) else pointed["points"]
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
    rows += [_row(service, told) for service, told in found.items() if isinstance(told, dict)]
    wrong += [str(pointed)] if isinstance(pointed, Failed) else well_of_points(pointed)
    live = [each["point"] for each in seen if each["live"]]
    data = {
        "services": {name: str(told) if isinstance(told, Failed) else told for name, told in found.items()},
        "points": seen,
        "ready": checks,
    }
    return Report(data, [*table(rows), f"执行点在线 / points live: {', '.join(live)}"], wrong)


def _row(service: str, told: dict[str, Any]) -> tuple[Any, ...]:
    relay, inbox, point = told["relay"], told["inbox"], told["point"]
    age = "?" if point["age"] is None else f"{point['age']:.1f} s"
    return (
        service,
        told["instance"],
        told["version"],
        "ok" if told["database"]["answers"] else "✗",
        f"{relay['unpublished']} ({relay['oldest_age']:.0f} s) @{relay['holder'] or '-'}" if relay else "?",
        inbox["waiting"] if inbox else "-",
        inbox["dead"] if inbox else "-",
        f"{'新鲜 fresh' if point['fresh'] else '过期 stale'} {age}, {point['cutoffs']} cutoffs",
    )


def _wrong_of(service: str, told: Any) -> list[str]:
    if isinstance(told, Failed):
        return [f"{service}: {told}"]
    wrong = []
    if not told["database"]["answers"]:
        wrong.append(f"{service}: 数据库无应答 / its database does not answer")
    if not told["delivering"]:
        wrong.append(f"{service}: 未在接收消息 / it receives nothing from the bus")
    if not told["point"]["fresh"]:
        wrong.append(f"{service}: 撤销信息过期 / its point is stale, it refuses")
    wrong += [f"{service}: {name} 未就绪 / is not well" for name, well in told["checks"].items() if not well]
    return wrong + _wrong_of_queues(service, told)


def _wrong_of_queues(service: str, told: dict[str, Any]) -> list[str]:
    wrong = []
    relay, inbox = told["relay"], told["inbox"]
    if relay and relay["oldest_age"] > OLDEST:
        wrong.append(f"{service}: {relay['unpublished']} 条待发 / rows wait for the bus, {relay['oldest_age']:.0f} s")
    if relay and not relay["holder"]:
        wrong.append(f"{service}: 无中继 / no relay is at work")
    if inbox and inbox["oldest_age"] > OLDEST:
        wrong.append(f"{service}: {inbox['waiting']} 个事件积压 / events wait, {inbox['oldest_age']:.0f} s")
    if inbox and inbox["dead"]:
        wrong.append(f"{service}: {inbox['dead']} 封死信 / dead letters")
    return wrong


def well_of_points(pointed: dict[str, Any]) -> list[str]:
    """Return in words which points went without a goodbye."""
    return [
        f"执行点失联 / a point went silent: {each['point']}, {each['last_sign_age']:.0f} s"
        for each in pointed["points"]
        if not each["live"]
    ]


async def lag(door: Door, settings: OperatorSettings) -> Report:
    """How far relays are behind their outboxes, and groups behind their topics."""
    found = await statuses(door)
    relays = {name: told["relay"] if isinstance(told, dict) else str(told) for name, told in found.items()}
    rows: list[tuple[Any, ...]] = [("中继 relay", "待发 unpublished", "最久 oldest", "末号 last")]
    wrong = []
    for name, told in found.items():
        wrong += _wrong_of_queues(name, told) if isinstance(told, dict) else [f"{name}: {told}"]
        if isinstance(told, dict) and (relay := told["relay"]):
            rows.append((name, relay["unpublished"], f"{relay['oldest_age']:.1f} s", relay["last_published"]))
    if not settings.kafka_bootstrap:
        note = "此部署无消息代理，或未设置 XINDUN_OPERATOR_KAFKA_… / no broker here, or it is not named"
        return Report({"relays": relays, "groups": None}, [*table(rows), note], wrong)
    groups = {group: [topic.name for topic in EVENTS if group in topic.readers] for group in SERVICES}
    places = await lag_of_groups(settings.kafka_bootstrap, groups, security=security_of(settings))
    behind: list[tuple[Any, ...]] = [("组 group", "主题 topic", "分区", "已取 committed", "末尾 end", "落后 lag")]
    behind += [(p.group, p.topic, p.partition, p.committed, p.end, p.lag) for p in places]
    wrong += [f"{p.group} @ {p.topic}/{p.partition}: 落后 / behind {p.lag}" for p in places if p.lag > FURTHEST]
    data = {"relays": relays, "groups": [{name: getattr(p, name) for name in p.__slots__} for p in places]}
    return Report(data, [*table(rows), "", *table(behind)], wrong)


async def points(door: Door) -> Report:
    """Every enforcement point, and how fast the newest cutoffs reached them."""
    told = await door.get("/identity/operations/points")
    rows: list[tuple[Any, ...]] = [("执行点 point", "在线 live", "最近应答 last sign")]
    rows += [(p["point"], "是 yes" if p["live"] else "否 no", f"{p['last_sign_age']:.1f} s") for p in told["points"]]
    cuts: list[tuple[Any, ...]] = [("撤销 cutoff", "对象 subject", "原因 reason", "回执 receipts", "最慢 slowest")]
    for cut in told["cutoffs"]:
        slowest = max((receipt["delay"] for receipt in cut["receipts"]), default=None)
        last = "-" if slowest is None else f"{slowest * 1000:.0f} ms"
        cuts.append((cut["at"], cut["subject"], cut["reason"], len(cut["receipts"]), last))
    return Report(told, [*table(rows), "", *table(cuts)], well_of_points(told))


async def dead_letters(door: Door) -> Report:
    """List the dead letters of every service that has an inbox."""
    found: dict[str, Any] = {}
    rows: list[tuple[Any, ...]] = [("服务 service", "消息 message", "类型 type", "次数", "错误 error", "收到 received")]
    for service, told in (await statuses(door)).items():
        if isinstance(told, Failed):
            raise told
        if told["inbox"] is None:
            continue
        found[service] = await door.get(f"/{service}/operations/dead-letters", limit=100)
        rows += [
            (service, each["message_id"], each["type"], each["attempts"], each["error"], each["received_at"])
            for each in found[service]
        ]
    wrong = [f"{service}: {len(each)} 封死信 / dead letters" for service, each in found.items() if each]
    return Report(found, table(rows) if wrong else ["无死信 / no dead letters"], wrong)
