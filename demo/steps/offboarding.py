"""Chapters six to eight: the clerk leaves, a breach is contained, the authority exports the evidence."""

import io
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.actors import Person
from demo.runner import Expected
from demo.scenario import PURPOSE, RESOURCE, Scenario

MAX_EXPORTED_RECORDS = 9_000
"""The newest records of the log. A package holds 10,000 at most, and the log grows during the export."""


async def offboard_clerk(scenario: Scenario) -> None:
    """Report the clerk's departure: every credential is refused at once, and a successor takes over the matters."""
    runner = scenario.runner
    runner.start_chapter("六、经办人离职：立即失效、专项交接 / the clerk leaves")
    successor = scenario.person("接收人黄志强", "clerk")
    await scenario.onboard(scenario.unit_admin, successor, "黄志强")
    await scenario.appoint(successor)
    old_access, old_refresh = scenario.clerk.access_token, scenario.clerk.refresh_token
    departure = (
        await runner.step(
            scenario.unit_admin.name,
            "报告离职：账号立即停用 / reports the departure",
            "POST",
            "/identity/departures",
            Expected(201),
            token=scenario.unit_admin.access_token,
            json={
                "account_id": scenario.clerk.account_id,
                "kind": "departure",
                "left_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
            },
            show=_effect,
        )
    ).json()
    await _expect_revoked(scenario, old_access, old_refresh, "departure-reported", departure)
    departure = departure["departure"]
    cancelled = (
        await runner.step(
            scenario.center.name,
            "注销账号 / cancels the account",
            "POST",
            f"/identity/departures/{departure['id']}/cancel-account",
            Expected(200),
            token=scenario.center.access_token,
            show=_effect,
        )
    ).json()
    await _expect_revoked(scenario, old_access, old_refresh, "account-revoked", cancelled)
    await _hand_over(scenario, successor, cancelled["departure"])


async def _hand_over(scenario: Scenario, successor: Person, departure: dict[str, Any]) -> None:
    runner = scenario.runner
    path = f"/identity/handovers/{departure['handover_id']}"
    await runner.step(
        scenario.unit_admin.name,
        "专项交接清单由平台自动列出 / the platform lists the handover",
        "GET",
        path,
        Expected(200, members={"state": "listed"}),
        token=scenario.unit_admin.access_token,
        eventually=True,
        show=lambda body: f"{len(body['items'])} 项：" + "、".join(sorted({item["kind"] for item in body["items"]})),
    )
    await runner.step(
        scenario.unit_admin.name,
        "未交清先会签：被拒绝 / countersigns too early",
        "POST",
        f"{path}/countersign",
        Expected(409, "handover-open"),
        token=scenario.unit_admin.access_token,
    )
    await runner.step(
        successor.name,
        "逐项接收 / takes over",
        "POST",
        f"{path}/settlements",
        Expected(201),
        token=successor.access_token,
        json={"outcome": "taken-over"},
    )
    await runner.step(
        successor.name,
        "接收人想自己会签：被拒绝 / the recipient may not countersign",
        "POST",
        f"{path}/countersign",
        Expected(403, "permission-missing"),
        token=successor.access_token,
    )
    await runner.step(
        scenario.unit_admin.name,
        "他人会签，交接完成 / another person countersigns",
        "POST",
        f"{path}/countersign",
        Expected(200, members={"state": "completed"}),
        token=scenario.unit_admin.access_token,
    )
    await runner.step(
        scenario.center.name,
        "离职档案：何时、何处生效 / the file",
        "GET",
        f"/identity/departures/{departure['id']}",
        Expected(200, members={"state": "closed"}),
        token=scenario.center.access_token,
        show=lambda body: (
            f"{body['state']}，{len(body['cutoffs'])} 次撤销，回执 "
            + "/".join(str(len(cutoff["receipts"])) for cutoff in body["cutoffs"])
        ),
    )


async def _expect_revoked(
    scenario: Scenario, access: str | None, refresh: str | None, reason: str, acknowledged: dict[str, Any]
) -> None:
    runner, clerk = scenario.runner, scenario.clerk
    effective = acknowledged["effective"]["effective_at"] is not None
    await runner.step(
        clerk.name,
        "旧访问令牌：被拒绝 / the access token is refused",
        "GET",
        "/identity/me",
        Expected(401, "credential-revoked", {"reason": reason}),
        token=access,
        eventually=not effective,  # without the bus the revocation is acknowledged later
    )
    await runner.step(
        clerk.name,
        "旧刷新令牌：被拒绝 / the refresh token is refused",
        "POST",
        "/identity/sessions/refresh",
        Expected(401),
        json={"refresh_token": refresh},
    )
    if reason == "account-revoked":
        await runner.step(
            clerk.name,
            "重新登录：被拒绝 / signing in again fails",
            "POST",
            "/identity/sessions",
            Expected(401, "sign-in-refused"),
            json={"login": clerk.login, "password": clerk.password, "totp": await clerk.code()},
        )


