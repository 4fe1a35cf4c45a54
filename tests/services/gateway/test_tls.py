"""TLS between the gateway and the services: who cannot prove itself is asked nothing."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.services.gateway.harness import GatewayWorld, RawService, eventually


class Authority:
    """Signs certificates for services."""

    def __init__(self, directory, name: str) -> None:
        self.directory, self.name = directory, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = directory / f"{name}.pem"
        ca = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._certificate(self.name, self.key.public_key()).add_extension(ca, critical=True)
        self.file.write_bytes(self._pem(certificate))

    def _certificate(self, subject, public_key) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def _pem(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def server(self, name: x509.GeneralName) -> ssl.SSLContext:
        """Return the TLS side of a service that bears `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service")])
        builder = self._certificate(subject, key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        pem = self.directory / "service.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem.write_bytes(self._pem(builder) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context


HERE = x509.IPAddress(ip_address("127.0.0.1"))


async def test_a_service_with_a_certificate_of_our_authority_is_asked(tmp_path):
    authority = Authority(tmp_path, "ours")
    async with (
        RawService(tls=authority.server(HERE)) as service,
        GatewayWorld(service, ca_file=authority.file) as world,
    ):
        await world.ready()
        assert (await world.client.get("/identity/units")).text == "ok"
        body = b"x" * 3_000_000
        found = await world.client.post("/datashare/resources/x/records", content=body)
        assert (found.status_code, service.seen[-1].body == body) == (200, True)


@pytest.mark.parametrize("wrong", ["authority", "name", "no TLS"])
async def test_a_service_that_does_not_prove_itself_gets_no_request(tmp_path, wrong):
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    tls = {
        "authority": lambda: other.server(HERE),
        "name": lambda: ours.server(x509.DNSName("audit.example")),
        "no TLS": lambda: None,
    }[wrong]()
    async with (
        RawService(tls=tls) as service,
        GatewayWorld(urls=f"https://127.0.0.1:{service.port}", ca_file=ours.file) as world,
    ):
        await eventually(lambda: world.pool._order)
        for method in ("GET", "POST"):
            found = await world.client.request(method, "/identity/units")
            assert (found.status_code, found.json()["type"]) == (503, "urn:xindun:problem:service-unavailable")
        assert not world.pool.ready
        assert (service.seen, service.health_checks) == ([], 0)
