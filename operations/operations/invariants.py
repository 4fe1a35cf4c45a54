"""Checks the promises P1 to P10 on the running system, and names the tests that show what cannot be observed."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from operations.checkpoints import Checkpoint, CheckpointError, is_consistent, load, read_checkpoint, store
from operations.client import ApiClient, CommandError
from operations.commands import MAX_QUEUE_AGE, fetch_statuses, silent_points
from operations.output import Report

EFFECTIVE_TOLERANCE = 1.0
"""Seconds beyond the bound within which identity records a cutoff as effective."""


@dataclass
class Invariant:
    """One promise: `seen` lists observations, `wrong` violations; `shown` names the tests."""

    name: str
    zh: str
    en: str
    shown: str
    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """✓ holds, ✗ is violated, · cannot be observed."""
        return "✗" if self.wrong else "✓" if self.seen else "·"


@dataclass
class _Platform:
    client: ApiClient
    services: dict[str, Any]
    checkpoint: Path | None


async def check_invariants(client: ApiClient, checkpoint: Path | None = None) -> Report:
    """Check every promise. The log must be consistent with the checkpoint in file `checkpoint`, which is then replaced."""
    platform = _Platform(client, await fetch_statuses(client), checkpoint)
    found = [Invariant(name, zh, en, shown) for name, zh, en, shown, _ in INVARIANTS]
    for promise, (*_, check) in zip(found, INVARIANTS, strict=True):
        if check:
            try:
                await check(platform, promise)
            except CommandError as failed:
                promise.wrong.append(str(failed))
    lines = []
    for promise in found:
        lines.append(f"{promise.mark} {promise.name} {promise.zh} / {promise.en}")
        lines += [f"     {each}" for each in promise.seen]
        if not promise.seen:
            lines.append(f"     运行时不可见，由测试证明 / cannot be observed, shown by {promise.shown}")
    wrong = [f"{promise.name}: {each}" for promise in found for each in promise.wrong]
    return Report([asdict(promise) | {"holds": not promise.wrong} for promise in found], lines, wrong)


async def _check_revocation(platform: _Platform, promise: Invariant) -> None:
    registry = await platform.client.get("/identity/operations/points")
    live = sum(point["live"] for point in registry["points"])
    promise.seen.append(f"{live} 个执行点在线 / points live, {len(registry['cutoffs'])} 次最近撤销 / last cutoffs")
    promise.wrong += silent_points(registry)
    for name, status in platform.services.items():
        if isinstance(status, dict) and not status["point"]["fresh"]:
            promise.wrong.append(f"{name}: 撤销信息过期 / stale")
    now = max((status["now"] for status in platform.services.values() if isinstance(status, dict)), default=None)
    for cutoff in registry["cutoffs"]:
        if cutoff["subject"].startswith("session:"):
            continue
        since = datetime.fromisoformat(cutoff["at"])
        until = cutoff["effective_at"] or now
        if until and (datetime.fromisoformat(until) - since).total_seconds() > registry["bound"] + EFFECTIVE_TOLERANCE:
            promise.wrong.append(f"{cutoff['subject']}: 撤销未在时限内生效 / not effective within the bound")


async def _check_completeness(platform: _Platform, promise: Invariant) -> None:
    producers = [each for each in await _producers(platform) if not each["source"].startswith("/gateway/")]
    promise.seen.append(f"{len(producers)} 个来源编号连续 / producers without a gap")
    for each in producers:
        missing = sum(gap["missing"] for gap in each["gaps"])
        if missing:
            promise.wrong.append(f"{each['source']}: 缺 {missing} 条 / records are missing")
        if each["silent"]:
            promise.wrong.append(f"{each['source']}: 静默 / silent")


async def _producers(platform: _Platform) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await platform.client.get("/audit/producers", cursor=cursor)
        found += page["items"]
        cursor = page["next"]
    return found


async def _check_delivery(platform: _Platform, promise: Invariant) -> None:
    dead = waiting = unpublished = 0
    for name, status in platform.services.items():
        if isinstance(status, CommandError):
            raise status
        relay, inbox = status["relay"], status["inbox"]
        if relay is None:
            promise.wrong.append(f"{name}: 数据库无应答 / the database does not answer")
            continue
        unpublished += relay["unpublished"]
        if relay["oldest_age"] > MAX_QUEUE_AGE:
            promise.wrong.append(f"{name}: 待发 {relay['oldest_age']:.0f} s / rows wait for the bus")
        if inbox:
            dead, waiting = dead + inbox["dead"], waiting + inbox["waiting"]
            if inbox["dead"]:
                promise.wrong.append(f"{name}: {inbox['dead']} 封死信 / dead letters")
    promise.seen.append(f"待发 / unpublished {unpublished}, 积压 / waiting {waiting}, 死信 / dead {dead}")


async def _check_default_refusal(platform: _Platform, promise: Invariant) -> None:
    for path in ("/identity/me", "/datashare/grants", "/incident/incidents", "/audit/records"):
        status = await platform.client.status_of(path, anonymous=True)
        if status != HTTPStatus.UNAUTHORIZED:
            promise.wrong.append(f"{path}: 无凭证应答 / accepted without a credential: {status}")
    if (status := await platform.client.status_of("/nowhere")) != HTTPStatus.NOT_FOUND:
        promise.wrong.append(f"/nowhere: {status}")
    promise.seen.append("四个服务均拒绝无凭证访问 / every service rejects requests without a credential")


async def _check_log(platform: _Platform, promise: Invariant) -> None:
    key = (await platform.client.get("/audit/log-key"))["key"]
    try:
        newest = read_checkpoint(await platform.client.text("/audit/checkpoint"), key)
    except CheckpointError:
        promise.wrong.append("检查点签名无效 / the log did not sign the checkpoint")
        return
    promise.seen.append(f"{newest.size} 条，签名有效 / records, valid signature")
    audit = platform.services.get("audit")
    if isinstance(audit, dict) and not audit["checks"].get("log"):
        promise.wrong.append("日志自检未通过 / the log's self-check failed")
    if platform.checkpoint:
        await _check_consistency(platform, promise, newest, key, platform.checkpoint)


async def _check_consistency(platform: _Platform, promise: Invariant, newest: Checkpoint, key: str, file: Path) -> None:
    known = load(file)
    if known:
        old, known_key = known
        if known_key != key:
            promise.wrong.append("日志密钥已变 / the log's key differs from the stored one")
            return
        proof: list[bytes] = []
        if 0 < old.size < newest.size:
            body = await platform.client.get("/audit/proofs/consistency", old=old.size, new=newest.size)
            proof = [base64.b64decode(each) for each in body["hashes"]]
        if not is_consistent(old, newest, proof):
            promise.wrong.append(f"不是 {old.size} 条日志的延续 / not consistent with the log of {old.size} records")
            return
        promise.seen.append(f"与留存的检查点一致 / consistent with the stored checkpoint: {old.size}")
    store(file, newest, key)


async def _check_policies(platform: _Platform, promise: Invariant) -> None:
    versions = await platform.client.get("/identity/policies")
    promise.seen.append(f"{len(versions)} 个规则版本 / policy versions")
    promise.wrong += [f"{each['name']}: 无依据 / no legal basis" for each in versions if not each["basis"]]


async def _check_freshness(platform: _Platform, promise: Invariant) -> None:
    for name, status in platform.services.items():
        if isinstance(status, CommandError):
            raise status
        point = status["point"]
        # A fresh point has confirmed the end of the feed within the bound.
        if point["fresh"] and (point["age"] is None or point["age"] > point["bound"]):
            promise.wrong.append(f"{name}: 过期却仍受理 / stale, and still decides")
    oldest = max((status["point"]["age"] or 0 for status in platform.services.values()), default=0)
    promise.seen.append(f"最久 {oldest:.1f} s 前确认撤销信息 / age of the oldest confirmation of the feed")


Check = Callable[[_Platform, Invariant], Awaitable[None]]

INVARIANTS: tuple[tuple[str, str, str, str, Check | None], ...] = (
    ("P1", "撤销即拒绝", "revoked means refused", "tests/platform/test_nothing_authenticates.py", _check_revocation),
    (
        "P2",
        "各种途径，同一效果",
        "one effect, whichever way it is requested",
        "tests/services/identity, tests/services/datashare",
        None,
    ),
    ("P3", "无记录不应答", "no answer without a record", "tests/faults", _check_completeness),
    ("P4", "不丢失，不重复", "nothing is lost, nothing happens twice", "tests/faults", _check_delivery),
    ("P5", "默认拒绝", "refuse by default", "tests/platform/test_access_matrix.py", _check_default_refusal),
    ("P6", "职责分离", "separate hands", "tests/services (hands), constraints of the tables", None),
    ("P7", "到期即失效", "expiry is a comparison", "tests/services/datashare/test_verdict.py", None),
    ("P8", "只增不改", "facts are appended", "tests/services/audit/test_integrity.py", _check_log),
    ("P9", "规则即数据", "rules are data", "tests/services/identity/test_policies_and_probes.py", _check_policies),
    ("P10", "失效即关闭", "fail closed", "tests/unit/common/test_enforcement_point.py", _check_freshness),
)
"""Name, zh, en, tests, check."""
