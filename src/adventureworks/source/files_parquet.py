"""Reads a table from a Parquet file, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import TableBlocked
from adventureworks.source.columns import require_columns
from adventureworks.source.values import canonical_guids, within_calendar

_BUFFER_BYTES = 1 << 20
_HEX_DIGITS = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], dtype=np.uint8)
_DASHES = (8, 13, 18, 23)


def rows_in(path: Path, table: SourceTable) -> int:
    """The number of rows, from the file's footer. Raises TableBlocked where footer or a column is missing."""
    with _opened(path, table) as file:
        return int(file.metadata.num_rows)


def read(path: Path, table: SourceTable, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The contract's columns in batches of at most `batch_rows` rows; memory does not grow with the file.

    Uuids become their canonical lower-case text, bytes upper-case hexadecimal text; the rest stays as it is stored.
    """
    names = [column.name for column in source_columns_of(table)]
    guids = {column.name for column in source_columns_of(table) if column.is_guid}
    with _opened(path, table) as file:
        try:
            for batch in file.iter_batches(batch_size=batch_rows, columns=names, use_threads=False):
                arrays = [_as_text(batch[name], name in guids) for name in batch.schema.names]
                yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
        except (pa.ArrowException, OSError) as damage:
            raise _not_whole(table, path) from damage


def _opened(path: Path, table: SourceTable) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, memory_map=False, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as damage:
        raise _not_whole(table, path) from damage
    try:
        require_columns(table, file.schema_arrow.names, path.name)
    except TableBlocked:
        file.close()
        raise
    return file


def _not_whole(table: SourceTable, path: Path) -> TableBlocked:
    return TableBlocked(
        table.asset,
        "file_is_whole",
        f"{path.name} is no whole Parquet file; it seems to be cut off or damaged.",
        f"Deliver {path.name} again, complete.",
    )


def _as_text(array: pa.Array, is_guid: bool) -> pa.Array:
    """The array, with text in the place of uuids, bytes and dictionaries."""
    if isinstance(array, pa.ExtensionArray):
        is_guid = is_guid or array.type.extension_name == "arrow.uuid"
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if is_guid and array.type == pa.binary(16):
        return _guid_text(array)
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return _hex_text(array)
    if pa.types.is_fixed_size_binary(array.type):
        return _hex_text(array.cast(pa.binary()))
    if is_guid and (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return canonical_guids(array)
    return within_calendar(array)


def _guid_text(array: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """16 bytes each, as 36 characters each."""
    rows = len(array)
    raw = np.frombuffer(array.buffers()[1], dtype=np.uint8)[array.offset * 16 : (array.offset + rows) * 16]
    digits = _HEX_DIGITS[raw].reshape(rows, 32)
    text = np.full((rows, 36), ord("-"), dtype=np.uint8)
    text[:, [place for place in range(36) if place not in _DASHES]] = digits
    offsets = np.arange(rows + 1, dtype=np.int32) * 36
    whole = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
    return pc.if_else(array.is_valid(), whole, None) if array.null_count else whole


def _hex_text(array: pa.Array) -> pa.Array:
    values = [None if value is None else value.hex().upper() for value in array.to_pylist()]
    return pa.array(values, type=pa.string())
