"""How a person's or unit's name may be typed into a password: parts, readings in pinyin, initials.

Loading the dictionary of readings takes half a second: `passwords` imports this module when it first needs it, and
identity loads it in the background after its start.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence

from pypinyin import Style, lazy_pinyin, pinyin

__all__ = ["spellings"]

_LONGEST_NAME = 30
"""Characters of a unit's name that are looked at, so that its parts stay a few hundred."""
_NAME_LENGTH = 4
"""A text of at most so many characters may be a person's name: all readings of its characters are tried."""
_READINGS = 32
_TELLING = 4
"""A name shorter than this many letters may occur in any word."""


def spellings(word: str) -> set[str]:
    """Return `word`, its parts, and for Chinese text its readings in pinyin, together and in initials, in lower case."""
    word = unicodedata.normalize("NFKC", word).lower().strip()
    found = {word, *re.split(r"[\W_]+", word)}
    chinese = "".join(re.findall(r"[\u3400-\u9fff]+", word))[:_LONGEST_NAME]
    if chinese:
        initials = "".join(lazy_pinyin(chinese, style=Style.FIRST_LETTER))
        found |= {initials, *_runs(chinese, 2), *_runs(initials, _TELLING)}
        for syllables in _readings(chinese):
            # Given name before surname too; and units go by parts of their long names.
            found |= {"".join([*syllables[1:], syllables[0]]), *syllables, *_runs(syllables, 2)}
    return {spelling for spelling in found if len(spelling) > 1}


def _runs(items: Sequence[str], shortest: int) -> list[str]:
    """Return every run of at least `shortest` neighbours, joined."""
    ends = itertools.combinations(range(len(items) + 1), 2)
    return ["".join(items[start:end]) for start, end in ends if end - start >= shortest]


def _readings(chinese: str) -> list[list[str]]:
    if len(chinese) > _NAME_LENGTH:
        return [lazy_pinyin(chinese)]
    # A surname has often another reading than the same character elsewhere: 单 Shan, 解 Xie, 仇 Qiu.
    choices = pinyin(chinese, style=Style.NORMAL, heteronym=True)
    return [list(syllables) for syllables in itertools.islice(itertools.product(*choices), _READINGS)]
