"""Passwords: argon2id in a small thread pool, and a strength check that knows the person's names."""

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

from identity.credentials.problems import TooManyLogins

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 128
_MAX_PASSWORD_BYTES = 512
_MIN_SCORE = 3
_MIN_WORD_LENGTH = 4
"""A name shorter than this many letters may occur in any word."""

_T = TypeVar("_T")


class Passwords:
    """Hashes and verifies passwords: at most `workers` at once (19 MiB of memory each), with `queue` more waiting.

    `trim_delay` seconds after the last one, free memory is returned to the system; the C library would not return it.
    """

    def __init__(self, *, workers: int = 2, queue: int = 64, trim_delay: float = 5.0) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        self._free_slots = workers + queue
        self._trim_delay = trim_delay
        self._trim_timer: asyncio.TimerHandle | None = None
        self._dummy_hash = self._hasher.hash(secrets.token_hex(16))

    async def hash_password(self, password: str) -> str:
        """Return the argon2id string to store. Raises `TooManyLogins`, and `ValueError` above the maximum length."""
        if len(password) > MAX_PASSWORD_LENGTH:
            raise ValueError(f"a password has at most {MAX_PASSWORD_LENGTH} characters")
        return await self._work(lambda: self._hasher.hash(_normalize(password)))

    async def verify_password(self, stored: str | None, password: str) -> bool:
        """Whether `password` matches the stored hash; None stands for an unknown login and takes as long.

        Raises `TooManyLogins`.
        """
        if len(password) > MAX_PASSWORD_LENGTH:
            return False
        return await self._work(lambda: self._matches(stored or self._dummy_hash, password)) and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether `stored` was made with other parameters: hash again at the next login."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads after their current work."""
        if self._trim_timer:
            self._trim_timer.cancel()
        self._threads.shutdown()

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _normalize(password))
        except VerifyMismatchError:
            return False

    async def _work(self, task: Callable[[], _T]) -> _T:
        if self._free_slots == 0:
            raise TooManyLogins
        self._free_slots -= 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, task)
        finally:
            self._free_slots += 1
            if self._trim_timer:
                self._trim_timer.cancel()
            self._trim_timer = loop.call_later(self._trim_delay, loop.run_in_executor, None, _trim_memory)


def _trim_memory() -> None:
    """Return free memory to the system where the C library can: 10 to 17 MiB after 120 hashes among other allocations.

    With each hash it would cost half as much CPU again, because 19 MiB of pages are cleared every time.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


class Weakness(NamedTuple):
    """Why a password is refused; `slug` is stable."""

    slug: str
    zh: str
    en: str


_TOO_SHORT = Weakness(
    "too-short", f"密码至少 {MIN_PASSWORD_LENGTH} 个字符", f"A password has at least {MIN_PASSWORD_LENGTH} characters"
)
_TOO_LONG = Weakness(
    "too-long", f"密码最多 {MAX_PASSWORD_LENGTH} 个字符", f"A password has at most {MAX_PASSWORD_LENGTH} characters"
)
_PERSONAL = Weakness(
    "personal",
    "密码主要由姓名、单位名称或登录名组成",
    "The password is mostly made of a name, the unit's name or the login",
)
_GUESSABLE = Weakness("guessable", "密码容易被猜中", "The password is easy to guess")
# Keyed by their English text, because zxcvbn's enumeration is not hashable.
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
    """Return the weaknesses of a new password; a password without any is accepted. Clause 7.6.

    `context_words` are the person's name, the unit's name and the login. They count as guessable; so do pinyin and initials
    of Chinese words.
    """
    from identity.credentials.password_dictionary import spellings  # noqa: PLC0415 - half a second to load: not at every start

    if len(password) > MAX_PASSWORD_LENGTH:
        return [_TOO_LONG]
    password = _normalize(password)
    if len(password) > MAX_PASSWORD_LENGTH or len(password.encode()) > _MAX_PASSWORD_BYTES:
        return [_TOO_LONG]
    known = sorted({spelling for word in context_words for spelling in spellings(word)}, key=lambda s: (-len(s), s))
    problems = [_TOO_SHORT] if len(password) < MIN_PASSWORD_LENGTH else []
    estimate = zxcvbn(password, known)
    if int(estimate.score) < _MIN_SCORE:
        pattern = estimate.feedback.warning if estimate.feedback else None
        problems.append(Weakness("guessable", _PATTERNS[str(pattern)], str(pattern)) if pattern else _GUESSABLE)
    elif _mostly_personal(password, known):
        problems.append(_PERSONAL)
    return problems


def _mostly_personal(password: str, known: list[str]) -> bool:
    """Whether the password is guessable once the known words are removed."""
    long_words = [word for word in known if len(word) >= _MIN_WORD_LENGTH or not word.isascii()]
    rest = re.sub("|".join(map(re.escape, long_words)), "", password.lower()) if long_words else password.lower()
    return rest != password.lower() and (not rest or int(zxcvbn(rest, known).score) < _MIN_SCORE)


def _normalize(text: str) -> str:
    """Return the NFKC form, so that a password matches whatever the input method (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFKC", text)
