"""`make secrets`: every secret of the separate processes, made at random once: `python -m deploy.secret_files [DIR]`.

One directory per process, one file per secret, named as the setting that reads it, so that `XINDUN_SECRETS_DIR=DIR/identity`
is all that a process needs. Nothing that is there is ever written again. The directory itself opens to its user alone;
what lies in it may be read by one group, which the containers of `docker-compose.yml` join, whatever their own users are.
"""

import argparse
import os
import secrets
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from hmac import digest
from pathlib import Path

from common.contracts.services import SERVICES
from common.contracts.topics import PRINCIPALS
from deploy.embedded_platform import Secrets

__all__ = ["SecretFiles", "ensure_secrets"]


GROUP = 10001
"""The group of the files that root makes: a number that belongs to nobody on the host. Others give their own group."""

DIFFERS = "{copy} 与 {original} 不一致，未改动 / is not what {original} is; left as it is"


def ensure_secrets(directory: Path) -> list[str]:
    """Make what is missing in `directory`. Returns in words which copies of a secret are no longer the same."""
    return _Secrets(SecretFiles(directory)).ensure()


class SecretFiles:
    """Files below a directory that its user alone enters; nothing that is there is written again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def keep(self, name: str, fresh: str) -> str:
        """Return what the file holds: `fresh` if it was not there. Appears whole or not at all, by one of several at once."""
        path = self.directory / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            self._open_to_group(path.parent, 0o750)
            number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".")
            with os.fdopen(number, "w") as file:
                file.write(fresh)
                file.flush()
                os.fsync(file.fileno())
            self._open_to_group(Path(unfinished), 0o640)
            try:
                path.hardlink_to(unfinished)
            except FileExistsError:
                pass  # another process was here between our look and our writing: its secret is the one that counts
            finally:
                Path(unfinished).unlink()
        return path.read_text()

    def _open_to_group(self, path: Path, mode: int) -> None:
        if os.geteuid() == 0:
            os.chown(path, 0, GROUP)
        path.chmod(mode)


class _Secrets:
    def __init__(self, files: SecretFiles) -> None:
        self._keep = files.keep
        self.differences: list[str] = []

    def ensure(self) -> list[str]:
        fresh = Secrets.generate()
        self._keep("identity/xindun_identity_signing_key_pem", fresh.signing_key)
        self._keep("identity/xindun_identity_totp_key", fresh.sealing_key)
        self._keep("identity/xindun_identity_pepper", fresh.pepper)
        client = self._keep("incident/xindun_incident_client_secret", fresh.incident_client)
        self._copy(
            "identity/xindun_identity_incident_client_secret_hash",
            sha256(client.encode()).hexdigest(),
            "incident/xindun_incident_client_secret",
        )
        self._keep("audit/xindun_audit_log_key", fresh.log_key)
        self._databases(fresh.roles)
        self._kafka()
        self._origins()
        return self.differences

    def _databases(self, roles: Mapping[str, str]) -> None:
        self._shared("jobs/xindun_jobs_superuser_password", "postgres/superuser_password", _password())
        for service in SERVICES:
            self._keep(f"jobs/xindun_jobs_{service}_owner_password", roles[f"{service}_owner"])
            self._shared(
                f"jobs/xindun_jobs_{service}_app_password",
                f"{service}/xindun_{service}_database_password",
                roles[f"{service}_app"],
            )

    def _kafka(self) -> None:
        self._keep("kafka/cluster_id", "x" + urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22])
        self._keep("kafka/cluster_password", _password())
        self._shared("jobs/xindun_jobs_kafka_password", "kafka/admin_password", _password())
        for principal in PRINCIPALS:
            self._shared(
                f"jobs/xindun_jobs_kafka_{principal}_password",
                f"{principal}/xindun_{principal}_kafka_password",
                _password(),
            )

    def _origins(self) -> None:
        root = "gateway/xindun_gateway_origin_key"
        key = self._keep(root, _password())
        for service in SERVICES:
            derived = digest(key.encode(), service.encode(), "sha256").hex()
            self._copy(f"{service}/xindun_{service}_origin_key", derived, root)

    def _shared(self, original: str, copy: str, fresh: str) -> None:
        self._copy(copy, self._keep(original, fresh), original)

    def _copy(self, name: str, value: str, original: str) -> None:
        if self._keep(name, value) != value:
            self.differences.append(DIFFERS.format(copy=name, original=original))


def _password() -> str:
    return secrets.token_urlsafe(32)


def _tell_compose(file: Path, directory: Path) -> None:
    """Put into compose's file of variables where the secrets are and which group may read them, unless it says so."""
    group = (directory / "identity").stat().st_gid
    there = file.read_text() if file.exists() else ""
    for name, value in (("XINDUN_SECRETS", directory), ("XINDUN_SECRETS_GROUP", group)):
        if not any(line.startswith(f"{name}=") for line in there.splitlines()):
            there += f"{name}={value}\n"
    file.write_text(there)


def main() -> None:
    """Make them, and say where they are."""
    parser = argparse.ArgumentParser(description="Make every secret at random once; what is there stays.")
    parser.add_argument("directory", type=Path, nargs="?", default=Path("secrets"))
    parser.add_argument("--compose", type=Path, metavar="FILE", help="the file from which compose reads its variables")
    options = parser.parse_args()
    directory = options.directory.resolve()
    differences = ensure_secrets(directory)
    if options.compose:
        _tell_compose(options.compose, directory)
    print(f"密钥在 {directory}，请另存备份 / secrets are in {directory}: keep a copy elsewhere")
    if differences:
        sys.exit("\n".join(differences))


if __name__ == "__main__":
    main()
