"""The Wycheproof vectors of JWS and JWK against the one function that checks a signature."""

import base64
import json
import os
from pathlib import Path

import pytest

from common.enforcement.tokens import InvalidKeyError, InvalidTokenError, KeySet, verify_jws

VECTORS = Path(os.environ.get("WYCHEPROOF_VECTORS", "no-vectors"))
"""A directory with `testvectors_v1` files of C2SP/wycheproof."""

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="WYCHEPROOF_VECTORS names no directory")


def vectors(name):
    """Return (id, list of JWK, JWS, result, comment) of each vector; where there is no public key, the secret one."""
    if not VECTORS.is_dir():
        return []
    found = []
    for group in json.loads((VECTORS / name).read_text())["testGroups"]:
        key = group.get("public", group["private"])
        keys = key.get("keys", [key])
        found += [(test["tcId"], keys, test["jws"], test["result"], test["comment"]) for test in group["tests"]]
    return found


def accepted(keys, jws):
    try:
        verify_jws(jws, KeySet(*keys))
    except (InvalidTokenError, InvalidKeyError):
        return False
    return True


def algorithm(jws):
    head = jws.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "==")).get("alg")


@pytest.mark.parametrize("name", ["json_web_signature_test.json", "json_web_key_test.json"])
def test_every_invalid_vector_is_rejected(name):
    invalid = [vector for vector in vectors(name) if vector[3] != "valid"]
    assert len(invalid) > 15
    assert [(tc, comment) for tc, keys, jws, _, comment in invalid if accepted(keys, jws)] == []


def test_every_valid_es256_signature_is_accepted():
    valid = [vector for vector in vectors("json_web_signature_test.json") if vector[3] == "valid"]
    es256 = {
        tc: accepted(keys, jws) for tc, keys, jws, _, comment in valid if "?" not in jws and algorithm(jws) == "ES256"
    }
    assert es256 == dict.fromkeys([18, 378], True)


@pytest.mark.parametrize("name", ["json_web_signature_test.json", "json_web_key_test.json"])
def test_a_valid_signature_of_another_algorithm_is_rejected_for_that_algorithm(name):
    # All valid vectors that we reject: MACs, RSA and larger curves, which the platform does not accept; 372 and 373 are
    # MACs besides, with a character outside the alphabet, which Wycheproof lets pass and RFC 7515 §2 does not.
    reasons = {}
    for tc, _, jws, result, _ in vectors(name):
        if result != "valid" or ("?" not in jws and algorithm(jws) == "ES256"):
            continue
        with pytest.raises(InvalidTokenError) as refused:
            verify_jws(jws, KeySet())
        reasons.setdefault(refused.value.reason, []).append(tc)
    malformed = [372, 373] if name == "json_web_signature_test.json" else []
    assert reasons.pop("malformed", []) == malformed
    assert set(reasons) == {"algorithm"}


def test_keys_of_another_kind_and_for_another_use_are_refused():
    taken = []
    for tc, keys, _, _, _ in vectors("json_web_key_test.json"):
        try:
            KeySet(*keys)
        except InvalidKeyError:
            continue
        taken.append(tc)
    assert taken == []  # not one of this file's key sets is a set of public P-256 keys for ES256 alone
