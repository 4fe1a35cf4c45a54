"""Reads CSV from a stream of bytes with bounded memory: one row at a time, quoted line ends included (RFC 4180)."""

import codecs
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

from datashare.resources.problems import CsvUnreadable

__all__ = ["LONGEST_ROW", "Row", "rows_of"]

LONGEST_ROW = 64 * 1024
"""Characters of one row."""
MOST_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line of the file on which it begins, its cells, and its text as it came; no cells: unreadable."""

    line: int
    cells: list[str] | None
    content: str


async def rows_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[Row]:
    """Yield the rows that are not empty.

    Raises `CsvUnreadable` for what is not UTF-8, for a quote that never ends and for a row over `LONGEST_ROW`.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    text, row, line, begun = "", "", 0, 1
    async for last, chunk in _with_last(chunks):
        try:
            text += decoder.decode(chunk, last)
        except UnicodeDecodeError:
            raise CsvUnreadable("文件不是 UTF-8 编码", "The file is not UTF-8") from None
        *lines, text = text.split("\n")
        if last and text:
            lines, text = [*lines, text], ""
        for part in lines:
            line += 1
            if not row:
                begun = line
            row = f"{row}{part}\n"
            _bounded(row, begun)
            if row.count('"') % 2 == 0:
                if row.strip():
                    yield _parse(begun, row)
                row = ""
        _bounded(text, line + 1)
    if row:
        raise CsvUnreadable(
            f"第 {begun} 行起的引号没有结束", f"A quote that begins on line {begun} never ends", line=begun
        )


async def _with_last(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[bool, bytes]]:
    async for chunk in chunks:
        if chunk:
            yield False, chunk
    yield True, b""


def _bounded(text: str, line: int) -> None:
    if len(text) > LONGEST_ROW:
        raise CsvUnreadable(f"第 {line} 行过长", f"Line {line} is too long", line=line)


def _parse(line: int, content: str) -> Row:
    try:
        parsed = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    except csv.Error:
        return Row(line, None, content)
    cells = parsed[0] if len(parsed) == 1 and len(parsed[0]) <= MOST_COLUMNS else None
    return Row(line, cells, content)
