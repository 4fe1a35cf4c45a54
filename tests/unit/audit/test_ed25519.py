"""The verifier's own Ed25519: it agrees with the library, and accepts only one signature per message."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.evidence.verify import L, P, ed25519_verify

# RFC 8032 section 7.1: public key, message, signature of tests 1 to 3.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def test_the_vectors_of_the_standard_hold():
    for public, message, signature in RFC_8032:
        assert ed25519_verify(*map(bytes.fromhex, (public, message, signature)))
        assert not ed25519_verify(bytes.fromhex(public), bytes.fromhex(message) + b"x", bytes.fromhex(signature))


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_it_agrees_with_the_library_and_refuses_every_changed_bit(seed, message, bit):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert ed25519_verify(public, message, signature)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not ed25519_verify(public, message, bytes(changed))


def test_a_second_form_of_the_same_signature_is_refused():
    public, message, signature = map(bytes.fromhex, RFC_8032[1])
    again = int.from_bytes(signature[32:], "little") + L
    assert not ed25519_verify(public, message, signature[:32] + again.to_bytes(32, "little"))
    for other in (signature[:-1], signature + b"\0", b""):
        assert not ed25519_verify(public, message, other)


def test_encodings_that_are_not_canonical_are_refused():
    # y = 1 is the neutral element: with it as key every s, sB would verify; its other encodings must not even decode.
    signature = (1).to_bytes(32, "little") + bytes(32)
    assert ed25519_verify((1).to_bytes(32, "little"), b"", signature)
    for public in ((P + 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little"), (2).to_bytes(32, "little")):
        assert not ed25519_verify(public, b"", signature)
    for r in (P + 1, 1 | 1 << 255):
        assert not ed25519_verify((1).to_bytes(32, "little"), b"", r.to_bytes(32, "little") + bytes(32))
