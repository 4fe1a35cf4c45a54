"""`python -m operations`: what operations do with a running platform, from anywhere its gateway can be reached.

Exit status: 0 well, 1 something is wrong, 2 used wrongly: so that a monitor can run it.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from common.contracts.services import SERVICES
from common.contracts.topics import PRINCIPALS
from common.log_config import configure_logging
from common.messaging.bus import BusUnavailable
from operations import commands as looks
from operations import rotation
from operations.client import Door, Failed, WrongUse
from operations.invariants import promises
from operations.output import Report
from operations.settings import OperatorSettings

WRONG, USAGE = 1, 2


async def _login(door: Door, options: argparse.Namespace) -> Report:
    tokens = await door.sign_in()
    number = os.open(options.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "w") as file:
        file.write(tokens["access_token"])
    told = {"file": str(options.token_file), "expires_in": tokens["expires_in"]}
    return Report(told, [f"令牌有效 {tokens['expires_in']} 秒 / valid for so many seconds: {options.token_file}"])


async def _settle(door: Door, options: argparse.Namespace) -> Report:
    body = {"reason": options.reason} if options.action == "drop" else None
    await door.post(f"/{options.service}/operations/dead-letters/{options.message}/{options.action}", body)
    done = {"replay": "将重新处理 / will be tried again", "drop": "已放弃 / dropped"}[options.action]
    return Report({"message_id": options.message, "outcome": options.action}, [f"{options.message} {done}"])


async def _do(options: argparse.Namespace, settings: OperatorSettings) -> Report:
    command = options.command
    secrets = getattr(options, "secrets", None) or settings.secrets
    if command == "rotate" and options.what != "signing-key":
        rotate = {
            "database-password": rotation.rotate_database_password,
            "kafka-password": rotation.rotate_kafka_password,
        }[options.what]
        return await rotate(secrets, options.whose, command=options.job)
    async with Door.at(settings, None if command == "login" else options.token_file or settings.token_file) as door:
        if command == "login":
            return await _login(door, options)
        await door.require_person()
        if command == "status":
            return await looks.status_report(door)
        if command == "lag":
            return await looks.lag(door, settings)
        if command == "points":
            return await looks.points(door)
        if command == "signing-keys":
            return await rotation.signing_keys(door)
        if command == "promises":
            return await promises(door, options.checkpoint)
        if command == "dead-letters":
            return await (looks.dead_letters(door) if options.action == "list" else _settle(door, options))
        return await rotation.rotate_signing_key(door, secrets, leaked=options.leaked, wait=options.wait)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="answer as JSON")
    common.add_argument("--token-file", type=Path, help="a person's token (else XINDUN_TOKEN_FILE, XINDUN_TOKEN)")
    parser = argparse.ArgumentParser(prog="python -m operations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, told: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=told, description=told)

    add("login", "sign in with both factors and keep the token in --token-file")
    add("status", "all services, their relays, consumers and points")
    add("lag", "how far relays and groups are behind")
    add("signing-keys", "the keys that sign or verify access tokens")
    add("points", "enforcement points and the receipts of the newest cutoffs")
    add("promises", "P1 to P10: what can be seen of each, and whether it holds").add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="keeps the last checkpoint, which the log must continue"
    )
    letters = add("dead-letters", "events that a service could not apply").add_subparsers(dest="action", required=True)
    letters.add_parser("list", parents=[common])
    for action in ("replay", "drop"):
        settling = letters.add_parser(action, parents=[common])
        settling.add_argument("service", choices=SERVICES)
        settling.add_argument("message")
        if action == "drop":
            settling.add_argument("--reason", required=True)
    _add_rotations(commands, common)
    return parser


def _add_rotations(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    rotations = commands.add_parser("rotate", help="another key or password").add_subparsers(dest="what", required=True)
    keys = rotations.add_parser("signing-key", parents=[common])
    keys.add_argument("--leaked", metavar="KEY", help="end this key at once, with all that it signed")
    keys.add_argument("--wait", type=float, default=300.0, metavar="SECONDS", help="for the restart of identity")
    database = rotations.add_parser("database-password", parents=[common])
    database.add_argument("whose", choices=SERVICES, metavar="SERVICE")
    kafka = rotations.add_parser("kafka-password", parents=[common])
    kafka.add_argument("whose", choices=PRINCIPALS, metavar="PRINCIPAL")
    for each in (keys, database, kafka):
        each.add_argument("--secrets", type=Path, help="the directory of `make secrets` (else XINDUN_SECRETS, secrets)")
    for each in (database, kafka):
        each.add_argument(
            "--job", metavar="COMMAND", help="runs the job that sets it, where XINDUN_JOBS_… is not at hand"
        )


def main(arguments: list[str] | None = None) -> int:
    """Do one command."""
    options = _parser().parse_args(arguments)
    configure_logging("warning", sys.stderr)
    try:
        if options.command == "login" and options.token_file is None:
            raise WrongUse("login: --token-file FILE")
        report = asyncio.run(_do(options, OperatorSettings.load()))
    except (WrongUse, ValidationError) as error:
        return _failed(options, str(error), USAGE)
    except (Failed, BusUnavailable) as error:
        return _failed(options, str(error) or type(error).__name__, WRONG)
    sys.stdout.write(report.json() if options.json else report.text())
    return 0 if report.well else WRONG


def _failed(options: argparse.Namespace, told: str, status: int) -> int:
    if options.json:
        sys.stdout.write(json.dumps({"well": False, "wrong": [told], "found": None}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(told + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
