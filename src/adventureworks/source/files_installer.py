"""Reads a table from a CSV file as Microsoft's AdventureWorks installer ships it.

There is no header: the columns are the contract's, in its order. There are two dialects: `+|` between fields and `&|`
after a row, or tabs and line ends. The encoding is UTF-16 with a byte order mark, UTF-8, or Windows-1252. Texts may
contain raw line ends. NULL and empty text are indistinguishable: empty is NULL if the contract allows NULL, otherwise
an empty text.

Both dialects are translated, block by block, into one that a vectorised CSV parser can read: control characters replace
whatever would confuse it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adventureworks.catalog import SourceTable
from adventureworks.columns import Column, source_columns_of
from adventureworks.errors import TableBlocked
from adventureworks.source.files_text import (
    BLOCK_BYTES,
    LONGEST_RECORD_BYTES,
    marked_encoding,
    parsed,
    ragged,
    sliced,
    too_long,
    truncated,
    unreadable,
    utf8,
)
from adventureworks.source.values import empty_where_not_null

_HEAD_CHARACTERS = 1 << 16

_FIELD_END, _ROW_END = b"\x1f", b"\x1e"
_LINE_FEED_IN_FIELD, _RETURN_IN_FIELD = b"\x1d", b"\x1c"
_MARKS = (_FIELD_END, _ROW_END, _LINE_FEED_IN_FIELD, _RETURN_IN_FIELD)
_TRANSLATED: dict[str, str | bool] = {
    "delimiter": _FIELD_END.decode(),
    "quote_char": False,
    "escape_char": False,
    "ignore_empty_lines": False,
}


class _Dialect(Protocol):
    """How fields and rows are delimited. `row_ends` are the ways in which a complete file may end."""

    row_ends: tuple[str, ...]

    def translate(self, text: bytes, fields: int) -> tuple[bytes, bytes]:
        """Return the complete rows of a block, translated, and the rest unchanged."""
        ...


class _Pipes:
    """`+|` between fields, `&|` after a row, usually followed by a line end."""

    row_ends: tuple[str, ...] = ("&|", "&|\n", "&|\r", "&|\r\n")

    def translate(self, text: bytes, fields: int) -> tuple[bytes, bytes]:
        end = text.rfind(b"&|") + 2
        if end == 1:
            return b"", text
        rows, rest = text[:end], text[end:]
        # The previous row's line end may be at the start of this block.
        rows = rows.removeprefix(b"\r\n").removeprefix(b"\n")
        for row_end in (b"&|\r\n", b"&|\n", b"&|"):
            rows = rows.replace(row_end, _ROW_END)
        rows = rows.replace(b"\n", _LINE_FEED_IN_FIELD).replace(b"\r", _RETURN_IN_FIELD)
        return rows.replace(b"+|", _FIELD_END).replace(_ROW_END, b"\n"), rest


class _Tabs:
    """A tab between fields, a line end after a row; line ends before the last field are part of a text."""

    row_ends: tuple[str, ...] = ("\n",)

    def translate(self, text: bytes, fields: int) -> tuple[bytes, bytes]:
        line_ends, is_row_end = _row_ends(text, fields)
        if not is_row_end.any():
            return b"", text
        end = int(line_ends[is_row_end][-1]) + 1
        rows = bytearray(text[:end])
        inner = line_ends[~is_row_end & (line_ends < end)]
        np.frombuffer(rows, dtype=np.uint8)[inner] = _LINE_FEED_IN_FIELD[0]
        rows = rows.replace(b"\r\n", b"\n").replace(b"\r", _RETURN_IN_FIELD)
        return bytes(rows.replace(b"\t", _FIELD_END)), text[end:]


def inspect(path: Path, table: SourceTable) -> None:
    """Check head and tail cheaply. Raises `TableBlocked` if the file is truncated or the dialect is unknown."""
    encoding, _ = marked_encoding(path)
    dialect = _dialect(path, table, encoding)
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 16), 2)
        tail = file.read().decode(encoding or "cp1252", errors="replace")
    if not tail.endswith(dialect.row_ends):
        raise truncated(table, path, "its last row has no row end")


def read(path: Path, table: SourceTable, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield all columns as text, in batches of at most `batch_rows` rows.

    Raises `TableBlocked` if the file is truncated, cannot be decoded, or has a row with too few or too many fields.
    """
    columns = source_columns_of(table)
    names = [column.name for column in columns]
    dialect = _dialect(path, table, marked_encoding(path)[0])
    rows_before = 0
    for block in _blocks(path, table, dialect, len(columns)):
        batch, broken = parsed(block, names, columns, _TRANSLATED, quoted_empty_is_text=False)
        if broken:
            raise ragged(table, path, broken[0], rows_before)
        rows_before += batch.num_rows
        restored = [_restored(batch[column.name], column, block) for column in columns]
        yield from sliced(pa.RecordBatch.from_arrays(restored, names=names), columns, batch_rows)


