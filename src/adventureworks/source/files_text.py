"""What both kinds of text file share: parsing blocks of complete records, and the errors for invalid files."""

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
"""The number of bytes that are read at a time."""

LONGEST_RECORD_BYTES = 64 << 20


def parsed(
    block: bytes,
    present: list[str],
    columns: tuple[Column, ...],
    dialect: dict[str, str | bool],
    quoted_empty_is_text: bool,
) -> tuple[pa.RecordBatch, list[pacsv.InvalidRow]]:
    """Return the contract's columns of a block of complete records as text, and records with a wrong field count.

    A column with a value that is not UTF-8 is returned as bytes.

    `present` names the file's columns in their order. Raises `pyarrow.ArrowInvalid` if the block is not valid CSV.
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
    """Return the encoding according to the byte order mark, if there is one, and the mark's length in bytes."""
    with path.open("rb") as file:
        start = file.read(3)
    return next(
        ((encoding, len(mark)) for mark, encoding in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), (None, 0)
    )


def utf8(path: Path, table: SourceTable, encoding: str, block_bytes: int) -> Iterator[bytes]:
    """Yield the file's text in UTF-8, without a leading byte order mark, block by block."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            file.seek(marked_encoding(path)[1])
            while data := file.read(block_bytes):
                yield decoder.decode(data).encode()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as damage:
        raise truncated(table, path, f"its text cannot be decoded as {encoding}") from damage
    except UnicodeEncodeError as damage:
        raise unreadable(table, path, "it contains incomplete characters (unpaired surrogates)") from damage


def sliced(batch: pa.RecordBatch, columns: tuple[Column, ...], batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the batch as canonical text, in slices of at most `batch_rows` rows."""
    arrays = [canonical(batch[column.name], column) for column in columns]
    clean = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
    for start in range(0, clean.num_rows, batch_rows):
        yield clean.slice(start, batch_rows)


def truncated(table: SourceTable, path: Path, reason: str) -> TableBlocked:
    """Return the error for a file that ends too early."""
    return TableBlocked(
        table.asset,
        "file_is_whole",
        f"{path.name} appears to be truncated: {reason}.",
        f"Deliver a complete {path.name}.",
    )


def too_long(table: SourceTable, path: Path) -> TableBlocked:
    """Return the error for a record that does not end."""
    return truncated(table, path, f"a row does not end within {LONGEST_RECORD_BYTES >> 20} MB")


def ragged(table: SourceTable, path: Path, row: pacsv.InvalidRow, before: int) -> TableBlocked:
    """Return the error for a record with too few or too many fields; `before` rows precede its block."""
    position = f"row {before + row.number:,}" if row.number is not None else "a row"
    return TableBlocked(
        table.asset,
        "rows_have_all_fields",
        f"{position} of {path.name} has {row.actual_columns} fields instead of {row.expected_columns}.",
        f"Correct {path.name}, or export it again.",
    )


def unreadable(table: SourceTable, path: Path, reason: str) -> TableBlocked:
    """Return the error for a file whose text is not valid. `reason` never quotes the data."""
    return TableBlocked(
        table.asset, "file_is_readable", f"{path.name} cannot be read: {reason}.", f"Export {path.name} again."
    )
