"""Reads CSV from a stream of bytes with bounded memory: one row at a time, quoted line ends included (RFC 4180)."""

import codecs
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

from datashare.resources.problems import CsvUnreadable

MAX_ROW_LENGTH = 64 * 1024
"""Characters of one row."""
MAX_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line of the file on which it begins, its cells, and its unparsed text; `cells` None: unreadable."""

    line: int
    cells: list[str] | None
    content: str


async def read_rows(chunks: AsyncIterator[bytes]) -> AsyncIterator[Row]:
    """Yield the rows that are not empty.

    Raises `CsvUnreadable` for bytes that are not UTF-8, for an unclosed quote and for a row over `MAX_ROW_LENGTH`.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    text, row, line, row_start = "", "", 0, 1
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
                row_start = line
            row = f"{row}{part}\n"
            _check_length(row, row_start)
            if row.count('"') % 2 == 0:
                if row.strip():
                    yield _parse(row_start, row)
                row = ""
        _check_length(text, line + 1)
    if row:
        raise CsvUnreadable(
            f"第 {row_start} 行起的引号没有结束", f"A quote that begins on line {row_start} never ends", line=row_start
        )


async def _with_last(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[bool, bytes]]:
    async for chunk in chunks:
        if chunk:
            yield False, chunk
    yield True, b""


def _check_length(text: str, line: int) -> None:
    if len(text) > MAX_ROW_LENGTH:
        raise CsvUnreadable(f"第 {line} 行过长", f"Line {line} is too long", line=line)


def _parse(line: int, content: str) -> Row:
    try:
        parsed = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    except csv.Error:
        return Row(line, None, content)
    cells = parsed[0] if len(parsed) == 1 and len(parsed[0]) <= MAX_COLUMNS else None
    return Row(line, cells, content)
