"""Chapters three and four: the authority opens the resource; application, decision, agreement, grant."""

from typing import Any

from demo.runner import Expected, Failed
from demo.sample_data import FIELDS
from demo.scenario import PURPOSE, RESOURCE, Life

__all__ = ["agree", "obtain", "open_resource"]


async def open_resource(life: Life) -> None:
    """The authority, and nobody else, opens the resource; its records are loaded."""
    story = life.story
    story.chapter("三、主管部门设置开放权限 / the authority opens the resource")
    await life.refused_query(
        life.clerk.name,
        life.clerk.access,
        "resource-not-open",
        status=404,
        eventually=True,  # datashare hears of the appointment by an event
        resource=f"{RESOURCE}-unopened",
    )
    known = await life.story.client.get(
        f"/datashare/resources/{RESOURCE}", headers={"Authorization": f"Bearer {life.center.access}"}
    )
    if known.status_code == 404:  # noqa: PLR2004
        await story.step(
            life.center.name,
            "登记资源“行政处罚”及字段、脱敏规则 / registers the resource",
            "POST",
            "/datashare/resources",
            Expected(201),
            token=life.center.access,
            json={
                "code": RESOURCE,
                "title": "行政处罚信息",
                "fields": FIELDS,
                "subject_field": "uscc",
                "name_field": "party",
            },
        )
    await story.step(
        life.center.name,
        "装载处罚记录，坏行留存原因 / loads the records",
        "POST",
        f"/datashare/resources/{RESOURCE}/records",
        Expected(200),
        token=life.center.access,
        content=life.records,
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
    for person in (life.center, life.unit_admin):
        await story.step(
            person.name,
            "想自行开放：被拒绝 / may not open it",
            "PUT",
            path,
            Expected(403, "permission-missing"),
            token=person.access,
            json=opening,
        )
    present = await story.client.get(path, headers={"Authorization": f"Bearer {life.authority.access}"})
    await story.step(
        life.authority.name,
        "设置开放权限：字段、用途、单位类别、最长期限、额度 / sets the opening",
        "PUT",
        path,
        Expected(200),
        token=life.authority.access,
        headers={"If-Match": present.headers.get("etag", '"0"')},
        json=opening,
        show=lambda body: f"第 {body['version']} 版",
    )


async def agree(life: Life) -> None:
    """Rules on file, application, advice, decision, agreement, grant."""
    story = life.story
    story.chapter("四、申请、审批、签约 / application, decision, agreement")
    wanted = {
        "resource": RESOURCE,
        "purposes": [PURPOSE],
        "fields": ["uscc", "party", "penalty_date", "kind", "amount", "authority"],
        "systems": [life.system.system_id, life.elsewhere.system_id],
        "origins": None,
        "term_days": 180,
        "quota": {"calls": 6, "rows": 500, "subjects": 100},
        "reason": "行政许可资格核查",
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
    await story.step(
        life.clerk.name,
        "未报备细则先申请：被拒绝 / applies before the rules are on file",
        "POST",
        "/datashare/applications",
        Expected(403, "data-rules-missing"),
        token=life.clerk.access,
        json=wanted,
        eventually=True,
    )
    await story.step(
        life.unit_admin.name,
        "报备数据安全管理细则 / files the data-security rules",
        "POST",
        "/datashare/data-rules",
        Expected(201),
        token=life.unit_admin.access,
        json={
            "title": f"{life.base['unit_name']}信用信息数据安全管理细则",
            "text": "一、专人专岗；二、最小授权；三、留痕可查；四、泄露即报；五、违者追责。",
        },
        show=lambda body: f"有效至 {body['valid_until'][:10]}",
    )
    life.base["wanted"] = wanted
    application = await _apply(life, wanted)
    path = f"/datashare/applications/{application['id']}"
    await story.step(
        life.authority.name,
        "未经中心意见先审批：被拒绝 / decides before the advice",
        "POST",
        f"{path}/decision",
        Expected(409),
        token=life.authority.access,
        json={"decision": "approved", "reason": "同意"},
    )
    await story.step(
        life.clerk.name,
        "申请人想自己审批：被拒绝 / the applicant may not decide",
        "POST",
        f"{path}/decision",
        Expected(403, "permission-missing"),
        token=life.clerk.access,
        json={"decision": "approved", "reason": "同意"},
    )
    await _advise(life, path)
    await story.step(
        life.center.name,
        "提意见的人想审批：被拒绝 / who advised may not decide",
        "POST",
        f"{path}/decision",
        Expected(403, "permission-missing"),
        token=life.center.access,
        json={"decision": "approved", "reason": "同意"},
    )
    await _sign(life, await _decide(life, path))


async def _apply(life: Life, wanted: dict[str, Any]) -> dict[str, Any]:
    answer = await life.story.step(
        life.clerk.name,
        "提出使用申请 / applies",
        "POST",
        "/datashare/applications",
        Expected(201),
        token=life.clerk.access,
        json=wanted,
        eventually=True,
        show=lambda body: body["state"],
    )
    application: dict[str, Any] = answer.json()
    return application


async def _advise(life: Life, path: str) -> None:
    await life.story.step(
        life.center.name,
        "提出意见：支持 / advises",
        "POST",
        f"{path}/advice",
        Expected(201),
        token=life.center.access,
        json={"advice": "support", "reason": "用途明确，字段最小"},
    )


async def _decide(life: Life, path: str) -> str:
    decided = await life.story.step(
        life.authority.name,
        "审批：同意 / approves",
        "POST",
        f"{path}/decision",
        Expected(201),
        token=life.authority.access,
        json={"decision": "approved", "reason": "同意"},
        show=lambda body: body["state"],
    )
    return str(decided.json()["agreement_id"])


async def obtain(life: Life, wanted: dict[str, Any]) -> None:
    """From application to grant, without detours."""
    application = await _apply(life, wanted)
    path = f"/datashare/applications/{application['id']}"
    await _advise(life, path)
    await _sign(life, await _decide(life, path))


async def _sign(life: Life, agreement_id: str) -> None:
    story = life.story
    path = f"/datashare/agreements/{agreement_id}"
    agreement = (
        await story.step(
            life.unit_admin.name,
            "阅读使用协议 / reads the agreement",
            "GET",
            path,
            Expected(200),
            token=life.unit_admin.access,
            show=lambda body: f"{body['state']}，摘要 {body['digest'][:16]}…",
        )
    ).json()
    for person in (life.unit_admin, life.authority):
        signed = await story.step(
            person.name,
            "签署使用协议 / signs",
            "POST",
            f"{path}/signatures",
            Expected(201),
            token=person.access,
            json={"digest": agreement["digest"]},
            show=lambda body: f"{body['state']}" + (f"，授权 {body['grant_id']}" if body.get("grant_id") else ""),
        )
    life.base["grant"] = signed.json()["grant_id"]
    if not life.base["grant"]:
        raise Failed("both sides signed and no grant is active")
