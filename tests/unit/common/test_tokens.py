"""Access tokens: what is in force, what is refused, and for which reason."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jose import jws as foreign

from common.enforcement.tokens import InvalidKeyError, InvalidTokenError, KeySet, SigningKey, sign, verify, verify_jws

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
KEY = SigningKey.generate()
OTHER = SigningKey.generate()
KEYS = KeySet(KEY.public_jwk)
CLAIMS = {
    "iss": "https://issuer.example",
    "aud": "xindun",
    "sub": "account:1",
    "jti": "0195",
    "iat": AT,
    "nbf": AT,
    "exp": AT + 600,
    "epoch": 3,
    "name": "张三",
}
TOKEN = sign(KEY, CLAIMS)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def check(token, *, keys=KEYS, now=NOW, issuer="https://issuer.example", audience="xindun"):
    return verify(token, keys, issuer=issuer, audience=audience, now=now)


def reason(token, **how):
    with pytest.raises(InvalidTokenError) as refused:
        check(token, **how)
    return refused.value.reason


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def made(header, payload=None, key=KEY):
    """Sign any header text and payload, as an issuer gone wrong would."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = json.dumps(CLAIMS).encode() if payload is None else payload
    signing_input = f"{b64(head)}.{b64(body)}"
    return f"{signing_input}.{b64(key._key.sign(signing_input.encode()))}"


HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": KEY.kid}


@pytest.mark.clause("7.6")
def test_a_token_in_force_gives_its_claims():
    assert check(TOKEN) == CLAIMS
    assert check(made(HEADER)) == CLAIMS


@pytest.mark.clause("7.6")
def test_a_token_has_no_effect_from_the_very_instant_of_its_expiry():
    assert check(TOKEN, now=NOW + timedelta(seconds=600, microseconds=-1))
    assert reason(TOKEN, now=NOW + timedelta(seconds=600)) == "expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_clock_five_seconds_behind_still_accepts_and_no_more(claim):
    token = sign(KEY, CLAIMS | {claim: AT + 5})
    assert check(token)
    assert reason(token, now=NOW - timedelta(microseconds=1)) == "not-yet-valid"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        check(TOKEN, now=NOW.replace(tzinfo=None))


def test_another_issuer_and_another_audience_are_refused():
    assert reason(TOKEN, issuer="https://other.example") == "issuer"
    assert reason(TOKEN, audience="xin") == "audience"
    both = sign(KEY, CLAIMS | {"aud": ["a", "xindun"]})
    assert check(both)
    assert reason(both, audience="b") == "audience"


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "jti", "iat", "nbf", "exp"])
@pytest.mark.parametrize("wrong", [None, "", True, 1.5, -1, 1 << 40, [], [""], ["xindun", 1], {}])
def test_a_claim_that_is_missing_or_of_another_type_is_refused(claim, wrong):
    claims = CLAIMS | {claim: wrong}
    assert reason(made(HEADER, json.dumps(claims).encode())) == "claims"
    without = {name: value for name, value in claims.items() if name != claim}
    assert reason(made(HEADER, json.dumps(without).encode())) == "claims"
    with pytest.raises(ValueError, match="no access token"):
        sign(KEY, claims)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_term_that_ends_before_it_begins_is_refused(claim):
    assert reason(made(HEADER, json.dumps(CLAIMS | {claim: AT + 600}).encode())) == "claims"


@pytest.mark.parametrize("payload", [b"[]", b"1", b"", b"\xff", b'{"a":NaN}', b"[" * 2900, b"\xef\xbb\xbf{}"])
def test_a_payload_that_is_no_json_object_is_refused(payload):
    assert reason(made(HEADER, payload)) == "malformed"


def test_a_claim_that_comes_twice_is_refused():
    twice = json.dumps(CLAIMS).replace("{", '{"sub": "account:2", ', 1).encode()
    assert reason(made(HEADER, twice)) == "malformed"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"typ": None}, "type"),
        ({"typ": "JWT"}, "type"),
        ({"typ": "AT+JWT"}, "type"),
        ({"alg": None}, "algorithm"),
        ({"alg": "none"}, "algorithm"),
        ({"alg": "es256"}, "algorithm"),
        ({"alg": "ES384"}, "algorithm"),
        ({"alg": ["ES256"]}, "algorithm"),
        ({"kid": None}, "malformed"),
        ({"kid": 1}, "malformed"),
        ({"kid": "unknown"}, "key-unknown"),
        ({"crit": ["exp"], "exp": 1}, "malformed"),
        ({"crit": []}, "malformed"),
        ({"jwk": OTHER.public_jwk}, "malformed"),
        ({"jku": "https://attacker.example/"}, "malformed"),
        ({"x5u": "https://attacker.example/"}, "malformed"),
        ({"x5c": []}, "malformed"),
        ({"b64": False}, "malformed"),
        ({"cty": "JWT"}, "malformed"),
        ({"zip": "DEF"}, "malformed"),
    ],
)
def test_a_header_that_asks_for_anything_else_is_refused(change, why):
    header = {name: value for name, value in (HEADER | change).items() if value is not None}
    assert reason(made(header)) == why


