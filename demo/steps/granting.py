"""Chapters three and four: the authority opens the resource; the unit applies, both sides sign."""

from typing import Any

from demo.runner import Expected, StepFailedError
from demo.sample_data import FIELDS
from demo.scenario import PURPOSE, RESOURCE, Scenario


async def open_resource(scenario: Scenario) -> None:
    """Register and load the resource; only the authority can open it."""
    runner = scenario.runner
    runner.start_chapter("三、主管部门设置开放权限 / the authority opens the resource")
    await scenario.expect_refused_query(
        scenario.clerk.name,
        scenario.clerk.access_token,
        "resource-not-open",
        status=404,
        eventually=True,  # datashare learns of the appointment by an event
        resource=f"{RESOURCE}-unopened",
    )
    known = await scenario.runner.client.get(
        f"/datashare/resources/{RESOURCE}", headers={"Authorization": f"Bearer {scenario.center.access_token}"}
    )
    if known.status_code == 404:  # noqa: PLR2004
        await runner.step(
            scenario.center.name,
            "登记资源“行政处罚”及字段、脱敏规则 / registers the resource",
            "POST",
            "/datashare/resources",
            Expected(201),
            token=scenario.center.access_token,
            json={
                "code": RESOURCE,
                "title": "行政处罚信息",
                "fields": FIELDS,
                "subject_field": "uscc",
                "name_field": "party",
            },
        )
    await runner.step(
        scenario.center.name,
        "装载处罚记录，坏行留存原因 / loads the records",
        "POST",
        f"/datashare/resources/{RESOURCE}/records",
        Expected(200),
        token=scenario.center.access_token,
        content=scenario.records,
        headers={"Content-Type": "text/csv"},
        show=lambda body: f"装载 {body['loaded']}，已有 {body['repeated']}，退回 {body['rejected']}",
    )
    opening = {
        "fields": ["uscc", "party", "penalty_date", "kind", "amount", "facts", "authority"],
        "purposes": [PURPOSE, "public-procurement"],
        "unit_kinds": ["agency", "public-service"],
        "longest_term_days": 365,
        "quota": {"calls": 1000, "rows": 10000, "subjects": 1000},
        "reason": "规程第十条",
    }
    path = f"/datashare/resources/{RESOURCE}/opening"
    for person in (scenario.center, scenario.unit_admin):
        await runner.step(
            person.name,
            "想自行开放：被拒绝 / may not open it",
            "PUT",
            path,
            Expected(403, "permission-missing"),
            token=person.access_token,
            json=opening,
        )
    present = await runner.client.get(path, headers={"Authorization": f"Bearer {scenario.authority.access_token}"})
    await runner.step(
        scenario.authority.name,
        "设置开放权限：字段、用途、单位类别、最长期限、额度 / sets the opening",
        "PUT",
        path,
        Expected(200),
        token=scenario.authority.access_token,
        headers={"If-Match": present.headers.get("etag", '"0"')},
        json=opening,
        show=lambda body: f"第 {body['version']} 版",
    )


