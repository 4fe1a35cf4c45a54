"""The scenario's people and systems, and the steps that several parts of it share."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.actors import Person, System, new_password
from demo.identifiers import id_number
from demo.runner import Expected, Runner
from demo.training_answers import TRAINING_ANSWERS

RESOURCE = "administrative-penalties"
PURPOSE = "qualification-review"


@dataclass
class Scenario:
    """One data use, performed by `runner`; `authority` and `center` are the first administrators.

    The steps set `unit_admin`, `clerk`, `system` and `remote_system`; `context` has values that later steps need.
    """

    runner: Runner
    rng: random.Random
    authority: Person
    center: Person
    out: Path
    short_grant_seconds: float | None = 4.0
    """Term of the grant that expires during the scenario; None leaves that part out."""
    context: dict[str, Any] = field(default_factory=dict)
    records: bytes = b""
    unit_admin: Person = field(init=False)
    clerk: Person = field(init=False)
    system: System = field(init=False)
    remote_system: System = field(init=False)

    def person(self, name: str, prefix: str) -> Person:
        """Return a new person, with login and password."""
        return Person(name, f"{prefix}.{self.rng.randrange(16**6):06x}", new_password(self.rng))

    async def invite(
        self, inviter: Person, person: Person, full_name: str, *, unit: str | None = None, role: str = ""
    ) -> None:
        """Invite `person`: into the inviter's unit, or as the administrator of `unit`."""
        body: dict[str, Any] = {"login": person.login, "name": full_name, "id_number": id_number(self.rng)}
        if unit:
            body["unit_id"] = unit
        path = "/identity/accounts/administrators" if unit else "/identity/accounts"
        response = await self.runner.step(
            inviter.name,
            f"邀请{role or person.name} / invites",
            "POST",
            path,
            Expected(201),
            token=inviter.access_token,
            json=body,
            show=lambda body: f"账号 {body['account_id']}",
        )
        person.account_id = response.json()["account_id"]
        person.activation_code = response.json()["activation_code"]

    async def onboard(self, inviter: Person, person: Person, full_name: str, **invitation: Any) -> None:
        """Invite `person`, who activates the account and signs in."""
        await self.invite(inviter, person, full_name, **invitation)
        await person.activate(self.runner)
        await person.sign_in(self.runner)

    async def expect_refused_query(
        self, actor: str, token: str | None, problem: str, *, status: int = 403, eventually: bool = False, **body: Any
    ) -> None:
        """Query credit data, and expect the refusal `problem`."""
        await self.runner.step(
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
                "case_number": self.case_number(),
                "subject": {"uscc": self.context["subject"]},
            }
            | body,
        )

    def case_number(self) -> str:
        """Return a case number."""
        return f"厦审〔2026〕{self.rng.randrange(1, 9999)}号"

    async def pass_training(self, person: Person) -> None:
        """Pass the confidentiality training."""
        runner = self.runner
        response = await runner.step(
            person.name,
            "开始保密教育测试，抽到五题 / begins the confidentiality training",
            "POST",
            "/identity/training/attempts",
            Expected(201),
            token=person.access_token,
            show=lambda body: f"{len(body['questions'])} 题",
        )
        attempt = response.json()
        answers = {question["id"]: _answer(question) for question in attempt["questions"]}
        await runner.step(
            person.name,
            "答题 / answers",
            "POST",
            f"/identity/training/attempts/{attempt['id']}/answers",
            Expected(200, members={"passed": True}),
            token=person.access_token,
            json={"answers": answers},
            show=lambda body: f"得分 {body['score']}",
        )

    async def sign_undertaking(self, person: Person) -> None:
        """Read and sign the undertaking."""
        text = await self.runner.step(
            person.name,
            "阅读保密承诺书 / reads the undertaking",
            "GET",
            "/identity/undertaking",
            Expected(200),
            token=person.access_token,
            show=lambda body: f"摘要 {body['digest'][:16]}…",
        )
        await self.runner.step(
            person.name,
            "签署保密承诺书 / signs it",
            "POST",
            "/identity/undertaking/signatures",
            Expected(201),
            token=person.access_token,
            json={"digest": text.json()["digest"]},
        )

    async def appoint(self, person: Person, post: str = "credit-clerk") -> None:
        """Let the unit's administrator appoint `person`, who then gets a token with the permissions of the post."""
        posts = await self.runner.step(
            self.unit_admin.name,
            "查看本单位岗位 / lists the posts",
            "GET",
            "/identity/posts",
            Expected(200),
            token=self.unit_admin.access_token,
        )
        post_id = next(row["id"] for row in posts.json()["items"] if row["name"] == post)
        await self.runner.step(
            self.unit_admin.name,
            f"任命{person.name}为经办岗 / appoints",
            "POST",
            "/identity/appointments",
            Expected(201),
            token=self.unit_admin.access_token,
            json={"account_id": person.account_id, "post_id": post_id},
        )
        await person.refresh(self.runner)


def _answer(question: dict[str, Any]) -> str:
    """Return the letter of the right option."""
    right = TRAINING_ANSWERS[question["zh"]]
    options: dict[str, dict[str, str]] = question["options"]
    return next(letter for letter, text in options.items() if text["zh"] == right)
