"""The installation's own authority and certificates, for a test that has one server."""

from dataclasses import dataclass
from pathlib import Path

from deploy.certificates import ensure_certificates


@dataclass(frozen=True)
class Certificates:
    authority: Path
    certificate: Path
    key: Path


def certificates(directory: Path, process: str = "kafka") -> Certificates:
    """Make a new authority, and return it with what `process` proves itself with."""
    ensure_certificates(directory)
    own = directory / process
    return Certificates(own / "ca.pem", own / "certificate.pem", own / "key.pem")
