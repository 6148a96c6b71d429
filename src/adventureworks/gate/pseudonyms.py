"""Rows of forgotten people, without what identifies them.

The catalogue says which columns identify a person, and which column leads to the person (`SourceTable.person`). Where
the contract accepts NULL, the value becomes NULL; elsewhere it becomes a neutral value that keeps the contract. A
neutral text has the row's key in it, because some texts must differ. A row whose key identifies the person, such as a
telephone number, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import polars as pl
import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.columns import Column, columns_of, key_of
from adventureworks.gate.conversion import converted
from contracts.columns import FIRST_DAY

PREFIX = "forgotten-"
"""Neutral texts begin with this, and go on with the row's key."""


def identifying(entry: SourceTable) -> tuple[Column, ...]:
    """Return the columns of a table that identify a person. A column stored as `withheld` identifies nobody."""
    names = {*entry.personal, *(name for name, how in entry.protected.items() if how == "last_four")}
    return tuple(column for column in columns_of(entry) if column.name in names)


def is_left_out(entry: SourceTable) -> bool:
    """Return whether a forgotten person's rows of a table are left out, because their keys identify the person."""
    return any(column.name in key_of(entry) for column in identifying(entry))


def id_column(entry: SourceTable) -> str:
    """Return the column by which a forgotten person's rows of a table are recognized: by default, its key."""
    return entry.person.column if entry.person else key_of(entry)[0]


def belongs(entry: SourceTable, frame: pl.DataFrame, ids: Collection[int]) -> pl.Series:
    """Return for each row, in any types, whether it is a forgotten person's, recognized by one of these ids."""
    name = id_column(entry)
    values = _typed(entry, frame, name) if ids and name in frame.columns else None
    if values is None:
        return pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    return values.cast(pl.Int64).is_in(sorted(ids)).fill_null(False)


def without_forgotten(
    entry: SourceTable, batch: pa.RecordBatch, ids: Collection[int]
) -> tuple[pa.RecordBatch | pa.Table, int]:
    """Return a batch without what identifies the people with these ids, and the number of their rows."""
    if not ids:
        return batch, 0
    frame = pl.DataFrame(batch)
    marked = belongs(entry, frame, ids)
    return (pseudonymised(entry, frame, marked).to_arrow() if marked.any() else batch), int(marked.sum())


def pseudonymised(entry: SourceTable, frame: pl.DataFrame, marked: pl.Series) -> pl.DataFrame:
    """Return a frame, in the same types, in which the `marked` rows identify nobody."""
    if not marked.any():
        return frame
    if is_left_out(entry):
        return frame.filter(~marked)
    keys = [_typed(entry, frame, name) for name in key_of(entry)]
    texts = pl.DataFrame([key.cast(pl.String) for key in keys if key is not None])
    key = texts.select(pl.concat_str(pl.all().fill_null(""), separator="-"))[:, 0]
    return frame.with_columns(
        pl.when(marked)
        .then(_neutral(entry, column, key).cast(frame.schema[column.name]))
        .otherwise(column.name)
        .alias(column.name)
        for column in identifying(entry)
        if column.name in frame.columns
    )


def _typed(entry: SourceTable, frame: pl.DataFrame, name: str) -> pl.Series | None:
    """Return a column in the contract's type, NULL where a value does not fit; None if no value can."""
    dtype = next(column.dtype for column in columns_of(entry) if column.name == name)
    return converted(frame[name], dtype, parses_text=True)


def _neutral(entry: SourceTable, column: Column, key: pl.Series) -> pl.Expr:
    """Return the neutral value of a column, in the contract's type."""
    if column.nullable:
        return pl.lit(None, dtype=column.dtype)
    rules = _statistics(entry, column.name)
    if column.dtype == pl.String:
        if codes := rules.get("codes"):
            return pl.lit(codes[0])
        texts = (PREFIX + key, PREFIX + key + "@example.invalid", key.str.zfill(column.longest or 0))
        return pl.lit(next(text for text in texts if _has_form(text, rules.get("pattern"))))
    default: Any = FIRST_DAY if column.dtype in (pl.Date, pl.Datetime) else 0
    return pl.lit(rules.get("min_value", default)).cast(column.dtype)


def _statistics(entry: SourceTable, name: str) -> dict[str, Any]:
    """Return the limits that the contract sets for a column, by their names in pandera."""
    checks = entry.contract.to_schema().columns[name].checks
    return {name: value for check in checks for name, value in (check.statistics or {}).items() if value is not None}


def _has_form(texts: pl.Series, pattern: str | None) -> bool:
    return pattern is None or all(re.search(pattern, text) for text in texts[:1])