def test_a_header_without_a_type_is_still_a_signed_jws():
    header, payload = verify_jws(made({"alg": "ES256", "kid": KEY.kid}, b"anything"), KEYS)
    assert (header, payload) == ({"alg": "ES256", "kid": KEY.kid}, b"anything")


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","typ":"at+jwt","alg":"ES256","kid":"%s"}',
        b'["ES256"]',
        b"",
        b"{",
        b"[" * 3000,
        b'{"typ":"at+jwt","alg":"ES256","kid":"%s"} {}',
    ],
)
def test_a_header_that_is_no_plain_json_object_is_refused(header):
    assert reason(made(header.replace(b"%s", KEY.kid.encode()), b"{}")) == "malformed"


def test_a_mac_made_with_the_public_key_as_its_secret_is_refused():
    for secret in (json.dumps(KEY.public_jwk), KEY.public_jwk["x"], "x"):
        token = foreign.sign(CLAIMS, secret, headers={"typ": "at+jwt", "kid": KEY.kid}, algorithm="HS256")
        assert reason(token) == "algorithm"


def test_a_token_without_a_signature_is_refused():
    head, body, _ = TOKEN.split(".")
    assert reason(f"{head}.{body}.") == "signature"
    assert reason(f"{head}.{body}") == "malformed"
    assert reason(f"{TOKEN}.") == "malformed"


def test_a_signature_whose_numbers_are_out_of_range_or_in_another_format_is_refused():
    head, body, signature = TOKEN.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = int("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", 16).to_bytes(32, "big")
    der = KEY._private.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    for wrong in (
        bytes(64),
        raw[:32] + bytes(32),
        bytes(32) + raw[32:],
        order + raw[32:],
        raw[:32] + order,
        raw + b"\0",
        der,
    ):
        assert reason(f"{head}.{body}.{b64(wrong)}") == "signature"


def test_a_segment_spelled_otherwise_is_refused():
    head, body, signature = TOKEN.split(".")
    last = ALPHABET[ALPHABET.index(signature[-1]) + 1]  # the unused bits of the last character
    for wrong in (f"{signature}=", f"{signature}==", signature[:-1] + last, f" {signature}", f"{signature}\n"):
        assert reason(f"{head}.{body}.{wrong}") == "malformed"
    assert reason(f"{head}\n.{body}.{signature}") == "malformed"


def test_a_token_over_the_bound_is_refused_and_not_made():
    assert reason("a" * 4097) == "malformed"
    with pytest.raises(ValueError, match="4096"):
        sign(KEY, CLAIMS | {"more": "x" * 3000})


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "中.文.字", None, b"a.b.c"])
def test_what_is_no_token_is_refused(token):
    assert reason(token) == "malformed"


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="latin-1"))
def test_a_token_with_any_one_character_changed_is_refused(position, character):
    if TOKEN[position] != character:
        reason(TOKEN[:position] + character + TOKEN[position + 1 :])


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(ALPHABET))
def test_a_token_with_any_one_character_changed_within_the_alphabet_is_refused(position, character):
    if TOKEN[position] != character:
        reason(TOKEN[:position] + character + TOKEN[position + 1 :])


@given(st.integers(0, len(TOKEN) - 1))
def test_a_token_with_any_one_character_left_out_is_refused(position):
    reason(TOKEN[:position] + TOKEN[position + 1 :])


@given(st.text(max_size=80))
def test_any_text_is_refused_and_never_an_error(text):
    reason(text)


def test_a_key_that_was_removed_is_unknown_and_one_that_was_added_is_known():
    keys = KeySet(KEY.public_jwk)
    token = sign(OTHER, CLAIMS)
    assert reason(token, keys=keys) == "key-unknown"
    keys.add(OTHER.public_jwk)
    keys.add(OTHER.public_jwk)
    assert check(token, keys=keys)
    keys.remove(OTHER.kid)
    keys.remove(OTHER.kid)
    assert reason(token, keys=keys) == "key-unknown"
    assert check(TOKEN, keys=keys)


def test_a_token_that_names_one_key_and_is_signed_by_another_is_refused():
    assert reason(made(HEADER, key=OTHER), keys=KeySet(KEY.public_jwk, OTHER.public_jwk)) == "signature"


def test_the_key_id_is_the_thumbprint_and_the_published_key_is_public():
    members = {name: KEY.public_jwk[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    assert b64(digest) == KEY.kid
    assert KEYS.jwks() == {"keys": [KEY.public_jwk]}
    assert set(KEY.public_jwk) == {"kty", "crv", "x", "y", "alg", "use", "kid"}


def test_a_key_survives_its_pem():
    again = SigningKey.from_pem(KEY.to_pem())
    assert again.kid == KEY.kid
    assert check(sign(again, CLAIMS)) == CLAIMS


def test_a_private_key_of_another_kind_is_refused():
    for private in (ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(InvalidKeyError):
            SigningKey(private)
    with pytest.raises(InvalidKeyError):
        SigningKey.from_pem("not a key")


@pytest.mark.parametrize(
    "change",
    [
        {"kid": None},
        {"kid": ""},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"alg": "ES384"},
        {"alg": "HS256"},
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": None},
        {"d": "AAAA"},
        {"x": None},
        {"x": KEY.public_jwk["x"] + "="},
        {"x": KEY.public_jwk["y"]},
        {"y": "AA"},
    ],
)
def test_a_public_key_of_another_kind_is_refused(change):
    with pytest.raises(InvalidKeyError):
        KeySet(KEY.public_jwk | change)


def test_two_keys_under_one_name_are_refused():
    with pytest.raises(InvalidKeyError):
        KeySet(KEY.public_jwk, OTHER.public_jwk | {"kid": KEY.kid})
