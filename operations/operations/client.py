"""HTTP client of the platform's API, with the access token of the operator who runs the command."""

import asyncio
import getpass
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import httpx

from operations.settings import OperatorSettings

REQUEST_TIMEOUT = 40.0
"""Seconds: longer than the platform's own timeout."""


class UsageError(Exception):
    """The command was used wrongly: exit status 2."""


class CommandError(Exception):
    """The platform did not response, or refused: exit status 1."""


class ApiClient:
    """A client of the gateway. Its methods raise `CommandError`."""

    def __init__(self, client: httpx.AsyncClient, token: str | None) -> None:
        self._client, self._token = client, token

    @classmethod
    def from_settings(cls, settings: OperatorSettings, token_file: Path | None) -> Self:
        """Return a client with the token of `token_file`, or of the settings. Raises `UsageError`."""
        token = settings.token.get_secret_value() if settings.token else None
        if token_file:
            try:
                token = token_file.read_text().strip()
            except OSError as error:
                raise UsageError(f"令牌文件无法读取 / cannot read the token file: {error.strerror}") from None
        verify = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
        return cls(httpx.AsyncClient(base_url=settings.url, timeout=REQUEST_TIMEOUT, verify=verify), token)

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def require_person(self) -> None:
        """Sign in if there is no token. Raises `UsageError` if there is no terminal to ask for both factors."""
        if self._token:
            return
        if not sys.stdin.isatty():
            raise UsageError("需要令牌：XINDUN_TOKEN 或 --token-file / a token is needed: XINDUN_TOKEN or --token-file")
        self._token = (await self.sign_in())["access_token"]

    async def sign_in(self) -> dict[str, Any]:
        """Ask for both factors on the terminal and return the tokens."""
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
        """Return the JSON of a response."""
        return await self._request("GET", path, params=query)

    async def text(self, path: str) -> str:
        """Return the text of a response."""
        return (await self._send("GET", path)).text

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the JSON of a response, None if it has no body."""
        return await self._request("POST", path, json=body)

    async def get_all(self, paths: Iterable[str]) -> list[Any]:
        """Send several requests at once; the result of a failed one is its `CommandError`."""
        responses = await asyncio.gather(*(self.get(path) for path in paths), return_exceptions=True)
        for response in responses:
            if isinstance(response, BaseException) and not isinstance(response, CommandError):
                raise response
        return responses

    async def readiness(self) -> dict[str, bool]:
        """Return the readiness checks of the gateway and of each service; they need no token."""
        checks: dict[str, bool] = (await self._send("GET", "/ready", anonymous=True, any_status=True)).json()["checks"]
        return checks

    async def status_of(self, path: str, *, anonymous: bool = False) -> int:
        """Return the status code of a response, whatever it is."""
        return (await self._send("GET", path, anonymous=anonymous, any_status=True)).status_code

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        response = await self._send(method, path, **options)
        return response.json() if response.content else None

    async def _send(
        self, method: str, path: str, *, anonymous: bool = False, any_status: bool = False, **options: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token and not anonymous else {}
        try:
            response = await self._client.request(method, path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise CommandError(f"{self._client.base_url} 无应答 / does not answer: {type(error).__name__}") from None
        if not response.is_success and not any_status:
            raise CommandError(f"{method} {path}: {response.status_code} {_problem(response)}")
        return response


def _problem(response: httpx.Response) -> str:
    try:
        body = response.json()
        return f"{body['type'].removeprefix('urn:xindun:problem:')} {body['title']} {body.get('detail', '')}".strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.reason_phrase
