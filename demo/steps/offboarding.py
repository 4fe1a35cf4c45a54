"""Chapters six to eight: the clerk leaves, a breach is contained, the evidence is taken away."""

import io
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.actors import Person
from demo.runner import Expected
from demo.scenario import PURPOSE, RESOURCE, Life

__all__ = ["contain", "leave", "prove"]

MOST_RECORDS = 9_000
"""The newest records that are taken away: all on a young platform. A package takes 10,000, and the log grows meanwhile."""


async def leave(life: Life) -> None:
    """The clerk leaves; every credential dies at once, and what was held goes to other hands."""
    story = life.story
    story.chapter("六、经办人离职：立即失效、专项交接 / the clerk leaves")
    successor = life.person("接收人黄志强", "clerk")
    successor.extra["name"] = "黄志强"
    await life.arrive(life.unit_admin, successor)
    await life.appoint(successor)
    old_access, old_refresh = life.clerk.access, life.clerk.refresh
    departure = (
        await story.step(
            life.unit_admin.name,
            "报告离职：账号立即停用 / reports the departure",
            "POST",
            "/identity/departures",
            Expected(201),
            token=life.unit_admin.access,
            json={
                "account_id": life.clerk.account_id,
                "kind": "departure",
                "left_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
            },
            show=_effect,
        )
    ).json()
    await _dead(life, old_access, old_refresh, "departure-reported", departure)
    departure = departure["departure"]
    cancelled = (
        await story.step(
            life.center.name,
            "注销账号 / cancels the account",
            "POST",
            f"/identity/departures/{departure['id']}/cancel-account",
            Expected(200),
            token=life.center.access,
            show=_effect,
        )
    ).json()
    await _dead(life, old_access, old_refresh, "account-revoked", cancelled)
    await _hand_over(life, successor, cancelled["departure"])


async def _hand_over(life: Life, successor: Person, departure: dict[str, Any]) -> None:
    story = life.story
    path = f"/identity/handovers/{departure['handover_id']}"
    await story.step(
        life.unit_admin.name,
        "专项交接清单由平台自动列出 / the handover lists itself",
        "GET",
        path,
        Expected(200, members={"state": "listed"}),
        token=life.unit_admin.access,
        eventually=True,
        show=lambda body: f"{len(body['items'])} 项：" + "、".join(sorted({item["kind"] for item in body["items"]})),
    )
    await story.step(
        life.unit_admin.name,
        "未交清先会签：被拒绝 / countersigns too early",
        "POST",
        f"{path}/countersign",
        Expected(409, "handover-open"),
        token=life.unit_admin.access,
    )
    await story.step(
        successor.name,
        "逐项接收 / takes over",
        "POST",
        f"{path}/settlements",
        Expected(201),
        token=successor.access,
        json={"outcome": "taken-over"},
    )
    await story.step(
        successor.name,
        "接收人想自己会签：被拒绝 / the taker may not countersign",
        "POST",
        f"{path}/countersign",
        Expected(403, "permission-missing"),
        token=successor.access,
    )
    await story.step(
        life.unit_admin.name,
        "他人会签，交接完成 / other hands countersign",
        "POST",
        f"{path}/countersign",
        Expected(200, members={"state": "completed"}),
        token=life.unit_admin.access,
    )
    await story.step(
        life.center.name,
        "离职档案：何时、何处生效 / the file",
        "GET",
        f"/identity/departures/{departure['id']}",
        Expected(200, members={"state": "closed"}),
        token=life.center.access,
        show=lambda body: (
            f"{body['state']}，{len(body['cutoffs'])} 次撤销，回执 "
            + "/".join(str(len(cutoff["receipts"])) for cutoff in body["cutoffs"])
        ),
    )


async def _dead(life: Life, access: str | None, refresh: str | None, reason: str, acknowledged: dict[str, Any]) -> None:
    story, clerk = life.story, life.clerk
    effective = acknowledged["effective"]["effective_at"] is not None
    await story.step(
        clerk.name,
        "旧访问令牌：被拒绝 / the access token is dead",
        "GET",
        "/identity/me",
        Expected(401, "credential-revoked", {"reason": reason}),
        token=access,
        eventually=not effective,  # while the bus is away the answer says that it does not hold everywhere yet
    )
    await story.step(
        clerk.name,
        "旧刷新令牌：被拒绝 / the refresh token is dead",
        "POST",
        "/identity/sessions/refresh",
        Expected(401),
        json={"refresh_token": refresh},
    )
    if reason == "account-revoked":
        await story.step(
            clerk.name,
            "重新登录：被拒绝 / signing in again fails",
            "POST",
            "/identity/sessions",
            Expected(401, "sign-in-refused"),
            json={"login": clerk.login, "password": clerk.password, "totp": await clerk.code()},
        )


