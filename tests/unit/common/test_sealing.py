"""Sealed secrets open with their key, in their place, unaltered, and not otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.storage.encryption import DecryptionError, decrypt, encrypt

KEY = bytes(range(32))
SEALED = encrypt(KEY, b"secret", "account/1/totp")


@given(st.binary(max_size=200), st.text(max_size=40))
def test_what_was_sealed_opens_in_its_place(plaintext, context):
    assert decrypt(KEY, encrypt(KEY, plaintext, context), context) == plaintext


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_any_changed_byte_breaks_the_seal(position, difference):
    altered = bytearray(SEALED)
    altered[position] ^= difference
    with pytest.raises(DecryptionError):
        decrypt(KEY, bytes(altered), "account/1/totp")


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_a_cut_seal_is_broken(length):
    with pytest.raises(DecryptionError):
        decrypt(KEY, SEALED[:length], "account/1/totp")


def test_another_place_and_another_key_do_not_open():
    with pytest.raises(DecryptionError):
        decrypt(KEY, SEALED, "account/2/totp")
    with pytest.raises(DecryptionError):
        decrypt(bytes(32), SEALED, "account/1/totp")


def test_the_same_secret_is_never_sealed_alike():
    assert encrypt(KEY, b"secret", "a") != encrypt(KEY, b"secret", "a")
    assert b"secret" not in SEALED


@pytest.mark.parametrize("key", [b"", bytes(16), bytes(31), bytes(33)])
def test_a_key_of_another_length_is_refused(key):
    with pytest.raises(ValueError, match="32"):
        encrypt(key, b"secret", "a")
    with pytest.raises(ValueError, match="32"):
        decrypt(key, SEALED, "a")
