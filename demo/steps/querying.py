"""Chapter five: the system uses what was granted, and nothing else."""

import asyncio
from datetime import UTC, datetime, timedelta

from demo.runner import Expected
from demo.scenario import PURPOSE, RESOURCE, Life
from demo.steps.granting import obtain

__all__ = ["use"]


async def use(life: Life) -> None:
    """The system queries what was granted, and nothing else."""
    story = life.story
    story.chapter("五、接入系统使用数据 / the system uses what was granted")
    await life.system.sign_in(story)
    await story.step(
        life.elsewhere.name,
        "从未登记的网络换令牌：被拒绝 / asks for a token from an unregistered network",
        "POST",
        "/identity/oauth/token",
        Expected(403, "origin-not-registered"),
        headers=life.elsewhere.basic(),
        data={"grant_type": "client_credentials"},
    )
    query = {
        "resource": RESOURCE,
        "grant_id": life.base["grant"],
        "purpose": PURPOSE,
        "case_number": life.case(),
        "subject": {"uscc": life.base["subject"]},
        "fields": ["uscc", "party", "penalty_date", "amount"],
    }
    await story.step(
        life.system.name,
        "按用途和案号查询 / queries with purpose and case number",
        "POST",
        "/datashare/queries",
        Expected(200),
        token=life.system.access,
        json=query,
        eventually=True,
        show=lambda body: f"{len(body['records'])} 条，首条 {body['records'][0]}",
    )
    for change, problem in (
        ({"purpose": "marketing"}, "purpose-outside-grant"),
        ({"fields": ["uscc", "facts"]}, "field-outside-grant"),
    ):
        await life.refused_query(life.system.name, life.system.access, problem, **(query | change))
    await story.step(
        life.clerk.name,
        "经办人在岗位权限内查询 / the clerk queries within the post",
        "POST",
        "/datashare/queries",
        Expected(200),
        token=life.clerk.access,
        json=query | {"case_number": life.case()},
        eventually=True,
        show=lambda body: f"{len(body['records'])} 条，额度余 {body['quota_left']['calls']} 次",
    )
    for _ in range(4):
        await story.step(
            life.system.name,
            "继续查询 / queries on",
            "POST",
            "/datashare/queries",
            Expected(200),
            token=life.system.access,
            json=query | {"case_number": life.case()},
            show=lambda body: f"额度余 {body['quota_left']['calls']} 次",
        )
    await life.refused_query(life.system.name, life.system.access, "quota-exhausted", status=429, **query)
    if life.short_term:
        ends_at = datetime.now(UTC) + timedelta(seconds=life.short_term)
        await obtain(life, life.base["wanted"] | {"ends_at": ends_at.isoformat(), "reason": "续签，短期"})
        await asyncio.sleep(max(0.0, (ends_at - datetime.now(UTC)).total_seconds()))
        expired = query | {"grant_id": life.base["grant"], "case_number": life.case()}
        await life.refused_query(life.system.name, life.system.access, "grant-expired", **expired)
        await obtain(life, life.base["wanted"] | {"reason": "续签"})
