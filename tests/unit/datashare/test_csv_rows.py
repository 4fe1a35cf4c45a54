"""CSV from a stream: the same rows however the bytes are cut, and bounded memory."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datashare.resources.csv_rows import MAX_ROW_LENGTH, read_rows
from datashare.resources.problems import CsvUnreadable


async def read(content: bytes, size: int = 7):
    async def chunks():
        for at in range(0, len(content), size):
            yield content[at : at + size]

    return [row async for row in read_rows(chunks())]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=12)


@given(st.lists(st.lists(cells, min_size=2, max_size=4), min_size=1, max_size=6), st.integers(1, 40))
async def test_rows_come_whole_however_the_bytes_are_cut(rows, size):
    rows = [[f"x{row[0]}", *row[1:]] for row in rows]  # a row of empty cells only would be an empty line
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    read_back = await read(b"\xef\xbb\xbf" + out.getvalue().encode(), size)
    assert [row.cells for row in read_back] == rows


async def test_a_row_knows_the_line_on_which_it_begins():
    rows = await read(b'a,b\n"1\n2",x\n\n3,y')
    assert [(row.line, row.cells) for row in rows] == [(1, ["a", "b"]), (2, ["1\n2", "x"]), (5, ["3", "y"])]


async def test_a_malformed_row_is_one_row_without_cells():
    rows = await read(b'a,b\n"1"x"",2\n3,4\n')
    assert [row.cells for row in rows] == [["a", "b"], None, ["3", "4"]]


@pytest.mark.parametrize(
    "content",
    ["表头".encode("gb18030"), b'a,b\n"never ends', b"x" * (MAX_ROW_LENGTH + 1), b'"' + b"x\n" * MAX_ROW_LENGTH],
    ids=["not-utf-8", "open-quote", "long-line", "long-quote"],
)
async def test_a_file_that_is_no_csv_is_refused_as_a_whole(content):
    with pytest.raises(CsvUnreadable):
        await read(content, 4096)
