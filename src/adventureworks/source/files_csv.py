"""Reads a table from a CSV file with a header: UTF-8, commas, quotes as in RFC 4180.

An unquoted empty field is NULL, a quoted one an empty text. The last record must end with a line end, or the file
counts as cut off. All values are delivered as text.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.source.columns import require_columns
from adventureworks.source.files_text import (
    BLOCK_BYTES,
    LONGEST_RECORD_BYTES,
    not_whole,
    parsed,
    ragged,
    sliced,
    too_long,
    unreadable,
)

_NOT_UTF8 = "it is not UTF-8 text"


def inspect(path: Path, table: SourceTable) -> None:
    """A cheap look at head and tail. Raises TableBlocked where a column is missing or the end is cut off."""
    require_columns(table, _header(path, table)[0], path.name)
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        if file.read(1) not in b"\r\n":
            raise not_whole(table, path, "its last record does not end with a line end")


def read(path: Path, table: SourceTable, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The contract's columns as text, in batches of at most `batch_rows` rows.

    Raises TableBlocked where the file is cut off, is not UTF-8, or has a record with too few or too many fields.
    """
    columns = source_columns_of(table)
    present, length = _header(path, table)
    dialect: dict[str, str | bool] = {"newlines_in_values": True}
    rows_before = 0
    for block in _blocks(path, table, length):
        try:
            batch, broken = parsed(block, present, columns, dialect, quoted_empty_is_text=True)
        except pa.ArrowInvalid as damage:
            # The parser's messages quote the data, so they are not passed on.
            raise unreadable(table, path, _NOT_UTF8 if "UTF8" in str(damage) else "it is no CSV") from None
        if broken:
            raise ragged(table, path, broken[0], rows_before)
        rows_before += batch.num_rows
        yield from sliced(batch, columns, batch_rows)


def _header(path: Path, table: SourceTable) -> tuple[list[str], int]:
    """The names of the columns, and the length of the header in bytes."""
    with path.open("rb") as file:
        head = file.readline(LONGEST_RECORD_BYTES)
    if not head.endswith(b"\n"):
        raise not_whole(table, path, "its header does not end with a line end")
    try:
        return next(csv.reader([head.removeprefix(codecs.BOM_UTF8).decode()]), []), len(head)
    except UnicodeDecodeError:
        raise unreadable(table, path, _NOT_UTF8) from None


def _blocks(path: Path, table: SourceTable, start: int) -> Iterator[bytes]:
    """The file from byte `start` on, in blocks of whole records."""
    rest = b""
    with path.open("rb") as file:
        file.seek(start)
        while data := file.read(BLOCK_BYTES):
            text = rest + data
            end = _end_of_last_record(text)
            rest = text[end:]
            if len(rest) > LONGEST_RECORD_BYTES:
                raise too_long(table, path)
            if end:
                yield text[:end]
    if rest:
        raise not_whole(table, path, "its last record is not complete")


def _end_of_last_record(text: bytes) -> int:
    """Where the last whole record ends: after a line feed that an even number of quotes precedes."""
    end = text.rfind(b"\n") + 1
    if text.count(b'"', 0, end) % 2 == 0:
        return end
    characters = np.frombuffer(text, dtype=np.uint8)
    inside = np.bitwise_xor.accumulate(characters == ord('"'))
    ends = np.flatnonzero((characters == ord("\n")) & ~inside)
    return int(ends[-1]) + 1 if len(ends) else 0
