"""Reads a table from a Parquet file, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adventureworks.catalog import SourceTable
from adventureworks.columns import Column, source_columns_of
from adventureworks.errors import TableBlocked
from adventureworks.source.columns import require_columns, warn_about_unknown
from adventureworks.source.values import canonical_guids, text_or_bytes, within_calendar

_MAX_DIGITS = 38
_MAX_SCALE = 19
_BUFFER_BYTES = 1 << 20
_HEX_DIGITS = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], dtype=np.uint8)
_DASHES = (8, 13, 18, 23)
_GUID_BYTES = 16


def rows_in(path: Path, table: SourceTable) -> int:
    """Return the number of rows from the file's footer. Raises `TableBlocked` if the footer or a column is missing."""
    with _opened(path, table) as file:
        return int(file.metadata.num_rows)


def columns_in(path: Path, table: SourceTable) -> dict[str, str]:
    """Return the types of the contract's columns in the file. Raises `TableBlocked` as `rows_in` does."""
    with _opened(path, table) as file:
        schema = file.schema_arrow
        found = require_columns(table, schema.names, path.name)
        return {name: str(schema.field(actual).type) for name, actual in found.items()}


def read(path: Path, table: SourceTable, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the contract's columns in batches of at most `batch_rows` rows; memory does not grow with the file.

    UUIDs become their canonical lower-case text; bytes become upper-case hexadecimal text if the contract says so,
    otherwise they are decoded as UTF-8; everything else stays as stored.
    """
    with _opened(path, table) as file:
        found = require_columns(table, file.schema_arrow.names, path.name)
        warn_about_unknown(table, file.schema_arrow.names, path.name)
        columns = [column for column in source_columns_of(table) if column.name in found]
        try:
            for batch in file.iter_batches(batch_size=batch_rows, columns=[*found.values()], use_threads=False):
                arrays = [_simplified(batch[found[column.name]], column, table) for column in columns]
                yield pa.RecordBatch.from_arrays(arrays, names=[*found])
        except (pa.ArrowException, OSError) as damage:
            raise _damaged(table, path) from damage


def _opened(path: Path, table: SourceTable) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(
            path, memory_map=False, buffer_size=_BUFFER_BYTES, pre_buffer=False, coerce_int96_timestamp_unit="us"
        )
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as damage:
        raise _damaged(table, path) from damage
    try:
        require_columns(table, file.schema_arrow.names, path.name)
    except TableBlocked:
        file.close()
        raise
    return file


def _damaged(table: SourceTable, path: Path) -> TableBlocked:
    return TableBlocked(
        table.asset,
        "file_is_whole",
        f"{path.name} is not a complete Parquet file; it appears to be truncated or damaged.",
        f"Deliver a complete {path.name}.",
    )


def _simplified(array: pa.Array, column: Column, table: SourceTable) -> pa.Array:
    """Return the array with UUIDs and bytes as text, and no dictionary, extension or 256-bit decimal types."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_decimal256(array.type):
        array = _narrowed(array, column, table)
    is_text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    is_bytes = pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)
    if is_bytes or pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
        if column.is_guid and pc.all(pc.equal(pc.binary_length(array), _GUID_BYTES)).as_py() is not False:
            return _guid_text(array.cast(pa.binary(_GUID_BYTES)))
        return _hex_text(array) if column.is_hex else _text(array, column)
    return _text(array.cast(pa.binary()), column) if is_text else within_calendar(array)


def _text(array: pa.Array, column: Column) -> pa.Array:
    """Return the values as text if valid UTF-8, which Parquet's text type does not guarantee, else as bytes."""
    text = text_or_bytes(array)
    return canonical_guids(text) if column.is_guid and pa.types.is_string(text.type) else text


def _narrowed(array: pa.Array, column: Column, table: SourceTable) -> pa.Array:
    """Return the numbers in 128 bits, with at least the contract's decimal places, so that the gate can judge each."""
    expected = column.dtype.scale if isinstance(column.dtype, pl.Decimal) else 0
    for scale in (expected, max(expected, _MAX_SCALE), array.type.scale):
        with suppress(pa.ArrowInvalid):
            return array.cast(pa.decimal128(_MAX_DIGITS, scale))
    raise TableBlocked(
        table.asset,
        "column_types_are_kept",
        f"column {column.name} is {array.type} and contains a number with more than {_MAX_DIGITS} digits.",
    )


def _guid_text(array: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """Return UUIDs of 16 bytes as texts of 36 characters."""
    rows = len(array)
    raw = np.frombuffer(array.buffers()[1], dtype=np.uint8)[array.offset * 16 : (array.offset + rows) * 16]
    digits = _HEX_DIGITS[raw].reshape(rows, 32)
    text = np.full((rows, 36), ord("-"), dtype=np.uint8)
    text[:, [index for index in range(36) if index not in _DASHES]] = digits
    offsets = np.arange(rows + 1, dtype=np.int32) * 36
    guids = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
    return pc.if_else(array.is_valid(), guids, None) if array.null_count else guids


def _hex_text(array: pa.Array) -> pa.Array:
    values = [None if value is None else value.hex().upper() for value in array.to_pylist()]
    return pa.array(values, type=pa.string())
