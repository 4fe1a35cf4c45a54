"""`make certificates`: clients that trust the installation's authority verify every server."""

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from deploy.certificates import HOST_NAMES, ensure_certificates


@pytest.fixture
def directory(tmp_path):
    ensure_certificates(tmp_path / "secrets")
    return tmp_path / "secrets"


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(directory, authority, process, name):
    policy = PolicyBuilder().store(Store([read(directory / authority / "ca.pem")]))
    policy.build_server_verifier(x509.DNSName(name)).verify(read(directory / process / "certificate.pem"), [])


def test_each_server_is_known_by_its_names_and_by_no_other(directory):
    for process, names in HOST_NAMES.items():
        for name in (*names, "localhost"):
            verify(directory, "gateway", process, name)
        with pytest.raises(VerificationError):
            verify(directory, "gateway", process, "elsewhere")


def test_no_certificate_of_another_installation_counts(directory, tmp_path):
    ensure_certificates(tmp_path / "another")
    (directory / "gateway" / "ca.pem").write_bytes((tmp_path / "another" / "gateway" / "ca.pem").read_bytes())
    with pytest.raises(VerificationError):
        verify(directory, "gateway", "identity", "identity")


def test_what_is_there_stays_and_a_certificate_that_is_taken_away_is_renewed_for_the_same_key(directory):
    before = {path: path.read_bytes() for path in directory.rglob("*.pem")}
    renewed = directory / "identity" / "certificate.pem"
    renewed.unlink()
    ensure_certificates(directory)
    assert {path for path, content in before.items() if path.read_bytes() != content} == {renewed}
    verify(directory, "jobs", "identity", "identity")
    assert read(renewed).public_key() == x509.load_pem_x509_certificate(before[renewed]).public_key()
