"""Reads a CSV of units row by row; a refused row has line, column and reason."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from common.enforcement.permissions import UnitKind
from identity.units.models import Duty, Level
from identity.units.problems import CsvUnreadable

COLUMNS = ("name", "uscc", "kind", "level", "duties")
MAX_ROWS = 5_000
MIN_NAME_LENGTH, MAX_NAME_LENGTH = 2, 200


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A row that can be registered; `line` is the line of the file on which it begins."""

    line: int
    name: str
    uscc: str
    kind: UnitKind
    level: Level
    duties: tuple[str, ...]


class UnitRowError(Exception):
    """A row that cannot be registered; `reason` is a stable slug, `column` None when it is about the whole row."""

    def __init__(self, line: int, column: str | None, reason: str, zh: str, en: str) -> None:
        super().__init__(reason)
        self.line, self.column, self.reason, self.zh, self.en = line, column, reason, zh, en


def read_units(content: bytes) -> Iterator[UnitRow | UnitRowError]:
    """Yield each row, accepted or refused. Raises `CsvUnreadable` for another format or other columns."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CsvUnreadable("文件不是 UTF-8 编码", "The file is not UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
    except csv.Error:
        header = []
    if sorted(header) != sorted(COLUMNS):
        raise CsvUnreadable(
            "首行须为列名 " + ",".join(COLUMNS), "The first line names the columns", columns=list(COLUMNS)
        )
    rows = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            yield UnitRowError(line, None, "not-csv", "该行不是有效的 CSV", "The row is not valid CSV")
            continue
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        rows += 1
        if rows > MAX_ROWS:
            raise CsvUnreadable(f"最多 {MAX_ROWS} 行", f"At most {MAX_ROWS} rows")
        try:
            yield _row(line, header, cells)
        except UnitRowError as refused:
            yield refused


def _row(line: int, header: list[str], cells: list[str]) -> UnitRow:
    if len(cells) != len(header):
        raise UnitRowError(line, None, "wrong-number-of-columns", "列数不符", "The number of columns is wrong")
    row = {name: unicodedata.normalize("NFKC", cell).strip() for name, cell in zip(header, cells, strict=True)}
    return UnitRow(
        line,
        _name(line, row["name"]),
        _code(line, row["uscc"]),
        _kind(line, row["kind"]),
        _level(line, row["level"]),
        _duties(line, row["duties"]),
    )


def _refuse(line: int, column: str, reason: str, zh: str, en: str) -> NoReturn:
    raise UnitRowError(line, column, reason, zh, en)


def _name(line: int, name: str) -> str:
    if not MIN_NAME_LENGTH <= len(name) <= MAX_NAME_LENGTH or any(
        unicodedata.category(c).startswith("C") for c in name
    ):
        _refuse(line, "name", "name-invalid", "名称须为 2 至 200 个可见字符", "A name has 2 to 200 visible characters")
    return name


def _code(line: int, code: str) -> str:
    try:
        return str(uscc.validate(code.upper()))
    except ValidationError:
        _refuse(
            line,
            "uscc",
            "uscc-invalid",
            "统一社会信用代码无效（长度、字符或校验位）",
            "Not a unified social credit code: length, characters or check digit",
        )


def _kind(line: int, kind: str) -> UnitKind:
    if kind in (UnitKind.AUTHORITY, UnitKind.CENTER):
        _refuse(line, "kind", "kind-reserved", "主管部门和信用中心各只有一个", "There is one authority and one center")
    if kind not in {k.value for k in UnitKind}:
        _refuse(
            line,
            "kind",
            "kind-unknown",
            "类别须为 agency、public-service 或 social-institution",
            "A kind is agency, public-service or social-institution",
        )
    return UnitKind(kind)


def _level(line: int, level: str) -> Level:
    if level not in {known.value for known in Level}:
        _refuse(
            line,
            "level",
            "level-unknown",
            "层级须为 national、provincial、municipal、district 或 township",
            "A level is national, provincial, municipal, district or township",
        )
    return Level(level)


def _duties(line: int, text: str) -> tuple[str, ...]:
    duties = {duty for duty in re.split(r"[;,|、\s]+", text) if duty}
    if not duties or not duties <= {known.value for known in Duty}:
        _refuse(
            line,
            "duties",
            "duties-unknown",
            "职责须取自 builds、runs、maintains、uses，以分号分隔",
            "Duties are builds, runs, maintains, uses, with semicolons between",
        )
    return tuple(known.value for known in Duty if known.value in duties)
