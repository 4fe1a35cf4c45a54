"""The enforcement point: it decides only while it knows, and while whoever revokes knows of it (P1, clause 6.5)."""

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from common.clock import ManualClock
from common.contracts.policies import POLICIES
from common.contracts.topics import TOPICS
from common.enforcement import enforcement_point as cutoffs
from common.enforcement import verifier as auth
from common.enforcement.enforcement_point import CredentialRevoked, EnforcementPoint, FeedStale, RevokerSilent
from common.enforcement.revocation_feed import Cutoff, Heartbeat, PolicyVersion, Receipt, VerificationKey
from common.enforcement.tokens import KeySet, SigningKey
from common.enforcement.verifier import CredentialInvalid, Verifier
from common.ids import new_id
from common.messaging.bus import Batch, BusUnavailable, Message
from common.messaging.in_process import InProcessBus
from common.messaging.topics import FEED_TOPIC, receipts_topic
from common.web.application import supervise
from tests.harness.polling import eventually
from tests.harness.tokens import ISSUER, access_token, publish_feed, publish_key

RECEIPTS = receipts_topic("gateway")


class Bus(InProcessBus):
    """A bus whose feed can be cut and whose receipts can be refused."""

    def __init__(self) -> None:
        super().__init__(TOPICS)
        self.cut = False
        self.silent = False
        self.refuses = False
        self.follows = 0

    def follow(self, *topics, from_end=False):
        if topics != (FEED_TOPIC,):
            return super().follow(*topics, from_end=from_end)
        if self.cut:
            raise BusUnavailable
        self.follows += 1
        return Follower(self, super().follow(*topics, from_end=from_end))

    async def publish(self, messages):
        if self.refuses and messages[0].topic == RECEIPTS:
            raise BusUnavailable
        await super().publish(messages)


class Follower:
    def __init__(self, bus: Bus, inner) -> None:
        self._bus, self._inner = bus, inner

    async def poll(self, timeout: float) -> Batch:
        if self._bus.cut:
            raise BusUnavailable
        batch = await self._inner.poll(timeout)
        return Batch(batch.messages, None) if self._bus.silent else batch

    async def close(self) -> None:
        await self._inner.close()


class Ground:
    def __init__(self) -> None:
        self.bus, self.clock = Bus(), ManualClock()
        self.key = SigningKey.generate()
        self.point = EnforcementPoint("gateway-1", self.bus, self.clock, POLICIES)
        self.verifier = Verifier(self.point, ISSUER, self.clock)
        self._running: asyncio.Task | None = None

    async def start(self) -> None:
        self.receipts = self.bus.follow(RECEIPTS)
        self._running = asyncio.create_task(supervise("test", "point", self.point.run))

    async def stop(self) -> None:
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def feed(self, *entries) -> None:
        await publish_feed(self.bus, *entries)

    async def key_and_heartbeat(self) -> None:
        await publish_key(self.bus, self.key, self.clock.now())

    def cutoff(self, subject: str, epoch: int = 1, **more) -> Cutoff:
        fields = {"id": new_id(), "subject": subject, "epoch": epoch, "reason": "test", "at": self.clock.now()}
        return Cutoff.model_validate(fields | more)

    async def said(self) -> list[Receipt]:
        batch = await self.receipts.poll(0)
        return [Receipt.model_validate_json(message.value or b"") for message in batch.messages]

    async def answered(self, *entries: Cutoff) -> list[Receipt]:
        """Return all receipts up to the last of `entries`."""
        wanted, given = {entry.id for entry in entries}, []
        async with asyncio.timeout(20):
            while not wanted <= {receipt.cutoff for receipt in given}:
                batch = await self.receipts.poll(1)
                given += [Receipt.model_validate_json(message.value or b"") for message in batch.messages]
        return given

    def token(self, subject: str = "account:1", *, epoch: int = 0, key: SigningKey | None = None, **more) -> str:
        return access_token(key or self.key, self.clock.now(), subject, epc=epoch, **more)


