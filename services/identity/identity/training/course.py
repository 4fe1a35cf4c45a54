"""The course's questions and the undertaking's text, read once from files; the answers never leave the server."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DIRECTORY = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `options` by letter, each text by language."""

    id: str
    zh: str
    en: str
    options: Mapping[str, Mapping[str, str]]
    answer: str


@dataclass(frozen=True, slots=True)
class Undertaking:
    """The text; `digest` is the SHA-256 of the Chinese text, a line feed, and the English one."""

    zh: str
    en: str
    digest: str


@cache
def questions() -> Mapping[str, Question]:
    """Return the questions by id."""
    rows = json.loads((_DIRECTORY / "questions.json").read_text(encoding="utf-8"))
    return {row["id"]: Question(**row) for row in rows}


@cache
def undertaking() -> Undertaking:
    """Return the current text."""
    text = json.loads((_DIRECTORY / "undertaking.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(f"{text['zh']}\n{text['en']}".encode()).hexdigest()
    return Undertaking(text["zh"], text["en"], digest)
