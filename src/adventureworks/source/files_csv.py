"""Reads a table from a CSV file with a header: quotes as in RFC 4180; UTF-8, or UTF-16 with a byte order mark.

Fields are parted by commas, semicolons, tabs or bars, as the header shows. A quote inside a field that does not begin
with one is a letter. An unquoted empty field is NULL, a quoted one an empty text; in a column that is no text, and in a
file in which every field is quoted, a quoted one is NULL too. The last record must end with a line end, or the file
counts as cut off. All values are delivered as text.
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
from adventureworks.source.columns import matched, require_columns, warn_of_unknown
from adventureworks.source.files_text import (
    BLOCK_BYTES,
    LONGEST_RECORD_BYTES,
    marked_encoding,
    not_whole,
    parsed,
    ragged,
    sliced,
    too_long,
    unreadable,
    utf8,
)
from adventureworks.source.values import empty_where_not_null

_DELIMITERS = (",", ";", "\t", "|")


def inspect(path: Path, table: SourceTable) -> None:
    """A cheap look at head and tail. Raises TableBlocked where a column is missing or the end is cut off."""
    names, _ = _header(path, table)
    require_columns(table, names, path.name)
    encoding, _ = marked_encoding(path)
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 2), os.SEEK_END)
        tail = file.read()
    if not tail.decode(encoding or "latin-1", errors="replace").endswith("\n"):
        raise not_whole(table, path, "its last record does not end with a line end")


def read(path: Path, table: SourceTable, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The contract's columns as text, in batches of at most `batch_rows` rows; one that is not UTF-8 as bytes.

    Raises TableBlocked where the file is cut off, or has a record with too few or too many fields.
    """
    columns = source_columns_of(table)
    header, delimiter = _header(path, table)
    names = {name: wanted for wanted, name in require_columns(table, header, path.name).items()}
    warn_of_unknown(table, header, path.name)
    present = [names.get(name, f"{place}: unknown") for place, name in enumerate(header)]
    dialect: dict[str, str | bool] = {"newlines_in_values": True, "delimiter": delimiter}
    all_quoted = all(_is_all_quoted(block, delimiter) for block in _blocks(path, table, delimiter))
    rows_before = 0
    for block in _blocks(path, table, delimiter):
        try:
            batch, broken = parsed(block, present, columns, dialect, quoted_empty_is_text=not all_quoted)
        except pa.ArrowInvalid:
            # The parser's messages quote the data, so they are not passed on.
            raise unreadable(table, path, "it is no CSV") from None
        if broken:
            raise ragged(table, path, broken[0], rows_before)
        rows_before += batch.num_rows
        if all_quoted:
            arrays = [empty_where_not_null(batch[column.name], column) for column in columns]
            batch = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
        yield from sliced(batch, columns, batch_rows)


def _header(path: Path, table: SourceTable) -> tuple[list[str], str]:
    """The names of the columns, and what stands between fields: whatever gives most of the contract's names."""
    line = b""
    for text in _text(path, table):
        line += text
        if b"\n" in line or len(line) > LONGEST_RECORD_BYTES:
            break
    head, line_end, _ = line.partition(b"\n")
    if not line_end and b"\r" in head:
        raise unreadable(table, path, "its lines end with CR alone; export it with LF or CRLF")
    if not line_end:
        raise not_whole(table, path, "its header does not end with a line end")
    if b"\x00" in head:
        raise unreadable(table, path, "it is UTF-16 without a byte order mark, or no text; export it as UTF-8")
    try:
        decoded = head.decode()
    except UnicodeDecodeError:
        raise unreadable(table, path, "its header is not UTF-8 text") from None
    wanted = [column.name for column in source_columns_of(table)]
    try:
        headers = [(next(csv.reader([decoded], delimiter=mark), []), mark) for mark in _DELIMITERS]
    except csv.Error:
        raise unreadable(table, path, "its first line is no header of a CSV file") from None
    return max(headers, key=lambda header: len(matched(wanted, header[0])))


def _text(path: Path, table: SourceTable) -> Iterator[bytes]:
    """The file block by block, as it is or, where a byte order mark says UTF-16, in UTF-8."""
    encoding, mark = marked_encoding(path)
    if encoding not in (None, "utf-8"):
        yield from utf8(path, table, str(encoding), BLOCK_BYTES)
        return
    with path.open("rb") as file:
        file.seek(mark)
        while data := file.read(BLOCK_BYTES):
            yield data


def _blocks(path: Path, table: SourceTable, delimiter: str) -> Iterator[bytes]:
    """The records behind the header, in blocks of whole ones."""
    rest = b""
    is_header = True
    for data in _text(path, table):
        text = rest + data
        if is_header:
            _, line_end, behind = text.partition(b"\n")
            is_header = not line_end
            if is_header:
                rest = text
                continue
            text = behind
        end = end_of_last_record(text, delimiter.encode())
        rest = text[end:]
        if len(rest) > LONGEST_RECORD_BYTES:
            raise too_long(table, path)
        if end:
            yield text[:end]
    if rest:
        raise not_whole(table, path, "its last record is not complete")


def end_of_last_record(text: bytes, delimiter: bytes) -> int:
    """Where the last whole record ends in a text that begins with a record: behind a line feed outside of quotes."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    characters = np.frombuffer(text, dtype=np.uint8)
    quotes = np.flatnonzero(characters == ord('"'))
    if not _quotes_come_in_pairs(characters, quotes, delimiter):
        return _end_by_single_steps(text, delimiter)
    inside = np.bitwise_xor.accumulate(characters == ord('"'))
    ends = np.flatnonzero((characters == ord("\n")) & ~inside)
    return int(ends[-1]) + 1 if len(ends) else 0


def _quotes_come_in_pairs(characters: np.ndarray, quotes: np.ndarray, delimiter: bytes) -> bool:
    """Whether each first quote of two begins a field, or is the second of a doubled one: no quote is a letter."""
    first = quotes[::2]
    before = characters[first[first > 0] - 1]
    return bool(np.isin(before, [ord(delimiter), ord("\n"), ord("\r"), ord('"')]).all())


def _end_by_single_steps(text: bytes, delimiter: bytes) -> int:
    """As `end_of_last_record`, where quotes stand inside unquoted fields: field by field, and so slowly."""
    field = re.compile(rb'"(?:[^"]|"")*+(?:"|(?P<open>\Z))[^%b\r\n]*+|[^%b\r\n]*+' % (2 * (re.escape(delimiter),)))
    place = end = 0
    while place < len(text):
        found = field.match(text, place)
        if found is None or found["open"] is not None:
            break
        place = found.end() + 1
        if text[found.end() : place] == b"\n":
            end = place
    return end


def _is_all_quoted(block: bytes, delimiter: str) -> bool:
    """Whether every field of these whole records is quoted."""
    characters = np.frombuffer(block.replace(b"\r\n", b"\n"), dtype=np.uint8)
    is_quote = characters == ord('"')
    if not _quotes_come_in_pairs(characters, np.flatnonzero(is_quote), delimiter.encode()):
        return False
    outside = ~np.bitwise_xor.accumulate(is_quote)
    borders = np.flatnonzero(outside & ((characters == ord(delimiter)) | (characters == ord("\n"))))
    begins = np.concatenate(([0], borders[:-1] + 1))
    return bool(is_quote[borders - 1].all() and is_quote[begins].all())
