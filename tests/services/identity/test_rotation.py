"""The command that rotates the signing key continues after any interruption."""

import pytest
from sqlalchemy import update

from identity.signing.keys import SigningKeys
from identity.signing.models import MAX_TOKEN_TERM, SIGNING_LEASE, PublishedKey
from identity.signing.service import choose_signing_key, publish_keys
from operations.client import ApiClient, UsageError
from operations.rotation import SIGNING_KEY, rotate_signing_key
from tests.services.identity.harness import IdentityHarness


@pytest.fixture
def directory(harness: IdentityHarness, tmp_path):
    """A directory of secrets with the key that identity has."""
    file = tmp_path / SIGNING_KEY
    file.parent.mkdir()
    file.write_text(harness.settings.signing_key_pem.get_secret_value())
    return tmp_path


def in_file(directory) -> list[str]:
    return list(SigningKeys((directory / SIGNING_KEY).read_text()).own)


def restart(harness: IdentityHarness, directory) -> None:
    """Let identity read its file again, and publish what is new, as its start does."""
    harness.runtime.signing_keys.own = SigningKeys((directory / SIGNING_KEY).read_text()).own


async def rotate(harness: IdentityHarness, directory, *, wait: float = 0.0, leaked: str | None = None):
    client = ApiClient(harness.client, harness.center.access_token)
    return await rotate_signing_key(client, directory, leaked=leaked, wait=wait)


async def test_a_rotation_goes_on_where_it_was_cut_off(harness, directory):
    (old,) = in_file(directory)
    waiting = await rotate(harness, directory)
    assert not waiting.well, "identity has not been restarted"
    kept, new = in_file(directory)
    assert kept == old
    assert not (await rotate(harness, directory)).well
    assert in_file(directory) == [old, new], "no third key"
    restart(harness, directory)
    await publish_keys(harness.runtime)
    done = await rotate(harness, directory, wait=20)
    assert done.well, done.wrong
    assert done.data["kid"] == new
    assert "PRIVATE" not in done.text() + done.json()
    again = await rotate(harness, directory)
    assert (again.well, again.data["kid"]) == (True, new), "the old key has not ended: the rotation is under way"
    harness.clock.advance(SIGNING_LEASE + MAX_TOKEN_TERM + SIGNING_LEASE)
    await choose_signing_key(harness.runtime)
    await choose_signing_key(harness.runtime)
    await harness.event("signing-key.retired", kid=old)
    await harness.center.refresh()
    again = await rotate(harness, directory)
    assert again.data["kid"] not in (old, new), "the next one begins another rotation"
    assert in_file(directory) == [new, again.data["kid"]]


async def test_a_rotation_begins_also_when_no_key_has_a_current_lease(harness, directory):
    (old,) = in_file(directory)
    async with harness.runtime.database.transaction() as session:  # as after a stop of every identity
        await session.execute(update(PublishedKey).values(needed_until=harness.clock.now() + MAX_TOKEN_TERM / 2))
        harness.runtime.signing_keys.own = {}
    report = await rotate(harness, directory)
    assert not report.well
    assert in_file(directory) == [old, report.data["kid"]]


@pytest.mark.clause("6.5")
async def test_a_leaked_key_is_retired_as_soon_as_the_new_one_signs(harness, directory):
    (old,) = in_file(directory)
    await rotate(harness, directory, leaked=old)
    assert old in harness.runtime.point.keys, "no process could sign yet"
    restart(harness, directory)
    await publish_keys(harness.runtime)
    token = harness.center.access_token
    done = await rotate(harness, directory, wait=20, leaked=old)
    assert done.well, done.wrong
    assert done.data["retired"]["key"]["kid"] == old
    assert done.data["retired"]["effective_at"]
    assert (await harness.with_token(token)).status_code == 401
    await harness.center.refresh()
    assert (await harness.center.get("/me")).status_code == 200
    repeated = await rotate(harness, directory, leaked=old)
    assert repeated.data["kid"] == done.data["kid"], "safe to repeat"
    assert old not in in_file(directory), "what is retired goes from the file"
    with pytest.raises(UsageError):
        await rotate(harness, directory, leaked="x" * 43)
