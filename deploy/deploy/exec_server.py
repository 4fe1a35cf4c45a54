"""Becomes PostgreSQL or Kafka: `python -m deploy.exec_server postgresql|kafka DIRECTORY PORT`.

A supervisor that starts this keeps the server itself, not a parent of it: its process number is the server's.
"""

import argparse
import os
import sys
from pathlib import Path

from deploy.embedded_postgres import AlreadyRunningError, EmbeddedPostgres, PostgresError
from deploy.kafka_broker import BrokerSecurity, KafkaBroker
from deploy.kafka_jars import KafkaUnavailable, WrongDigest

__all__ = ["main"]


def main() -> None:
    """Make ready what the server needs, and become it."""
    parser = argparse.ArgumentParser(description="Become a server, on a directory and a port of 127.0.0.1.")
    parser.add_argument("server", choices=("postgresql", "kafka"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--secrets", type=Path, help="the directory of all secrets: Kafka's and its clients' passwords")
    options = parser.parse_args()
    try:
        if options.server == "postgresql":
            EmbeddedPostgres.become(options.directory, port=options.port)
        command = KafkaBroker(options.directory, port=options.port, security=_security(options.secrets)).prepare()
    except (AlreadyRunningError, PostgresError, KafkaUnavailable, WrongDigest) as error:
        sys.exit(str(error))
    os.execv(command[0], command)  # noqa: S606 - no shell is meant


def _security(secrets: Path) -> BrokerSecurity:
    passwords = {file.parent.name: file.read_text() for file in secrets.glob("*/xindun_*_kafka_password")}
    passwords["admin"] = passwords.pop("jobs")
    return BrokerSecurity((secrets / "kafka" / "cluster_password").read_text(), passwords)


if __name__ == "__main__":
    main()
