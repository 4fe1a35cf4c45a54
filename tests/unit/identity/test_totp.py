"""The second factor: accepted codes, each step once."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from identity.credentials.totp import accept, generate_secret, provisioning_uri, step_at

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
NOW = datetime(2026, 3, 1, 8, 0, 10, tzinfo=UTC)


def code(offset=0, secret=RFC_SECRET):
    return pyotp.TOTP(secret).at(NOW + timedelta(seconds=30 * offset))


@pytest.mark.parametrize(
    ("seconds", "eight"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
    ],
)
def test_the_codes_are_those_of_rfc_6238(seconds, eight):
    now = datetime.fromtimestamp(seconds, UTC)
    assert accept(RFC_SECRET, eight[2:], now, None) == step_at(now) == seconds // 30


@pytest.mark.clause("7.6")
def test_a_code_serves_once():
    step = accept(RFC_SECRET, code(), NOW, None)
    assert step == step_at(NOW)
    assert accept(RFC_SECRET, code(), NOW, step) is None
    assert accept(RFC_SECRET, code(), NOW + timedelta(seconds=29), step) is None
    assert accept(RFC_SECRET, code(1), NOW + timedelta(seconds=30), step) == step + 1


def test_an_earlier_step_than_the_last_one_is_refused():
    last = accept(RFC_SECRET, code(1), NOW, None)
    assert accept(RFC_SECRET, code(0), NOW, last) is None
    assert accept(RFC_SECRET, code(-1), NOW, last) is None


@pytest.mark.parametrize(("offset", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(offset, taken):
    assert accept(RFC_SECRET, code(offset), NOW, None) == (step_at(NOW) + offset if taken else None)


def test_of_two_steps_with_the_same_code_the_later_counts(monkeypatch):
    monkeypatch.setattr(pyotp.TOTP, "generate_otp", lambda self, step: "123456")
    step = accept(RFC_SECRET, "123456", NOW, None)
    assert step == step_at(NOW) + 1
    assert accept(RFC_SECRET, "123456", NOW, step) is None


@pytest.mark.parametrize("change", ["", " {}", "{} ", "{}\n", "{}0", "-{}"])
def test_a_code_without_six_digits_is_refused(change):
    assert accept(RFC_SECRET, change.format(code()), NOW, None) is None


def test_full_width_digits_are_refused():
    wide = code().translate({ord(digit): chr(ord(digit) + 0xFEE0) for digit in "0123456789"})
    assert accept(RFC_SECRET, wide, NOW, None) is None


def test_another_secret_does_not_take_the_code():
    others = [accept(generate_secret(), code(), NOW, None) for _ in range(3)]
    assert others.count(None) >= 2  # one in 333,333 may agree by chance


def test_a_secret_has_160_bits_and_the_uri_carries_it():
    secret = generate_secret()
    assert len(secret) == 32
    assert secret != generate_secret()
    uri = urlsplit(provisioning_uri(secret, "zhang.san", "信盾"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query)["secret"] == [secret]


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        accept(RFC_SECRET, code(), NOW.replace(tzinfo=None), None)
