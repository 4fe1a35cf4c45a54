"""The promises P1 to P10 at a glance: what of each can be seen on the running system, and by which tests the rest is shown."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from operations.checkpoints import Checkpoint, CheckpointWrong, continues, keep, kept, read_checkpoint
from operations.client import Door, Failed
from operations.commands import statuses, well_of_points
from operations.output import Report

__all__ = ["promises"]

SLACK = 1.0
"""Seconds beyond the bound in which a cutoff may be written down as effective: the waiting and the writing take time."""
PATIENCE = 30.0
"""Seconds that a row may wait to be published, or an event for its effect."""
UNAUTHENTICATED, NOT_FOUND = 401, 404


@dataclass
class Promise:
    """One promise: `seen` in words what was looked at now, `wrong` what does not hold; `shown` by tests."""

    name: str
    zh: str
    en: str
    shown: str
    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """How it stands: holds now, does not, or cannot be seen from outside."""
        return "✗" if self.wrong else "✓" if self.seen else "·"


@dataclass
class _Look:
    door: Door
    services: dict[str, Any]
    checkpoint: Path | None


async def promises(door: Door, checkpoint: Path | None = None) -> Report:
    """Look at every promise. `checkpoint`: a file with the last one seen, which the log must continue; it is kept there."""
    look = _Look(door, await statuses(door), checkpoint)
    found = [Promise(name, zh, en, shown) for name, zh, en, shown, _ in CATALOGUE]
    for promise, (*_, see) in zip(found, CATALOGUE, strict=True):
        if see:
            try:
                await see(look, promise)
            except Failed as failed:
                promise.wrong.append(str(failed))
    lines = []
    for promise in found:
        lines.append(f"{promise.mark} {promise.name} {promise.zh} / {promise.en}")
        lines += [f"     {each}" for each in promise.seen]
        if not promise.seen:
            lines.append(f"     运行时不可见，由测试证明 / not to be seen from outside, shown by {promise.shown}")
    wrong = [f"{promise.name}: {each}" for promise in found for each in promise.wrong]
    return Report([asdict(promise) | {"holds": not promise.wrong} for promise in found], lines, wrong)


async def _revoked_is_refused(look: _Look, promise: Promise) -> None:
    told = await look.door.get("/identity/operations/points")
    live = sum(point["live"] for point in told["points"])
    promise.seen.append(f"{live} 个执行点在线 / points live, {len(told['cutoffs'])} 次最近撤销 / last cutoffs")
    promise.wrong += well_of_points(told)
    for name, status in look.services.items():
        if isinstance(status, dict) and not status["point"]["fresh"]:
            promise.wrong.append(f"{name}: 撤销信息过期 / stale")
    now = max((status["now"] for status in look.services.values() if isinstance(status, dict)), default=None)
    for cut in told["cutoffs"]:
        if cut["subject"].startswith("session:"):
            continue
        since = datetime.fromisoformat(cut["at"])
        until = cut["effective_at"] or now
        if until and (datetime.fromisoformat(until) - since).total_seconds() > told["bound"] + SLACK:
            promise.wrong.append(f"{cut['subject']}: 撤销未在时限内生效 / not effective within the bound")


async def _no_answer_without_a_record(look: _Look, promise: Promise) -> None:
    producers = [each for each in await _producers(look) if not each["source"].startswith("/gateway/")]
    promise.seen.append(f"{len(producers)} 个来源编号连续 / producers without a gap")
    for each in producers:
        missing = sum(gap["missing"] for gap in each["gaps"])
        if missing:
            promise.wrong.append(f"{each['source']}: 缺 {missing} 条 / records are missing")
        if each["silent"]:
            promise.wrong.append(f"{each['source']}: 静默 / silent")


async def _producers(look: _Look) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await look.door.get("/audit/producers", cursor=cursor)
        found += page["items"]
        cursor = page["next"]
    return found


async def _nothing_is_lost(look: _Look, promise: Promise) -> None:
    dead = waiting = unpublished = 0
    for name, status in look.services.items():
        if isinstance(status, Failed):
            raise status
        relay, inbox = status["relay"], status["inbox"]
        if relay is None:
            promise.wrong.append(f"{name}: 数据库无应答 / its database does not answer")
            continue
        unpublished += relay["unpublished"]
        if relay["oldest_age"] > PATIENCE:
            promise.wrong.append(f"{name}: 待发 {relay['oldest_age']:.0f} s / rows wait for the bus")
        if inbox:
            dead, waiting = dead + inbox["dead"], waiting + inbox["waiting"]
            if inbox["dead"]:
                promise.wrong.append(f"{name}: {inbox['dead']} 封死信 / dead letters")
    promise.seen.append(f"待发 / unpublished {unpublished}, 积压 / waiting {waiting}, 死信 / dead {dead}")


async def _refuse_by_default(look: _Look, promise: Promise) -> None:
    for path in ("/identity/me", "/datashare/grants", "/incident/incidents", "/audit/records"):
        status = await look.door.status_of(path, anonymous=True)
        if status != UNAUTHENTICATED:
            promise.wrong.append(f"{path}: 无凭证应答 / answered without a credential: {status}")
    if (status := await look.door.status_of("/nowhere")) != NOT_FOUND:
        promise.wrong.append(f"/nowhere: {status}")
    promise.seen.append("四个服务均拒绝无凭证访问 / every service refuses who shows no credential")


async def _facts_are_appended(look: _Look, promise: Promise) -> None:
    key = (await look.door.get("/audit/log-key"))["key"]
    try:
        newest = read_checkpoint(await look.door.text("/audit/checkpoint"), key)
    except CheckpointWrong:
        promise.wrong.append("检查点签名无效 / the checkpoint is not signed by the log")
        return
    promise.seen.append(f"{newest.size} 条，签名有效 / records, signature good")
    audit = look.services.get("audit")
    if isinstance(audit, dict) and not audit["checks"].get("log"):
        promise.wrong.append("日志自检未通过 / the log found itself broken")
    if look.checkpoint:
        await _continued(look, promise, newest, key, look.checkpoint)


async def _continued(look: _Look, promise: Promise, newest: Checkpoint, key: str, file: Path) -> None:
    known = kept(file)
    if known:
        old, known_key = known
        if known_key != key:
            promise.wrong.append("日志密钥已变 / the log has another key than the one kept")
            return
        proof: list[bytes] = []
        if 0 < old.size < newest.size:
            told = await look.door.get("/audit/proofs/consistency", old=old.size, new=newest.size)
            proof = [base64.b64decode(each) for each in told["hashes"]]
        if not continues(old, newest, proof):
            promise.wrong.append(f"不是 {old.size} 条日志的延续 / it does not continue the log of {old.size} records")
            return
        promise.seen.append(f"与留存的检查点一致 / it continues the one kept: {old.size}")
    keep(file, newest, key)


async def _rules_are_data(look: _Look, promise: Promise) -> None:
    versions = await look.door.get("/identity/policies")
    promise.seen.append(f"{len(versions)} 个规则版本 / versions of rules")
    promise.wrong += [f"{each['name']}: 无依据 / no basis" for each in versions if not each["basis"]]


async def _fail_closed(look: _Look, promise: Promise) -> None:
    for name, status in look.services.items():
        if isinstance(status, Failed):
            raise status
        point = status["point"]
        # A point that may decide stands at the feed's end within the bound: else it would have to be stale.
        if point["fresh"] and (point["age"] is None or point["age"] > point["bound"]):
            promise.wrong.append(f"{name}: 过期却仍受理 / stale, and decides")
    oldest = max((status["point"]["age"] or 0 for status in look.services.values()), default=0)
    promise.seen.append(f"最久 {oldest:.1f} s 前确认撤销信息 / the feed was confirmed at most so long ago")


See = Callable[[_Look, Promise], Awaitable[None]]

CATALOGUE: tuple[tuple[str, str, str, str, See | None], ...] = (
    ("P1", "撤销即拒绝", "revoked means refused", "tests/platform/test_nothing_authenticates.py", _revoked_is_refused),
    ("P2", "各种途径，同一效果", "every door, one effect", "tests/services/identity, tests/services/datashare", None),
    ("P3", "无记录不应答", "no answer without a record", "tests/faults", _no_answer_without_a_record),
    ("P4", "不丢失，不重复", "nothing is lost, nothing happens twice", "tests/faults", _nothing_is_lost),
    ("P5", "默认拒绝", "refuse by default", "tests/platform/test_access_matrix.py", _refuse_by_default),
    ("P6", "职责分离", "separate hands", "tests/services (hands), constraints of the tables", None),
    ("P7", "到期即失效", "expiry is a comparison", "tests/services/datashare/test_verdict.py", None),
    ("P8", "只增不改", "facts are appended", "tests/services/audit/test_integrity.py", _facts_are_appended),
    ("P9", "规则即数据", "rules are data", "tests/services/identity/test_policies_and_probes.py", _rules_are_data),
    ("P10", "失效即关闭", "fail closed", "tests/unit/common/test_enforcement_point.py", _fail_closed),
)
"""Name, zh, en, the tests that show it, and what looks at it."""
