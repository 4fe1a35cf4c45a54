"""Changes keys and passwords. Every step can be cut off and begun again: what is found half done is finished first."""

import asyncio
import os
import secrets
import shlex
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from common import jobs
from common.bus.topics import OPERATOR, PUBLISHERS
from common.operations.door import Door, Failed, WrongUse
from common.operations.reports import Report
from common.tokens import SigningKey

__all__ = ["PRINCIPALS", "rotate_database_password", "rotate_kafka_password", "rotate_signing_key"]

PRINCIPALS = (*PUBLISHERS, OPERATOR)
LOOK_EVERY = 1.0
SIGNING_KEY = "identity/xindun_identity_signing_key_pem"


async def rotate_signing_key(door: Door, directory: Path, *, leaked: bool, wait: float) -> Report:
    """Give identity another signing key, and with `leaked` end the present one with all that it signed.

    Waits up to `wait` seconds for the restart of identity. Raises `Failed`, `WrongUse`.
    """
    file = directory / SIGNING_KEY
    keys = {key["kid"]: key for key in await door.get("/identity/operations/signing-keys")}
    own = [SigningKey.from_pem(block) for block in _blocks(_read(file))]
    # A key of the file that does not sign yet is the one that an earlier call has made.
    pending = [key for key in own if keys.get(key.kid, {}).get("signs_from") is None]
    if not pending:
        pending = [SigningKey.generate()]
        # What is retired goes from the file; what only verifies stays until it is.
        kept = [key for key in own if keys[key.kid]["state"] != "retired"]
        _write(file, "".join(key.to_pem() for key in [*kept, *pending]))
    newest = pending[-1].kid
    lines = [
        f"新密钥 / new key {newest}: {file}",
        "请逐个重启身份服务 / now restart identity, one process after another",
    ]
    if not await _signs(door, newest, wait):
        told = f"{newest} 尚未签发，重启后再执行一次 / it does not sign yet: restart identity and repeat this command"
        return Report({"kid": newest, "signs": False}, lines, [told])
    found: dict[str, Any] = {"kid": newest, "signs": True, "retired": []}
    lines.append(f"{newest} 正在签发 / signs")
    for kid, key in keys.items():
        if kid == newest or key["state"] == "retired":
            continue
        if not leaked:
            lines.append(f"{kid} 在其最后令牌过期后自动停用 / retires by itself when its last token has expired")
            continue
        answer = await door.post(
            f"/identity/operations/signing-keys/{kid}/retire", {"reason": "leaked: rotated", "leaked": True}
        )
        found["retired"].append(answer)
        lines.append(f"{kid} 已停用，自 {answer['effective_at']} 起处处无效 / retired, accepted nowhere since then")
    unsure = [each["key"]["kid"] for each in found["retired"] if each["effective_at"] is None]
    return Report(found, lines, [f"{kid}: 消息总线尚未收下 / the bus has not taken it yet" for kid in unsure])


async def _signs(door: Door, kid: str, wait: float) -> bool:
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        try:
            keys = await door.get("/identity/operations/signing-keys")
            if any(key["kid"] == kid and key["signs_from"] for key in keys):
                return True
        except Failed:
            pass  # it restarts
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(LOOK_EVERY)


def _blocks(text: str) -> list[str]:
    end = "-----END PRIVATE KEY-----\n"
    return [block + end for block in text.split(end) if block.strip()]


async def rotate_database_password(directory: Path, service: str, *, command: str | None) -> Report:
    """Give the serving role of `service` another password. Raises `Failed`, `WrongUse`."""
    original = directory / f"jobs/xindun_jobs_{service}_app_password"
    copy = directory / f"{service}/xindun_{service}_database_password"
    return await _rotate(directory, original, copy, service, command, jobs.databases)


async def rotate_kafka_password(directory: Path, principal: str, *, command: str | None) -> Report:
    """Give a principal of the bus another password. Raises `Failed`, `WrongUse`."""
    original = directory / f"jobs/xindun_jobs_kafka_{principal}_password"
    copy = directory / f"{principal}/xindun_{principal}_kafka_password"

    async def apply(settings: jobs.JobSettings) -> None:
        await jobs.topics(settings, check=False)

    return await _rotate(directory, original, copy, principal, command, apply)


async def _rotate(
    directory: Path,
    original: Path,
    copy: Path,
    whose: str,
    command: str | None,
    apply: Callable[[jobs.JobSettings], Awaitable[object]],
) -> Report:
    """Write the new password where the job reads it, let the job set it, then give it to the process.

    Two files that differ are a rotation that was cut off: it goes on with the password that the job reads.
    """
    resumed = _read(original) != _read(copy)
    if not resumed:
        _write(original, secrets.token_urlsafe(32))
    if command:
        await _run(command)
    else:
        try:
            await apply(jobs.JobSettings(_secrets_dir=directory / "jobs"))
        except jobs.JobFailed as error:
            raise Failed(str(error)) from None
    _write(copy, _read(original))
    lines = [
        f"{whose}: 密码已更换 / the password is changed{' (接续上次 / begun before)' if resumed else ''}: {copy}",
        f"请逐个重启 {whose} / now restart {whose}, one process after another",
    ]
    return Report({"whose": whose, "resumed": resumed, "file": str(copy)}, lines)


async def _run(command: str) -> None:
    """Run the deployment's own job. Raises `Failed`."""
    process = await asyncio.create_subprocess_exec(*shlex.split(command))
    if status := await process.wait():
        raise Failed(f"{command}: {status}")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise WrongUse(f"{file}: {error.strerror}") from None


def _write(file: Path, text: str) -> None:
    """Replace a secret whole, with owner and mode as they were; in place where the file itself is mounted."""
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
