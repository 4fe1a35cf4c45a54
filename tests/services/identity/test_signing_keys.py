"""Signing keys: one follows another without a token refused, and one that leaked ends with all that it signed."""

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
from common.enforcement.tokens import KeyInvalid, SigningKey
from identity.problems import SigningKeyMissing
from identity.signing.keys import SigningKeys
from identity.signing.models import LEASE, LONGEST_TERM
from identity.signing.service import choose
from tests.services.identity.harness import World, slug

KEYS = "/operations/signing-keys"


class Replica:
    """Another process of the same identity, with keys of its own."""

    def __init__(self, world: World, *keys: SigningKey, instance: str = "2") -> None:
        pem = SecretStr("".join(key.to_pem() for key in keys))
        settings = world.settings.model_copy(update={"signing_key_pem": pem, "instance": instance})
        self.app = identity.main.create_app(settings, world.bus, clock=world.clock)
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
        await until(lambda: self.keys.ready() and self.keys.current.kid == key.kid)


async def until(condition) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


def own(world: World) -> SigningKey:
    return next(iter(world.runtime.signing_keys.own.values()))


def signed_by(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


async def states(world: World) -> dict[str, str]:
    answer = await world.center.get(KEYS)
    assert answer.status_code == 200, answer.text
    return {key["kid"]: key["state"] for key in answer.json()}


async def retire(world: World, key: SigningKey, **more):
    return await world.center.post(f"{KEYS}/{key.kid}/retire", {"reason": "泄露演练"} | more)


def test_keys_are_read_in_order_and_a_text_that_ends_in_a_key_is_refused():
    old, new = SigningKey.generate(), SigningKey.generate()
    assert list(SigningKeys(old.to_pem() + new.to_pem()).own) == [old.kid, new.kid]
    for broken in ("", old.to_pem() + new.to_pem()[:60], "x" + old.to_pem(), old.to_pem() + "more"):
        with pytest.raises(KeyInvalid):
            SigningKeys(broken)


async def test_before_its_first_token_a_new_key_is_on_the_feed_for_the_bound(world):
    old, new = own(world), SigningKey.generate()
    async with Replica(world, old, new) as replica:
        await replica.signs_with(old)
        await until(lambda: new.kid in world.runtime.point.keys)
        jwks = (await world.client.get("/.well-known/jwks.json")).json()["keys"]
        assert {key["kid"] for key in jwks} == {old.kid, new.kid}
        known_since = asyncio.get_running_loop().time()
        await replica.signs_with(new)
        assert asyncio.get_running_loop().time() - known_since > replica.runtime.point.bound() - 0.5
        await world.heard("signing-key.published", kid=new.kid)
        await world.heard("signing-key.adopted", kid=new.kid)
        assert (await states(world)) == {old.kid: "signs", new.kid: "signs"}, "the other replica has the old one alone"
        token = replica.keys.current
        assert token.kid == new.kid
        assert (await world.with_token(world.center.tokens["access_token"])).status_code == 200


async def test_once_the_new_key_signs_a_restarted_replica_signs_with_it_at_once(world):
    old, new = own(world), SigningKey.generate()
    async with Replica(world, old, new) as replica:
        await replica.signs_with(new)
    async with Replica(world, old, new, instance="3") as replica:
        begun = asyncio.get_running_loop().time()
        await until(replica.keys.ready)
        assert replica.keys.current.kid == new.kid
        assert asyncio.get_running_loop().time() - begun < 1


async def test_the_old_key_verifies_until_its_last_token_has_expired_and_is_retired_then(world):
    old, new = own(world), SigningKey.generate()
    async with Replica(world, old, new) as replica:
        await replica.signs_with(new)
        keys = world.runtime.signing_keys
        keys.own |= replica.keys.own  # the first replica is given the new key, as its restart would
        await until(lambda: keys.current.kid == new.kid)
        assert (await retire(world, old)).status_code == 409
        world.clock.advance(LEASE + LONGEST_TERM - timedelta(seconds=10))
        await choose(replica.runtime)
        assert old.kid in world.runtime.point.keys
        assert world.count("signing-key.retired") == 0
        world.clock.advance(timedelta(seconds=11))
        await choose(replica.runtime)
        await choose(replica.runtime)
        await until(lambda: old.kid not in world.runtime.point.keys)
        told = await world.heard("signing-key.retired", kid=old.kid)
        assert told["reason"] == "superseded"
        assert world.count("signing-key.retired") == 1


async def test_a_replica_that_has_the_old_key_alone_keeps_it_from_being_retired(world):
    old, new = own(world), SigningKey.generate()
    async with Replica(world, old, new) as replica:
        await replica.signs_with(new)
        for _ in range(5):
            world.clock.advance(LONGEST_TERM / 2)
            await choose(world.runtime)
            await choose(replica.runtime)
        assert await world.center.refresh()
        assert (await states(world))[old.kid] == "signs"


@pytest.mark.clause("6.5")
async def test_a_leaked_key_ends_at_once_with_every_token_that_it_signed(world):
    old, new = own(world), SigningKey.generate()
    before = world.center.tokens["access_token"]
    assert signed_by(before) == old.kid
    async with Replica(world, old, new) as replica:
        await replica.signs_with(new)
        answer = await retire(world, old, leaked=True)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["key"]["state"] == "retired"
        assert body["key"]["retired_by"] == f"account:{world.center.id}"
        assert body["effective_at"]
        refused = await world.with_token(before)
        assert (refused.status_code, refused.json()["reason"]) == (401, "key-unknown")
        forged = SigningKeys(old.to_pem()).own[old.kid]
        assert forged.kid not in replica.runtime.point.keys
        # The first replica has the old key alone: it signs nothing any more, and says that it is not ready.
        await until(lambda: not world.runtime.signing_keys.ready())
        again = await world.center.try_refresh()
        assert (again.status_code, slug(again)) == (503, "signing-key-missing")
        ready = await world.client.get("/ready")
        assert (ready.status_code, ready.json()["checks"]["signing_key"]) == (503, False)


async def test_the_refresh_token_survives_the_leak_of_the_signing_key(world):
    old, new = own(world), SigningKey.generate()
    async with Replica(world, old, new) as replica:
        await replica.signs_with(new)
        world.runtime.signing_keys.own |= replica.keys.own
        await until(lambda: world.runtime.signing_keys.current.kid == new.kid)
        assert (await retire(world, old, leaked=True)).status_code == 200
        await world.center.refresh()
        assert signed_by(world.center.tokens["access_token"]) == new.kid
        repeated = await retire(world, old, leaked=True)
        assert repeated.status_code == 200, "safe to repeat"
        assert world.count("signing-key.retired") == 1


async def test_the_only_key_that_signs_cannot_be_retired(world):
    answer = await retire(world, own(world), leaked=True)
    assert (answer.status_code, slug(answer)) == (409, "signing-key-needed")
    assert (await world.center.post(f"{KEYS}/{'x' * 43}/retire", {"reason": "nothing"})).status_code == 404
    assert (await world.center.post(f"{KEYS}/{own(world).kid}/retire", {"reason": " "})).status_code == 422
    assert (await world.authority.get(KEYS)).status_code == 403


async def test_a_key_that_the_feed_has_retired_never_signs_again_whatever_the_database_forgot(world):
    old, new = own(world), SigningKey.generate()
    async with Replica(world, old, new) as replica:
        await replica.signs_with(new)
        entry = VerificationKey(kid=new.kid, jwk=new.public_jwk, retired=True)
        await replica.runtime.bus.publish([identity.main.Message("xindun.feed", entry.key, entry.to_bytes())])
        await replica.signs_with(old)


def test_a_process_without_a_usable_key_says_so():
    with pytest.raises(SigningKeyMissing):
        _ = SigningKeys(SigningKey.generate().to_pem()).current
    assert json.dumps(SigningKeyMissing().headers) == '{"Retry-After": "1"}'
