"""The columns of a SQL Server source according to its catalogue, and how each is selected and converted to Arrow.

Decimals, dates and all types unknown to Arrow are transferred as text that the server formats: exact, and independent
of the driver, its version and the server's language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from adventureworks.catalog import SourceTable
from adventureworks.errors import Step, TableBlocked
from adventureworks.source.declared import ColumnLookup, StoredTable, stored_tables
from adventureworks.source.editions import feeds_in
from adventureworks.source.sqlserver_sql import literal, quoted, relation

_LONGEST_NVARCHAR = 4000
_CLR_BYTES = {"hierarchyid": "varbinary(892)", "geography": "varbinary(max)", "geometry": "varbinary(max)"}
_BYTES = frozenset({"binary", "varbinary", "image", "timestamp"})
_DATES = frozenset({"date", "datetime", "datetime2", "smalldatetime", "datetimeoffset"})
_DECIMALS = frozenset({"decimal", "numeric", "money", "smallmoney"})
_PADDED = frozenset({"char", "nchar"})

_ARROW_TYPES: Mapping[str, pa.DataType] = {
    "tinyint": pa.uint8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "bit": pa.bool_(),
    "real": pa.float32(),
    "float": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "datetime": pa.timestamp("us"),
    "datetime2": pa.timestamp("us"),
    "smalldatetime": pa.timestamp("us"),
    "datetimeoffset": pa.timestamp("us", "UTC"),
}
"""Other types are text, or decimals with their declared precision."""


@dataclass(frozen=True)
class SqlServerColumn:
    """A column of the source; `type_name` is the system type behind an alias such as `dbo.Name`."""

    name: str
    """The name in the contract."""
    stored: str
    """The name in the source, which may differ in case."""
    type_name: str
    max_length: int
    """In bytes; -1 if unlimited."""
    precision: int
    scale: int
    nullable: bool
    masked: bool = False
    """Whether the login sees a mask instead of the values."""

    @property
    def declared(self) -> str:
        """The type as written in T-SQL."""
        if self.type_name in {"decimal", "numeric"}:
            return f"{self.type_name}({self.precision},{self.scale})"
        if self.type_name in {"time", "datetime2", "datetimeoffset"}:
            return f"{self.type_name}({self.scale})"
        if self.type_name in {"char", "varchar", "binary", "varbinary", "nchar", "nvarchar"}:
            return f"{self.type_name}({'max' if self.max_length < 0 else self.characters})"
        return self.type_name

    @property
    def characters(self) -> int:
        """The maximum length of a value, in characters or bytes."""
        return self.max_length // 2 if self.type_name.startswith("n") else self.max_length

    @property
    def reference(self) -> str:
        """The column of table `t`, quoted."""
        return f"t.{quoted(self.stored)}"

    @property
    def expression(self) -> str:
        """The expression to select."""
        column = self.reference
        render = _EXPRESSIONS.get(self.type_name)
        if render is not None:
            return render(column)
        if self.type_name in {"nchar", "nvarchar"} | _ARROW_TYPES.keys():
            return column
        if self.type_name in {"decimal", "numeric"}:
            return f"convert(varchar(41), {column})"
        # Converted to Unicode by the server, so that the column's code page does not matter.
        bounded = self.type_name in {"char", "varchar"} and 0 < self.max_length <= _LONGEST_NVARCHAR
        return f"convert(nvarchar({self.max_length if bounded else 'max'}), {column})"

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the values."""
        if self.type_name in _DECIMALS:
            return pa.decimal128(self.precision, self.scale)
        return _ARROW_TYPES.get(self.type_name, pa.string())

    @property
    def is_date(self) -> bool:
        """Whether the column can hold the time of a row's last change."""
        return self.type_name in _DATES - {"datetimeoffset"}

    @property
    def is_unlimited(self) -> bool:
        """Whether values have no maximum length."""
        return self.max_length < 0 or self.type_name in {"image", "text", "ntext", "xml", *_CLR_BYTES}

    def to_arrow(self, values: Sequence[Any], asset: str) -> pa.Array:
        """Return the driver's values as an array of the column's type. Raises `TableBlocked` if one does not fit."""
        try:
            if self.type_name == "bit":
                return pa.array([None if value is None else bool(value) for value in values], pa.bool_())
            if self.type_name in _PADDED:
                return pa.array([None if text is None else text.ljust(self.characters) for text in values], pa.string())
            if self.type_name in _DATES | _DECIMALS | {"time"}:
                return self._from_text(pa.array(values, pa.string()))
            return pa.array(values, self.arrow_type)
        except (pa.ArrowException, OverflowError, TypeError, ValueError, AttributeError) as error:
            raise TableBlocked(
                asset,
                "column_types_are_kept",
                f"column {self.name} ({self.declared}) contains a value that cannot be converted to {self.arrow_type}.",
            ) from error

    def _from_text(self, texts: pa.Array) -> pa.Array:
        if self.type_name == "datetimeoffset":
            return pc.assume_timezone(pc.cast(texts, pa.timestamp("us")), "UTC")
        if self.type_name == "time":
            return pa.array(
                [None if text is None else time.fromisoformat(text) for text in texts.to_pylist()], self.arrow_type
            )
        return pc.cast(texts, self.arrow_type)

    def literal(self, text: str | None) -> str:
        """Return a value, given as text in the format of `expression`, as an SQL literal of the column's type."""
        if text is None:
            return f"cast(null as {self.declared})"
        if self.type_name in _CLR_BYTES.keys() | _BYTES:
            digits = text.removeprefix("0x")
            return f"cast(0x{digits if _is_hexadecimal(digits) else ''} as {self.declared})"
        return f"cast({literal(text)} as {self.declared})"


def _bytes_expression(column: str) -> str:
    return f"convert(varchar(max), convert(varbinary(max), {column}), 2)"


def _clr_expression(type_name: str) -> Callable[[str], str]:
    return lambda column: f"convert(varchar(max), cast({column} as {_CLR_BYTES[type_name]}), 2)"


_EXPRESSIONS: Mapping[str, Callable[[str], str]] = {
    # Style 2 keeps all four decimal places of money; other styles round to two.
    "money": lambda column: f"convert(varchar(30), {column}, 2)",
    "smallmoney": lambda column: f"convert(varchar(30), {column}, 2)",
    "date": lambda column: f"convert(varchar(10), {column}, 23)",
    "time": lambda column: f"convert(varchar(15), {column}, 121)",
    # Style 121 rounds 1/300 s ticks to milliseconds, as SQL Server itself displays and exports them.
    "datetime": lambda column: f"convert(varchar(23), {column}, 121)",
    "smalldatetime": lambda column: f"convert(varchar(23), {column}, 121)",
    "datetime2": lambda column: f"convert(varchar(26), {column}, 121)",
    "datetimeoffset": lambda column: f"convert(varchar(26), cast(switchoffset({column}, 0) as datetime2(6)), 121)",
    "uniqueidentifier": lambda column: f"lower(convert(varchar(36), {column}))",
    **{name: _clr_expression(name) for name in _CLR_BYTES},
    **dict.fromkeys(_BYTES, _bytes_expression),
}

_UNKNOWN = dict.fromkeys(("row_count", "oldest_version", "begin_version"))

Columns = Mapping[str, StoredTable[SqlServerColumn]]
"""The tables of the source, by asset."""


def by_asset(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the rows of the query for tables by the asset for which they stand; ambiguous ones are left out.

    Of a table that only some rows of a stored one belong to, the number of rows and the tracked changes are unknown.
    """
    stored = {f"{row['schema_name']}.{row['table_name']}": row for row in rows}
    return {
        asset: {**stored[names[0]], **(_UNKNOWN if feed.is_partial else {})}
        for asset, (feed, names) in feeds_in(stored).items()
        if len(names) == 1
    }


def columns_from(
    rows: Iterable[Mapping[str, Any]], tables: Iterable[SourceTable]
) -> dict[str, StoredTable[SqlServerColumn]]:
    """Return the stored tables from the catalogue query's rows, by asset."""
    return stored_tables(rows, tables, quoted, _column)


def _column(name: str, row: Mapping[str, Any]) -> SqlServerColumn:
    return SqlServerColumn(
        name,
        row["column_name"],
        row["type_name"],
        int(row["max_length"]),
        int(row["precision"]),
        int(row["scale"]),
        bool(row["is_nullable"]),
        bool(row.get("is_masked")),
    )


def _is_hexadecimal(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)


_LOOKUP: ColumnLookup[SqlServerColumn] = ColumnLookup(
    relation,
    lambda table: Step(
        "Restore it, or have an administrator run:", f"GRANT SELECT ON {relation(table)} TO the login's user;"
    ),
)
present_columns = _LOOKUP.present
key_columns = _LOOKUP.key
contract_columns = _LOOKUP.of_contract
modified_column = _LOOKUP.modified
