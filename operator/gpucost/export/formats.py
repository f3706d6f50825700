"""The two formats of a day's file. Rows come one at a time and are written in blocks: a day need not fit into memory.

Numbers stay decimals all the way: as text with twelve places in CSV, as decimal128(38, 12) in Parquet.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from gpucost.core.clock import Instant, format_rfc3339, to_datetime
from gpucost.core.focus import Row
from gpucost.core.focus_columns import COLUMNS, FOCUS_VERSION, NAMES, PLACES, Column, Kind
from gpucost.export.errors import ExportError

T = TypeVar("T")

_BLOCK = 1_000
"""Rows that are held as Python objects at a time."""
_BLOCKS_IN_GROUP = 16
"""Blocks of a row group, which is held as arrays: a few MiB."""


class Format(Protocol):
    """How a file is written."""

    suffix: str

    def write(self, rows: Iterable[Row], path: Path) -> int:
        """Write a file; the number of rows."""
        ...


class Csv:
    """CSV as RFC 4180 wants it, but with line feeds; null is an empty field. Compressed where asked for."""

    def __init__(self, *, compressed: bool = False) -> None:
        """`compressed`: with gzip, and without the time in it, so that the same rows give the same bytes."""
        self.suffix = "csv.gz" if compressed else "csv"
        self._compressed = compressed

    def write(self, rows: Iterable[Row], path: Path) -> int:
        """Write a file; the number of rows."""
        with path.open("wb") as raw:
            if not self._compressed:
                return self._write(rows, raw)
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                return self._write(rows, packed)

    def _write(self, rows: Iterable[Row], raw: Any) -> int:
        count = 0
        text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(NAMES)
        for row in rows:
            lines.writerow([_shown(column, row.get(column.name)) for column in COLUMNS])
            count += 1
        text.flush()
        text.detach()  # `raw` is its caller's to close
        return count


def _shown(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.kind is Kind.DECIMAL:
        return f"{value:.{PLACES}f}"
    if column.kind is Kind.DATETIME:
        return _moment(value)
    return str(value)


@lru_cache(maxsize=64)
def _moment(instant: Instant) -> str:
    return format_rfc3339(instant)


class Parquet:
    """Parquet with zstd; the schema is the same in every file, also where a column holds nothing but nulls."""

    suffix = "parquet"

    def __init__(self, metadata: Mapping[str, str]) -> None:
        """`metadata` is written into the footer. Raises `ExportError` where pyarrow is not installed."""
        self._arrow = _pyarrow()
        self._schema = _schema(self._arrow, {"focus_version": FOCUS_VERSION, **metadata})

    def write(self, rows: Iterable[Row], path: Path) -> int:
        """Write a file; the number of rows."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - costly

        count = 0
        with pq.ParquetWriter(path, self._schema, compression="zstd") as file:
            batches = (self._batch(block) for block in _cut(rows, _BLOCK))
            for group in _cut(batches, _BLOCKS_IN_GROUP):
                table = self._arrow.Table.from_batches(group)
                file.write_table(table, row_group_size=_BLOCK * _BLOCKS_IN_GROUP)
                count += table.num_rows
        return count

    def _batch(self, block: list[Row]) -> Any:
        arrow = self._arrow
        arrays = [
            arrow.array(_values(column, block), type=field.type)
            for column, field in zip(COLUMNS, self._schema, strict=True)
        ]
        return arrow.RecordBatch.from_arrays(arrays, schema=self._schema)


def _values(column: Column, block: Iterable[Row]) -> list[Any]:
    """A column of some rows; one loop for each, because there are millions of cells in a day of hours."""
    name = column.name
    if column.kind is Kind.DATETIME:
        return [_as_datetime(row[name]) for row in block]
    return [row.get(name) for row in block]


@lru_cache(maxsize=64)
def _as_datetime(instant: Instant) -> datetime:
    return to_datetime(instant)


def _cut(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while block := list(islice(rest, size)):
        yield block


def _schema(arrow: ModuleType, metadata: Mapping[str, str]) -> Any:
    types = {
        Kind.STRING: arrow.string(),
        Kind.JSON: arrow.string(),
        Kind.DECIMAL: arrow.decimal128(38, PLACES),
        Kind.DATETIME: arrow.timestamp("us", tz="UTC"),
    }
    fields = [arrow.field(column.name, types[column.kind], nullable=column.nullable) for column in COLUMNS]
    return arrow.schema(fields, metadata=dict(metadata))


def _pyarrow() -> ModuleType:
    try:
        import pyarrow  # noqa: PLC0415 - costly, and not everybody has it
    except ImportError:
        raise ExportError("Parquet needs pyarrow: pip install 'gpucost[parquet]', or export with format csv") from None
    found: ModuleType = pyarrow
    return found


FORMATS = ("parquet", "csv", "csv.gz")


def format_of(name: str, metadata: Mapping[str, str]) -> Format:
    """A format by its name, one of `FORMATS`."""
    if name == "parquet":
        return Parquet(metadata)
    if name not in FORMATS:
        raise ExportError(f"unknown format {name!r}; want one of {', '.join(FORMATS)}")
    return Csv(compressed=name == "csv.gz")
