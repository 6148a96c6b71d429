"""What a contract says of a table's columns, in the words that a source needs to read or lay out a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from adventureworks.catalog import SourceTable
from adventureworks.errors import TableBlocked
from contracts.columns import GUID_PATTERN
from contracts.columns import SourceTable as SourceContract


@dataclass(frozen=True)
class Column:
    """One column of a source table, in the contract's order."""

    name: str
    dtype: pl.DataType
    nullable: bool
    is_guid: bool
    longest: int | None
    """Most characters of a text; None: any length, or no text."""


def columns_of(table: SourceTable) -> tuple[Column, ...]:
    """The columns of the table's contract, in its order, which is the schema's."""
    return _columns(table.contract)


@lru_cache(maxsize=256)
def _columns(contract: type[SourceContract]) -> tuple[Column, ...]:
    columns = []
    for column_name, promised in contract.to_schema().columns.items():
        known = [(check.name, check.statistics or {}) for check in promised.checks]
        columns.append(
            Column(
                name=column_name,
                dtype=_instance(promised.dtype.type),
                nullable=bool(promised.nullable),
                is_guid=any(statistics.get("pattern") == GUID_PATTERN for _, statistics in known),
                longest=next((statistics["max_value"] for name, statistics in known if name == "str_length"), None),
            )
        )
    return tuple(columns)


def key_of(table: SourceTable) -> tuple[str, ...]:
    """The names of the primary key's columns."""
    unique = table.contract.to_schema().unique or ()
    return (unique,) if isinstance(unique, str) else tuple(unique)


def require_columns(table: SourceTable, present: list[str], where: str) -> None:
    """Raises TableBlocked where `present` lacks a column of the contract, or has one twice; `where` names the place."""
    wanted = [column.name for column in columns_of(table)]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has no column {', '.join(missing)}.")
    twice = [name for name in wanted if present.count(name) > 1]
    if twice:
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has column {', '.join(twice)} more than once.")


def _instance(dtype: pl.DataType | type[pl.DataType]) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype
