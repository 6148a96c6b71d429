"""The columns of a table according to its contract, for code that reads, lays out, stages or checks the table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pandera.polars import DataFrameModel

    from adventureworks.catalog import Mart, SourceTable


@dataclass(frozen=True)
class Derivation:
    """The origin of a column that the source does not have: an element of one of its XML columns."""

    column: str
    root: str
    """The name of the XML root with its namespace: `{namespace}name`."""
    element: str


@dataclass(frozen=True)
class Column:
    """A column as the contract defines it."""

    name: str
    dtype: pl.DataType
    nullable: bool
    is_guid: bool = False
    is_hex: bool = False
    is_padded: bool = False
    """Whether the source may pad the text with blanks that are not part of the value."""
    is_xml: bool = False
    longest: int | None = None
    """The maximum length of a text, in characters; None: any length, or not a text."""
    description: str = ""
    """The meaning in English, without the unit. Readers see the definitions of `dictionary`."""
    unit: str = ""
    """The unit of a mart's column; empty for identifiers, texts, dates and yes/no, and for source tables."""
    is_hierarchy: bool = False
    """Whether the column is a hierarchyid, which some sources deliver as a path."""
    computed: pl.Expr | None = field(default=None, compare=False)
    """How to compute the column if the source leaves it out; None if the source must have it."""
    derivation: Derivation | None = None
    """None if the column comes unchanged from the source or the model."""


def columns_of(entry: SourceTable | Mart) -> tuple[Column, ...]:
    """Return the columns of a table or mart, in the contract's order."""
    return columns_of_contract(entry.contract)


def source_columns_of(entry: SourceTable | Mart) -> tuple[Column, ...]:
    """Return the columns that come from the source, in the contract's order; `computed` ones may be absent from it."""
    return tuple(column for column in columns_of(entry) if column.derivation is None)


def with_computed(entry: SourceTable | Mart, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame, in the contract's types, with the columns that the source left out and that can be computed."""
    return frame.with_columns(
        column.computed.cast(column.dtype, strict=False).alias(column.name)
        for column in source_columns_of(entry)
        if column.computed is not None and column.name not in frame.columns
    )


def digest_of_columns(entry: SourceTable | Mart) -> str:
    """Return a digest that changes when a column is added or removed, or when its type or origin changes."""
    described = "\n".join(
        f"{column.name} {column.dtype} {column.derivation}{' padded' if column.is_padded else ''}"
        f"{' computed' if column.computed is not None else ''}{' hierarchy' if column.is_hierarchy else ''}"
        for column in columns_of(entry)
    )
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def key_of(entry: SourceTable | Mart) -> tuple[str, ...]:
    """Return the names of the primary key's columns."""
    unique = entry.contract.to_schema().unique or ()
    return (unique,) if isinstance(unique, str) else tuple(unique)


def version_of(entry: SourceTable | Mart) -> str:
    """Return the version of the contract, MAJOR.MINOR."""
    metadata: Mapping[str, str] = getattr(entry.contract.Config, "metadata", {})
    return metadata["version"]


def keys_as_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> tuple[str, ...]:
    """Return readable keys, such as `SalesOrderID=43659, SalesOrderDetailID=17`; none if no column may be shown."""
    return tuple(", ".join(f"{name}={value}" for name, value in zip(columns, row, strict=True)) for row in rows if row)


@lru_cache(maxsize=256)
def columns_of_contract(contract: type[DataFrameModel]) -> tuple[Column, ...]:
    """Return the columns that a contract defines, in its order."""
    # Imported here because it imports Pandera and pandas, which takes half a second that most commands can save.
    from contracts.columns import GUID_PATTERN, HEX_PATTERN, XML_PATTERN, unit_of

    columns = []
    for name, promised in contract.to_schema().columns.items():
        rules = [(check.name, check.statistics or {}) for check in promised.checks]
        metadata = promised.metadata or {}
        dtype = _instance(promised.dtype.type)
        columns.append(
            Column(
                name=name,
                dtype=dtype,
                nullable=bool(promised.nullable),
                is_guid=any(statistics.get("pattern") == GUID_PATTERN for _, statistics in rules),
                is_hex=any(statistics.get("pattern") == HEX_PATTERN for _, statistics in rules),
                is_xml=any(statistics.get("pattern") == XML_PATTERN for _, statistics in rules),
                is_padded=bool(metadata.get("padded")),
                longest=next((statistics["max_value"] for rule, statistics in rules if rule == "str_length"), None),
                description=promised.description or "",
                unit=(metadata["unit"] or unit_of(name, dtype) or "") if "unit" in metadata else "",
                is_hierarchy=bool(metadata.get("hierarchy")),
                computed=metadata.get("computed"),
                derivation=Derivation(*origin) if (origin := metadata.get("derived_from")) else None,
            )
        )
    return tuple(columns)


def _instance(dtype: pl.DataType | type[pl.DataType]) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype
