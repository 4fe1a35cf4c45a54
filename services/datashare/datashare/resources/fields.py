"""What a field of a resource is: its type, which values of a CSV it takes, and how its values are masked."""

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

__all__ = ["FieldSpec", "FieldType", "Mask", "ValueRefused", "mask_value", "normalise"]

LONGEST = {"name": 200, "organisation": 200, "text": 8_000}
"""Characters."""
NOTHING = frozenset({"", "/", "\\", "-", "--", "—", "——", "无", "暂无", "null", "none", "n/a"})
"""What files write where there is nothing; blanks inside are taken out before the comparison."""
OPEN_END = re.compile(r"9999[-/.年]\s*\d{1,2}[-/.月]\s*\d{1,2}日?")
DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PLAIN_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,6})?")
LARGEST = Decimal(10) ** 15
BANDS = (10_000, 100_000, 1_000_000, 10_000_000)
"""Edges of the bands of an amount, in yuan."""
CODE_HEAD, CODE_TAIL = 4, 2


class FieldType(StrEnum):
    """How a value is read."""

    USCC = "uscc"
    NAME = "name"
    ORGANISATION = "organisation"
    DATE = "date"
    AMOUNT = "amount"
    TEXT = "text"


Mask = Literal["none", "name", "code", "text-hidden", "amount-band"]


class FieldSpec(BaseModel):
    """One field: `name` in the API and in CSV headers, `zh` its label, which a header may carry as well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    zh: Annotated[str, Field(min_length=1, max_length=40)]
    type: FieldType = FieldType.TEXT
    required: bool = False
    mask: Mask = "none"


class ValueRefused(Exception):  # noqa: N818 - says what is
    """The value cannot stand in the field; `reason` is a stable slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normalise(field: FieldSpec, raw: str) -> str | None:
    """Return the value as it is stored, None where there is none. Raises `ValueRefused`.

    Dates become ISO 8601, codes upper case, amounts plain decimals in yuan; a literal backslash-n becomes a line end.
    """
    value = raw.replace("\ufeff", "").strip()
    if "\x00" in value:
        raise ValueRefused("not-text")
    if re.sub(r"\s", "", value).lower() in NOTHING:
        value = ""
    stored = READERS[field.type](value) if value else None
    if stored is None and field.required:
        raise ValueRefused("missing")
    return stored


def _code(value: str) -> str:
    try:
        return uscc.validate(value.upper())
    except ValidationError:
        raise ValueRefused("not-a-uscc") from None


def _date(value: str) -> str | None:
    if OPEN_END.fullmatch(value):
        return None
    found = DAY.fullmatch(value)
    if found is None:
        raise ValueRefused("not-a-date")
    try:
        return date(*map(int, found.groups())).isoformat()
    except ValueError:
        raise ValueRefused("not-a-date") from None


def _amount(value: str) -> str:
    plain = value.replace(",", "").replace("，", "").removesuffix("元")
    # Not what `Decimal` alone would take: underscores, other scripts' digits, exponents, infinity.
    if not PLAIN_NUMBER.fullmatch(plain) or (amount := Decimal(plain)) >= LARGEST:
        raise ValueRefused("not-an-amount")
    return format(amount.quantize(Decimal("0.01")).normalize(), "f")


def _name(value: str) -> str:
    if len(value) > LONGEST["name"]:
        raise ValueRefused("too-long")
    if DAY.fullmatch(value) or UUID_FORM.fullmatch(value) or value.isdigit():
        raise ValueRefused("not-a-name")
    return value


def _text(value: str) -> str:
    text = value.replace("\\r\\n", "\n").replace("\\n", "\n").strip()
    if len(text) > LONGEST["text"]:
        raise ValueRefused("too-long")
    return text


READERS = {
    FieldType.USCC: _code,
    FieldType.NAME: _name,
    FieldType.ORGANISATION: _name,
    FieldType.DATE: _date,
    FieldType.AMOUNT: _amount,
    FieldType.TEXT: _text,
}


def mask_value(mask: Mask, value: str | None) -> str | None:
    """Return what an answer shows of `value`. What is not there stays so: its absence is no secret of the mask."""
    if value is None or mask == "none":
        return value
    if mask == "name":
        return value[:1] + "*" * max(1, len(value) - 1)
    if mask == "code":
        hidden = len(value) - CODE_HEAD - CODE_TAIL
        return value[:CODE_HEAD] + "*" * hidden + value[-CODE_TAIL:] if hidden > 0 else "*" * len(value)
    if mask == "amount-band":
        return _band(Decimal(value))
    return "***"


def _band(amount: Decimal) -> str:
    lower = 0
    for edge in BANDS:
        if amount < edge:
            return f"{lower}-{edge}"
        lower = edge
    return f"{lower}-"
