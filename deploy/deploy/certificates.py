"""`make certificates`: creates a certificate authority, and TLS certificates for PostgreSQL, Kafka and the services.

`python -m deploy.certificates [DIR]` writes them beside the secrets: `ca.pem` for each process, `certificate.pem` and
`key.pem` for each server. Existing files stay; a server without `certificate.pem` gets a new one for its key.
"""

import argparse
import datetime as dt
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.contracts.services import SERVICES
from common.contracts.topics import PRINCIPALS
from deploy.secret_files import SecretFiles

HOST_NAMES = {service: [service] for service in SERVICES} | {
    "postgres": ["postgres"],
    "kafka": ["kafka-1", "kafka-2", "kafka-3"],
}
"""The host names of each server, beside `localhost` and 127.0.0.1."""
AUTHORITY_VALIDITY_DAYS, VALIDITY_DAYS = 3650, 730


def ensure_certificates(directory: Path) -> None:
    """Create missing files in `directory`, the directory of `make secrets`."""
    files = SecretFiles(directory)
    signer = _key(files, "authority/key.pem")
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Xindun installation")])
    basic = x509.BasicConstraints(ca=True, path_length=0)
    authority = files.get_or_create(
        "authority/ca.pem", _certificate(issuer, issuer, signer, signer, AUTHORITY_VALIDITY_DAYS, basic)
    )
    for process in {*HOST_NAMES, *PRINCIPALS, "jobs"}:
        files.get_or_create(f"{process}/ca.pem", authority)
    for process, names in HOST_NAMES.items():
        key = _key(files, f"{process}/key.pem")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        loopback = x509.IPAddress(IPv4Address("127.0.0.1"))
        alternative_names = x509.SubjectAlternativeName(
            [*(x509.DNSName(name) for name in (*names, "localhost")), loopback]
        )
        server_auth = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        files.get_or_create(
            f"{process}/certificate.pem",
            _certificate(subject, issuer, key, signer, VALIDITY_DAYS, alternative_names, server_auth),
        )


def _key(files: SecretFiles, name: str) -> EllipticCurvePrivateKey:
    new_key = (
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    )
    key = load_pem_private_key(files.get_or_create(name, new_key).encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePrivateKey,
    signer: EllipticCurvePrivateKey,
    days: int,
    *extensions: x509.ExtensionType,
) -> str:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    for extension in (*extensions, _usage(signs=key is signer)):
        builder = builder.add_extension(
            extension, critical=isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
        )
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _usage(*, signs: bool) -> x509.KeyUsage:
    """Return the key usage: certificate signing for the authority, digital signatures for a server."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def main() -> None:
    """Create the certificates and print their directory."""
    parser = argparse.ArgumentParser(
        description="Create a certificate authority and certificates; existing files stay."
    )
    parser.add_argument("directory", type=Path, nargs="?", default=Path("secrets"))
    directory = parser.parse_args().directory.resolve()
    ensure_certificates(directory)
    print(
        f"证书在 {directory}，有效期 {VALIDITY_DAYS} 天 / certificates are in {directory}, valid for {VALIDITY_DAYS} days"
    )


if __name__ == "__main__":
    main()
