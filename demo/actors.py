"""The people and systems of the scenario, each with their own credentials."""

import asyncio
import base64
import random
import time
from dataclasses import dataclass
from typing import Any

import pyotp

from demo.runner import Expected, Runner

PASSWORD_WORDS = (
    "granite",
    "lantern",
    "orchid",
    "harbor",
    "thunder",
    "velvet",
    "lychee",
    "cobalt",
    "saffron",
    "walnut",
)

TOTP_STEP = 30
"""Seconds of a time step of the second factor (RFC 6238)."""
TOTP_MARGIN = 5
"""Seconds before the end of a step in which the code of the step before is not used any more: it might arrive late."""


@dataclass
class Person:
    """A person with an account."""

    name: str
    """As printed in the steps."""
    login: str
    password: str
    totp_secret: str | None = None
    last_step: int = 0
    access_token: str | None = None
    refresh_token: str | None = None
    account_id: str | None = None
    activation_code: str | None = None

    async def code(self) -> str:
        """Return the code of an unused time step; wait if even the next step's is used.

        The platform accepts the steps before and after the current one: three codes can follow each other without a wait.
        """
        assert self.totp_secret
        step = max(int(time.time() + TOTP_MARGIN) // TOTP_STEP - 1, self.last_step + 1)
        if (ahead := (step - 1) * TOTP_STEP - time.time()) > 0:
            await asyncio.sleep(ahead)
        self.last_step = step
        return pyotp.TOTP(self.totp_secret).at(step * TOTP_STEP)

    async def activate(self, runner: Runner) -> None:
        """Set password and second factor with the activation code of the invitation."""
        code = self.activation_code
        response = await runner.step(
            self.name,
            "用激活码设置密码，取得第二因子 / activates the account",
            "POST",
            "/identity/activations",
            Expected(201),
            json={"login": self.login, "code": code, "password": self.password},
        )
        self.totp_secret = response.json()["totp_secret"]
        await runner.step(
            self.name,
            "确认第二因子 / confirms the second factor",
            "POST",
            "/identity/activations/confirm",
            Expected(200),
            json={"login": self.login, "code": code, "totp": await self.code()},
        )
        self.activation_code = None

    async def sign_in(self, runner: Runner) -> None:
        """Get tokens with password and second factor."""
        response = await runner.step(
            self.name,
            "登录 / signs in",
            "POST",
            "/identity/sessions",
            Expected(201),
            json={"login": self.login, "password": self.password, "totp": await self.code()},
            show=lambda body: f"令牌有效 {body['expires_in']} 秒",
        )
        self._set_tokens(response.json())

    async def refresh(self, runner: Runner) -> None:
        """Get new tokens for the refresh token: they carry the present permissions."""
        response = await runner.step(
            self.name,
            "换取新令牌（权限以当前岗位为准）/ refreshes",
            "POST",
            "/identity/sessions/refresh",
            Expected(200),
            json={"refresh_token": self.refresh_token},
        )
        self._set_tokens(response.json())

    def _set_tokens(self, tokens: dict[str, Any]) -> None:
        self.access_token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]


@dataclass
class System:
    """A connected system of a unit."""

    name: str
    system_id: str
    client_id: str
    secret: str
    access_token: str | None = None

    def basic(self) -> dict[str, str]:
        """Return the header of `client_secret_basic` (RFC 6749 section 2.3.1)."""
        return {"Authorization": "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()}

    async def sign_in(self, runner: Runner, expected: Expected | None = None) -> None:
        """Get a service token by client credentials."""
        response = await runner.step(
            self.name,
            "以客户端凭证换取服务令牌 / gets a service token",
            "POST",
            "/identity/oauth/token",
            expected or Expected(200),
            headers=self.basic(),
            data={"grant_type": "client_credentials"},
            show=lambda body: f"令牌有效 {body['expires_in']} 秒" if "expires_in" in body else body.get("error"),
        )
        self.access_token = response.json().get("access_token", self.access_token)


def first_administrator(name: str, known: dict[str, Any], rng: random.Random) -> Person:
    """Return a first administrator: with the activation code, or with the credentials that an earlier run saved."""
    return Person(
        name=name,
        login=known["login"],
        password=known.get("password") or new_password(rng),
        totp_secret=known.get("totp_secret"),
        last_step=known.get("last_step", 0),
        activation_code=known.get("activation_code"),
    )


def new_password(rng: random.Random) -> str:
    """Return a password that is strong enough for the platform."""
    return "-".join(rng.sample(PASSWORD_WORDS, 4)) + str(rng.randrange(100, 999))