async def contain_breach(scenario: Scenario) -> None:
    """Report a breach: access ends in all services, as probes show; two persons lift the containment."""
    runner = scenario.runner
    runner.start_chapter("七、数据泄露：一秒内遏制、逐一探测、双人解除 / a breach is contained")
    old = scenario.system.access_token
    breach = (
        await runner.step(
            scenario.unit_admin.name,
            "报告数据泄露 / reports a breach",
            "POST",
            "/incident/breaches",
            Expected(201),
            token=scenario.unit_admin.access_token,
            params={"wait_ms": 5000},
            json={
                "kind": "leak",
                "description": "接入系统导出的处罚信息疑似外泄",
                "occurred_at": None,
                "detected_at": datetime.now(UTC).isoformat(),
                "scope": {"systems": [scenario.system.system_id]},
            },
            eventually=True,  # incident learns of the system by an event
            show=lambda body: body["containment"]["summary_zh"],
        )
    ).json()
    if breach["containment"]["state"] != "contained":
        await _wait_for_containment(scenario, breach["id"], "contained")
    await runner.step(
        scenario.system.name,
        "旧服务令牌：被拒绝 / its token is refused",
        "POST",
        "/datashare/queries",
        Expected(401, "credential-revoked"),
        token=old,
        json={
            "resource": RESOURCE,
            "purpose": PURPOSE,
            "case_number": scenario.case_number(),
            "subject": {"uscc": scenario.context["subject"]},
        },
    )
    await scenario.system.sign_in(runner, Expected(401))
    await runner.step(
        scenario.unit_admin.name,
        "向主管部门报告 / reports to the authority",
        "POST",
        f"/incident/breaches/{breach['id']}/report-to-authority",
        Expected(201),
        token=scenario.unit_admin.access_token,
        json={"content": "接入系统疑似外泄，已停用，正在核查。"},
    )
    await _lift(scenario, breach["id"])


async def _lift(scenario: Scenario, breach_id: str) -> None:
    runner = scenario.runner
    proposal = (
        await runner.step(
            scenario.center.name,
            "提议解除 / proposes to lift",
            "POST",
            f"/incident/breaches/{breach_id}/lift-proposals",
            Expected(201),
            token=scenario.center.access_token,
            json={"reason": "核查为误报，导出文件未离开内网"},
        )
    ).json()
    await runner.step(
        scenario.center.name,
        "想自己批准：被拒绝 / may not approve their own proposal",
        "POST",
        f"/incident/lift-proposals/{proposal['id']}/approve",
        Expected(403, "lift-needs-another-person"),
        token=scenario.center.access_token,
    )
    lifted = (
        await runner.step(
            scenario.authority.name,
            "第二人批准解除 / a second person approves",
            "POST",
            f"/incident/lift-proposals/{proposal['id']}/approve",
            Expected(200),
            token=scenario.authority.access_token,
            params={"wait_ms": 5000},
            show=lambda body: body["containment"]["summary_zh"],
        )
    ).json()
    if lifted["containment"]["state"] != "reopened":
        await _wait_for_containment(scenario, breach_id, "reopened")
    await scenario.system.sign_in(runner)


async def _wait_for_containment(scenario: Scenario, breach_id: str, state: str) -> None:
    """Read the breach until its containment has `state`; request another probe where one came to no result."""
    while True:
        response = await scenario.runner.step(
            scenario.center.name,
            "查看遏制进展 / reads the progress of the containment",
            "GET",
            f"/incident/breaches/{breach_id}",
            Expected(200, predicate=lambda body: body["containment"]["state"] == state or _unproven(body)),
            token=scenario.center.access_token,
            eventually=True,
            show=lambda body: body["containment"]["summary_zh"],
        )
        if not (unproven := _unproven(response.json())):
            return
        for order in unproven:
            await scenario.runner.step(
                scenario.center.name,
                "再次探测 / requests another probe",
                "POST",
                f"/incident/orders/{order}/probes",
                Expected(202),
                token=scenario.center.access_token,
            )


def _unproven(body: dict[str, Any]) -> list[str]:
    """Return the orders that were carried out, but that no probe could prove in time."""
    return [
        order["id"]
        for order in body["orders"]
        if (order["state"] == "failed" and order["confirmed_at"])
        or (order["state"] == "not-reopened" and order["restored_at"])
    ]


async def export_evidence(scenario: Scenario) -> None:
    """Export the evidence, and the program that verifies it."""
    runner = scenario.runner
    runner.start_chapter("八、导出证据包，离线核验 / evidence")
    size = await _log_size(scenario)
    response = await runner.step(
        scenario.authority.name,
        "导出证据包 / exports the evidence",
        "POST",
        "/audit/evidence",
        Expected(201),
        token=scenario.authority.access_token,
        eventually=True,  # refused while an event is not in the log yet
        json={"purpose": "数据使用全过程留证", "scope": {"from_index": max(0, size - MAX_EXPORTED_RECORDS)}},
        show=lambda body: f"{body['bytes']} 字节",
    )
    folder = scenario.out / "evidence"
    shutil.rmtree(folder, ignore_errors=True)  # records of an earlier package are not in the list of this one
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        archive.extractall(folder)
    verifier = await runner.step(
        "任何人",
        "取得离线核验程序 / anyone gets the verifier",
        "GET",
        "/audit/verify.py",
        Expected(200),
        show=lambda body: f"{body['bytes']} 字节",
    )
    (scenario.out / "verify.py").write_bytes(verifier.content)


async def _log_size(scenario: Scenario) -> int:
    """Return the size of the log: the second line of its checkpoint (C2SP tlog-checkpoint)."""
    checkpoint = await scenario.runner.step(
        "任何人", "取得日志检查点 / anyone gets the checkpoint", "GET", "/audit/checkpoint", Expected(200)
    )
    return int(checkpoint.text.splitlines()[1])


def _effect(body: dict[str, Any]) -> str:
    effective = body["effective"]
    return f"自 {effective['effective_at']} 起全面失效，{effective['points']} 个执行点回执"
