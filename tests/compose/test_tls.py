"""TLS between all containers, with certificates of an authority of the installation's own."""

import subprocess
from collections.abc import Iterator

import pytest

from deploy.certificates import ensure_certificates
from tests.compose.containers import ROOT, Containers, run

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    files = (ROOT / "docker-compose.yml", ROOT / "deploy" / "compose" / "tls.yml")
    options = [word for file in files for word in ("--file", str(file))]
    containers = Containers(tmp_path_factory.mktemp("tls"), "xindun-test-tls", *options)
    ensure_certificates(containers.secrets)
    try:
        containers.up("--build")
        containers.first_administrators()
        yield containers
    finally:
        containers.down()


async def test_the_life_plays_over_tls(encrypted):
    await encrypted.play()


def test_every_connection_to_the_database_is_encrypted(encrypted):
    question = (
        "SELECT count(*) FILTER (WHERE NOT ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE usename LIKE '%_app'"
    )
    postgres = encrypted.of("postgres")["Id"]
    plain, all_of_them = run("docker", "exec", postgres, "psql", "-U", "postgres", "-Atc", question).strip().split("|")
    assert plain == "0"
    assert int(all_of_them) >= 4


@pytest.mark.parametrize(("server", "port"), [("identity", 8000), ("kafka-1", 9092)])
def test_who_serves_is_known_by_the_authority_alone(encrypted, server, port):
    ask = (
        "import socket, ssl, sys\n"
        f"plain = socket.create_connection(('{server}', {port}), timeout=10)\n"
        f"ssl.create_default_context(cafile=sys.argv[1] if sys.argv[1:] else None).wrap_socket(plain, server_hostname='{server}')"
    )
    gateway = encrypted.of("gateway")["Id"]
    run("docker", "exec", gateway, "python", "-c", ask, "/run/secrets/ca.pem")
    stranger = subprocess.run(
        ["docker", "exec", gateway, "python", "-c", ask], capture_output=True, text=True, check=False
    )
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.stderr
