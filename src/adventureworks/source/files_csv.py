"""Reads a table from a CSV file with a header: quotes as in RFC 4180; UTF-8, or UTF-16 with a byte order mark.

Fields are separated by commas, semicolons, tabs or bars, as detected from the header. A quote inside a field that does
not begin with one is an ordinary character. An unquoted empty field is NULL, a quoted one is an empty text; in a column
that is not text, and in a file in which every field is quoted, a quoted one is NULL too. The last record must end with
a line end, otherwise the file counts as truncated. All values are delivered as text.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import TableBlocked
from adventureworks.source.columns import matched, require_columns, warn_about_unknown
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

_DELIMITERS = (",", ";", "\t", "|")


def inspect(path: Path, table: SourceTable) -> None:
    """Check head and tail cheaply. Raises `TableBlocked` if a column is missing or the file is truncated."""
    names, _ = _header(path, table)
    require_columns(table, names, path.name)
    encoding, _ = marked_encoding(path)
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 2), os.SEEK_END)
        tail = file.read()
    if not tail.decode(encoding or "latin-1", errors="replace").endswith("\n"):
        raise truncated(table, path, "its last record does not end with a line end")


def columns_in(path: Path, table: SourceTable) -> dict[str, str]:
    """Return the contract's columns that the header names. Raises `TableBlocked` as `inspect` does."""
    names, _ = _header(path, table)
    return dict.fromkeys(require_columns(table, names, path.name), "present")


def has_header(path: Path, table: SourceTable) -> bool:
    """Return whether the first line names at least half of the contract's columns."""
    try:
        names, _ = _header(path, table)
    except TableBlocked:
        return False
    wanted = [column.name for column in source_columns_of(table)]
    return 2 * len(matched(wanted, names)) >= len(wanted)


