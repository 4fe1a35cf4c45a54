"""Loads records from a CSV stream into PostgreSQL, batch by batch, in one transaction."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.resources.csv_rows import Row, read_rows
from datashare.resources.fields import FieldValueError, normalize_value
from datashare.resources.models import Resource
from datashare.resources.problems import CsvUnreadable
from datashare.resources.queries import insert_records, insert_rejects
from datashare.resources.schemas import FieldSpec

BATCH_ROWS = 1_000
MAX_REJECT_CONTENT = 4_000
"""Characters of a rejected row that are stored."""
ENTIRE_ROW = "*"


@dataclass(slots=True)
class LoadCounts:
    """Counts of a load: `repeated` rows were stored already. `digest` is the SHA-256 of the file."""

    loaded: int = 0
    repeated: int = 0
    rejected: int = 0
    digest: str = ""


@dataclass(slots=True)
class _BatchWriter:
    """Collects records and rejects, and writes them in batches of `BATCH_ROWS`."""

    session: AsyncSession
    resource: Resource
    load_id: UUID
    counts: LoadCounts = field(default_factory=LoadCounts)
    records: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    rejects: list[tuple[int, str, str, str]] = field(default_factory=list)

    async def add_row(self, row: Row, columns: Sequence[FieldSpec | None]) -> None:
        """Add the row as a record or as a reject."""
        if row.cells is None:
            self._add_reject(row, ENTIRE_ROW, "not-csv")
        elif len(row.cells) != len(columns):
            self._add_reject(row, ENTIRE_ROW, "wrong-number-of-columns")
        else:
            values: dict[str, str | None] = {}
            for spec, cell in zip(columns, row.cells, strict=True):
                if spec is None:
                    continue
                try:
                    values[spec.name] = normalize_value(spec, cell)
                except FieldValueError as error:
                    self._add_reject(row, spec.name, error.reason)
                    break
            else:
                self._add_record(values)
        if len(self.records) >= BATCH_ROWS or len(self.rejects) >= BATCH_ROWS:
            await self.flush()

    def _add_record(self, values: dict[str, str | None]) -> None:
        data = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
        subject, name = values[self.resource.subject_field], values[self.resource.name_field]
        assert subject
        assert name  # both fields are required: `normalize_value` raises without a value
        self.records.append((subject, name, data.decode(), hashlib.sha256(data).digest()))

    def _add_reject(self, row: Row, name: str, reason: str) -> None:
        content = row.content.rstrip("\r\n").replace("\x00", "\ufffd")[:MAX_REJECT_CONTENT]
        self.rejects.append((row.line, name, reason, content))

    async def flush(self) -> None:
        """Write the batch."""
        if self.records:
            added = await insert_records(self.session, self.resource.id, self.load_id, self.records)
            self.counts.loaded += added
            self.counts.repeated += len(self.records) - added
            self.records.clear()
        if self.rejects:
            await insert_rejects(self.session, self.load_id, self.rejects)
            self.counts.rejected += len(self.rejects)
            self.rejects.clear()


async def load_rows(
    session: AsyncSession, resource: Resource, load_id: UUID, chunks: AsyncIterator[bytes]
) -> LoadCounts:
    """Load the file under `load_id`; the caller adds the row of the load. Raises `CsvUnreadable`."""
    digest = hashlib.sha256()

    async def digested() -> AsyncIterator[bytes]:
        async for chunk in chunks:
            digest.update(chunk)
            yield chunk

    writer = _BatchWriter(session, resource, load_id)
    columns: list[FieldSpec | None] | None = None
    async for row in read_rows(digested()):
        if columns is None:
            columns = _columns(resource, row)
        else:
            await writer.add_row(row, columns)
    if columns is None:
        raise CsvUnreadable("文件没有表头", "The file has no header")
    await writer.flush()
    writer.counts.digest = digest.hexdigest()
    return writer.counts


def _columns(resource: Resource, header: Row) -> list[FieldSpec | None]:
    """Return the field of each column; a column without a heading is ignored."""
    known = {key: spec for spec in resource.specs() for key in (spec.name, spec.zh)}
    headings = [cell.replace("\ufeff", "").strip() for cell in header.cells or []]
    if unknown := [heading for heading in headings if heading and heading not in known]:
        raise CsvUnreadable("表头有未登记的字段", "The header names unknown columns", columns=unknown[:20])
    columns = [known[heading] if heading else None for heading in headings]
    names = [spec.name for spec in columns if spec]
    if len(names) != len(set(names)):
        raise CsvUnreadable("表头有重复的字段", "The header names a column twice")
    if missing := [spec.name for spec in resource.specs() if spec.required and spec.name not in names]:
        raise CsvUnreadable("表头缺少必填字段", "The header lacks required columns", columns=missing)
    return columns
