"""What a command found, for people and for programs."""

from dataclasses import dataclass, field
from typing import Any

import orjson

__all__ = ["Report", "table"]


@dataclass
class Report:
    """`lines` for people, Chinese first; `data` for programs; `wrong` in words what is not as it should be."""

    data: Any
    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong

    def text(self) -> str:
        """Return what people read."""
        return "\n".join([*self.lines, *(f"✗ {each}" for each in self.wrong)]) + "\n"

    def json(self) -> str:
        """Return what programs read."""
        whole = {"well": self.well, "wrong": self.wrong, "found": self.data}
        return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def table(rows: list[tuple[Any, ...]]) -> list[str]:
    """Return rows in columns; the first row is the head. A Chinese character is as wide as two others."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(_width(row[column]) for row in texts) for column in range(len(texts[0]))]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]


def _width(text: str) -> int:
    return sum(2 if "\u2e80" <= each <= "\uffe6" else 1 for each in text)
