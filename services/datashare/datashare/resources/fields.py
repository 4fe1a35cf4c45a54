"""Values of fields: normalisation of CSV cells, masking."""

import re
from datetime import date
from decimal import Decimal

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from datashare.resources.schemas import FieldSpec, FieldType, Mask

MAX_LENGTHS = {"name": 200, "organisation": 200, "text": 8_000}
"""Characters."""
EMPTY_VALUES = frozenset({"", "/", "\\", "-", "--", "—", "——", "无", "暂无", "null", "none", "n/a"})
"""Cells that mean "no value", compared without blanks."""
OPEN_END_PATTERN = re.compile(r"9999[-/.年]\s*\d{1,2}[-/.月]\s*\d{1,2}日?")
DATE_PATTERN = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
UUID_PATTERN = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NUMBER_PATTERN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,6})?")
AMOUNT_LIMIT = Decimal(10) ** 15
AMOUNT_BANDS = (10_000, 100_000, 1_000_000, 10_000_000)
"""Edges of the bands of an amount, in yuan."""
VISIBLE_CODE_HEAD, VISIBLE_CODE_TAIL = 4, 2


class FieldValueError(Exception):
    """The value is not valid for the field; `reason` is a stable slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normalize_value(field: FieldSpec, raw: str) -> str | None:
    """Return the value in its stored form, None for an empty one. Raises `FieldValueError`.

    Dates become ISO 8601, codes upper case, amounts plain decimals in yuan; a literal backslash-n becomes a line end.
    """
    value = raw.replace("\ufeff", "").strip()
    if "\x00" in value:
        raise FieldValueError("not-text")
    if re.sub(r"\s", "", value).lower() in EMPTY_VALUES:
        value = ""
    stored = PARSERS[field.type](value) if value else None
    if stored is None and field.required:
        raise FieldValueError("missing")
    return stored


def _code(value: str) -> str:
    try:
        return uscc.validate(value.upper())
    except ValidationError:
        raise FieldValueError("not-a-uscc") from None


def _date(value: str) -> str | None:
    if OPEN_END_PATTERN.fullmatch(value):
        return None
    found = DATE_PATTERN.fullmatch(value)
    if found is None:
        raise FieldValueError("not-a-date")
    try:
        return date(*map(int, found.groups())).isoformat()
    except ValueError:
        raise FieldValueError("not-a-date") from None


def _amount(value: str) -> str:
    plain = value.replace(",", "").replace("，", "").removesuffix("元")
    # `Decimal` alone would accept underscores, other scripts' digits, exponents and infinity.
    if not NUMBER_PATTERN.fullmatch(plain) or (amount := Decimal(plain)) >= AMOUNT_LIMIT:
        raise FieldValueError("not-an-amount")
    return format(amount.quantize(Decimal("0.01")).normalize(), "f")


def _name(value: str) -> str:
    if len(value) > MAX_LENGTHS["name"]:
        raise FieldValueError("too-long")
    if DATE_PATTERN.fullmatch(value) or UUID_PATTERN.fullmatch(value) or value.isdigit():
        raise FieldValueError("not-a-name")
    return value


def _text(value: str) -> str:
    text = value.replace("\\r\\n", "\n").replace("\\n", "\n").strip()
    if len(text) > MAX_LENGTHS["text"]:
        raise FieldValueError("too-long")
    return text


PARSERS = {
    FieldType.USCC: _code,
    FieldType.NAME: _name,
    FieldType.ORGANISATION: _name,
    FieldType.DATE: _date,
    FieldType.AMOUNT: _amount,
    FieldType.TEXT: _text,
}


def mask_value(mask: Mask, value: str | None) -> str | None:
    """Return `value` masked for a response. None stays None: a mask does not hide that a value is absent."""
    if value is None or mask == "none":
        return value
    if mask == "name":
        return value[:1] + "*" * max(1, len(value) - 1)
    if mask == "code":
        hidden = len(value) - VISIBLE_CODE_HEAD - VISIBLE_CODE_TAIL
        return value[:VISIBLE_CODE_HEAD] + "*" * hidden + value[-VISIBLE_CODE_TAIL:] if hidden > 0 else "*" * len(value)
    if mask == "amount-band":
        return _band(Decimal(value))
    return "***"


def _band(amount: Decimal) -> str:
    lower = 0
    for edge in AMOUNT_BANDS:
        if amount < edge:
            return f"{lower}-{edge}"
        lower = edge
    return f"{lower}-"
