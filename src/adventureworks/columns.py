"""What a contract says of a table's columns, for those who read, lay out, stage or check the table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pandera.polars import DataFrameModel

    from adventureworks.catalog import Mart, SourceTable


@dataclass(frozen=True)
class Derivation:
    """Where the value of a column is found that the source does not have: an element of one of its XML columns."""

    column: str
    root: str
    """The name of the XML's root, in its namespace: `{namespace}name`."""
    element: str


@dataclass(frozen=True)
class Column:
    """One column, as the contract promises it."""

    name: str
    dtype: pl.DataType
    nullable: bool
    is_guid: bool = False
    is_hex: bool = False
    is_padded: bool = False
    """Whether the source may fill the text up with blanks, which are no part of the value."""
    is_xml: bool = False
    longest: int | None = None
    """Most characters of a text; None: any length, or no text."""
    description: str = ""
    derivation: Derivation | None = None
    """None: the column comes as it is, from the source or the model."""


def columns_of(entry: SourceTable | Mart) -> tuple[Column, ...]:
    """The columns of a table or mart, in the contract's order."""
    return _columns(entry.contract)


def source_columns_of(entry: SourceTable | Mart) -> tuple[Column, ...]:
    """The columns that the source itself has to have, in the contract's order."""
    return tuple(column for column in columns_of(entry) if column.derivation is None)


def digest_of_columns(entry: SourceTable | Mart) -> str:
    """Changes when a column comes, goes, or gets its values in another way or type."""
    described = "\n".join(
        f"{column.name} {column.dtype} {column.derivation}{' padded' if column.is_padded else ''}"
        for column in columns_of(entry)
    )
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def key_of(entry: SourceTable | Mart) -> tuple[str, ...]:
    """The names of the primary key's columns."""
    unique = entry.contract.to_schema().unique or ()
    return (unique,) if isinstance(unique, str) else tuple(unique)


def shown_key_of(entry: SourceTable) -> tuple[str, ...]:
    """The key's columns that messages may show: none that is personal or protected."""
    return tuple(name for name in key_of(entry) if name not in {*entry.personal, *entry.protected})


def keys_as_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> tuple[str, ...]:
    """Keys for people, such as `SalesOrderID=43659, SalesOrderDetailID=17`; none where no column may be shown."""
    return tuple(", ".join(f"{name}={value}" for name, value in zip(columns, row, strict=True)) for row in rows if row)


@lru_cache(maxsize=256)
def _columns(contract: type[DataFrameModel]) -> tuple[Column, ...]:
    # Imports Pandera, and with it pandas: half a second that most commands need not take.
    from contracts.columns import GUID_PATTERN, HEX_PATTERN, XML_PATTERN

    columns = []
    for name, promised in contract.to_schema().columns.items():
        rules = [(check.name, check.statistics or {}) for check in promised.checks]
        columns.append(
            Column(
                name=name,
                dtype=_instance(promised.dtype.type),
                nullable=bool(promised.nullable),
                is_guid=any(statistics.get("pattern") == GUID_PATTERN for _, statistics in rules),
                is_hex=any(statistics.get("pattern") == HEX_PATTERN for _, statistics in rules),
                is_xml=any(statistics.get("pattern") == XML_PATTERN for _, statistics in rules),
                is_padded=bool((promised.metadata or {}).get("padded")),
                longest=next((statistics["max_value"] for rule, statistics in rules if rule == "str_length"), None),
                description=promised.description or "",
                derivation=Derivation(*origin) if (origin := (promised.metadata or {}).get("derived_from")) else None,
            )
        )
    return tuple(columns)


def _instance(dtype: pl.DataType | type[pl.DataType]) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype
