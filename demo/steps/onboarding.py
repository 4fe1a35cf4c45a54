"""Chapters one and two: the center registers a unit and its systems; a clerk joins."""

import csv
import io

from demo.actors import System
from demo.identifiers import unit_code
from demo.runner import Expected
from demo.sample_data import penalties
from demo.scenario import Scenario

AGENCIES = (
    "厦门市市场监督管理局",
    "厦门市住房和建设局",
    "厦门市交通运输局",
    "厦门市生态环境局",
    "厦门市卫生健康委员会",
)


async def register_unit(scenario: Scenario) -> None:
    """Register a unit and its connected systems; the center approves them."""
    runner = scenario.runner
    scenario.records, scenario.context["subject"] = penalties()
    runner.start_chapter("一、登记单位与接入系统 / units and connected systems")
    for person in (scenario.authority, scenario.center):
        if person.activation_code:
            await person.activate(runner)
        await person.sign_in(runner)
    name = scenario.rng.choice(AGENCIES)
    code = unit_code(scenario.rng)
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(("name", "uscc", "kind", "level", "duties"))
    writer.writerow((name, code, "agency", "municipal", "uses"))
    writer.writerow(
        (scenario.rng.choice(AGENCIES), code[:-1] + ("0" if code[-1] != "0" else "1"), "agency", "municipal", "uses")
    )
    response = await runner.step(
        scenario.center.name,
        "按 CSV 登记使用单位：好行入册，坏行说明行、列、原因 / registers units",
        "POST",
        "/identity/units/import",
        Expected(200),
        token=scenario.center.access_token,
        content=rows.getvalue().encode(),
        headers={"Content-Type": "text/csv"},
        show=lambda body: (
            f"入册 {len(body['registered'])}，退回第 {body['rejected'][0]['line']} 行 {body['rejected'][0]['column']}："
            f"{body['rejected'][0]['reason_zh']}"
        ),
    )
    scenario.context["unit"] = response.json()["registered"][0]["id"]
    scenario.context["unit_name"] = name
    scenario.unit_admin = scenario.person(f"{name}管理员", "admin")
    await scenario.onboard(
        scenario.center, scenario.unit_admin, "林海平", unit=scenario.context["unit"], role="使用单位管理员"
    )
    origin = (
        await runner.step(
            scenario.unit_admin.name,
            "我是谁、平台看到我从哪里来 / who am I",
            "GET",
            "/identity/me",
            Expected(200),
            token=scenario.unit_admin.access_token,
            show=lambda body: f"来源 {body['origin']}",
        )
    ).json()["origin"]
    scenario.system = await _system(scenario, "行政审批系统", [f"{origin}/{'128' if ':' in origin else '32'}"])
    scenario.remote_system = await _system(scenario, "异地机房系统", ["10.99.0.0/16"])


async def _system(scenario: Scenario, name: str, origins: list[str]) -> System:
    runner = scenario.runner
    response = await runner.step(
        scenario.unit_admin.name,
        f"登记接入系统“{name}”及其网络来源 {origins[0]} / registers a connected system",
        "POST",
        "/identity/systems",
        Expected(201),
        token=scenario.unit_admin.access_token,
        json={
            "name": f"{name}-{scenario.rng.randrange(10**6)}",
            "origins": origins,
            "responsible_id": scenario.unit_admin.account_id,
        },
        show=lambda body: body["state"],
    )
    system_id = response.json()["id"]
    await runner.step(
        scenario.unit_admin.name,
        "想自己批准：被拒绝 / may not approve their own system",
        "POST",
        f"/identity/systems/{system_id}/approve",
        Expected(403, "permission-missing"),
        token=scenario.unit_admin.access_token,
    )
    await runner.step(
        scenario.center.name,
        "批准接入 / approves",
        "POST",
        f"/identity/systems/{system_id}/approve",
        Expected(200),
        token=scenario.center.access_token,
        show=lambda body: body["state"],
    )
    secret = await runner.step(
        scenario.unit_admin.name,
        "领取客户端密钥（只显示一次）/ gets the client secret, shown once",
        "POST",
        f"/identity/systems/{system_id}/secret",
        Expected(201),
        token=scenario.unit_admin.access_token,
    )
    return System(name, system_id, secret.json()["client_id"], secret.json()["client_secret"])


async def onboard_clerk(scenario: Scenario) -> None:
    """Onboard a clerk; until each precondition is met, queries are refused for that reason."""
    runner = scenario.runner
    runner.start_chapter("二、经办人入职：培训、承诺、任职之前都查不到数据 / a clerk joins")
    scenario.clerk = scenario.person("经办人陈静", "clerk")
    await scenario.onboard(scenario.unit_admin, scenario.clerk, "陈静")
    await scenario.expect_refused_query(
        scenario.clerk.name, scenario.clerk.access_token, "training-missing", eventually=True
    )
    await scenario.pass_training(scenario.clerk)
    await scenario.expect_refused_query(
        scenario.clerk.name, scenario.clerk.access_token, "undertaking-missing", eventually=True
    )
    await scenario.sign_undertaking(scenario.clerk)
    await scenario.expect_refused_query(
        scenario.clerk.name, scenario.clerk.access_token, "post-missing", eventually=True
    )
    await scenario.appoint(scenario.clerk)
