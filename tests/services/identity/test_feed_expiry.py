"""Cutoffs of long expired tokens leave the feed, and a point that starts later decides like all others."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.enforcement.enforcement_point import CredentialRevoked
from common.enforcement.revocation_feed import Cutoff
from identity.feed.expiry import EXPIRY_MARGIN, delete_expired, expired_keys
from identity.feed.snapshot import read_feed
from identity.signing.models import MAX_TOKEN_TERM
from tests.services.identity.test_feed_repair import newcomer

NOW = datetime(2026, 11, 25, tzinfo=UTC)
AGES = sorted(base + MAX_TOKEN_TERM * part / 4 for base in (timedelta(), EXPIRY_MARGIN) for part in range(7))
ALIVE = [age for age in AGES if age <= MAX_TOKEN_TERM]


@pytest.mark.clause("6.5")
async def test_cutoffs_leave_the_feed_a_day_after_the_last_token_that_they_could_end(harness):
    _, admin = await harness.bare_unit()
    person = await harness.clerk(admin)

    async def cutoffs_in_feed():
        return {key for key in await read_feed(harness.runtime) if key.startswith(("account:", "session:"))}

    ended = await harness.client.delete("/identity/sessions/current", headers=person.headers)
    assert ended.status_code == 200
    await harness.center.post(f"/accounts/{person.id}/suspend", {"reason": "调查期间"})
    await harness.center.post(f"/accounts/{person.id}/reinstate", {"reason": "调查结束"})
    before = await cutoffs_in_feed()
    assert len(before) > 1
    everything = set(await read_feed(harness.runtime))
    assert await delete_expired(harness.runtime) == 0

    harness.clock.advance(MAX_TOKEN_TERM + EXPIRY_MARGIN + timedelta(seconds=1))
    await harness.center.sign_in()
    await admin.sign_in()
    await harness.center.post(f"/accounts/{person.id}/suspend", {"reason": "又一次调查"})
    assert await delete_expired(harness.runtime) == len(before)
    left = await cutoffs_in_feed()
    assert left.isdisjoint(before)
    assert f"account:{person.id}:2" in left
    assert everything - before <= set(await read_feed(harness.runtime)), "keys and rules stay"
    assert await delete_expired(harness.runtime) == 0

    point, running = await newcomer(harness)
    point.require_current({f"account:{person.id}": 2})
    with pytest.raises(CredentialRevoked):
        point.require_current({f"account:{person.id}": 1})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def cutoff(number: int, subject: int, epoch: int, age: timedelta) -> Cutoff:
    return Cutoff(
        id=UUID(int=number), subject=f"system:{subject}", epoch=epoch, reason="system-suspended", at=NOW - age
    )


@pytest.mark.clause("6.5")
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(AGES)), max_size=8))
def test_expiry_lets_no_refused_token_through_that_may_still_be_in_force(made):
    """A token carries the number of cutoffs that its subject had when it was issued."""
    epochs = [0, 0]
    cutoffs = []
    for number, (subject, age) in enumerate(sorted(made, key=lambda each: each[1], reverse=True)):
        epochs[subject] += 1
        cutoffs.append(cutoff(number, int(subject), epochs[subject], age))
    gone = set(expired_keys(cutoffs, NOW))
    for subject, token_age in itertools.product((0, 1), ALIVE):
        of_it = [c for c in cutoffs if c.subject == f"system:{subject}"]
        epoch = max((c.epoch for c in of_it if c.at <= NOW - token_age), default=0)
        above = [c for c in of_it if epoch < c.epoch]
        assert not above or any(c.key not in gone for c in above)