async def apply_and_sign(scenario: Scenario) -> None:
    """File the data-security rules, apply, advise, decide, sign: then the grant is active."""
    runner = scenario.runner
    runner.start_chapter("四、申请、审批、签约 / application, decision, agreement")
    application = {
        "resource": RESOURCE,
        "purposes": [PURPOSE],
        "fields": ["uscc", "party", "penalty_date", "kind", "amount", "authority"],
        "systems": [scenario.system.system_id, scenario.remote_system.system_id],
        "term_days": 180,
        "quota": {"calls": 6, "rows": 500, "subjects": 100},
        "reason": "行政许可资格核查",
    }
    await runner.step(
        scenario.clerk.name,
        "未报备细则先申请：被拒绝 / applies before the rules are on file",
        "POST",
        "/datashare/applications",
        Expected(403, "data-rules-missing"),
        token=scenario.clerk.access_token,
        json=application,
        eventually=True,
    )
    await runner.step(
        scenario.unit_admin.name,
        "报备数据安全管理细则 / files the data-security rules",
        "POST",
        "/datashare/data-rules",
        Expected(201),
        token=scenario.unit_admin.access_token,
        json={
            "title": f"{scenario.context['unit_name']}信用信息数据安全管理细则",
            "text": "一、专人专岗；二、最小授权；三、留痕可查；四、泄露即报；五、违者追责。",
        },
        show=lambda body: f"有效至 {body['valid_until'][:10]}",
    )
    scenario.context["application"] = application
    application_id = await _apply(scenario, application)
    path = f"/datashare/applications/{application_id}"
    await runner.step(
        scenario.authority.name,
        "未经中心意见先审批：被拒绝 / decides before the advice",
        "POST",
        f"{path}/decision",
        Expected(409),
        token=scenario.authority.access_token,
        json={"decision": "approved", "reason": "同意"},
    )
    await runner.step(
        scenario.clerk.name,
        "申请人想自己审批：被拒绝 / the applicant may not decide",
        "POST",
        f"{path}/decision",
        Expected(403, "permission-missing"),
        token=scenario.clerk.access_token,
        json={"decision": "approved", "reason": "同意"},
    )
    await _advise(scenario, path)
    await runner.step(
        scenario.center.name,
        "提意见的人想审批：被拒绝 / the adviser may not decide",
        "POST",
        f"{path}/decision",
        Expected(403, "permission-missing"),
        token=scenario.center.access_token,
        json={"decision": "approved", "reason": "同意"},
    )
    await _sign(scenario, await _decide(scenario, path))


async def _apply(scenario: Scenario, application: dict[str, Any]) -> str:
    response = await scenario.runner.step(
        scenario.clerk.name,
        "提出使用申请 / applies",
        "POST",
        "/datashare/applications",
        Expected(201),
        token=scenario.clerk.access_token,
        json=application,
        eventually=True,
        show=lambda body: body["state"],
    )
    return str(response.json()["id"])


async def _advise(scenario: Scenario, path: str) -> None:
    await scenario.runner.step(
        scenario.center.name,
        "提出意见：支持 / advises",
        "POST",
        f"{path}/advice",
        Expected(201),
        token=scenario.center.access_token,
        json={"advice": "support", "reason": "用途明确，字段最小"},
    )


async def _decide(scenario: Scenario, path: str) -> str:
    decided = await scenario.runner.step(
        scenario.authority.name,
        "审批：同意 / approves",
        "POST",
        f"{path}/decision",
        Expected(201),
        token=scenario.authority.access_token,
        json={"decision": "approved", "reason": "同意"},
        show=lambda body: body["state"],
    )
    return str(decided.json()["agreement_id"])


async def obtain_grant(scenario: Scenario, application: dict[str, Any]) -> None:
    """Apply, advise, decide and sign."""
    application_id = await _apply(scenario, application)
    path = f"/datashare/applications/{application_id}"
    await _advise(scenario, path)
    await _sign(scenario, await _decide(scenario, path))


async def _sign(scenario: Scenario, agreement_id: str) -> None:
    runner = scenario.runner
    path = f"/datashare/agreements/{agreement_id}"
    agreement = (
        await runner.step(
            scenario.unit_admin.name,
            "阅读使用协议 / reads the agreement",
            "GET",
            path,
            Expected(200),
            token=scenario.unit_admin.access_token,
            show=lambda body: f"{body['state']}，摘要 {body['digest'][:16]}…",
        )
    ).json()
    for person in (scenario.unit_admin, scenario.authority):
        signed = await runner.step(
            person.name,
            "签署使用协议 / signs",
            "POST",
            f"{path}/signatures",
            Expected(201),
            token=person.access_token,
            json={"digest": agreement["digest"]},
            show=lambda body: f"{body['state']}" + (f"，授权 {body['grant_id']}" if body.get("grant_id") else ""),
        )
    scenario.context["grant"] = signed.json()["grant_id"]
    if not scenario.context["grant"]:
        raise StepFailedError("both sides signed and no grant is active")
