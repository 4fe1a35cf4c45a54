"""What a cell becomes, and what an answer shows of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc

from datashare.resources.fields import FieldValueError, mask_value, normalize_value
from datashare.resources.schemas import FieldSpec, FieldType

CODE = "91350200MA2XN0001Q"
CODE = CODE[:-1] + uscc.calc_check_digit(CODE[:-1])


def field(type_: str, *, required: bool = False) -> FieldSpec:
    return FieldSpec(name="f", zh="字段", type=FieldType(type_), required=required)


@pytest.mark.parametrize(
    ("type_", "raw", "stored"),
    [
        ("uscc", CODE.lower(), CODE),
        ("uscc", f"\ufeff {CODE}\t", CODE),
        ("date", "2016/4/21", "2016-04-21"),
        ("date", "2016年4月1日", "2016-04-01"),
        ("date", "9999-9-9", None),
        ("date", "9999/12/31", None),
        ("amount", "10000", "10000"),
        ("amount", "1,250.50元", "1250.5"),
        ("amount", "0", "0"),
        ("amount", "— —", None),
        ("text", "无", None),
        ("text", "/", None),
        ("text", "NULL", None),
        ("text", r"第一行\n第二行", "第一行\n第二行"),
        ("text", "有/无", "有/无"),
        ("organisation", "衢州银监分局", "衢州银监分局"),
    ],
)
def test_a_cell_is_stored_in_its_plain_form(type_, raw, stored):
    assert normalize_value(field(type_), raw) == stored


@pytest.mark.parametrize(
    ("type_", "raw", "reason"),
    [
        ("uscc", CODE[:-1] + ("0" if CODE[-1] != "0" else "1"), "not-a-uscc"),
        ("uscc", "12345", "not-a-uscc"),
        ("date", "2016-02-30", "not-a-date"),
        ("date", "去年", "not-a-date"),
        ("amount", "若干", "not-an-amount"),
        ("amount", "-5", "not-an-amount"),
        ("amount", "NaN", "not-an-amount"),
        ("amount", "1e40", "not-an-amount"),
        ("amount", "1_0", "not-an-amount"),
        ("amount", "٣", "not-an-amount"),
        ("organisation", "2016/4/21", "not-a-name"),
        ("organisation", "0b3e5f6a-1111-2222-3333-444455556666", "not-a-name"),
        ("name", "某" * 201, "too-long"),
        ("text", "a\x00b", "not-text"),
    ],
)
def test_what_cannot_stand_in_a_field_is_refused_with_its_reason(type_, raw, reason):
    with pytest.raises(FieldValueError) as refused:
        normalize_value(field(type_), raw)
    assert refused.value.reason == reason


@pytest.mark.parametrize("raw", ["", " ", "无", "/", "— —"])
def test_a_required_field_must_have_something(raw):
    with pytest.raises(FieldValueError, match="missing"):
        normalize_value(field("text", required=True), raw)


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        ("none", "全文", "全文"),
        ("name", "张三丰", "张**"),
        ("name", "张", "张*"),
        ("code", CODE, CODE[:4] + "*" * 12 + CODE[-2:]),
        ("code", "123456", "******"),
        ("text-hidden", "事实", "***"),
        ("amount-band", "9999.99", "0-10000"),
        ("amount-band", "10000", "10000-100000"),
        ("amount-band", "99000000", "10000000-"),
        ("name", None, None),
        ("text-hidden", None, None),
    ],
)
@pytest.mark.clause("10.4")
def test_an_answer_shows_what_the_mask_leaves(mask, value, shown):
    assert mask_value(mask, value) == shown


@given(st.text(min_size=1, max_size=60))
def test_a_masked_name_shows_its_first_character_alone(name):
    shown = mask_value("name", name)
    assert shown[0] == name[0]
    assert re.fullmatch(r"\*+", shown[1:])


@given(st.text(min_size=7, max_size=60, alphabet="0123456789ABC"))
def test_a_masked_code_shows_six_characters_at_most(code):
    shown = mask_value("code", code)
    assert (shown[:4], shown[-2:], len(shown)) == (code[:4], code[-2:], len(code))
    assert set(shown[4:-2]) == {"*"}
