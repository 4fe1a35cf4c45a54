"""Asks the platform through its gateway, as the person who runs the command."""

import asyncio
import getpass
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import httpx

from operations.settings import OperatorSettings

__all__ = ["Door", "Failed", "WrongUse"]

WITHIN = 40.0
"""Seconds for one answer: longer than the platform gives itself."""


class WrongUse(Exception):  # noqa: N818 - says what it is
    """The command cannot begin like this: exit 2."""


class Failed(Exception):  # noqa: N818
    """The platform did not do it: exit 1."""


class Door:
    """The gateway, with a person's token."""

    def __init__(self, client: httpx.AsyncClient, token: str | None) -> None:
        self._client, self._token = client, token

    @classmethod
    def at(cls, settings: OperatorSettings, token_file: Path | None) -> Self:
        """Return the door that the settings name. Raises `WrongUse`."""
        token = settings.token.get_secret_value() if settings.token else None
        if token_file:
            try:
                token = token_file.read_text().strip()
            except OSError as error:
                raise WrongUse(f"令牌文件无法读取 / cannot read the token file: {error.strerror}") from None
        trust = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
        return cls(httpx.AsyncClient(base_url=settings.url, timeout=WITHIN, verify=trust), token)

    async def __aenter__(self) -> Self:
        """Open it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self._client.aclose()

    async def require_person(self) -> None:
        """Ask for both factors where there is no token and somebody to ask. Raises `WrongUse`, `Failed`."""
        if self._token:
            return
        if not sys.stdin.isatty():
            raise WrongUse("需要令牌：XINDUN_TOKEN 或 --token-file / a token is needed: XINDUN_TOKEN or --token-file")
        self._token = (await self.sign_in())["access_token"]

    async def sign_in(self) -> dict[str, Any]:
        """Sign in with both factors, asked on the terminal. Raises `Failed`."""
        sys.stderr.write("登录名 / login: ")
        sys.stderr.flush()
        login = (await asyncio.to_thread(sys.stdin.readline)).strip()
        password = await asyncio.to_thread(getpass.getpass, "密码 / password: ")
        code = await asyncio.to_thread(getpass.getpass, "验证码 / code: ")
        tokens: dict[str, Any] = await self.post(
            "/identity/sessions", {"login": login, "password": password, "totp": code.strip()}
        )
        return tokens

    async def get(self, path: str, **query: Any) -> Any:
        """Return the body of a success. Raises `Failed`."""
        return await self._ask("GET", path, params=query)

    async def text(self, path: str) -> str:
        """Return the text of a success. Raises `Failed`."""
        return (await self._send("GET", path)).text

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the body of a success, None without one. Raises `Failed`."""
        return await self._ask("POST", path, json=body)

    async def every(self, paths: Iterable[str]) -> list[Any]:
        """Return the answers to several questions; in the place of one that failed stands its `Failed`."""
        answers = await asyncio.gather(*(self.get(path) for path in paths), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Failed):
                raise answer
        return answers

    async def readiness(self) -> dict[str, bool]:
        """Return what the gateway says of itself and of each service: it tells everybody. Raises `Failed`."""
        checks: dict[str, bool] = (await self._send("GET", "/ready", anonymous=True, any_status=True)).json()["checks"]
        return checks

    async def status_of(self, path: str, *, anonymous: bool = False) -> int:
        """Return only the status of an answer. Raises `Failed` where there is none."""
        return (await self._send("GET", path, anonymous=anonymous, any_status=True)).status_code

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = await self._send(method, path, **more)
        return answer.json() if answer.content else None

    async def _send(
        self, method: str, path: str, *, anonymous: bool = False, any_status: bool = False, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token and not anonymous else {}
        try:
            answer = await self._client.request(method, path, headers=headers, **more)
        except httpx.HTTPError as error:
            raise Failed(f"{self._client.base_url} 无应答 / does not answer: {type(error).__name__}") from None
        if not answer.is_success and not any_status:
            raise Failed(f"{method} {path}: {answer.status_code} {_problem(answer)}")
        return answer


def _problem(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return f"{body['type'].removeprefix('urn:xindun:problem:')} {body['title']} {body.get('detail', '')}".strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.reason_phrase
