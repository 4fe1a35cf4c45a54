"""`make secrets`: generates every secret of processes and containers, once: `python -m deploy.secret_files [DIR]`.

Each process has a directory with one file per secret, named like its setting: `XINDUN_SECRETS_DIR=DIR/identity` configures
identity. Existing files never change. Only the owner can enter `DIR`; one group can read the files in it, and the
containers of `docker-compose.yml` join that group.
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

GROUP = 10001
"""The group of files that root creates: a number without a group on the host. Other users keep their own group."""

DIFFERS = "{copy} 与 {original} 不一致，未改动 / differs from {original}; not changed"


def ensure_secrets(directory: Path) -> list[str]:
    """Generate missing secrets in `directory`. Returns in words which copies of a secret differ from the original."""
    return _Secrets(SecretFiles(directory)).ensure()


class SecretFiles:
    """Files in a directory that only its owner can enter; existing files never change."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def get_or_create(self, name: str, content: str) -> str:
        """Return the content of a file; create it atomically with `content` if it is missing."""
        path = self.directory / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            self._open_to_group(path.parent, 0o750)
            number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".")
            with os.fdopen(number, "w") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._open_to_group(Path(unfinished), 0o640)
            try:
                path.hardlink_to(unfinished)
            except FileExistsError:
                pass  # another process created it first: its secret counts
            finally:
                Path(unfinished).unlink()
        return path.read_text()

    def _open_to_group(self, path: Path, mode: int) -> None:
        if os.geteuid() == 0:
            os.chown(path, 0, GROUP)
        path.chmod(mode)


class _Secrets:
    def __init__(self, files: SecretFiles) -> None:
        self._get_or_create = files.get_or_create
        self.differences: list[str] = []

    def ensure(self) -> list[str]:
        fresh = Secrets.generate()
        self._get_or_create("identity/xindun_identity_signing_key_pem", fresh.signing_key)
        self._get_or_create("identity/xindun_identity_totp_key", fresh.sealing_key)
        self._get_or_create("identity/xindun_identity_pepper", fresh.pepper)
        client = self._get_or_create("incident/xindun_incident_client_secret", fresh.incident_client)
        self._copy(
            "identity/xindun_identity_incident_client_secret_hash",
            sha256(client.encode()).hexdigest(),
            "incident/xindun_incident_client_secret",
        )
        self._get_or_create("audit/xindun_audit_log_key", fresh.log_key)
        self._databases(fresh.roles)
        self._kafka()
        self._client_address_keys()
        return self.differences

    def _databases(self, roles: Mapping[str, str]) -> None:
        self._shared("jobs/xindun_jobs_superuser_password", "postgres/superuser_password", _password())
        for service in SERVICES:
            self._get_or_create(f"jobs/xindun_jobs_{service}_owner_password", roles[f"{service}_owner"])
            self._shared(
                f"jobs/xindun_jobs_{service}_app_password",
                f"{service}/xindun_{service}_database_password",
                roles[f"{service}_app"],
            )

    def _kafka(self) -> None:
        self._get_or_create("kafka/cluster_id", "x" + urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22])
        self._get_or_create("kafka/cluster_password", _password())
        self._shared("jobs/xindun_jobs_kafka_password", "kafka/admin_password", _password())
        for principal in PRINCIPALS:
            self._shared(
                f"jobs/xindun_jobs_kafka_{principal}_password",
                f"{principal}/xindun_{principal}_kafka_password",
                _password(),
            )

    def _client_address_keys(self) -> None:
        root = "gateway/xindun_gateway_origin_key"
        key = self._get_or_create(root, _password())
        for service in SERVICES:
            derived = digest(key.encode(), service.encode(), "sha256").hex()
            self._copy(f"{service}/xindun_{service}_origin_key", derived, root)

    def _shared(self, original: str, copy: str, fresh: str) -> None:
        self._copy(copy, self._get_or_create(original, fresh), original)

    def _copy(self, name: str, value: str, original: str) -> None:
        if self._get_or_create(name, value) != value:
            self.differences.append(DIFFERS.format(copy=name, original=original))


def _password() -> str:
    return secrets.token_urlsafe(32)


def _write_compose_variables(file: Path, directory: Path) -> None:
    """Add the directory of the secrets and the group that may read them to compose's variables, unless they are set."""
    group = (directory / "identity").stat().st_gid
    text = file.read_text() if file.exists() else ""
    for name, value in (("XINDUN_SECRETS", directory), ("XINDUN_SECRETS_GROUP", group)):
        if not any(line.startswith(f"{name}=") for line in text.splitlines()):
            text += f"{name}={value}\n"
    file.write_text(text)


def main() -> None:
    """Generate the secrets and print their directory."""
    parser = argparse.ArgumentParser(description="Generate every secret at random; existing files stay.")
    parser.add_argument("directory", type=Path, nargs="?", default=Path("secrets"))
    parser.add_argument("--compose", type=Path, metavar="FILE", help="the file of compose's variables")
    options = parser.parse_args()
    directory = options.directory.resolve()
    differences = ensure_secrets(directory)
    if options.compose:
        _write_compose_variables(options.compose, directory)
    print(f"密钥在 {directory}，请另存备份 / secrets are in {directory}: keep a copy elsewhere")
    if differences:
        sys.exit("\n".join(differences))


if __name__ == "__main__":
    main()