@asynccontextmanager
async def ground_with(*entries):
    made = Ground()
    await made.bus.start()
    await made.feed(*entries)
    await made.key_and_heartbeat()
    await made.start()
    await made.point.loaded()
    try:
        yield made
    finally:
        await made.stop()
        await made.bus.stop()


@pytest.fixture
async def ground():
    async with ground_with() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch):
    """Whatever is not answered is read from its beginning at once."""
    monkeypatch.setattr(cutoffs, "RECONNECT_AFTER", 0.0)


@pytest.mark.clause("6.5")
async def test_a_point_refuses_before_it_has_read_the_feed():
    made = Ground()
    with pytest.raises(FeedStale):
        made.verifier.authenticate_and_check_revocation(made.token())
    assert made.point.age() == float("inf")


@pytest.mark.clause("6.5")
async def test_a_cutoff_kills_what_was_issued_before_and_a_new_epoch_is_valid(ground):
    old = ground.token()
    assert ground.verifier.authenticate_and_check_revocation(old).id == "1"
    cutoff = ground.cutoff("account:1")
    await ground.feed(cutoff)
    await ground.answered(cutoff)
    with pytest.raises(CredentialRevoked) as refused:
        ground.verifier.authenticate_and_check_revocation(old)
    assert refused.value.extra["cutoff"] == str(cutoff.id)
    assert ground.verifier.authenticate_and_check_revocation(ground.token(epoch=1)).epochs == {"account:1": 1}


@pytest.mark.clause("6.5")
@pytest.mark.parametrize("cut_off", ["account:1", "unit", "session"])
async def test_each_subject_of_a_token_is_asked(ground, cut_off):
    unit, session = new_id(), new_id()
    token = ground.token(unit=str(unit), uknd="agency", uepc=0, sid=str(session))
    assert ground.verifier.authenticate_and_check_revocation(token)
    subject = {"unit": f"unit:{unit}", "session": f"session:{session}"}.get(cut_off, cut_off)
    cutoff = ground.cutoff(subject)
    await ground.feed(cutoff)
    await ground.answered(cutoff)
    with pytest.raises(CredentialRevoked):
        ground.verifier.authenticate_and_check_revocation(token)


@pytest.mark.clause("6.5")
async def test_a_lower_epoch_never_replaces_a_higher(ground):
    high, low = ground.cutoff("account:1", 5), ground.cutoff("account:1", 3)
    await ground.feed(high)
    await ground.feed(low)
    other = ground.cutoff("account:2")
    await ground.feed(other)
    given = await ground.answered(high, other)
    assert ground.point.holds("account:1", 5)
    assert low.id not in {receipt.cutoff for receipt in given}
    with pytest.raises(CredentialRevoked):
        ground.verifier.authenticate_and_check_revocation(ground.token(epoch=4))


@pytest.mark.clause("6.5")
@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_a_point_that_is_not_confirmed_within_the_bound_refuses_and_recovers(fault):
    bound = PolicyVersion(name="revocation-bound", version=1, value=500, effective_from=yesterday(), basis="test")
    async with ground_with(bound) as made:
        token = made.token()
        assert made.verifier.authenticate_and_check_revocation(token)
        setattr(made.bus, fault, True)
        await eventually(lambda: not made.point.fresh())
        assert made.point.age() >= 0.5
        with pytest.raises(FeedStale) as refused:
            made.verifier.authenticate_and_check_revocation(token)
        assert refused.value.headers["Retry-After"]
        late = made.cutoff("account:1")
        await made.feed(late)
        setattr(made.bus, fault, False)
        await eventually(made.point.fresh)
        with pytest.raises(CredentialRevoked):
            made.verifier.authenticate_and_check_revocation(token)
        await made.answered(late)


@pytest.mark.clause("6.5")
async def test_a_moment_without_an_answer_is_no_reason_to_read_the_whole_feed_again(ground):
    follows = ground.bus.follows
    ground.bus.cut = True
    await eventually(lambda: not ground.point.fresh())
    await ground.feed(late := ground.cutoff("account:1"))
    ground.bus.cut = False
    await eventually(ground.point.fresh)
    await ground.answered(late)
    assert ground.bus.follows == follows