def _blocks(path: Path, table: SourceTable, dialect: _Dialect, fields: int) -> Iterator[bytes]:
    """Yield the file in blocks of complete, translated rows."""
    rest = b""
    encoding = marked_encoding(path)[0] or ("utf-8" if _is_utf8(path) else "cp1252")
    for text in utf8(path, table, encoding, BLOCK_BYTES):
        if any(mark in text for mark in _MARKS):
            raise unreadable(table, path, "it contains control characters that never occur in the source's texts")
        rows, rest = dialect.translate(rest + text, fields)
        if len(rest) > LONGEST_RECORD_BYTES:
            raise too_long(table, path)
        if rows:
            yield rows
    if rest.strip(b"\r\n"):
        raise truncated(table, path, "its last row is not complete")


def _restored(values: pa.Array, column: Column, block: bytes) -> pa.Array:
    """Return the values with their line ends, without byte order marks, and with empty texts if NULL is not allowed."""
    for mark, character in ((_LINE_FEED_IN_FIELD, "\n"), (_RETURN_IN_FIELD, "\r")):
        if mark in block:
            values = pc.replace_substring(values, pattern=mark.decode(), replacement=character)
    if codecs.BOM_UTF8 in block:
        values = pc.utf8_ltrim(values, characters="\ufeff")
    return empty_where_not_null(values, column)


def _row_ends(text: bytes, fields: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the line ends, and which of them end a row: those by which the row has all its tabs.

    A line end after too many tabs also counts as a row end, so that the parser rejects the row.
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    line_ends = np.flatnonzero(characters == ord("\n"))
    tabs_before = np.searchsorted(np.flatnonzero(characters == ord("\t")), line_ends)
    tabs = fields - 1
    if np.array_equal(tabs_before, tabs * np.arange(1, len(line_ends) + 1)):
        return line_ends, np.ones(len(line_ends), dtype=bool)
    is_row_end = np.zeros(len(line_ends), dtype=bool)
    consumed = 0
    for index, count in enumerate(tabs_before.tolist()):
        if count - consumed >= tabs:
            is_row_end[index] = True
            consumed = count
    return line_ends, is_row_end


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while data := file.read(BLOCK_BYTES):
                decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _dialect(path: Path, table: SourceTable, encoding: str | None) -> _Dialect:
    """Return the dialect whose field separator comes first in the file. Raises `TableBlocked` if there is neither."""
    with path.open("rb") as file:
        file.seek(marked_encoding(path)[1])
        head = file.read(_HEAD_CHARACTERS).decode(encoding or "cp1252", errors="replace")
    found = [(head.find(mark), dialect) for mark, dialect in (("+|", _Pipes()), ("\t", _Tabs())) if mark in head]
    if not found:
        raise TableBlocked(
            table.asset,
            "file_is_readable",
            f"{path.name} has neither tabs nor '+|' between its fields.",
            f"If it is a comma-separated file with a header, name it {table.asset}.csv.",
        )
    return min(found, key=lambda position: position[0])[1]
