"""How a person's or unit's name may be typed into a password: parts, readings in pinyin, initials.

Loading the dictionary of readings takes half a second: `passwords` imports this module on first use, and identity
loads it in the background after its start. The library's dictionary of phrases would take 46 MiB of each process; it
picks one reading per phrase, but here every reading counts.
"""

import itertools
import os
import re
import unicodedata
from collections.abc import Sequence

os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")  # read by the library on import
from pypinyin import Style, lazy_pinyin, pinyin

_MAX_NAME_LENGTH = 30
"""Characters of a unit's name that are read, so that it yields a few hundred parts at most."""
_MAX_PERSON_NAME_LENGTH = 4
"""Characters of a text that may be a person's name: all readings of its characters are tried."""
_MAX_READINGS = 32
_MAX_PART_READINGS = 8
_MIN_WORD_LENGTH = 4
"""A name shorter than this many letters may occur in any word."""


def spellings(word: str) -> set[str]:
    """Return `word`, its parts, and for Chinese text its readings in pinyin, together and in initials, in lower case."""
    word = unicodedata.normalize("NFKC", word).lower().strip()
    found = {word, *re.split(r"[\W_]+", word)}
    chinese = "".join(re.findall(r"[\u3400-\u9fff]+", word))[:_MAX_NAME_LENGTH]
    if chinese:
        initials = "".join(lazy_pinyin(chinese, style=Style.FIRST_LETTER))
        found |= {initials, *_runs(chinese, 2), *_runs(initials, _MIN_WORD_LENGTH)}
        for syllables in _readings(chinese):
            # People also put the given name first, and shorten the long names of units.
            found |= {"".join([*syllables[1:], syllables[0]]), *syllables, *_runs(syllables, 2)}
        if len(chinese) > _MAX_PERSON_NAME_LENGTH:
            for start in range(len(chinese) - 1):
                for part in (chinese[start : start + 2], chinese[start : start + 3]):
                    found |= {"".join(syllables) for syllables in _every_reading(part, _MAX_PART_READINGS)}
    return {spelling for spelling in found if len(spelling) > 1}


def _runs(items: Sequence[str], min_length: int) -> list[str]:
    """Return every run of at least `min_length` neighbours, joined."""
    ends = itertools.combinations(range(len(items) + 1), 2)
    return ["".join(items[start:end]) for start, end in ends if end - start >= min_length]


def _readings(chinese: str) -> list[list[str]]:
    if len(chinese) > _MAX_PERSON_NAME_LENGTH:
        return [lazy_pinyin(chinese)]
    # A surname often has another reading than the same character elsewhere: 单 Shan, 解 Xie, 仇 Qiu.
    return _every_reading(chinese, _MAX_READINGS)


def _every_reading(chinese: str, limit: int) -> list[list[str]]:
    choices = pinyin(chinese, style=Style.NORMAL, heteronym=True)
    return [list(syllables) for syllables in itertools.islice(itertools.product(*choices), limit)]
