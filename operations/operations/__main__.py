"""`python -m operations`: the operators' command line. It needs access to the gateway, and to Kafka for `lag` alone.

Exit status, for monitoring: 0 if all is well, 1 if the command found a fault or failed, 2 if it was used wrongly.
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
from operations import commands, rotation
from operations.client import ApiClient, CommandError, UsageError
from operations.invariants import check_invariants
from operations.output import Report
from operations.settings import OperatorSettings

EXIT_FAULT, EXIT_USAGE = 1, 2


async def _login(client: ApiClient, options: argparse.Namespace) -> Report:
    tokens = await client.sign_in()
    number = os.open(options.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "w") as file:
        file.write(tokens["access_token"])
    seconds = tokens["expires_in"]
    data = {"file": str(options.token_file), "expires_in": seconds}
    return Report(data, [f"令牌有效 {seconds} 秒 / valid for {seconds} seconds: {options.token_file}"])


async def _settle(client: ApiClient, options: argparse.Namespace) -> Report:
    body = {"reason": options.reason} if options.action == "drop" else None
    await client.post(f"/{options.service}/operations/dead-letters/{options.message}/{options.action}", body)
    done = {"replay": "将重新处理 / will be retried", "drop": "已放弃 / dropped"}[options.action]
    return Report({"message_id": options.message, "outcome": options.action}, [f"{options.message} {done}"])


async def _run(options: argparse.Namespace, settings: OperatorSettings) -> Report:
    command = options.command
    secrets = getattr(options, "secrets", None) or settings.secrets
    if command == "rotate" and options.what != "signing-key":
        rotate = {
            "database-password": rotation.rotate_database_password,
            "kafka-password": rotation.rotate_kafka_password,
        }[options.what]
        return await rotate(secrets, options.whose, command=options.job)
    async with ApiClient.from_settings(
        settings, None if command == "login" else options.token_file or settings.token_file
    ) as client:
        if command == "login":
            return await _login(client, options)
        await client.require_person()
        if command == "status":
            return await commands.status_report(client)
        if command == "lag":
            return await commands.lag(client, settings)
        if command == "points":
            return await commands.points(client)
        if command == "signing-keys":
            return await rotation.signing_keys(client)
        if command == "promises":
            return await check_invariants(client, options.checkpoint)
        if command == "dead-letters":
            return await (commands.dead_letters(client) if options.action == "list" else _settle(client, options))
        return await rotation.rotate_signing_key(client, secrets, leaked=options.leaked, wait=options.wait)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument(
        "--token-file",
        type=Path,
        help="file with the operator's access token (default: XINDUN_TOKEN_FILE, XINDUN_TOKEN)",
    )
    parser = argparse.ArgumentParser(prog="python -m operations", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, parents=[common], help=text, description=text)

    add("login", "sign in with both factors and write the token to --token-file")
    add("status", "show services, relays, consumers and enforcement points")
    add("lag", "show the lag of relays and consumer groups")
    add("signing-keys", "list the keys that sign or verify access tokens")
    add("points", "list enforcement points and the receipts of the newest cutoffs")
    add("promises", "check the promises P1 to P10 as far as they can be observed").add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="the last checkpoint, which the log must be consistent with"
    )
    letters = add("dead-letters", "list, replay or drop events that a service could not apply").add_subparsers(
        dest="action", required=True
    )
    letters.add_parser("list", parents=[common])
    for action in ("replay", "drop"):
        settling = letters.add_parser(action, parents=[common])
        settling.add_argument("service", choices=SERVICES)
        settling.add_argument("message")
        if action == "drop":
            settling.add_argument("--reason", required=True)
    _add_rotations(subparsers, common)
    return parser


def _add_rotations(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    rotations = subparsers.add_parser("rotate", help="replace a key or a password").add_subparsers(
        dest="what", required=True
    )
    keys = rotations.add_parser("signing-key", parents=[common])
    keys.add_argument("--leaked", metavar="KEY", help="retire this key at once, and reject every token that it signed")
    keys.add_argument(
        "--wait", type=float, default=300.0, metavar="SECONDS", help="wait this long for the restart of identity"
    )
    database = rotations.add_parser("database-password", parents=[common])
    database.add_argument("whose", choices=SERVICES, metavar="SERVICE")
    kafka = rotations.add_parser("kafka-password", parents=[common])
    kafka.add_argument("whose", choices=PRINCIPALS, metavar="PRINCIPAL")
    for each in (keys, database, kafka):
        each.add_argument("--secrets", type=Path, help="directory of `make secrets` (default: XINDUN_SECRETS, secrets)")
    for each in (database, kafka):
        each.add_argument(
            "--job",
            metavar="COMMAND",
            help="command that runs the set-up command (default: run it here, with XINDUN_JOBS_…)",
        )


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    configure_logging("warning", sys.stderr)
    try:
        if options.command == "login" and options.token_file is None:
            raise UsageError("login: --token-file FILE")
        report = asyncio.run(_run(options, OperatorSettings.load()))
    except (UsageError, ValidationError) as error:
        return _print_error(options, str(error), EXIT_USAGE)
    except (CommandError, BusUnavailable) as error:
        return _print_error(options, str(error) or type(error).__name__, EXIT_FAULT)
    sys.stdout.write(report.json() if options.json else report.text())
    return 0 if report.well else EXIT_FAULT


def _print_error(options: argparse.Namespace, text: str, status: int) -> int:
    if options.json:
        sys.stdout.write(json.dumps({"well": False, "wrong": [text], "found": None}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(text + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
