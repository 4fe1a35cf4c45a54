"""The people and systems of the story: each with its own credentials, and nobody else's."""

import asyncio
import base64
import random
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pyotp
from stdnum.cn import ric, uscc

from demo.runner import Expected, Story

__all__ = ["Person", "System", "id_number", "unit_code"]

STEP = 30
"""Seconds of one step of the second factor."""
SLACK = 5
"""Seconds before the end of a step in which its predecessor's code is not used any more: it might arrive late."""


def unit_code(rng: random.Random) -> str:
    """Return a valid unified social credit code (GB 32100-2015) of an agency in the city (division 350200)."""
    body = "11350200" + "".join(rng.choice("0123456789ABCDEFGHJKLMNPQRTUWXY") for _ in range(9))
    return body + uscc.calc_check_digit(body)


def id_number(rng: random.Random) -> str:
    """Return a valid number of a resident identity card (GB 11643-1999) of nobody in particular."""
    born = date(1988, 1, 1) + timedelta(days=rng.randrange(5_000))
    body = f"350203{born:%Y%m%d}{rng.randrange(1000):03d}"
    return body + ric.calc_check_digit(body + "0")


@dataclass
class Person:
    """Somebody with an account: name for the story, login, password, second factor, tokens."""

    name: str
    login: str
    password: str
    totp: str | None = None
    last_step: int = 0
    access: str | None = None
    refresh: str | None = None
    account_id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    async def code(self) -> str:
        """Return a code of a step that was not used yet, waiting where even the next step's was.

        A step to either side of now is accepted, so three codes can follow each other without a wait.
        """
        assert self.totp
        step = max(int(time.time() + SLACK) // STEP - 1, self.last_step + 1)
        if (ahead := (step - 1) * STEP - time.time()) > 0:
            await asyncio.sleep(ahead)
        self.last_step = step
        return pyotp.TOTP(self.totp).at(step * STEP)

    async def activate(self, story: Story, invitation: str) -> None:
        """Set password and second factor with the code of the invitation."""
        answer = await story.step(
            self.name,
            "用激活码设置密码，取得第二因子 / activates the account",
            "POST",
            "/identity/activations",
            Expected(201),
            json={"login": self.login, "code": invitation, "password": self.password},
        )
        self.totp = answer.json()["totp_secret"]
        await story.step(
            self.name,
            "确认第二因子 / confirms the second factor",
            "POST",
            "/identity/activations/confirm",
            Expected(200),
            json={"login": self.login, "code": invitation, "totp": await self.code()},
        )

    async def sign_in(self, story: Story) -> None:
        """Get tokens with both factors."""
        answer = await story.step(
            self.name,
            "登录 / signs in",
            "POST",
            "/identity/sessions",
            Expected(201),
            json={"login": self.login, "password": self.password, "totp": await self.code()},
            show=lambda body: f"令牌有效 {body['expires_in']} 秒",
        )
        self._keep(answer.json())

    async def renew(self, story: Story) -> None:
        """Get new tokens for the refresh token: they carry the permissions of now."""
        answer = await story.step(
            self.name,
            "换取新令牌（权限以当前岗位为准）/ refreshes",
            "POST",
            "/identity/sessions/refresh",
            Expected(200),
            json={"refresh_token": self.refresh},
        )
        self._keep(answer.json())

    def _keep(self, tokens: dict[str, Any]) -> None:
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]


@dataclass
class System:
    """A connected system of a unit."""

    name: str
    system_id: str
    client_id: str
    secret: str
    access: str | None = None

    def basic(self) -> dict[str, str]:
        """Return the header of client_secret_basic (RFC 6749 §2.3.1)."""
        return {"Authorization": "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()}

    async def sign_in(self, story: Story, expected: Expected | None = None) -> None:
        """Get a service token by client credentials."""
        answer = await story.step(
            self.name,
            "以客户端凭证换取服务令牌 / gets a service token",
            "POST",
            "/identity/oauth/token",
            expected or Expected(200),
            headers=self.basic(),
            data={"grant_type": "client_credentials"},
            show=lambda body: f"令牌有效 {body['expires_in']} 秒" if "expires_in" in body else body.get("error"),
        )
        self.access = answer.json().get("access_token", self.access)
