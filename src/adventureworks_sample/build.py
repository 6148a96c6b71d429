"""Conversion of numbers and texts to Arrow columns of the contract's types. Independent of what the columns mean.

Money is passed as whole numbers in units of the column's last decimal place (ten-thousandths of a dollar), never as
floating point. Dates are passed as numpy dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import source_columns_of
from adventureworks_sample.draw import Flags, Integers

Days = npt.NDArray[np.datetime64]
NamedTable = tuple[str, pa.Table]


def table(asset: str, columns: dict[str, Any]) -> NamedTable:
    """Return the asset's name and its table, with the contract's column order and types.

    A column is a numpy array, an Arrow array, a list (None for NULL), a masked array, or one value for every row.
    Raises `ValueError` if the columns are not those of the contract.
    """
    expected = source_columns_of(SOURCE_TABLES[asset])
    if {column.name for column in expected} != set(columns):
        differing = {column.name for column in expected} ^ set(columns)
        raise ValueError(f"{asset}: the contract and the sample disagree about {sorted(differing)}")
    rows = max((len(value) for value in columns.values() if _is_column(value)), default=1)
    arrays = [_column(columns[column.name], _arrow_type(column.dtype), rows) for column in expected]
    return asset, pa.table(arrays, names=[column.name for column in expected])


def rows(asset: str, names: Sequence[str], records: Sequence[Sequence[Any]], **rest: Any) -> NamedTable:
    """Return the asset's name and a small table from a list of rows; `rest` holds the computed columns."""
    listed = {name: [record[place] for record in records] for place, name in enumerate(names)}
    return table(asset, listed | rest)


def day(text: str) -> np.datetime64:
    """Return the day of an ISO date."""
    return np.datetime64(text, "D")


def moment(text: str) -> np.datetime64:
    """Return the point in time of an ISO timestamp."""
    return np.datetime64(text, "us")


def month_of(days: Days) -> Integers:
    """Return the number of months since 1970-01."""
    return days.astype("datetime64[M]").astype(np.int64)


def null_where(values: npt.NDArray[Any], where: Flags) -> Any:
    """Return the values, with NULL where the flag is set."""
    return np.ma.array(values, mask=where)


def null_text_where(texts: pa.Array, where: Flags) -> pa.Array:
    """Return the texts, with NULL where the flag is set."""
    return pc.if_else(pa.array(where), pa.scalar(None, pa.string()), texts)


def words(vocabulary: Sequence[str | None], index: Integers) -> pa.Array:
    """Return the words at these positions of a vocabulary."""
    return pa.array(vocabulary, pa.string()).take(pa.array(index))


def digits(numbers: npt.NDArray[Any], width: int = 0) -> pa.Array:
    """Return whole numbers as text, zero-padded to `width`."""
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")


def joined(*parts: Any) -> pa.Array:
    """Return the parts concatenated row by row; a single text is repeated in every row. NULL where a part is NULL."""
    return pc.binary_join_element_wise(*parts, "")


def share(amount: Integers, per_10000: int | Integers) -> Integers:
    """Return a share of an amount, rounded half up to its last place."""
    return (amount * per_10000 + 5_000) // 10_000


def running_number(groups: Integers) -> Integers:
    """Number the rows of each group 1, 2, 3 …, in the order of the rows."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(groups) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(groups)])
    numbers = np.empty(len(groups), dtype=np.int64)
    numbers[order] = np.arange(len(groups)) - np.repeat(starts, lengths) + 1
    return numbers


def _is_column(value: Any) -> bool:
    return isinstance(value, np.ndarray | pa.Array | list)


def _arrow_type(dtype: pl.DataType) -> pa.DataType:
    arrow = pl.Series([], dtype=dtype).to_arrow().type
    return pa.string() if pa.types.is_large_string(arrow) else arrow


def _column(value: Any, kind: pa.DataType, length: int) -> pa.Array:
    if pa.types.is_decimal(kind):
        return _decimals(value, kind, length)
    if not _is_column(value):
        return pa.repeat(pa.scalar(_plain(value), kind), length)
    if isinstance(value, np.ma.MaskedArray):
        values = np.ma.getdata(value)
        return _typed(pa.array(_microseconds(values), mask=np.ma.getmaskarray(value)), kind)
    if isinstance(value, np.ndarray):
        return _typed(pa.array(_microseconds(value)), kind)
    if isinstance(value, list):
        return pa.array([_plain(item) for item in value], kind)
    return _typed(value, kind)


def _plain(value: Any) -> Any:
    """Convert a numpy scalar to a Python value."""
    if isinstance(value, np.datetime64):
        return value.astype("datetime64[us]").item()
    return value.item() if isinstance(value, np.generic) else value


def _microseconds(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype("datetime64[us]") if values.dtype.kind == "M" else values


def _typed(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type == kind else array.cast(kind)


def _decimals(value: Any, kind: pa.DataType, length: int) -> pa.Array:
    """Return exact decimals from whole numbers in units of the last place, as the two halves of 128-bit integers."""
    if isinstance(value, list):
        empty = np.array([item is None for item in value], dtype=bool)
        value = np.ma.array([item or 0 for item in value], mask=empty, dtype=np.int64)
    elif not _is_column(value):
        value = np.full(length, value, dtype=np.int64)
    whole = np.ma.getdata(value).astype(np.int64)
    halves = np.empty((len(whole), 2), dtype=np.int64)
    halves[:, 0] = whole
    halves[:, 1] = whole >> 63
    valid = None
    if np.ma.is_masked(value):
        bits = np.packbits(~np.ma.getmaskarray(value), bitorder="little")
        valid = pa.py_buffer(bits)
    return pa.Array.from_buffers(kind, len(whole), [valid, pa.py_buffer(halves)])
