"""Passwords: argon2id in a few threads of their own, and a strength check that knows the person's names."""

import asyncio
import ctypes
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from zxcvbn_rs_py import Warning as Pattern
from zxcvbn_rs_py import zxcvbn

from common.problems import Unavailable

SHORTEST = 12
LONGEST = 128
_LONGEST_BYTES = 512
_LEAST_SCORE = 3
_MIN_WORD_LENGTH = 4
"""A name shorter than this many letters may occur in any word."""

_T = TypeVar("_T")


class TooManyLogins(Unavailable):
    """More passwords wait to be checked than can be within a reasonable time."""

    slug = "too-many-logins"
    zh, en = "登录请求过多，请稍后再试", "Too many people are logging in: try again shortly"


class Passwords:
    """Hashes and verifies; at most `workers` at once (19 MiB of memory each), and `queue` more waiting.

    The memory is given back `quiet` seconds after the last of them: the C library would keep it for good.
    """

    def __init__(self, *, workers: int = 2, queue: int = 64, quiet: float = 5.0) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        self._room = workers + queue
        self._quiet = quiet
        self._giving_back: asyncio.TimerHandle | None = None
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    async def hash_password(self, password: str) -> str:
        """Return the argon2id string to store. Raises `TooManyLogins`, and `ValueError` for one over the bound."""
        if len(password) > LONGEST:
            raise ValueError(f"a password has at most {LONGEST} characters")
        return await self._work(lambda: self._hasher.hash(_normal(password)))

    async def verify_password(self, stored: str | None, password: str) -> bool:
        """Say whether `password` is the one stored; None stands for an unknown login and takes as long to refuse.

        Raises `TooManyLogins`.
        """
        if len(password) > LONGEST:
            return False
        return await self._work(lambda: self._matches(stored or self._nobody, password)) and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Say whether `stored` was made with other parameters: hash again at the next login."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads once what they do is done."""
        if self._giving_back:
            self._giving_back.cancel()
        self._threads.shutdown()

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _normal(password))
        except VerifyMismatchError:
            return False

    async def _work(self, task: Callable[[], _T]) -> _T:
        if self._room == 0:
            raise TooManyLogins
        self._room -= 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, task)
        finally:
            self._room += 1
            if self._giving_back:
                self._giving_back.cancel()
            self._giving_back = loop.call_later(self._quiet, loop.run_in_executor, None, _give_back)


def _give_back() -> None:
    """Return free memory to the system, where the C library can: 10 to 17 MiB after 120 hashes among other allocations.

    With each hash it would cost half as much CPU again, because 19 MiB of pages are cleared every time.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


class Weakness(NamedTuple):
    """Why a password cannot be taken; `slug` is stable."""

    slug: str
    zh: str
    en: str


_TOO_SHORT = Weakness("too-short", f"密码至少 {SHORTEST} 个字符", f"A password has at least {SHORTEST} characters")
_TOO_LONG = Weakness("too-long", f"密码最多 {LONGEST} 个字符", f"A password has at most {LONGEST} characters")
_PERSONAL = Weakness(
    "personal",
    "密码主要由姓名、单位名称或登录名组成",
    "The password is mostly made of a name, the unit's name or the login",
)
_GUESSABLE = Weakness("guessable", "密码容易被猜中", "The password is easy to guess")
# By their English text, because zxcvbn's enumeration cannot be a key.
_PATTERNS = {
    str(Pattern.StraightRowsOfKeysAreEasyToGuess): "键盘上连续的按键容易被猜中",
    str(Pattern.ShortKeyboardPatternsAreEasyToGuess): "简短的键盘轨迹容易被猜中",
    str(Pattern.RepeatsLikeAaaAreEasyToGuess): "“aaa”一类的重复容易被猜中",
    str(Pattern.RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess): "“abcabc”一类的重复只比“abc”略难猜",
    str(Pattern.ThisIsATop10Password): "这是最常用的 10 个密码之一",
    str(Pattern.ThisIsATop100Password): "这是最常用的 100 个密码之一",
    str(Pattern.ThisIsACommonPassword): "这是常用密码",
    str(Pattern.ThisIsSimilarToACommonlyUsedPassword): "与常用密码相近",
    str(Pattern.SequencesLikeAbcAreEasyToGuess): "“abc”一类的序列容易被猜中",
    str(Pattern.RecentYearsAreEasyToGuess): "近年的年份容易被猜中",
    str(Pattern.AWordByItselfIsEasyToGuess): "单独一个词容易被猜中",
    str(Pattern.DatesAreOftenEasyToGuess): "日期容易被猜中",
    str(Pattern.NamesAndSurnamesByThemselvesAreEasyToGuess): "单独的姓名容易被猜中",
    str(Pattern.CommonNamesAndSurnamesAreEasyToGuess): "常见姓名容易被猜中",
}


def check_strength(password: str, context_words: Iterable[str]) -> list[Weakness]:
    """Return what is wrong with a new password, nothing if it can be taken. Clause 7.6.

    `context_words` are the person's name, the unit's name, the login: they and, for Chinese ones, their pinyin and its
    initials count as guessable.
    """
    from identity.credentials.password_dictionary import spellings  # noqa: PLC0415 - half a second to load: not at every start

    if len(password) > LONGEST:
        return [_TOO_LONG]
    password = _normal(password)
    if len(password) > LONGEST or len(password.encode()) > _LONGEST_BYTES:
        return [_TOO_LONG]
    known = sorted({spelling for word in context_words for spelling in spellings(word)}, key=lambda s: (-len(s), s))
    problems = [_TOO_SHORT] if len(password) < SHORTEST else []
    estimate = zxcvbn(password, known)
    if int(estimate.score) < _LEAST_SCORE:
        pattern = estimate.feedback.warning if estimate.feedback else None
        problems.append(Weakness("guessable", _PATTERNS[str(pattern)], str(pattern)) if pattern else _GUESSABLE)
    elif _mostly_personal(password, known):
        problems.append(_PERSONAL)
    return problems


def _mostly_personal(password: str, known: list[str]) -> bool:
    """Say whether little is left to guess without the known words, which alone can make a long password."""
    long_words = [word for word in known if len(word) >= _MIN_WORD_LENGTH or not word.isascii()]
    rest = re.sub("|".join(map(re.escape, long_words)), "", password.lower()) if long_words else password.lower()
    return rest != password.lower() and (not rest or int(zxcvbn(rest, known).score) < _LEAST_SCORE)


def _normal(text: str) -> str:
    """Return one spelling for what people type alike on different machines (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFKC", text)
