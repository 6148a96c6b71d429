"""Rows and their keys as text, in the form in which quarantine stores and compares them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from adventureworks.catalog import SourceTable
from adventureworks.columns import key_of, source_columns_of
from adventureworks.gate.contract import without_null_keys, without_padding
from adventureworks.gate.conversion import converted
from adventureworks.warehouse.sql import in_order

RowText = Mapping[str, str | None]
"""The values of a row by column, as text."""


def as_text(value: Any) -> str | None:
    """Return a value as text the way the warehouse casts it, so that keys can be compared."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        text = value.isoformat(sep=" ")
        return text.rstrip("0") if "." in text else text
    return str(value)


def row_key(identity: RowText) -> str:
    """Return a row's key as the warehouse writes it (`jsonb`: short names first), so that keys compare as text."""
    return as_json({name: identity[name] for name in in_order(identity)})


def shown_key(key: RowText) -> str:
    """Return a key as commands show and accept it, such as `SalesOrderID=43659, SalesOrderDetailID=17`."""
    return ", ".join(f"{name}={value}" for name, value in key.items())


def as_json(values: RowText) -> str:
    """Return a row as JSON. PostgreSQL text cannot contain NUL characters, so they are replaced."""
    return json.dumps(
        {name: value and value.replace("\x00", "\N{REPLACEMENT CHARACTER}") for name, value in values.items()},
        ensure_ascii=False,
    )


def canonical(entry: SourceTable, rows: Sequence[RowText]) -> list[dict[str, str | None]]:
    """Return rows with one spelling for each value, so that the same row of the source always has the same text.

    A value that has the contract's type is written as the warehouse writes it; any other is left as it is. Columns that
    the source may leave out are computed where they are missing.
    """
    columns = source_columns_of(entry)
    given = pl.DataFrame({one.name: pl.Series([row.get(one.name) for row in rows], dtype=pl.String) for one in columns})
    given = without_null_keys(entry, without_padding(given, columns))
    typed = pl.DataFrame(
        [
            given[one.name] if values is None else values
            for one in columns
            for values in [converted(given[one.name], one.dtype, parses_text=True)]
        ]
    )
    filled = typed.with_columns(
        pl.coalesce(one.name, one.computed.cast(one.dtype, strict=False)) for one in columns if one.computed is not None
    )
    texts = {
        one.name: [
            _first(as_text(value), text, as_text(computed))
            for value, text, computed in zip(typed[one.name], given[one.name], filled[one.name], strict=True)
        ]
        for one in columns
    }
    return [dict(zip(texts, values, strict=True)) for values in zip(*texts.values(), strict=True)]


def _first(*texts: str | None) -> str | None:
    return next((text for text in texts if text is not None), None)


def key_text(entry: SourceTable, row: RowText) -> str:
    """Return the key of a canonical row as quarantine stores it."""
    return row_key({name: row[name] for name in key_of(entry)})


def digest(row: RowText) -> str:
    """Return a digest of a canonical row."""
    return hashlib.sha256(as_json({name: row[name] for name in sorted(row)}).encode()).hexdigest()
