"""Reads a table from a CSV file with a header: UTF-8, commas, quotes as in RFC 4180.

An unquoted empty field is NULL, a quoted one an empty text. The last record must end with a line end, or the file
counts as cut off. All values are delivered as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from adventureworks.catalog import SourceTable
from adventureworks.errors import TableBlocked
from adventureworks.source.columns import Column, columns_of, require_columns
from adventureworks.source.values import canonical

BLOCK_BYTES = 8 << 20
"""How much is parsed at a time; a record may not be longer."""

_HEADER_BYTES = 1 << 16


def inspect(path: Path, table: SourceTable) -> None:
    """A cheap look at head and tail. Raises TableBlocked where a column is missing or the end is cut off."""
    require_columns(table, _header(path, table), path.name)
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        if file.read(1) not in b"\r\n":
            raise not_whole(table, path, "its last record does not end with a line end")


def read(path: Path, table: SourceTable, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The contract's columns as text, in batches of at most `batch_rows` rows.

    Raises TableBlocked where the file is cut off, is not UTF-8, or has a record with too few or too many fields.
    """
    columns = columns_of(table)
    broken: list[pacsv.InvalidRow] = []
    with path.open("rb") as raw:
        witness = _Witness(raw)
        try:
            for batch in _parser(witness, columns, broken):
                if broken:
                    break
                yield from sliced(batch, columns, batch_rows)
        except pa.ArrowInvalid as damage:
            raise _unreadable(table, path, damage) from damage
    if broken:
        raise ragged(table, path, broken[0])
    if witness.inside_quotes:
        raise not_whole(table, path, "its last quoted field is never closed")


def sliced(batch: pa.RecordBatch, columns: tuple[Column, ...], batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The batch in canonical text, in slices of at most `batch_rows` rows."""
    arrays = [canonical(batch[column.name], column) for column in columns]
    clean = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
    for start in range(0, clean.num_rows, batch_rows):
        yield clean.slice(start, batch_rows)


def not_whole(table: SourceTable, path: Path, why: str) -> TableBlocked:
    """The error for a file that ends too early."""
    return TableBlocked(
        table.asset,
        "file_is_whole",
        f"{path.name} seems to be cut off: {why}.",
        f"Deliver {path.name} again, complete.",
    )


def ragged(table: SourceTable, path: Path, row: pacsv.InvalidRow, before: int = 0) -> TableBlocked:
    """The error for a record with too few or too many fields; `before` rows came before the parsed block."""
    place = f"row {before + row.number}" if row.number is not None else "a row"
    return TableBlocked(
        table.asset,
        "rows_have_all_fields",
        f"{place} of {path.name} has {row.actual_columns} fields instead of {row.expected_columns}.",
        f"Mend {path.name}, or export it again.",
    )


def _parser(
    file: io.RawIOBase, columns: tuple[Column, ...], broken: list[pacsv.InvalidRow]
) -> Iterator[pa.RecordBatch]:
    """Streams the parsed batches; rows with a wrong number of fields are left out and added to `broken`."""

    def remember(row: pacsv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    names = [column.name for column in columns]
    return iter(
        pacsv.open_csv(
            file,
            pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=remember),
            pacsv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                include_columns=names,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    )


def _header(path: Path, table: SourceTable) -> list[str]:
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    line, end, _ = head.replace(b"\r", b"\n").partition(b"\n")
    if not end:
        raise not_whole(table, path, "it has no line end after its header")
    try:
        return next(csv.reader([line.decode("utf-8-sig")]), [])
    except UnicodeDecodeError as damage:
        raise not_utf8(table, path) from damage


def not_utf8(table: SourceTable, path: Path) -> TableBlocked:
    """The error for a file in another encoding than the one promised."""
    return TableBlocked(
        table.asset, "file_is_readable", f"{path.name} is not UTF-8 text.", f"Export {path.name} again as UTF-8."
    )


def _unreadable(table: SourceTable, path: Path, damage: pa.ArrowInvalid) -> TableBlocked:
    """The parser's messages quote the data, so they are never passed on."""
    if "UTF8" in str(damage) or "UTF-8" in str(damage):
        return not_utf8(table, path)
    return TableBlocked(
        table.asset,
        "file_is_readable",
        f"{path.name} is no readable CSV file.",
        f"Check the quotes of {path.name} and that no record is longer than {BLOCK_BYTES >> 20} MB.",
    )


class _Witness(io.RawIOBase):
    """Passes a file on and counts its quotes: an odd number at the end means that a field was cut off."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._quotes = 0

    @property
    def inside_quotes(self) -> bool:
        return self._quotes % 2 == 1

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._quotes += data.count(b'"')
        return data
