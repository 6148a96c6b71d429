"""What both kinds of text file share: parsing blocks of whole records, and the errors of files that are not whole."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from adventureworks.catalog import SourceTable
from adventureworks.columns import Column
from adventureworks.errors import TableBlocked
from adventureworks.source.values import canonical, text_or_bytes

BLOCK_BYTES = 2 << 20
"""How much of a file is read at a time."""

LONGEST_RECORD_BYTES = 64 << 20


def parsed(
    block: bytes,
    present: list[str],
    columns: tuple[Column, ...],
    dialect: dict[str, str | bool],
    quoted_empty_is_text: bool,
) -> tuple[pa.RecordBatch, list[pacsv.InvalidRow]]:
    """The contract's columns of a block of whole records as text, and the records with a wrong number of fields.

    A column with a value that is not UTF-8 comes as bytes.

    `present` names the file's columns in their order. Raises pyarrow.ArrowInvalid where the block is no CSV.
    """
    broken: list[pacsv.InvalidRow] = []

    def remember(row: pacsv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    names = [column.name for column in columns]
    rows = pacsv.read_csv(
        pa.BufferReader(block),
        pacsv.ReadOptions(column_names=present, block_size=len(block) + 1, use_threads=False),
        pacsv.ParseOptions(**dialect, invalid_row_handler=remember),
        pacsv.ConvertOptions(
            column_types={name: pa.binary() for name in names},
            include_columns=names,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=not quoted_empty_is_text,
        ),
    )
    arrays = [text_or_bytes(pa.concat_arrays([*rows[name].chunks, pa.array([], pa.binary())])) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names=names), broken


_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}


def marked_encoding(path: Path) -> tuple[str | None, int]:
    """The encoding that a byte order mark tells, if there is one, and the length of the mark in bytes."""
    with path.open("rb") as file:
        start = file.read(3)
    return next(
        ((encoding, len(mark)) for mark, encoding in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), (None, 0)
    )


def utf8(path: Path, table: SourceTable, encoding: str, block_bytes: int) -> Iterator[bytes]:
    """The file's text in UTF-8, without a leading byte order mark, block by block."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            file.seek(marked_encoding(path)[1])
            while data := file.read(block_bytes):
                yield decoder.decode(data).encode()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as damage:
        raise not_whole(table, path, f"its text cannot be decoded as {encoding}") from damage
    except UnicodeEncodeError as damage:
        raise unreadable(table, path, "it holds half characters") from damage


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


def too_long(table: SourceTable, path: Path) -> TableBlocked:
    """The error for a record that does not end."""
    return not_whole(table, path, f"a row does not end within {LONGEST_RECORD_BYTES >> 20} MB")


def ragged(table: SourceTable, path: Path, row: pacsv.InvalidRow, before: int) -> TableBlocked:
    """The error for a record with too few or too many fields; `before` rows came before its block."""
    place = f"row {before + row.number:,}" if row.number is not None else "a row"
    return TableBlocked(
        table.asset,
        "rows_have_all_fields",
        f"{place} of {path.name} has {row.actual_columns} fields instead of {row.expected_columns}.",
        f"Mend {path.name}, or export it again.",
    )


def unreadable(table: SourceTable, path: Path, why: str) -> TableBlocked:
    """The error for a file whose text makes no sense. `why` never quotes the data."""
    return TableBlocked(
        table.asset, "file_is_readable", f"{path.name} cannot be read: {why}.", f"Export {path.name} again."
    )