def yesterday():
    return ManualClock().now() - timedelta(days=1)


@pytest.mark.clause("6.5")
async def test_no_policy_on_the_feed_can_switch_the_bound_off():
    huge = PolicyVersion(name="revocation-bound", version=1, value=10**9, effective_from=yesterday(), basis="test")
    async with ground_with(huge) as made:
        assert made.point.bound() == 5.0


@pytest.mark.clause("6.5")
async def test_a_point_decides_only_when_it_has_announced_itself():
    """Else a revocation could be called effective everywhere while nobody waits for this point."""
    made = Ground()
    await made.bus.start()
    made.bus.refuses = True
    await made.key_and_heartbeat()
    await made.start()
    await made.point._loaded.wait()
    with pytest.raises(FeedStale):
        made.verifier.authenticate_and_check_revocation(made.token())
    assert await made.said() == []
    made.bus.silent = True
    made.bus.refuses = False
    await eventually(lambda: made.point._announced_at is not None)
    assert made.point.age() <= made.point.bound()
    assert not made.point.fresh(), "what was revoked before it was announced may stand behind its position"
    made.bus.silent = False
    await made.point.loaded()
    assert {receipt.kind for receipt in await made.said()} == {"alive"}
    assert made.verifier.authenticate_and_check_revocation(made.token())
    await made.stop()
    await made.bus.stop()


@pytest.mark.clause("6.5")
async def test_a_point_whose_heartbeats_do_not_arrive_refuses(ground, monkeypatch):
    ground.bus.refuses = True
    ground.point._alive_at -= cutoffs.LIVENESS_TIMEOUT
    assert ground.point.age() <= ground.point.bound()
    with pytest.raises(FeedStale):
        ground.verifier.authenticate_and_check_revocation(ground.token())
    ground.bus.refuses = False
    await eventually(ground.point.fresh)


async def test_a_point_sends_heartbeats_and_that_it_left_and_refuses_from_then_on(ground):
    alive = [receipt for receipt in await ground.said() if receipt.kind == "alive"]
    assert alive
    await ground.stop()
    assert (await ground.said())[-1].kind == "left"
    with pytest.raises(FeedStale):
        ground.verifier.authenticate_and_check_revocation(ground.token())


@pytest.mark.usefixtures("impatient")
async def test_a_cutoff_is_answered_once_and_what_was_there_at_the_start_not_at_all():
    made = Ground()
    before = made.cutoff("account:0")
    async with ground_with(before) as made:
        now = [made.cutoff(f"account:{number}") for number in range(1, 6)]
        await made.feed(*now)
        await made.feed(*now)
        given = [receipt.cutoff for receipt in await made.answered(*now) if receipt.kind == "applied"]
        made.bus.cut = True
        await asyncio.wait([asyncio.create_task(made.point.until(lambda: False, 0.3))])
        made.bus.cut = False
        last = made.cutoff("account:9")
        await made.feed(last)
        given += [receipt.cutoff for receipt in await made.answered(last) if receipt.kind == "applied"]
        assert made.bus.follows >= 2, "the feed was read again"
        assert given == [*(cutoff.id for cutoff in now), last.id]


async def test_a_receipt_that_the_bus_refused_is_owed_and_the_feed_is_followed_meanwhile(ground):
    ground.bus.refuses = True
    first, second = ground.cutoff("account:1"), ground.cutoff("account:2")
    await ground.feed(first)
    await eventually(lambda: ground.point.holds("account:1", 1))
    await ground.feed(second)
    await eventually(lambda: ground.point.holds("account:2", 1))
    assert [receipt for receipt in await ground.said() if receipt.cutoff] == []
    ground.bus.refuses = False
    given = [receipt.cutoff for receipt in await ground.answered(first, second) if receipt.cutoff]
    assert given == [first.id, second.id]
    assert ground.bus.follows == 1


