"""The output of a command: text for people, JSON for programs."""

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Report:
    """`lines` of text, Chinese first; the same as `data` for JSON; `wrong`: each fault in words."""

    data: Any
    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether the command found no fault."""
        return not self.wrong

    def text(self) -> str:
        """Return the text form."""
        return "\n".join([*self.lines, *(f"✗ {each}" for each in self.wrong)]) + "\n"

    def json(self) -> str:
        """Return the JSON form."""
        output = {"well": self.well, "wrong": self.wrong, "found": self.data}
        return orjson.dumps(output, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def table(rows: list[tuple[Any, ...]]) -> list[str]:
    """Align rows in columns; the first row is the header. A Chinese character is two columns wide."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(_width(row[column]) for row in texts) for column in range(len(texts[0]))]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]


def _width(text: str) -> int:
    return sum(2 if "\u2e80" <= each <= "\uffe6" else 1 for each in text)