async def contain(life: Life) -> None:
    """A breach is reported; access ends across services, proven by probes; two people lift it."""
    story = life.story
    story.chapter("七、数据泄露：一秒内遏制、逐一探测、双人解除 / a breach is contained")
    old = life.system.access
    breach = (
        await story.step(
            life.unit_admin.name,
            "报告数据泄露 / reports a breach",
            "POST",
            "/incident/breaches",
            Expected(201),
            token=life.unit_admin.access,
            params={"wait_ms": 5000},
            json={
                "kind": "leak",
                "description": "接入系统导出的处罚信息疑似外泄",
                "occurred_at": None,
                "detected_at": datetime.now(UTC).isoformat(),
                "scope": {"systems": [life.system.system_id]},
            },
            eventually=True,  # incident hears of the system by an event
            show=lambda body: body["containment"]["summary_zh"],
        )
    ).json()
    if breach["containment"]["state"] != "contained":
        await _settled(life, breach["id"], "contained")
    await story.step(
        life.system.name,
        "旧服务令牌：被拒绝 / its token is dead",
        "POST",
        "/datashare/queries",
        Expected(401, "credential-revoked"),
        token=old,
        json={
            "resource": RESOURCE,
            "purpose": PURPOSE,
            "case_number": life.case(),
            "subject": {"uscc": life.base["subject"]},
        },
    )
    await life.system.sign_in(story, Expected(401))
    await story.step(
        life.unit_admin.name,
        "向主管部门报告 / reports to the authority",
        "POST",
        f"/incident/breaches/{breach['id']}/report-to-authority",
        Expected(201),
        token=life.unit_admin.access,
        json={"content": "接入系统疑似外泄，已停用，正在核查。"},
    )
    await _lift(life, breach["id"])


async def _lift(life: Life, breach_id: str) -> None:
    story = life.story
    proposal = (
        await story.step(
            life.center.name,
            "提议解除 / proposes to lift",
            "POST",
            f"/incident/breaches/{breach_id}/lift-proposals",
            Expected(201),
            token=life.center.access,
            json={"reason": "核查为误报，导出文件未离开内网"},
        )
    ).json()
    await story.step(
        life.center.name,
        "想自己批准：被拒绝 / may not approve the own proposal",
        "POST",
        f"/incident/lift-proposals/{proposal['id']}/approve",
        Expected(403, "lift-needs-another-person"),
        token=life.center.access,
    )
    lifted = (
        await story.step(
            life.authority.name,
            "第二人批准解除 / a second person approves",
            "POST",
            f"/incident/lift-proposals/{proposal['id']}/approve",
            Expected(200),
            token=life.authority.access,
            params={"wait_ms": 5000},
            show=lambda body: body["containment"]["summary_zh"],
        )
    ).json()
    if lifted["containment"]["state"] != "reopened":
        await _settled(life, breach_id, "reopened")
    await life.system.sign_in(story)


async def _settled(life: Life, breach_id: str, state: str) -> None:
    """Look until the file says so: the answer before did not wait any longer. What no probe could show is probed again."""
    while True:
        answer = await life.story.step(
            life.center.name,
            "查看遏制进展 / looks how far it has come",
            "GET",
            f"/incident/breaches/{breach_id}",
            Expected(200, shows=lambda body: body["containment"]["state"] == state or _unshown(body)),
            token=life.center.access,
            eventually=True,
            show=lambda body: body["containment"]["summary_zh"],
        )
        if not (unshown := _unshown(answer.json())):
            return
        for order in unshown:
            await life.story.step(
                life.center.name,
                "再次探测 / has it probed again",
                "POST",
                f"/incident/orders/{order}/probes",
                Expected(202),
                token=life.center.access,
            )


def _unshown(body: dict[str, Any]) -> list[str]:
    """Return the orders that are carried out, and no probe could show it in time."""
    return [
        order["id"]
        for order in body["orders"]
        if (order["state"] == "failed" and order["confirmed_at"])
        or (order["state"] == "not-reopened" and order["restored_at"])
    ]


async def prove(life: Life) -> None:
    """The authority takes the evidence away."""
    story = life.story
    story.chapter("八、导出证据包，离线核验 / evidence")
    size = await _log_size(life)
    answer = await story.step(
        life.authority.name,
        "导出证据包 / exports the evidence",
        "POST",
        "/audit/evidence",
        Expected(201),
        token=life.authority.access,
        eventually=True,  # refused while an event of it is still on its way
        json={"purpose": "数据使用全过程留证", "scope": {"from_index": max(0, size - MOST_RECORDS)}},
        show=lambda body: f"{body['bytes']} 字节",
    )
    folder = life.out / "evidence"
    shutil.rmtree(folder, ignore_errors=True)  # records of an earlier package would not be in the list of this one
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(folder)
    verifier = await story.step(
        "任何人",
        "取得离线核验程序 / anybody gets the verifier",
        "GET",
        "/audit/verify.py",
        Expected(200),
        show=lambda body: f"{body['bytes']} 字节",
    )
    (life.out / "verify.py").write_bytes(verifier.content)


async def _log_size(life: Life) -> int:
    """Return how many records the log's checkpoint (C2SP tlog-checkpoint: the second line) covers."""
    checkpoint = await life.story.step(
        "任何人", "取得日志检查点 / anybody gets the checkpoint", "GET", "/audit/checkpoint", Expected(200)
    )
    return int(checkpoint.text.splitlines()[1])


def _effect(body: dict[str, Any]) -> str:
    effective = body["effective"]
    return f"自 {effective['effective_at']} 起全面失效，{effective['points']} 个执行点回执"
