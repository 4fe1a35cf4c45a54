"""Seals small secrets for the database: AES-256-GCM, bound to the place where they lie."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16


class DecryptionError(Exception):
    """Altered, sealed with another key, or taken from another place."""


def encrypt(key: bytes, plaintext: bytes, context: str) -> bytes:
    """Encrypt `plaintext`; `context` names its place (say `account/<id>/totp`), and only there can it be opened.

    The nonce is random (NIST SP 800-38D §8.2.2): one key serves for 2^32 seals.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return _FORMAT + nonce + _cipher(key).encrypt(nonce, plaintext, _FORMAT + context.encode())


def decrypt(key: bytes, sealed: bytes, context: str) -> bytes:
    """Decrypt what `encrypt` made with this key and context. Raises `DecryptionError`."""
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if sealed[:1] != _FORMAT or len(ciphertext) < _TAG_BYTES:
        raise DecryptionError("not a seal of this format")
    try:
        return _cipher(key).decrypt(nonce, ciphertext, _FORMAT + context.encode())
    except InvalidTag:
        raise DecryptionError("altered, another key, or another place") from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
    return AESGCM(key)
