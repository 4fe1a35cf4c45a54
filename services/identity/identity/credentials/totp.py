"""The second factor: time-based one-time passwords (RFC 6238), each accepted once."""

import hmac
import re
from datetime import datetime

import pyotp

_STEP_SECONDS = 30
_WINDOW_STEPS = 1
"""Steps by which a telephone's clock may differ, to either side (RFC 6238 §5.2 and §6)."""


def generate_secret() -> str:
    """Return a new secret: 160 random bits (RFC 4226 §4) in base32."""
    return pyotp.random_base32(32)


def provisioning_uri(secret: str, login: str, issuer: str) -> str:
    """Return the `otpauth://` URI that authenticator applications read as a QR code."""
    return pyotp.TOTP(secret, interval=_STEP_SECONDS).provisioning_uri(name=login, issuer_name=issuer)


def step_at(now: datetime) -> int:
    """Return the number of the 30-second step in which `now` lies."""
    if now.tzinfo is None:
        raise ValueError("a time without a zone is no time")
    return int(now.timestamp()) // _STEP_SECONDS


def accept(secret: str, code: str, now: datetime, last_step: int | None) -> int | None:
    """Return the step whose code this is, if it is within one of `now` and after `last_step`, else None.

    The caller stores it by `UPDATE … WHERE last_step IS NULL OR last_step < :step` and refuses when no row changed:
    then a code that two requests bring at once serves one of them (RFC 6238 §5.2).
    """
    if not re.fullmatch(r"[0-9]{6}", code):
        return None
    totp = pyotp.TOTP(secret, interval=_STEP_SECONDS)
    current = step_at(now)
    accepted = None
    # Every candidate is computed and compared, so that the time reveals nothing. Of two equal codes the later step counts,
    # so that neither is accepted again.
    for step in range(current - _WINDOW_STEPS, current + _WINDOW_STEPS + 1):
        equal = hmac.compare_digest(totp.generate_otp(step), code)
        if equal and (last_step is None or step > last_step):
            accepted = step
    return accepted
