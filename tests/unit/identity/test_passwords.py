"""Passwords: storage, strength and bounded work."""

import asyncio
import os
import subprocess
import sys

import pytest

from identity.credentials.passwords import MAX_PASSWORD_LENGTH, Passwords, check_strength
from identity.credentials.problems import TooManyLogins

GOOD = "quartz-Lantern 47 violet"
CONTEXT = ["单志远", "江州市发展和改革委员会", "shan.zy"]


@pytest.fixture(scope="module")
def passwords():
    passwords = Passwords()
    yield passwords
    passwords.close()


def slugs(password, context=CONTEXT):
    return [weakness.slug for weakness in check_strength(password, context)]


@pytest.mark.clause("7.6")
async def test_the_right_password_matches_and_another_does_not(passwords):
    stored = await passwords.hash_password(GOOD)
    assert await passwords.verify_password(stored, GOOD)
    assert not await passwords.verify_password(stored, GOOD + " ")
    assert GOOD not in stored


async def test_a_password_is_stored_as_argon2id_with_the_chosen_cost_and_its_own_salt(passwords):
    first, second = await passwords.hash_password(GOOD), await passwords.hash_password(GOOD)
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert not passwords.needs_rehash(first)
    assert passwords.needs_rehash(first.replace("t=2", "t=1"))


async def test_an_unknown_login_costs_the_same_work_and_is_refused(passwords, monkeypatch):
    worked = []
    verify = passwords._hasher.verify

    class Watched:
        def verify(self, stored, password):
            worked.append(stored.rsplit("$", 2)[0])
            return verify(stored, password)

    stored = await passwords.hash_password(GOOD)
    monkeypatch.setattr(passwords, "_hasher", Watched())
    assert not await passwords.verify_password(None, GOOD)
    assert not await passwords.verify_password(stored, "another")
    assert worked == ["$argon2id$v=19$m=19456,t=2,p=1"] * 2


async def test_an_unknown_login_is_refused_even_with_the_password_it_is_compared_to(passwords, monkeypatch):
    monkeypatch.setattr(passwords, "_dummy_hash", await passwords.hash_password(GOOD))
    assert not await passwords.verify_password(None, GOOD)


async def test_the_same_text_typed_in_another_normal_form_is_the_same_password(passwords):
    stored = await passwords.hash_password("café-１２-quartz-lantern")
    assert await passwords.verify_password(stored, "cafe\u0301-12-quartz-lantern")


async def test_a_password_over_the_maximum_is_never_hashed(passwords):
    assert not await passwords.verify_password(None, "a" * (MAX_PASSWORD_LENGTH + 1))
    with pytest.raises(ValueError, match="128"):
        await passwords.hash_password("a" * (MAX_PASSWORD_LENGTH + 1))


async def test_a_flood_of_logins_is_turned_away_and_the_next_one_served():
    small = Passwords(workers=1, queue=2)
    answers = await asyncio.gather(*[small.verify_password(None, "x") for _ in range(6)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [bool] * 3 + [TooManyLogins] * 3
    assert await small.verify_password(None, "x") is False
    small.close()


@pytest.mark.parametrize("password", [GOOD, "梧桐细雨落在旧城墙上的清晨", "xkQ7#mPz!w9Lr", "brilliant-otter-47-quarry"])
def test_a_strong_password_is_accepted(password):
    assert check_strength(password, CONTEXT) == []


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("xkQ7#mPz!w9", ["too-short"]),
        ("", ["too-short", "guessable"]),
        ("aaaaaaaaaaaaaaaa", ["guessable"]),
        ("password12345678", ["guessable"]),
        ("qwertyuiop123456", ["guessable"]),
        ("a" * (MAX_PASSWORD_LENGTH + 1), ["too-long"]),
        ("㏂" * MAX_PASSWORD_LENGTH, ["too-long"]),
        ("𠮷" * MAX_PASSWORD_LENGTH, ["guessable"]),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(password, why):
    assert slugs(password) == why


@pytest.mark.parametrize(
    "password",
    [
        "shanzhiyuan2026",  # the surname's own reading
        "danzhiyuan@2026!",  # the common one
        "ZhiyuanShan#2026",
        "单志远单志远单志远单志远",
        "shan.zy.shan.zy.2026",
        "szysfzhggwyh2026",
        "ShiFaZhanHeGaiGeWeiYuanHui-2026",
        "jiangzhoushifazhanhegaigeweiyuanhui",
        "江州市发展和改革委员会2026",
    ],
)
def test_a_password_made_of_the_persons_names_is_refused(password):
    assert slugs(password)


def test_a_name_inside_a_password_that_is_strong_without_it_does_no_harm():
    assert slugs(f"shanzhiyuan {GOOD}") == []


def test_a_name_is_what_makes_the_difference():
    assert slugs("wangxiaoming-zhoujielun", []) == []
    assert slugs("wangxiaoming-zhoujielun", ["王小明", "周杰伦"]) != []


def test_every_reason_speaks_both_languages():
    for password in ("aaaaaaaaaaaaaaaa", "x", "20240501", "a" * 200, "shanzhiyuan-shanzhiyuan-shanzhiyuan"):
        for weakness in check_strength(password, CONTEXT):
            assert any("\u4e00" <= character <= "\u9fff" for character in weakness.zh)
            assert weakness.en.isascii() or "’" in weakness.en


MEASURED = """
import asyncio, time
from pathlib import Path
from identity.credentials.passwords import Passwords

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

async def main():
    before = resident()
    passwords = Passwords(trim_delay=0.2)
    await asyncio.gather(*(passwords.hash_password("quartz-Lantern 47 violet") for _ in range(6)))
    deadline = time.monotonic() + 20
    while resident() > before + 10 and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    print(resident() - before)

asyncio.run(main())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_of_hashing_is_returned():
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MEASURED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) <= 10, "one hash takes 19 MiB"
