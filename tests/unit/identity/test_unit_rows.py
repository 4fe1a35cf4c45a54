"""Rows of a unit file: any bytes give rows that are accepted, or refused with their line."""

from hypothesis import given
from hypothesis import strategies as st

from identity.units.csv_import import UnitRowError, read_units
from identity.units.problems import CsvUnreadable

HEAD = "name,uscc,kind,level,duties\n"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content):
    try:
        for row in read_units(HEAD.encode() + content):
            assert row.line >= 2
    except CsvUnreadable:
        pass


@given(st.lists(st.sampled_from(["a,b", "", '"x\ny",1,2,3,4', "厦门市局,11350200XD00000016,agency,municipal,uses"])))
def test_lines_are_counted_as_an_editor_counts_them(rows):
    expected, line = [], 2
    for row in rows:
        if row:
            expected.append(line)
        line += row.count("\n") + 1
    assert [row.line for row in read_units((HEAD + "\n".join(rows) + "\n").encode())] == expected


def test_columns_may_come_in_any_order_and_width():
    text = "USCC,name,kind,duties,level\n11350200xd00000016,厦门市局,agency,maintains；uses,municipal\n"
    (row,) = read_units(text.encode())
    assert not isinstance(row, UnitRowError)
    assert (row.uscc, row.duties, row.level) == ("11350200XD00000016", ("maintains", "uses"), "municipal")


def test_a_quote_that_never_ends_is_one_bad_row():
    rows = list(read_units((HEAD + 'x,"y\nz\n').encode()))
    assert [(row.line, row.reason) for row in rows] == [(2, "not-csv")]
