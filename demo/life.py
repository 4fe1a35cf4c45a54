"""The life of one data use, chapter by chapter, as issue and regulation tell it."""

import asyncio
import csv
import io
import random
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.actors import Person, System, id_number, unit_code
from demo.records import FIELDS, penalties
from demo.story import Expected, Failed, Story

__all__ = ["Life"]

RESOURCE = "administrative-penalties"
PURPOSE = "qualification-review"
AGENCIES = (
    "厦门市市场监督管理局",
    "厦门市住房和建设局",
    "厦门市交通运输局",
    "厦门市生态环境局",
    "厦门市卫生健康委员会",
)
PASSWORD_WORDS = ("lychee", "harbor", "granite", "violet", "cobalt", "meadow", "saffron", "walnut", "ember", "juniper")


@dataclass
class Life:
    """Plays on `story`; `authority` and `center` are the first administrators, activated or with their codes."""

    story: Story
    rng: random.Random
    authority: Person
    center: Person
    out: Path
    short_term: float | None = 4.0
    """Seconds of the grant that is let expire; None leaves that out."""
    base: dict[str, Any] = field(default_factory=dict)

    def _person(self, name: str, prefix: str) -> Person:
        tag = f"{self.rng.randrange(16**6):06x}"
        password = "-".join(self.rng.sample(PASSWORD_WORDS, 4)) + str(self.rng.randrange(10, 99))
        return Person(name=name, login=f"{prefix}.{tag}", password=password)

    async def play(self) -> None:
        """Play the whole life. Raises `Failed` at the first answer that is not the expected one."""
        await self.register()
        await self.join()
        await self.open()
        await self.agree()
        await self.use()
        await self.leave()
        await self.contain()
        await self.prove()

    async def _invite(self, inviter: Person, person: Person, *, unit: str | None = None, role: str = "") -> None:
        """Invite somebody: into the inviter's unit, or as the administrator of `unit`."""
        body: dict[str, Any] = {"login": person.login, "name": person.extra["name"], "id_number": id_number(self.rng)}
        if unit:
            body["unit_id"] = unit
        path = "/identity/accounts/administrators" if unit else "/identity/accounts"
        answer = await self.story.step(
            inviter.name,
            f"邀请{role or person.name} / invites",
            "POST",
            path,
            Expected(201),
            token=inviter.access,
            json=body,
            show=lambda body: f"账号 {body['account_id']}",
        )
        person.account_id = answer.json()["account_id"]
        person.extra["code"] = answer.json()["activation_code"]

    async def _arrive(self, inviter: Person, person: Person, **invited: Any) -> None:
        await self._invite(inviter, person, **invited)
        await person.activate(self.story, person.extra.pop("code"))
        await person.sign_in(self.story)

    # 1

    async def register(self) -> None:
        """Units, their connected systems, and the center's approval."""
        story = self.story
        self.records, self.base["subject"] = penalties()
        story.chapter("一、登记单位与接入系统 / units and connected systems")
        for person in (self.authority, self.center):
            if person.totp is None:
                await person.activate(story, person.extra.pop("code"))
            await person.sign_in(story)
        name = self.rng.choice(AGENCIES)
        code = unit_code(self.rng)
        rows = io.StringIO()
        writer = csv.writer(rows)
        writer.writerow(("name", "uscc", "kind", "level", "duties"))
        writer.writerow((name, code, "agency", "municipal", "uses"))
        writer.writerow(
            (self.rng.choice(AGENCIES), code[:-1] + ("0" if code[-1] != "0" else "1"), "agency", "municipal", "uses")
        )
        answer = await story.step(
            self.center.name,
            "按 CSV 登记使用单位：好行入册，坏行说明行、列、原因 / registers units",
            "POST",
            "/identity/units/import",
            Expected(200),
            token=self.center.access,
            content=rows.getvalue().encode(),
            headers={"Content-Type": "text/csv"},
            show=lambda body: (
                f"入册 {len(body['registered'])}，退回第 {body['rejected'][0]['line']} 行 {body['rejected'][0]['column']}："
                f"{body['rejected'][0]['reason_zh']}"
            ),
        )
        self.base["unit"] = answer.json()["registered"][0]["id"]
        self.base["unit_name"] = name
        self.unit_admin = self._person(f"{name}管理员", "admin")
        self.unit_admin.extra["name"] = "林海平"
        await self._arrive(self.center, self.unit_admin, unit=self.base["unit"], role="使用单位管理员")
        origin = (
            await story.step(
                self.unit_admin.name,
                "我是谁、平台看到我从哪里来 / who am I",
                "GET",
                "/identity/me",
                Expected(200),
                token=self.unit_admin.access,
                show=lambda body: f"来源 {body['origin']}",
            )
        ).json()["origin"]
        self.system = await self._system("行政审批系统", [f"{origin}/{'128' if ':' in origin else '32'}"])
        self.elsewhere = await self._system("异地机房系统", ["10.99.0.0/16"])

    async def _system(self, name: str, origins: list[str]) -> System:
        story = self.story
        answer = await story.step(
            self.unit_admin.name,
            f"登记接入系统“{name}”及其网络来源 {origins[0]} / registers a connected system",
            "POST",
            "/identity/systems",
            Expected(201),
            token=self.unit_admin.access,
            json={
                "name": f"{name}-{self.rng.randrange(10**6)}",
                "origins": origins,
                "responsible_id": self.unit_admin.account_id,
            },
            show=lambda body: body["state"],
        )
        system_id = answer.json()["id"]
        await story.step(
            self.unit_admin.name,
            "想自己批准：被拒绝 / may not approve its own system",
            "POST",
            f"/identity/systems/{system_id}/approve",
            Expected(403, "permission-missing"),
            token=self.unit_admin.access,
        )
        await story.step(
            self.center.name,
            "批准接入 / approves",
            "POST",
            f"/identity/systems/{system_id}/approve",
            Expected(200),
            token=self.center.access,
            show=lambda body: body["state"],
        )
        secret = await story.step(
            self.unit_admin.name,
            "领取客户端密钥（只显示一次）/ gets the client secret, shown once",
            "POST",
            f"/identity/systems/{system_id}/secret",
            Expected(201),
            token=self.unit_admin.access,
        )
        return System(name, system_id, secret.json()["client_id"], secret.json()["client_secret"])

    # 2

    async def join(self) -> None:
        """A clerk arrives; before each precondition, credit data is refused for that reason."""
        story = self.story
        story.chapter("二、经办人入职：培训、承诺、任职之前都查不到数据 / a clerk joins")
        self.clerk = self._person("经办人陈静", "clerk")
        self.clerk.extra["name"] = "陈静"
        await self._arrive(self.unit_admin, self.clerk)
        await self._refused_query(self.clerk.name, self.clerk.access, "training-missing", eventually=True)
        await self._train(self.clerk)
        await self._refused_query(self.clerk.name, self.clerk.access, "undertaking-missing", eventually=True)
        await self._undertake(self.clerk)
        await self._refused_query(self.clerk.name, self.clerk.access, "post-missing", eventually=True)
        await self._appoint(self.clerk)

    async def _refused_query(
        self, actor: str, token: str | None, problem: str, *, status: int = 403, eventually: bool = False, **body: Any
    ) -> None:
        await self.story.step(
            actor,
            f"查询信用数据：被拒绝 / is refused ({problem})",
            "POST",
            "/datashare/queries",
            Expected(status, problem),
            token=token,
            eventually=eventually,
            json={
                "resource": RESOURCE,
                "purpose": PURPOSE,
                "case_number": self._case(),
                "subject": {"uscc": self.base["subject"]},
            }
            | body,
        )

    def _case(self) -> str:
        return f"厦审〔2026〕{self.rng.randrange(1, 9999)}号"

    async def _train(self, person: Person) -> None:
        story = self.story
        answer = await story.step(
            person.name,
            "开始保密教育测试，抽到五题 / begins the confidentiality training",
            "POST",
            "/identity/training/attempts",
            Expected(201),
            token=person.access,
            show=lambda body: f"{len(body['questions'])} 题",
        )
        attempt = answer.json()
        await story.step(
            person.name,
            "答题 / answers",
            "POST",
            f"/identity/training/attempts/{attempt['id']}/answers",
            Expected(200, members={"passed": True}),
            token=person.access,
            json={"answers": {q["id"]: _knows(q) for q in attempt["questions"]}},
            show=lambda body: f"得分 {body['score']}",
        )

    async def _undertake(self, person: Person) -> None:
        text = await self.story.step(
            person.name,
            "阅读保密承诺书 / reads the undertaking",
            "GET",
            "/identity/undertaking",
            Expected(200),
            token=person.access,
            show=lambda body: f"摘要 {body['digest'][:16]}…",
        )
        await self.story.step(
            person.name,
            "签署保密承诺书 / signs it",
            "POST",
            "/identity/undertaking/signatures",
            Expected(201),
            token=person.access,
            json={"digest": text.json()["digest"]},
        )

    async def _appoint(self, person: Person, post: str = "credit-clerk") -> None:
        posts = await self.story.step(
            self.unit_admin.name,
            "查看本单位岗位 / looks at the posts",
            "GET",
            "/identity/posts",
            Expected(200),
            token=self.unit_admin.access,
        )
        post_id = next(row["id"] for row in posts.json()["items"] if row["name"] == post)
        await self.story.step(
            self.unit_admin.name,
            f"任命{person.name}为经办岗 / appoints",
            "POST",
            "/identity/appointments",
            Expected(201),
            token=self.unit_admin.access,
            json={"account_id": person.account_id, "post_id": post_id},
        )
        await person.renew(self.story)

    # 3

    async def open(self) -> None:
        """The authority, and nobody else, opens the resource; its records are loaded."""
        story = self.story
        story.chapter("三、主管部门设置开放权限 / the authority opens the resource")
        await self._refused_query(
            self.clerk.name, self.clerk.access, "resource-not-open", status=404, resource=f"{RESOURCE}-unopened"
        )
        known = await self.story.client.get(
            f"/datashare/resources/{RESOURCE}", headers={"Authorization": f"Bearer {self.center.access}"}
        )
        if known.status_code == 404:  # noqa: PLR2004
            await story.step(
                self.center.name,
                "登记资源“行政处罚”及字段、脱敏规则 / registers the resource",
                "POST",
                "/datashare/resources",
                Expected(201),
                token=self.center.access,
                json={
                    "code": RESOURCE,
                    "title": "行政处罚信息",
                    "fields": FIELDS,
                    "subject_field": "uscc",
                    "name_field": "party",
                },
            )
        await story.step(
            self.center.name,
            "装载处罚记录，坏行留存原因 / loads the records",
            "POST",
            f"/datashare/resources/{RESOURCE}/records",
            Expected(200),
            token=self.center.access,
            content=self.records,
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
        for person in (self.center, self.unit_admin):
            await story.step(
                person.name,
                "想自行开放：被拒绝 / may not open it",
                "PUT",
                path,
                Expected(403, "permission-missing"),
                token=person.access,
                json=opening,
            )
        present = await story.client.get(path, headers={"Authorization": f"Bearer {self.authority.access}"})
        await story.step(
            self.authority.name,
            "设置开放权限：字段、用途、单位类别、最长期限、额度 / sets the opening",
            "PUT",
            path,
            Expected(200),
            token=self.authority.access,
            headers={"If-Match": present.headers.get("etag", '"0"')},
            json=opening,
            show=lambda body: f"第 {body['version']} 版",
        )

    # 4

    async def agree(self) -> None:
        """Rules on file, application, advice, decision, agreement, grant."""
        story = self.story
        story.chapter("四、申请、审批、签约 / application, decision, agreement")
        wanted = {
            "resource": RESOURCE,
            "purposes": [PURPOSE],
            "fields": ["uscc", "party", "penalty_date", "kind", "amount", "authority"],
            "systems": [self.system.system_id, self.elsewhere.system_id],
            "origins": None,
            "term_days": 180,
            "quota": {"calls": 6, "rows": 500, "subjects": 100},
            "reason": "行政许可资格核查",
        }
        wanted = {name: value for name, value in wanted.items() if value is not None}
        await story.step(
            self.clerk.name,
            "未报备细则先申请：被拒绝 / applies before the rules are on file",
            "POST",
            "/datashare/applications",
            Expected(403, "data-rules-missing"),
            token=self.clerk.access,
            json=wanted,
            eventually=True,
        )
        await story.step(
            self.unit_admin.name,
            "报备数据安全管理细则 / files the data-security rules",
            "POST",
            "/datashare/data-rules",
            Expected(201),
            token=self.unit_admin.access,
            json={
                "title": f"{self.base['unit_name']}信用信息数据安全管理细则",
                "text": "一、专人专岗；二、最小授权；三、留痕可查；四、泄露即报；五、违者追责。",
            },
            show=lambda body: f"有效至 {body['valid_until'][:10]}",
        )
        self.base["wanted"] = wanted
        application = await self._apply(wanted)
        path = f"/datashare/applications/{application['id']}"
        await story.step(
            self.authority.name,
            "未经中心意见先审批：被拒绝 / decides before the advice",
            "POST",
            f"{path}/decision",
            Expected(409),
            token=self.authority.access,
            json={"decision": "approved", "reason": "同意"},
        )
        await story.step(
            self.clerk.name,
            "申请人想自己审批：被拒绝 / the applicant may not decide",
            "POST",
            f"{path}/decision",
            Expected(403, "permission-missing"),
            token=self.clerk.access,
            json={"decision": "approved", "reason": "同意"},
        )
        await self._advise(path)
        await story.step(
            self.center.name,
            "提意见的人想审批：被拒绝 / who advised may not decide",
            "POST",
            f"{path}/decision",
            Expected(403, "permission-missing"),
            token=self.center.access,
            json={"decision": "approved", "reason": "同意"},
        )
        await self._sign(await self._decide(path))

    async def _apply(self, wanted: dict[str, Any]) -> dict[str, Any]:
        answer = await self.story.step(
            self.clerk.name,
            "提出使用申请 / applies",
            "POST",
            "/datashare/applications",
            Expected(201),
            token=self.clerk.access,
            json=wanted,
            eventually=True,
            show=lambda body: body["state"],
        )
        application: dict[str, Any] = answer.json()
        return application

    async def _advise(self, path: str) -> None:
        await self.story.step(
            self.center.name,
            "提出意见：支持 / advises",
            "POST",
            f"{path}/advice",
            Expected(201),
            token=self.center.access,
            json={"advice": "support", "reason": "用途明确，字段最小"},
        )

    async def _decide(self, path: str) -> str:
        decided = await self.story.step(
            self.authority.name,
            "审批：同意 / approves",
            "POST",
            f"{path}/decision",
            Expected(201),
            token=self.authority.access,
            json={"decision": "approved", "reason": "同意"},
            show=lambda body: body["state"],
        )
        return str(decided.json()["agreement_id"])

    async def _obtain(self, wanted: dict[str, Any]) -> None:
        """From application to grant, without detours."""
        application = await self._apply(wanted)
        path = f"/datashare/applications/{application['id']}"
        await self._advise(path)
        await self._sign(await self._decide(path))

    async def _sign(self, agreement_id: str) -> None:
        story = self.story
        path = f"/datashare/agreements/{agreement_id}"
        agreement = (
            await story.step(
                self.unit_admin.name,
                "阅读使用协议 / reads the agreement",
                "GET",
                path,
                Expected(200),
                token=self.unit_admin.access,
                show=lambda body: f"{body['state']}，摘要 {body['digest'][:16]}…",
            )
        ).json()
        for person in (self.unit_admin, self.authority):
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
        self.base["grant"] = signed.json()["grant_id"]
        if not self.base["grant"]:
            raise Failed("both sides signed and no grant is active")

    # 5

    async def use(self) -> None:
        """The system queries what was granted, and nothing else."""
        story = self.story
        story.chapter("五、接入系统使用数据 / the system uses what was granted")
        await self.system.sign_in(story)
        await story.step(
            self.elsewhere.name,
            "从未登记的网络换令牌：被拒绝 / asks for a token from an unregistered network",
            "POST",
            "/identity/oauth/token",
            Expected(403, "origin-not-registered"),
            headers=self.elsewhere.basic(),
            data={"grant_type": "client_credentials"},
        )
        query = {
            "resource": RESOURCE,
            "grant_id": self.base["grant"],
            "purpose": PURPOSE,
            "case_number": self._case(),
            "subject": {"uscc": self.base["subject"]},
            "fields": ["uscc", "party", "penalty_date", "amount"],
        }
        await story.step(
            self.system.name,
            "按用途和案号查询 / queries with purpose and case number",
            "POST",
            "/datashare/queries",
            Expected(200),
            token=self.system.access,
            json=query,
            eventually=True,
            show=lambda body: f"{len(body['records'])} 条，首条 {body['records'][0]}",
        )
        for change, problem in (
            ({"purpose": "marketing"}, "purpose-outside-grant"),
            ({"fields": ["uscc", "facts"]}, "field-outside-grant"),
        ):
            await self._refused_query(self.system.name, self.system.access, problem, **(query | change))
        await story.step(
            self.clerk.name,
            "经办人在岗位权限内查询 / the clerk queries within the post",
            "POST",
            "/datashare/queries",
            Expected(200),
            token=self.clerk.access,
            json=query | {"case_number": self._case()},
            eventually=True,
            show=lambda body: f"{len(body['records'])} 条，额度余 {body['quota_left']['calls']} 次",
        )
        for _ in range(4):
            await story.step(
                self.system.name,
                "继续查询 / queries on",
                "POST",
                "/datashare/queries",
                Expected(200),
                token=self.system.access,
                json=query | {"case_number": self._case()},
                show=lambda body: f"额度余 {body['quota_left']['calls']} 次",
            )
        await self._refused_query(self.system.name, self.system.access, "quota-exhausted", status=429, **query)
        if self.short_term:
            ends_at = datetime.now(UTC) + timedelta(seconds=self.short_term)
            await self._obtain(self.base["wanted"] | {"ends_at": ends_at.isoformat(), "reason": "续签，短期"})
            await asyncio.sleep(max(0.0, (ends_at - datetime.now(UTC)).total_seconds()))
            expired = query | {"grant_id": self.base["grant"], "case_number": self._case()}
            await self._refused_query(self.system.name, self.system.access, "grant-expired", **expired)
            await self._obtain(self.base["wanted"] | {"reason": "续签"})

    # 6

    async def leave(self) -> None:
        """The clerk leaves; every credential dies at once, and what was held goes to other hands."""
        story = self.story
        story.chapter("六、经办人离职：立即失效、专项交接 / the clerk leaves")
        successor = self._person("接收人黄志强", "clerk")
        successor.extra["name"] = "黄志强"
        await self._arrive(self.unit_admin, successor)
        await self._appoint(successor)
        old_access, old_refresh = self.clerk.access, self.clerk.refresh
        departure = (
            await story.step(
                self.unit_admin.name,
                "报告离职：账号立即停用 / reports the departure",
                "POST",
                "/identity/departures",
                Expected(201),
                token=self.unit_admin.access,
                json={
                    "account_id": self.clerk.account_id,
                    "kind": "departure",
                    "left_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
                },
                show=_effect,
            )
        ).json()["departure"]
        await self._dead(old_access, old_refresh, "departure-reported")
        cancelled = (
            await story.step(
                self.center.name,
                "注销账号 / cancels the account",
                "POST",
                f"/identity/departures/{departure['id']}/cancel-account",
                Expected(200),
                token=self.center.access,
                show=_effect,
            )
        ).json()["departure"]
        await self._dead(old_access, old_refresh, "account-revoked")
        path = f"/identity/handovers/{cancelled['handover_id']}"
        await story.step(
            self.unit_admin.name,
            "专项交接清单由平台自动列出 / the handover lists itself",
            "GET",
            path,
            Expected(200, members={"state": "listed"}),
            token=self.unit_admin.access,
            eventually=True,
            show=lambda body: (
                f"{len(body['items'])} 项：" + "、".join(sorted({item["kind"] for item in body["items"]}))
            ),
        )
        await story.step(
            self.unit_admin.name,
            "未交清先会签：被拒绝 / countersigns too early",
            "POST",
            f"{path}/countersign",
            Expected(409, "handover-open"),
            token=self.unit_admin.access,
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
            self.unit_admin.name,
            "他人会签，交接完成 / other hands countersign",
            "POST",
            f"{path}/countersign",
            Expected(200, members={"state": "completed"}),
            token=self.unit_admin.access,
        )
        await story.step(
            self.center.name,
            "离职档案：何时、何处生效 / the file",
            "GET",
            f"/identity/departures/{departure['id']}",
            Expected(200, members={"state": "closed"}),
            token=self.center.access,
            show=lambda body: (
                f"{body['state']}，{len(body['cutoffs'])} 次撤销，回执 "
                + "/".join(str(len(cutoff["receipts"])) for cutoff in body["cutoffs"])
            ),
        )

    async def _dead(self, access: str | None, refresh: str | None, reason: str) -> None:
        story, clerk = self.story, self.clerk
        await story.step(
            clerk.name,
            "旧访问令牌：被拒绝 / the access token is dead",
            "GET",
            "/identity/me",
            Expected(401, "credential-revoked", {"reason": reason}),
            token=access,
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

    # 7

    async def contain(self) -> None:
        """A breach is reported; access ends across services, proven by probes; two people lift it."""
        story = self.story
        story.chapter("七、数据泄露：一秒内遏制、逐一探测、双人解除 / a breach is contained")
        old = self.system.access
        breach = (
            await story.step(
                self.unit_admin.name,
                "报告数据泄露 / reports a breach",
                "POST",
                "/incident/breaches",
                Expected(201),
                token=self.unit_admin.access,
                params={"wait_ms": 5000},
                json={
                    "kind": "leak",
                    "description": "接入系统导出的处罚信息疑似外泄",
                    "occurred_at": None,
                    "detected_at": datetime.now(UTC).isoformat(),
                    "scope": {"systems": [self.system.system_id]},
                },
                show=lambda body: body["containment"]["summary_zh"],
            )
        ).json()
        if breach["containment"]["state"] != "contained":
            raise Failed(f"not contained: {breach['containment']}")
        await story.step(
            self.system.name,
            "旧服务令牌：被拒绝 / its token is dead",
            "POST",
            "/datashare/queries",
            Expected(401, "credential-revoked"),
            token=old,
            json={
                "resource": RESOURCE,
                "purpose": PURPOSE,
                "case_number": self._case(),
                "subject": {"uscc": self.base["subject"]},
            },
        )
        await self.system.sign_in(story, Expected(401))
        await story.step(
            self.unit_admin.name,
            "向主管部门报告 / reports to the authority",
            "POST",
            f"/incident/breaches/{breach['id']}/report-to-authority",
            Expected(201),
            token=self.unit_admin.access,
            json={"content": "接入系统疑似外泄，已停用，正在核查。"},
        )
        proposal = (
            await story.step(
                self.center.name,
                "提议解除 / proposes to lift",
                "POST",
                f"/incident/breaches/{breach['id']}/lift-proposals",
                Expected(201),
                token=self.center.access,
                json={"reason": "核查为误报，导出文件未离开内网"},
            )
        ).json()
        await story.step(
            self.center.name,
            "想自己批准：被拒绝 / may not approve the own proposal",
            "POST",
            f"/incident/lift-proposals/{proposal['id']}/approve",
            Expected(403, "lift-needs-another-person"),
            token=self.center.access,
        )
        lifted = (
            await story.step(
                self.authority.name,
                "第二人批准解除 / a second person approves",
                "POST",
                f"/incident/lift-proposals/{proposal['id']}/approve",
                Expected(200),
                token=self.authority.access,
                params={"wait_ms": 5000},
                show=lambda body: body["containment"]["summary_zh"],
            )
        ).json()
        if lifted["containment"]["state"] != "reopened":
            raise Failed(f"not reopened: {lifted['containment']}")
        await self.system.sign_in(story)

    # 8

    async def prove(self) -> None:
        """The authority takes the evidence away."""
        story = self.story
        story.chapter("八、导出证据包，离线核验 / evidence")
        answer = await story.step(
            self.authority.name,
            "导出证据包 / exports the evidence",
            "POST",
            "/audit/evidence",
            Expected(201),
            token=self.authority.access,
            json={"purpose": "数据使用全过程留证", "scope": {}},
            show=lambda body: f"{body['bytes']} 字节",
        )
        folder = self.out / "evidence"
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
        (self.out / "verify.py").write_bytes(verifier.content)


def _effect(body: dict[str, Any]) -> str:
    effective = body["effective"]
    return f"自 {effective['effective_at']} 起全面失效，{effective['points']} 个执行点回执"


def _knows(question: dict[str, Any]) -> Any:
    """Answer as somebody who has read the rules: the course's material says what is right."""
    from demo.training import ANSWERS  # noqa: PLC0415

    return ANSWERS[question["id"]]
