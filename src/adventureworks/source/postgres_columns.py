"""The columns of a PostgreSQL source according to its catalogue, and how each is selected and converted to Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from adventureworks.catalog import SourceTable
from adventureworks.errors import Step, TableBlocked
from adventureworks.postgres_sql import literal, quoted
from adventureworks.source.declared import ColumnLookup, StoredTable, stored_tables
from adventureworks.source.editions import schemas
from adventureworks.source.values import within_calendar

CATALOGUE_QUERY = """
select n.nspname::text as schema_name, c.relname::text as table_name, a.attname::text as column_name,
       coalesce(b.typname, t.typname)::text as type_name,
       (case when b.oid is null then a.atttypmod else t.typtypmod end)::int4 as modifier,
       pg_catalog.format_type(a.atttypid, a.atttypmod)::text as declared,
       not a.attnotnull as nullable, c.relkind in ('r', 'm') and not c.relhassubclass as is_stored
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_type b on b.oid = t.typbasetype and t.typtype = 'd'
where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and lower(n.nspname::text) in ({schemas})
"""
"""One row per column of every table in the schemas, whatever their case; domains appear as their base types."""

RELATIONS_QUERY = """
select n.nspname || '.' || c.relname as name
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^(pg_|information_schema$)'
"""

_ARROW_TYPES = frozenset(
    {"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar", "date", "timestamp", "time"}
    | {"timestamptz", "numeric"}
)
_INTEGERS = frozenset({"int2", "int4", "int8"})
_DATES = frozenset({"date", "timestamp", "timestamptz"})
_WIDEST_DECIMAL = 38
_MODIFIER_OFFSET = 4


@dataclass(frozen=True)
class PostgresColumn:
    """A column of the source, under its name in the contract."""

    name: str
    stored: str
    """The name in the source, which may differ in case."""
    type_name: str
    modifier: int
    declared: str
    nullable: bool
    is_stored: bool
    """Whether its values are in the table itself: views and partitions may show rows of another database."""

    @property
    def reference(self) -> str:
        """The column of table `t`, quoted."""
        return f"t.{quoted(self.stored)}"

    @property
    def expression(self) -> str:
        """What to select: UUIDs, XML and other types unknown to Arrow as text, bytes as hexadecimal text."""
        column = self.reference
        if self.type_name in _ARROW_TYPES:
            return f"{column}::pg_catalog.{self.type_name}" if self.is_domain else column
        if self.type_name == "bytea":
            return f"pg_catalog.upper(pg_catalog.encode({column}, 'hex'))"
        return f"{column}::pg_catalog.{self.delivered_type}"

    @property
    def delivered_type(self) -> str:
        """The PostgreSQL type of the expression."""
        if self.type_name in _ARROW_TYPES:
            return self.type_name
        return "numeric" if self.type_name == "money" else "text"

    @property
    def is_domain(self) -> bool:
        """Whether the column's declared type is a domain; casting other columns would lose padding and precision."""
        plain = self.declared.split("(")[0].strip('"')
        return plain not in _DECLARED.get(self.type_name, frozenset())

    @property
    def is_integer(self) -> bool:
        """Whether the column holds whole numbers."""
        return self.type_name in _INTEGERS

    @property
    def is_date(self) -> bool:
        """Whether the column can hold the time of a row's last change."""
        return self.type_name in _DATES

    def to_arrow(self, values: pa.Array, asset: str) -> pa.Array:
        """Return the driver's values with exact decimals. Raises `TableBlocked` if one is not a finite number."""
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        if self.delivered_type != "numeric":
            return within_calendar(values)
        try:
            return pc.cast(values, self._decimal(values))
        except pa.ArrowInvalid as error:
            raise TableBlocked(
                asset,
                "numbers_are_finite",
                f"column {self.name} contains NaN, infinity, or a number with more than {_WIDEST_DECIMAL} digits.",
            ) from error

    def _decimal(self, values: pa.Array) -> pa.Decimal128Type:
        """Return the declared precision and scale; if none is declared, as many decimal places as the values have."""
        declared = self.modifier - _MODIFIER_OFFSET
        precision, scale = (declared >> 16) & 0xFFFF, declared & 0x7FF
        if self.modifier >= _MODIFIER_OFFSET and scale <= precision <= _WIDEST_DECIMAL:
            return pa.decimal128(precision, scale)
        point = pc.find_substring(values, ".")
        places = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(pc.binary_length(values), point), 1))
        return pa.decimal128(_WIDEST_DECIMAL, min(pc.max(places).as_py() or 0, _WIDEST_DECIMAL))


_DECLARED: Mapping[str, frozenset[str]] = {
    "int2": frozenset({"smallint"}),
    "int4": frozenset({"integer"}),
    "int8": frozenset({"bigint"}),
    "float4": frozenset({"real"}),
    "float8": frozenset({"double precision"}),
    "bool": frozenset({"boolean"}),
    "text": frozenset({"text"}),
    "varchar": frozenset({"character varying"}),
    "bpchar": frozenset({"character", "bpchar"}),
    "date": frozenset({"date"}),
    "timestamp": frozenset({"timestamp", "timestamp without time zone"}),
    "timestamptz": frozenset({"timestamp", "timestamp with time zone"}),
    "time": frozenset({"time", "time without time zone"}),
    "numeric": frozenset({"numeric"}),
}
"""How `format_type` spells each type, up to the parenthesis."""


Columns = Mapping[str, StoredTable[PostgresColumn]]
"""The tables of the source, by asset."""


def catalogue_query() -> str:
    """Return the query for the columns of every table in the schemas that the platform reads, in any edition."""
    return CATALOGUE_QUERY.format(schemas=", ".join(literal(schema) for schema in schemas()))


def columns_from(
    rows: Iterable[Mapping[str, Any]], tables: Iterable[SourceTable]
) -> dict[str, StoredTable[PostgresColumn]]:
    """Return the stored tables from the catalogue query's rows, by asset."""
    return stored_tables(rows, tables, quoted, _column)


def _column(name: str, row: Mapping[str, Any]) -> PostgresColumn:
    return PostgresColumn(
        name,
        row["column_name"],
        row["type_name"],
        row["modifier"],
        row["declared"],
        row["nullable"],
        row["is_stored"],
    )


def relation(table: SourceTable) -> str:
    """Return the table's quoted name with its schema, as in the original AdventureWorks."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"


_LOOKUP: ColumnLookup[PostgresColumn] = ColumnLookup(
    relation,
    lambda table: Step("Restore the table, or have its owner run:", f"GRANT SELECT ON {relation(table)} TO the login;"),
)
present_columns = _LOOKUP.present
key_columns = _LOOKUP.key
contract_columns = _LOOKUP.of_contract
modified_column = _LOOKUP.modified
