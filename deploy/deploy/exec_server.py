"""Executes PostgreSQL or Kafka in its own process: `python -m deploy.exec_server postgresql|kafka DIRECTORY PORT`.

The supervisor that starts it then supervises the server itself: the process id stays the same.
"""

import argparse
import os
import sys
from pathlib import Path

from deploy.embedded_postgres import AlreadyRunningError, EmbeddedPostgres, PostgresError
from deploy.kafka_broker import BrokerSecurity, KafkaBroker
from deploy.kafka_jars import DigestError, KafkaUnavailableError


def main() -> None:
    """Prepare the server's directory, then execute the server."""
    parser = argparse.ArgumentParser(
        description="Execute a server with its data in a directory, at a port of 127.0.0.1."
    )
    parser.add_argument("server", choices=("postgresql", "kafka"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument(
        "--secrets", type=Path, help="directory of all secrets, with the passwords of Kafka and its clients"
    )
    options = parser.parse_args()
    try:
        if options.server == "postgresql":
            EmbeddedPostgres.exec_server(options.directory, port=options.port)
        command = KafkaBroker(options.directory, port=options.port, security=_security(options.secrets)).prepare()
    except (AlreadyRunningError, PostgresError, KafkaUnavailableError, DigestError) as error:
        sys.exit(str(error))
    os.execv(command[0], command)  # noqa: S606 - without a shell


def _security(secrets: Path) -> BrokerSecurity:
    passwords = {file.parent.name: file.read_text() for file in secrets.glob("*/xindun_*_kafka_password")}
    passwords["admin"] = passwords.pop("jobs")
    return BrokerSecurity((secrets / "kafka" / "cluster_password").read_text(), passwords)


if __name__ == "__main__":
    main()
