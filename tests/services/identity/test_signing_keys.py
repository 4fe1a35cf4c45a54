"""Rotation refuses no token, and a leaked key ends with all tokens that it signed."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Self

import pytest
from jose import jwt
from pydantic import SecretStr

import identity.main
from common.enforcement.revocation_feed import VerificationKey
from common.enforcement.tokens import InvalidKeyError, SigningKey
from identity.signing.keys import SigningKeys
from identity.signing.models import MAX_TOKEN_TERM, SIGNING_LEASE
from identity.signing.problems import SigningKeyMissing
from identity.signing.service import choose_signing_key
from tests.harness.client import slug
from tests.harness.polling import eventually
from tests.services.identity.harness import IdentityHarness

KEYS = "/operations/signing-keys"


class Replica:
    """Another process of the same identity, with keys of its own."""

    def __init__(self, harness: IdentityHarness, *keys: SigningKey, instance: str = "2") -> None:
        pem = SecretStr("".join(key.to_pem() for key in keys))
        settings = harness.settings.model_copy(update={"signing_key_pem": pem, "instance": instance})
        self.app = identity.main.create_app(settings, harness.bus, clock=harness.clock)
        self.runtime = self.app.state.runtime
        self.keys: SigningKeys

    async def __aenter__(self) -> Self:
        self._ends = AsyncExitStack()
        await self._ends.enter_async_context(self.app.router.lifespan_context(self.app))
        self.keys = self.runtime.signing_keys
        await self.runtime.point.loaded()
        return self

    async def __aexit__(self, *_) -> None:
        await self._ends.aclose()

    async def signs_with(self, key: SigningKey) -> None:
        await eventually(lambda: self.keys.ready() and self.keys.current.kid == key.kid)


def own(harness: IdentityHarness) -> SigningKey:
    return next(iter(harness.runtime.signing_keys.own.values()))


def signed_by(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


async def states(harness: IdentityHarness) -> dict[str, str]:
    answer = await harness.center.get(KEYS)
    assert answer.status_code == 200, answer.text
    return {key["kid"]: key["state"] for key in answer.json()}


async def retire(harness: IdentityHarness, key: SigningKey, **more):
    return await harness.center.post(f"{KEYS}/{key.kid}/retire", {"reason": "泄露演练"} | more)


def test_keys_are_read_in_order_and_a_text_that_ends_in_a_key_is_refused():
    old, new = SigningKey.generate(), SigningKey.generate()
    assert list(SigningKeys(old.to_pem() + new.to_pem()).own) == [old.kid, new.kid]
    for broken in ("", old.to_pem() + new.to_pem()[:60], "x" + old.to_pem(), old.to_pem() + "more"):
        with pytest.raises(InvalidKeyError):
            SigningKeys(broken)


async def test_before_its_first_token_a_new_key_is_on_the_feed_for_the_bound(harness):
    old, new = own(harness), SigningKey.generate()
    async with Replica(harness, old, new) as replica:
        await replica.signs_with(old)
        await eventually(lambda: new.kid in harness.runtime.point.keys)
        jwks = (await harness.client.get("/.well-known/jwks.json")).json()["keys"]
        assert {key["kid"] for key in jwks} == {old.kid, new.kid}
        known_since = asyncio.get_running_loop().time()
        await replica.signs_with(new)
        assert asyncio.get_running_loop().time() - known_since > replica.runtime.point.bound() - 0.5
        await harness.event("signing-key.published", kid=new.kid)
        await harness.event("signing-key.adopted", kid=new.kid)
        assert (await states(harness)) == {old.kid: "signs", new.kid: "signs"}, (
            "the other replica has the old one alone"
        )
        token = replica.keys.current
        assert token.kid == new.kid
        assert (await harness.with_token(harness.center.access_token)).status_code == 200


async def test_once_the_new_key_signs_a_restarted_replica_signs_with_it_at_once(harness):
    old, new = own(harness), SigningKey.generate()
    async with Replica(harness, old, new) as replica:
        await replica.signs_with(new)
    async with Replica(harness, old, new, instance="3") as replica:
        started_at = asyncio.get_running_loop().time()
        await eventually(replica.keys.ready)
        assert replica.keys.current.kid == new.kid
        assert asyncio.get_running_loop().time() - started_at < 1


async def test_the_old_key_verifies_until_its_last_token_has_expired_and_is_retired_then(harness):
    old, new = own(harness), SigningKey.generate()
    async with Replica(harness, old, new) as replica:
        await replica.signs_with(new)
        keys = harness.runtime.signing_keys
        keys.own |= replica.keys.own  # the first replica is given the new key, as its restart would
        await eventually(lambda: keys.current.kid == new.kid)
        assert (await retire(harness, old)).status_code == 409
        harness.clock.advance(SIGNING_LEASE + MAX_TOKEN_TERM - timedelta(seconds=10))
        await choose_signing_key(replica.runtime)
        assert old.kid in harness.runtime.point.keys
        assert len(await harness.events("signing-key.retired")) == 0
        harness.clock.advance(timedelta(seconds=11))
        await choose_signing_key(replica.runtime)
        await choose_signing_key(replica.runtime)
        await eventually(lambda: old.kid not in harness.runtime.point.keys)
        retired = await harness.event("signing-key.retired", kid=old.kid)
        assert retired["reason"] == "superseded"
        assert len(await harness.events("signing-key.retired")) == 1


async def test_a_replica_that_has_the_old_key_alone_keeps_it_from_being_retired(harness):
    old, new = own(harness), SigningKey.generate()
    async with Replica(harness, old, new) as replica:
        await replica.signs_with(new)
        for _ in range(5):
            harness.clock.advance(MAX_TOKEN_TERM / 2)
            await choose_signing_key(harness.runtime)
            await choose_signing_key(replica.runtime)
        assert await harness.center.refresh()
        assert (await states(harness))[old.kid] == "signs"


@pytest.mark.clause("6.5")
async def test_a_leaked_key_ends_at_once_with_every_token_that_it_signed(harness):
    old, new = own(harness), SigningKey.generate()
    before = harness.center.access_token
    assert signed_by(before) == old.kid
    async with Replica(harness, old, new) as replica:
        await replica.signs_with(new)
        answer = await retire(harness, old, leaked=True)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["key"]["state"] == "retired"
        assert body["key"]["retired_by"] == f"account:{harness.center.id}"
        assert body["effective_at"]
        refused = await harness.with_token(before)
        assert (refused.status_code, refused.json()["reason"]) == (401, "key-unknown")
        forged = SigningKeys(old.to_pem()).own[old.kid]
        assert forged.kid not in replica.runtime.point.keys
        # The first replica has the old key alone: it signs nothing any more, and says that it is not ready.
        await eventually(lambda: not harness.runtime.signing_keys.ready())
        again = await harness.center.try_refresh()
        assert (again.status_code, slug(again)) == (503, "signing-key-missing")
        ready = await harness.client.get("/ready")
        assert (ready.status_code, ready.json()["checks"]["signing_key"]) == (503, False)


async def test_the_refresh_token_survives_the_leak_of_the_signing_key(harness):
    old, new = own(harness), SigningKey.generate()
    async with Replica(harness, old, new) as replica:
        await replica.signs_with(new)
        harness.runtime.signing_keys.own |= replica.keys.own
        await eventually(lambda: harness.runtime.signing_keys.current.kid == new.kid)
        assert (await retire(harness, old, leaked=True)).status_code == 200
        await harness.center.refresh()
        assert signed_by(harness.center.access_token) == new.kid
        repeated = await retire(harness, old, leaked=True)
        assert repeated.status_code == 200, "safe to repeat"
        assert len(await harness.events("signing-key.retired")) == 1
        keyed = {"json": {"reason": "泄露演练", "leaked": True}, "headers": {"Idempotency-Key": "leak-of-the-old-key"}}
        first, second = [await harness.center.send("POST", f"{KEYS}/{old.kid}/retire", **keyed) for _ in range(2)]
        assert first.json()["effective_at"], first.text
        assert (second.json(), second.headers["Idempotency-Replayed"]) == (first.json(), "true")


async def test_the_only_key_that_signs_cannot_be_retired(harness):
    answer = await retire(harness, own(harness), leaked=True)
    assert (answer.status_code, slug(answer)) == (409, "signing-key-needed")
    assert (await harness.center.post(f"{KEYS}/{'x' * 43}/retire", {"reason": "nothing"})).status_code == 404
    assert (await harness.center.post(f"{KEYS}/{own(harness).kid}/retire", {"reason": " "})).status_code == 422
    assert (await harness.authority.get(KEYS)).status_code == 403


async def test_a_key_that_the_feed_has_retired_never_signs_again_whatever_the_database_forgot(harness):
    old, new = own(harness), SigningKey.generate()
    async with Replica(harness, old, new) as replica:
        await replica.signs_with(new)
        entry = VerificationKey(kid=new.kid, jwk=new.public_jwk, retired=True)
        await replica.runtime.bus.publish([identity.main.Message("xindun.feed", entry.key, entry.to_bytes())])
        await replica.signs_with(old)


def test_a_process_without_a_usable_key_says_so():
    with pytest.raises(SigningKeyMissing):
        _ = SigningKeys(SigningKey.generate().to_pem()).current
    assert json.dumps(SigningKeyMissing().headers) == '{"Retry-After": "1"}'