@pytest.mark.clause("6.5")
def test_whatever_comes_late_on_the_feed_and_is_compacted_there_revives_nothing():
    """A relay that was stopped in the middle of a publication may put an old entry behind newer ones."""
    ground = Ground()
    key, spare = SigningKey.generate(), SigningKey.generate()
    entries = [
        ground.cutoff("account:1", 1),
        ground.cutoff("account:1", 2),
        ground.cutoff("account:1", 10),
        VerificationKey(kid=key.kid, jwk=key.public_jwk),
        VerificationKey(kid=key.kid, jwk=key.public_jwk, retired=True),
        VerificationKey(kid=spare.kid, jwk=spare.public_jwk),
    ]
    for order in itertools.permutations(entries):
        kept = list({entry.key: entry for entry in order}.values())
        late = EnforcementPoint("gateway-2", ground.bus, ground.clock, POLICIES)
        for entry in kept:
            late._apply(Message(FEED_TOPIC, entry.key, entry.to_bytes()), live=False)
        assert late.holds("account:1", 10)
        assert [each["kid"] for each in late.keys.jwks()["keys"]] == [spare.kid]


@pytest.mark.clause("6.5")
async def test_a_retired_key_verifies_nothing_not_even_what_was_verified_before(ground):
    token, kid = ground.token(), ground.key.kid
    assert ground.verifier.authenticate_and_check_revocation(token)
    assert ground.verifier.authenticate_and_check_revocation(token)
    await ground.feed(VerificationKey(kid=kid, jwk=ground.key.public_jwk, retired=True))
    await eventually(lambda: not ground.point.keys.jwks()["keys"])
    with pytest.raises(CredentialInvalid):
        ground.verifier.authenticate_and_check_revocation(token)


def reason_for(ground, token: str) -> str:
    with pytest.raises(CredentialInvalid) as refused:
        ground.verifier.authenticate_and_check_revocation(token)
    return refused.value.extra["reason"]


async def test_a_forged_signature_is_looked_at_once_and_again_when_the_keys_have_changed(ground, monkeypatch):
    looked: list[str] = []
    verifies = KeySet.verifies
    monkeypatch.setattr(KeySet, "verifies", lambda keys, kid, *more: looked.append(kid) or verifies(keys, kid, *more))
    other = SigningKey.generate()
    forged = ".".join([ground.token().split(".")[0], *ground.token(key=other).split(".")[1:]])
    assert {reason_for(ground, forged) for _ in range(5)} == {"signature"}
    assert looked == [ground.key.kid]
    await ground.feed(VerificationKey(kid=other.kid, jwk=other.public_jwk))
    await eventually(lambda: other.kid in ground.point.keys)
    assert reason_for(ground, forged) == "signature"
    assert looked == [ground.key.kid] * 2


async def test_a_token_whose_key_comes_later_is_good_then(ground):
    other = SigningKey.generate()
    token = ground.token(key=other)
    assert {reason_for(ground, token) for _ in range(2)} == {"key-unknown"}
    await ground.feed(VerificationKey(kid=other.kid, jwk=other.public_jwk))
    await eventually(lambda: other.kid in ground.point.keys)
    assert ground.verifier.authenticate_and_check_revocation(token)


async def test_forged_tokens_are_not_remembered_without_bound(ground, monkeypatch):
    monkeypatch.setattr(auth, "MAX_CACHED_FORGERIES", 3)
    for number in range(10):
        head, payload, signature = ground.token(f"account:{number}").split(".")
        assert reason_for(ground, f"{head}.{payload}.{'A' * 43}{signature[43:]}") == "signature"
    assert len(ground.verifier._forged) == 3


async def test_a_token_that_was_good_says_that_it_has_expired(ground):
    token = ground.token()
    assert ground.verifier.authenticate_and_check_revocation(token)
    ground.clock.advance(timedelta(seconds=600))
    assert reason_for(ground, token) == "expired"


@pytest.mark.clause("6.5")
@pytest.mark.usefixtures("impatient")
async def test_a_feed_read_again_does_not_revive_a_retired_key_for_a_moment(ground, monkeypatch):
    await ground.feed(VerificationKey(kid=ground.key.kid, jwk=ground.key.public_jwk, retired=True))
    await eventually(lambda: not ground.point.keys.jwks()["keys"])
    added = []
    monkeypatch.setattr(ground.point.keys, "add", added.append)
    ground.bus.cut = True
    await eventually(lambda: ground.point.age() > 0.3)
    ground.bus.cut = False
    follows = ground.bus.follows
    await eventually(lambda: ground.bus.follows > follows)
    age = ground.point.age()
    await eventually(lambda: ground.point.age() < age)
    assert added == []


