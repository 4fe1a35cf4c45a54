"""Chapter five: the connected system queries within its grant."""

import asyncio
from datetime import UTC, datetime, timedelta

from demo.runner import Expected
from demo.scenario import PURPOSE, RESOURCE, Scenario
from demo.steps.granting import obtain_grant


async def query_data(scenario: Scenario) -> None:
    """Query within the grant; every query outside of it is refused."""
    runner = scenario.runner
    runner.start_chapter("五、接入系统使用数据 / the system uses what was granted")
    await scenario.system.sign_in(runner)
    await runner.step(
        scenario.remote_system.name,
        "从未登记的网络换令牌：被拒绝 / asks for a token from an unregistered network",
        "POST",
        "/identity/oauth/token",
        Expected(403, "origin-not-registered"),
        headers=scenario.remote_system.basic(),
        data={"grant_type": "client_credentials"},
    )
    query = {
        "resource": RESOURCE,
        "grant_id": scenario.context["grant"],
        "purpose": PURPOSE,
        "case_number": scenario.case_number(),
        "subject": {"uscc": scenario.context["subject"]},
        "fields": ["uscc", "party", "penalty_date", "amount"],
    }
    await runner.step(
        scenario.system.name,
        "按用途和案号查询 / queries with purpose and case number",
        "POST",
        "/datashare/queries",
        Expected(200),
        token=scenario.system.access_token,
        json=query,
        eventually=True,
        show=lambda body: f"{len(body['records'])} 条，首条 {body['records'][0]}",
    )
    for change, problem in (
        ({"purpose": "marketing"}, "purpose-outside-grant"),
        ({"fields": ["uscc", "facts"]}, "field-outside-grant"),
    ):
        await scenario.expect_refused_query(
            scenario.system.name, scenario.system.access_token, problem, **(query | change)
        )
    await runner.step(
        scenario.clerk.name,
        "经办人在岗位权限内查询 / the clerk queries within the post",
        "POST",
        "/datashare/queries",
        Expected(200),
        token=scenario.clerk.access_token,
        json=query | {"case_number": scenario.case_number()},
        eventually=True,
        show=lambda body: f"{len(body['records'])} 条，额度余 {body['quota_left']['calls']} 次",
    )
    for _ in range(4):
        await runner.step(
            scenario.system.name,
            "继续查询 / queries on",
            "POST",
            "/datashare/queries",
            Expected(200),
            token=scenario.system.access_token,
            json=query | {"case_number": scenario.case_number()},
            show=lambda body: f"额度余 {body['quota_left']['calls']} 次",
        )
    await scenario.expect_refused_query(
        scenario.system.name, scenario.system.access_token, "quota-exhausted", status=429, **query
    )
    if scenario.short_grant_seconds:
        ends_at = datetime.now(UTC) + timedelta(seconds=scenario.short_grant_seconds)
        await obtain_grant(
            scenario, scenario.context["application"] | {"ends_at": ends_at.isoformat(), "reason": "续签，短期"}
        )
        await asyncio.sleep(max(0.0, (ends_at - datetime.now(UTC)).total_seconds()))
        expired = query | {"grant_id": scenario.context["grant"], "case_number": scenario.case_number()}
        await scenario.expect_refused_query(
            scenario.system.name, scenario.system.access_token, "grant-expired", **expired
        )
        await obtain_grant(scenario, scenario.context["application"] | {"reason": "续签"})
