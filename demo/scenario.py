"""Whoever lives the life: its people and systems, and what they do again and again."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.actors import Person, System, id_number
from demo.runner import Expected, Story
from demo.training_answers import ANSWERS

__all__ = ["PURPOSE", "RESOURCE", "Life"]

RESOURCE = "administrative-penalties"
PURPOSE = "qualification-review"
PASSWORD_WORDS = ("lychee", "harbor", "granite", "violet", "cobalt", "meadow", "saffron", "walnut", "ember", "juniper")


@dataclass
class Life:
    """Told by `story`; `authority` and `center` are the first administrators, activated or with their codes.

    `unit_admin`, `clerk`, `system` and `elsewhere` come with the chapters; `base` holds ids that later chapters need.
    """

    story: Story
    rng: random.Random
    authority: Person
    center: Person
    out: Path
    short_term: float | None = 4.0
    """Seconds of the grant that is let expire; None leaves that out."""
    base: dict[str, Any] = field(default_factory=dict)
    records: bytes = b""
    unit_admin: Person = field(init=False)
    clerk: Person = field(init=False)
    system: System = field(init=False)
    elsewhere: System = field(init=False)

    def person(self, name: str, prefix: str) -> Person:
        """Return somebody new, with a login and a password of his own."""
        tag = f"{self.rng.randrange(16**6):06x}"
        password = "-".join(self.rng.sample(PASSWORD_WORDS, 4)) + str(self.rng.randrange(10, 99))
        return Person(name=name, login=f"{prefix}.{tag}", password=password)

    async def invite(self, inviter: Person, person: Person, *, unit: str | None = None, role: str = "") -> None:
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

    async def arrive(self, inviter: Person, person: Person, **invited: Any) -> None:
        """Let somebody be invited, activate the account and sign in."""
        await self.invite(inviter, person, **invited)
        await person.activate(self.story, person.extra.pop("code"))
        await person.sign_in(self.story)

    async def refused_query(
        self, actor: str, token: str | None, problem: str, *, status: int = 403, eventually: bool = False, **body: Any
    ) -> None:
        """Query, and be refused with `problem`."""
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
                "case_number": self.case(),
                "subject": {"uscc": self.base["subject"]},
            }
            | body,
        )

    def case(self) -> str:
        """Return a case number."""
        return f"厦审〔2026〕{self.rng.randrange(1, 9999)}号"

    async def train(self, person: Person) -> None:
        """Pass the confidentiality training."""
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
            json={"answers": {q["id"]: ANSWERS[q["id"]] for q in attempt["questions"]}},
            show=lambda body: f"得分 {body['score']}",
        )

    async def undertake(self, person: Person) -> None:
        """Read and sign the undertaking."""
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

    async def appoint(self, person: Person, post: str = "credit-clerk") -> None:
        """Let the unit's administrator appoint somebody, who then gets a token with the permissions of the post."""
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