@pytest.mark.clause("6.5")
@pytest.mark.usefixtures("impatient")
async def test_a_silent_revoker_closes_class_a_and_only_a_new_heartbeat_opens_it(ground):
    ground.point.require_revoker()
    ground.point._revoker_seen_at -= 61
    with pytest.raises(RevokerSilent):
        ground.point.require_revoker()
    ground.bus.cut = True
    await eventually(lambda: ground.point.age() > 0.3)
    ground.bus.cut = False
    follows = ground.bus.follows
    await eventually(lambda: ground.bus.follows > follows and ground.point.age() < 0.2)
    with pytest.raises(RevokerSilent):
        ground.point.require_revoker()
    await ground.feed(Heartbeat(at=ground.clock.now()))
    await eventually(lambda: time.monotonic() - ground.point._revoker_seen_at < 1)
    ground.point.require_revoker()


async def test_a_heartbeat_that_was_old_when_the_point_started_is_old():
    made = Ground()
    await made.bus.start()
    await made.feed(Heartbeat(at=made.clock.now() - timedelta(seconds=70)))
    await made.start()
    await made.point.loaded()
    with pytest.raises(RevokerSilent):
        made.point.require_revoker()
    await made.stop()
    await made.bus.stop()


async def test_a_cutoff_is_forgotten_when_its_last_credential_has_expired(ground):
    session = f"session:{new_id()}"
    cutoff = ground.cutoff(session, until=ground.clock.now() + timedelta(seconds=600))
    lasting = ground.cutoff("account:1")
    await ground.feed(cutoff, lasting)
    await ground.answered(cutoff, lasting)
    ground.clock.advance(timedelta(seconds=599))
    ground.point._forget()
    assert ground.point.holds(session, 1)
    ground.clock.advance(timedelta(seconds=2))
    await eventually(lambda: not ground.point.holds(session, 1))
    assert ground.point.holds("account:1", 1)
    await ground.feed(cutoff)
    other = ground.cutoff("account:2")
    await ground.feed(other)
    assert cutoff.id not in {receipt.cutoff for receipt in await ground.answered(other)}


@pytest.mark.clause("6.5")
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b'{"kind":"surprise"}',
        b'{"kind":"cutoff","subject":"account:1"}',
        b'{"kind":"key","kid":"x","jwk":{}}',
    ],
)
async def test_an_entry_that_cannot_be_read_keeps_the_point_closed(ground, value):
    """What stands behind it may be a revocation."""
    await ground.bus.publish([Message(FEED_TOPIC, "unreadable", value)])
    await eventually(lambda: not ground.point.fresh())
    await ground.feed(ground.cutoff("account:1"))
    with pytest.raises(FeedStale):
        ground.verifier.authenticate_and_check_revocation(ground.token())


async def test_twenty_thousand_cutoffs_load_fast():
    made = Ground()
    entries = [made.cutoff(f"session:{new_id()}") for _ in range(20_000)]
    began = time.monotonic()
    async with ground_with(*entries) as made:
        assert time.monotonic() - began < 10
        assert len(made.point._cutoffs) == 20_000
        started_at = time.perf_counter()
        token = made.token(sid=entries[777].subject.removeprefix("session:"))
        with pytest.raises(CredentialRevoked):
            made.verifier.authenticate_and_check_revocation(token)
        assert time.perf_counter() - started_at < 0.1


async def test_a_waiter_learns_whether_it_came_in_time(ground):
    assert not await ground.point.until(lambda: ground.point.holds("account:1", 1), 0.05)
    waiting = asyncio.create_task(ground.point.until(lambda: ground.point.holds("account:1", 1), 20))
    await ground.feed(ground.cutoff("account:1"))
    assert await waiting
