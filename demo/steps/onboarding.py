"""Chapters one and two: units and systems are registered, a clerk arrives."""

import csv
import io

from demo.actors import System, unit_code
from demo.runner import Expected
from demo.sample_data import penalties
from demo.scenario import Life

__all__ = ["join", "register"]

AGENCIES = (
    "厦门市市场监督管理局",
    "厦门市住房和建设局",
    "厦门市交通运输局",
    "厦门市生态环境局",
    "厦门市卫生健康委员会",
)


async def register(life: Life) -> None:
    """Units, their connected systems, and the center's approval."""
    story = life.story
    life.records, life.base["subject"] = penalties()
    story.chapter("一、登记单位与接入系统 / units and connected systems")
    for person in (life.authority, life.center):
        if person.totp is None:
            await person.activate(story, person.extra.pop("code"))
        await person.sign_in(story)
    name = life.rng.choice(AGENCIES)
    code = unit_code(life.rng)
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(("name", "uscc", "kind", "level", "duties"))
    writer.writerow((name, code, "agency", "municipal", "uses"))
    writer.writerow(
        (life.rng.choice(AGENCIES), code[:-1] + ("0" if code[-1] != "0" else "1"), "agency", "municipal", "uses")
    )
    answer = await story.step(
        life.center.name,
        "按 CSV 登记使用单位：好行入册，坏行说明行、列、原因 / registers units",
        "POST",
        "/identity/units/import",
        Expected(200),
        token=life.center.access,
        content=rows.getvalue().encode(),
        headers={"Content-Type": "text/csv"},
        show=lambda body: (
            f"入册 {len(body['registered'])}，退回第 {body['rejected'][0]['line']} 行 {body['rejected'][0]['column']}："
            f"{body['rejected'][0]['reason_zh']}"
        ),
    )
    life.base["unit"] = answer.json()["registered"][0]["id"]
    life.base["unit_name"] = name
    life.unit_admin = life.person(f"{name}管理员", "admin")
    life.unit_admin.extra["name"] = "林海平"
    await life.arrive(life.center, life.unit_admin, unit=life.base["unit"], role="使用单位管理员")
    origin = (
        await story.step(
            life.unit_admin.name,
            "我是谁、平台看到我从哪里来 / who am I",
            "GET",
            "/identity/me",
            Expected(200),
            token=life.unit_admin.access,
            show=lambda body: f"来源 {body['origin']}",
        )
    ).json()["origin"]
    life.system = await _system(life, "行政审批系统", [f"{origin}/{'128' if ':' in origin else '32'}"])
    life.elsewhere = await _system(life, "异地机房系统", ["10.99.0.0/16"])


async def _system(life: Life, name: str, origins: list[str]) -> System:
    story = life.story
    answer = await story.step(
        life.unit_admin.name,
        f"登记接入系统“{name}”及其网络来源 {origins[0]} / registers a connected system",
        "POST",
        "/identity/systems",
        Expected(201),
        token=life.unit_admin.access,
        json={
            "name": f"{name}-{life.rng.randrange(10**6)}",
            "origins": origins,
            "responsible_id": life.unit_admin.account_id,
        },
        show=lambda body: body["state"],
    )
    system_id = answer.json()["id"]
    await story.step(
        life.unit_admin.name,
        "想自己批准：被拒绝 / may not approve its own system",
        "POST",
        f"/identity/systems/{system_id}/approve",
        Expected(403, "permission-missing"),
        token=life.unit_admin.access,
    )
    await story.step(
        life.center.name,
        "批准接入 / approves",
        "POST",
        f"/identity/systems/{system_id}/approve",
        Expected(200),
        token=life.center.access,
        show=lambda body: body["state"],
    )
    secret = await story.step(
        life.unit_admin.name,
        "领取客户端密钥（只显示一次）/ gets the client secret, shown once",
        "POST",
        f"/identity/systems/{system_id}/secret",
        Expected(201),
        token=life.unit_admin.access,
    )
    return System(name, system_id, secret.json()["client_id"], secret.json()["client_secret"])


async def join(life: Life) -> None:
    """A clerk arrives; before each precondition, credit data is refused for that reason."""
    story = life.story
    story.chapter("二、经办人入职：培训、承诺、任职之前都查不到数据 / a clerk joins")
    life.clerk = life.person("经办人陈静", "clerk")
    life.clerk.extra["name"] = "陈静"
    await life.arrive(life.unit_admin, life.clerk)
    await life.refused_query(life.clerk.name, life.clerk.access, "training-missing", eventually=True)
    await life.train(life.clerk)
    await life.refused_query(life.clerk.name, life.clerk.access, "undertaking-missing", eventually=True)
    await life.undertake(life.clerk)
    await life.refused_query(life.clerk.name, life.clerk.access, "post-missing", eventually=True)
    await life.appoint(life.clerk)
