"""Rotates keys and passwords. A command that was interrupted at any step completes when it is repeated."""

import asyncio
import os
import secrets
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from common.contracts.topics import OPERATOR
from common.enforcement.tokens import SigningKey
from operations.client import ApiClient, CommandError, UsageError
from operations.output import Report, table

KEY_POLL_INTERVAL = 1.0
"""Seconds."""
SETUP_COMMAND = f"{shlex.quote(sys.executable)} -m deploy.setup_commands"
STDERR = 2
"""File descriptor."""
KEYS = "/identity/operations/signing-keys"
SIGNING_KEY = "identity/xindun_identity_signing_key_pem"


async def signing_keys(client: ApiClient) -> Report:
    """List every key that signs or verifies."""
    keys = [key for key in await client.get(KEYS) if key["state"] != "retired"]
    rows: list[tuple[Any, ...]] = [("密钥 key", "状态 state", "签发自 signs from", "需要至 needed until")]
    rows += [(key["kid"], key["state"], key["signs_from"], key["needed_until"]) for key in keys]
    return Report(keys, table(rows))


async def rotate_signing_key(client: ApiClient, directory: Path, *, leaked: str | None, wait: float) -> Report:
    """Add a signing key for identity; retire the key `leaked` at once, so that every token that it signed is rejected.

    Waits up to `wait` seconds for the restart of identity. While the previous key is still needed, the rotation under
    way continues with its key. Raises `CommandError`, `UsageError`.
    """
    file = directory / SIGNING_KEY
    states = {key["kid"]: key["state"] for key in await client.get(KEYS)}
    if leaked and leaked not in states:
        raise UsageError(f"未知密钥 / no such key: {leaked}")
    current = [SigningKey.from_pem(block) for block in _blocks(_read(file))]
    kept = [key for key in current if states.get(key.kid) != "retired"]
    alone = sum(state != "retired" for state in states.values()) == 1
    # "verifies": no process has reported lately that it signs, as after a full stop; a rotation may start then too.
    in_use = bool(kept) and states.get(kept[-1].kid) in ("signs", "verifies")
    if not kept or kept[-1].kid == leaked or (alone and not leaked and in_use):
        kept.append(SigningKey.generate())
    if [key.kid for key in kept] != [key.kid for key in current]:
        _write(file, "".join(key.to_pem() for key in kept))
    newest = kept[-1].kid
    if states.get(newest) in (None, "published"):
        sys.stderr.write(
            f"新密钥 / new key {newest}: {file}\n请逐个重启身份服务 / restart identity, one process at a time\n"
        )
    if not await _wait_until_signing(client, newest, wait):
        fault = f"{newest} 尚未签发，重启后再执行一次 / does not sign yet: restart identity and repeat this command"
        return Report({"kid": newest, "signs": False, "retired": None}, [], [fault])
    report = Report({"kid": newest, "signs": True, "retired": None}, [f"{newest} 正在签发 / signs"])
    if leaked:
        await _retire(client, leaked, report)
    else:
        report.lines.append(
            "先前的密钥在其最后令牌过期后自动停用 / earlier keys retire when their last token has expired"
        )
    return report


async def _retire(client: ApiClient, kid: str, report: Report) -> None:
    retirement = await client.post(f"{KEYS}/{kid}/retire", {"reason": "leaked", "leaked": True})
    report.data["retired"] = retirement
    if retirement["effective_at"] is None:
        report.wrong.append(f"{kid}: 消息总线尚未收下 / the bus has not accepted the entry yet")
    else:
        report.lines.append(
            f"{kid} 已停用，自 {retirement['effective_at']} 起处处无效 / retired, rejected everywhere since then"
        )


async def _wait_until_signing(client: ApiClient, kid: str, wait: float) -> bool:
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        try:
            keys = await client.get(KEYS)
            if any(key["kid"] == kid and key["signs_from"] for key in keys):
                return True
        except CommandError:
            pass  # identity restarts
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(KEY_POLL_INTERVAL)


def _blocks(text: str) -> list[str]:
    end = "-----END PRIVATE KEY-----\n"
    return [block + end for block in text.split(end) if block.strip()]


async def rotate_database_password(directory: Path, service: str, *, command: str | None) -> Report:
    """Replace the password of the serving role of `service`. Raises `CommandError`, `UsageError`."""
    original = directory / f"jobs/xindun_jobs_{service}_app_password"
    copy = directory / f"{service}/xindun_{service}_database_password"
    return await _rotate(directory, original, copy, service, command or f"{SETUP_COMMAND} databases")


async def rotate_kafka_password(directory: Path, principal: str, *, command: str | None) -> Report:
    """Replace the password of a principal of the bus. Raises `CommandError`, `UsageError`."""
    original = directory / f"jobs/xindun_jobs_kafka_{principal}_password"
    copy = directory / f"{principal}/xindun_{principal}_kafka_password"
    return await _rotate(directory, original, copy, principal, command or f"{SETUP_COMMAND} topics")


async def _rotate(directory: Path, original: Path, copy: Path, owner: str, command: str) -> Report:
    """Write the new password where the set-up command reads it, run the command, then write the process's copy.

    Two files that differ show a rotation that was interrupted: it continues with the password of the set-up command.
    """
    resumed = _read(original) != _read(copy)
    if not resumed:
        _write(original, secrets.token_urlsafe(32))
    await _run(command, directory)
    _write(copy, _read(original))
    lines = [f"{owner}: 密码已更换 / password changed{' (接续上次 / resumed)' if resumed else ''}: {copy}"]
    if owner != OPERATOR:  # not a process of the platform
        lines.append(f"请逐个重启 {owner} / restart {owner}, one process at a time")
    return Report({"whose": owner, "resumed": resumed, "file": str(copy)}, lines)


async def _run(command: str, directory: Path) -> None:
    """Run a set-up command; its output goes to standard error. Raises `CommandError`."""
    environment = os.environ | {"XINDUN_SECRETS_DIR": str(directory / "jobs")}
    process = await asyncio.create_subprocess_exec(*shlex.split(command), env=environment, stdout=STDERR)
    if status := await process.wait():
        raise CommandError(f"{command}: {status}")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None


def _write(file: Path, text: str) -> None:
    """Replace a secret atomically and keep owner and mode; write in place if the file is a mount point."""
    before = file.stat()
    number, fresh = tempfile.mkstemp(dir=file.parent, prefix=".")
    with os.fdopen(number, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    if os.geteuid() == 0:
        os.chown(fresh, before.st_uid, before.st_gid)
    Path(fresh).chmod(before.st_mode & 0o777)
    try:
        Path(fresh).replace(file)
    except OSError:
        file.write_text(text)
        Path(fresh).unlink()
