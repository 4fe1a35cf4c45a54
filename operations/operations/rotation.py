"""Changes keys and passwords. Every step can be cut off and begun again: what is found half done is finished first."""

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
from operations.client import Door, Failed, WrongUse
from operations.output import Report, table

__all__ = ["rotate_database_password", "rotate_kafka_password", "rotate_signing_key", "signing_keys"]

LOOK_EVERY = 1.0
SETUP_COMMAND = f"{shlex.quote(sys.executable)} -m deploy.setup_commands"
STDERR = 2
"""File descriptor."""
KEYS = "/identity/operations/signing-keys"
SIGNING_KEY = "identity/xindun_identity_signing_key_pem"


async def signing_keys(door: Door) -> Report:
    """Every key that signs or verifies."""
    keys = [key for key in await door.get(KEYS) if key["state"] != "retired"]
    rows: list[tuple[Any, ...]] = [("密钥 key", "状态 state", "签发自 signs from", "需要至 needed until")]
    rows += [(key["kid"], key["state"], key["signs_from"], key["needed_until"]) for key in keys]
    return Report(keys, table(rows))


async def rotate_signing_key(door: Door, directory: Path, *, leaked: str | None, wait: float) -> Report:
    """Give identity another signing key; end the key `leaked` at once, with all that it signed.

    Waits up to `wait` seconds for the restart of identity. A rotation that is under way, since the key before has not
    ended yet, is not begun anew. Raises `Failed`, `WrongUse`.
    """
    file = directory / SIGNING_KEY
    states = {key["kid"]: key["state"] for key in await door.get(KEYS)}
    if leaked and leaked not in states:
        raise WrongUse(f"未知密钥 / no such key: {leaked}")
    own = [SigningKey.from_pem(block) for block in _blocks(_read(file))]
    kept = [key for key in own if states.get(key.kid) != "retired"]
    alone = sum(state != "retired" for state in states.values()) == 1
    # "verifies": no process has said lately that it signs, as after a stop of all of them; a rotation begins all the same.
    in_use = bool(kept) and states.get(kept[-1].kid) in ("signs", "verifies")
    if not kept or kept[-1].kid == leaked or (alone and not leaked and in_use):
        kept.append(SigningKey.generate())
    if [key.kid for key in kept] != [key.kid for key in own]:
        _write(file, "".join(key.to_pem() for key in kept))
    newest = kept[-1].kid
    if states.get(newest) in (None, "published"):
        told = (
            f"新密钥 / new key {newest}: {file}\n请逐个重启身份服务 / now restart identity, one process after another\n"
        )
        sys.stderr.write(told)
    if not await _signs(door, newest, wait):
        told = f"{newest} 尚未签发，重启后再执行一次 / it does not sign yet: restart identity and repeat this command"
        return Report({"kid": newest, "signs": False, "retired": None}, [], [told])
    report = Report({"kid": newest, "signs": True, "retired": None}, [f"{newest} 正在签发 / signs"])
    if leaked:
        await _retire(door, leaked, report)
    else:
        report.lines.append(
            "先前的密钥在其最后令牌过期后自动停用 / earlier keys retire when their last token has expired"
        )
    return report


async def _retire(door: Door, kid: str, report: Report) -> None:
    answer = await door.post(f"{KEYS}/{kid}/retire", {"reason": "leaked", "leaked": True})
    report.data["retired"] = answer
    if answer["effective_at"] is None:
        report.wrong.append(f"{kid}: 消息总线尚未收下 / the bus has not taken it yet")
    else:
        report.lines.append(
            f"{kid} 已停用，自 {answer['effective_at']} 起处处无效 / retired, accepted nowhere since then"
        )


async def _signs(door: Door, kid: str, wait: float) -> bool:
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        try:
            keys = await door.get(KEYS)
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
    return await _rotate(directory, original, copy, service, command or f"{SETUP_COMMAND} databases")


async def rotate_kafka_password(directory: Path, principal: str, *, command: str | None) -> Report:
    """Give a principal of the bus another password. Raises `Failed`, `WrongUse`."""
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
    lines = [f"{owner}: 密码已更换 / the password is changed{' (接续上次 / begun before)' if resumed else ''}: {copy}"]
    if owner != OPERATOR:  # no process of the platform
        lines.append(f"请逐个重启 {owner} / now restart {owner}, one process after another")
    return Report({"whose": owner, "resumed": resumed, "file": str(copy)}, lines)


async def _run(command: str, directory: Path) -> None:
    """Run a set-up command; its output goes to standard error. Raises `Failed`."""
    environment = os.environ | {"XINDUN_SECRETS_DIR": str(directory / "jobs")}
    process = await asyncio.create_subprocess_exec(*shlex.split(command), env=environment, stdout=STDERR)
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