def read(path: Path, table: SourceTable, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the contract's columns as text, in batches of at most `batch_rows` rows; a column not in UTF-8 as bytes.

    Raises `TableBlocked` if the file is truncated, or has a record with too few or too many fields.
    """
    header, delimiter = _header(path, table)
    names = {name: wanted for wanted, name in require_columns(table, header, path.name).items()}
    warn_about_unknown(table, header, path.name)
    columns = tuple(column for column in source_columns_of(table) if column.name in names.values())
    present = [names.get(name, f"{index}: unknown") for index, name in enumerate(header)]
    dialect: dict[str, str | bool] = {"newlines_in_values": True, "delimiter": delimiter}
    all_quoted = all(_is_all_quoted(block, delimiter) for block in _blocks(path, table, delimiter))
    rows_before = 0
    for block in _blocks(path, table, delimiter):
        try:
            batch, broken = parsed(block, present, columns, dialect, quoted_empty_is_text=not all_quoted)
        except pa.ArrowInvalid:
            # The parser's messages quote the data, so they are not passed on.
            raise unreadable(table, path, "it is not valid CSV") from None
        if broken:
            raise ragged(table, path, broken[0], rows_before)
        rows_before += batch.num_rows
        if all_quoted:
            arrays = [empty_where_not_null(batch[column.name], column) for column in columns]
            batch = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
        yield from sliced(batch, columns, batch_rows)


def _header(path: Path, table: SourceTable) -> tuple[list[str], str]:
    """Return the column names and the delimiter: the one that yields most of the contract's names."""
    line = b""
    for text in _text(path, table):
        line += text
        if b"\n" in line or len(line) > LONGEST_RECORD_BYTES:
            break
    head, line_end, _ = line.partition(b"\n")
    if not line_end and b"\r" in head:
        raise unreadable(table, path, "its lines end with a bare CR; export it with LF or CRLF line ends")
    if not line_end:
        raise truncated(table, path, "its header does not end with a line end")
    if b"\x00" in head:
        raise unreadable(table, path, "it is binary, or UTF-16 without a byte order mark; export it as UTF-8")
    try:
        decoded = head.decode()
    except UnicodeDecodeError:
        raise unreadable(table, path, "its header is not UTF-8 text") from None
    wanted = [column.name for column in source_columns_of(table)]
    try:
        headers = [(next(csv.reader([decoded], delimiter=mark), []), mark) for mark in _DELIMITERS]
    except csv.Error:
        raise unreadable(table, path, "its first line is not a CSV header") from None
    return max(headers, key=lambda header: len(matched(wanted, header[0])))


def _text(path: Path, table: SourceTable) -> Iterator[bytes]:
    """Yield the file block by block, converted to UTF-8 if a byte order mark says that it is UTF-16."""
    encoding, mark = marked_encoding(path)
    if encoding not in (None, "utf-8"):
        yield from utf8(path, table, str(encoding), BLOCK_BYTES)
        return
    with path.open("rb") as file:
        file.seek(mark)
        while data := file.read(BLOCK_BYTES):
            yield data


def _blocks(path: Path, table: SourceTable, delimiter: str) -> Iterator[bytes]:
    """Yield the records after the header, in blocks of complete records."""
    rest = b""
    is_header = True
    for data in _text(path, table):
        text = rest + data
        if is_header:
            _, line_end, remainder = text.partition(b"\n")
            is_header = not line_end
            if is_header:
                rest = text
                continue
            text = remainder
        end = end_of_last_record(text, delimiter.encode())
        rest = text[end:]
        if len(rest) > LONGEST_RECORD_BYTES:
            raise too_long(table, path)
        if end:
            yield text[:end]
    if rest:
        raise truncated(table, path, "its last record is not complete")


def end_of_last_record(text: bytes, delimiter: bytes) -> int:
    """Return where the last complete record ends: after the last line feed outside quotes. `text` begins a record."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    characters = np.frombuffer(text, dtype=np.uint8)
    quotes = np.flatnonzero(characters == ord('"'))
    if not _quotes_are_paired(characters, quotes, delimiter):
        return _end_field_by_field(text, delimiter)
    inside = np.bitwise_xor.accumulate(characters == ord('"'))
    ends = np.flatnonzero((characters == ord("\n")) & ~inside)
    return int(ends[-1]) + 1 if len(ends) else 0


def _quotes_are_paired(characters: np.ndarray, quotes: np.ndarray, delimiter: bytes) -> bool:
    """Return whether each opening quote begins a field or follows a quote, so that no quote is a plain character."""
    first = quotes[::2]
    before = characters[first[first > 0] - 1]
    return bool(np.isin(before, [ord(delimiter), ord("\n"), ord("\r"), ord('"')]).all())


def _end_field_by_field(text: bytes, delimiter: bytes) -> int:
    """Return the same as `end_of_last_record` if unquoted fields contain quotes: field by field, hence slowly."""
    field = re.compile(rb'"(?:[^"]|"")*+(?:"|(?P<open>\Z))[^%b\r\n]*+|[^%b\r\n]*+' % (2 * (re.escape(delimiter),)))
    position = end = 0
    while position < len(text):
        found = field.match(text, position)
        if found is None or found["open"] is not None:
            break
        position = found.end() + 1
        if text[found.end() : position] == b"\n":
            end = position
    return end


def _is_all_quoted(block: bytes, delimiter: str) -> bool:
    """Return whether every field of these complete records is quoted."""
    characters = np.frombuffer(block.replace(b"\r\n", b"\n"), dtype=np.uint8)
    is_quote = characters == ord('"')
    if not _quotes_are_paired(characters, np.flatnonzero(is_quote), delimiter.encode()):
        return False
    outside = ~np.bitwise_xor.accumulate(is_quote)
    borders = np.flatnonzero(outside & ((characters == ord(delimiter)) | (characters == ord("\n"))))
    begins = np.concatenate(([0], borders[:-1] + 1))
    return bool(is_quote[borders - 1].all() and is_quote[begins].all())
