"""The tables of the embedded source database, derived from the contracts.

The database stands in for the company's own, so keys and types are SQL Server's, mapped to the nearest PostgreSQL
types. It must accept bad rows, so that the platform can be tested with them: there are no foreign keys or CHECK
constraints, and only key columns are NOT NULL. nchar becomes varchar, which keeps the padding as loaded.

Manual changes are detected like any others: if an UPDATE does not set the modification date, a trigger does.
"""

from __future__ import annotations

import polars as pl

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import Column, key_of, source_columns_of
from adventureworks.postgres_sql import literal, quoted
from adventureworks.source.postgres_columns import relation

READER = "source_reader"
"""The role that the platform reads with, if it exists on the server."""

_NOW = "(pg_catalog.clock_timestamp() at time zone 'UTC')"
_FUNCTIONS_SCHEMA = "dbo"
_TYPES: dict[type[pl.DataType], str] = {
    pl.Int64: "bigint",
    pl.Int32: "integer",
    pl.Int16: "smallint",
    pl.UInt8: "smallint",
    pl.Boolean: "boolean",
    pl.Datetime: "timestamp",
    pl.Date: "date",
    pl.Time: "time",
}


def schema_script() -> str:
    """Return SQL that creates missing schemas, tables and triggers, and leaves existing ones unchanged."""
    tables = SOURCE_TABLES.values()
    schemas = sorted({table.schema for table in tables})
    functions = sorted({table.modified for table in tables})
    statements = [f"create schema if not exists {quoted(schema)}" for schema in schemas]
    statements += [_touch_function(column) for column in functions]
    for table in tables:
        statements += [_table(table), _touch_trigger(table)]
    return ";\n".join([*statements, _grants(schemas)])


def missing_columns_script(table: SourceTable) -> str:
    """Return SQL that adds the contract's columns that were dropped."""
    added = ", ".join(f"add column if not exists {_column(column, table)}" for column in source_columns_of(table))
    return f"alter table {relation(table)} {added}"


def _table(table: SourceTable) -> str:
    columns = [_column(column, table) for column in source_columns_of(table)]
    return f"create table if not exists {relation(table)} ({', '.join([*columns, _key(table)])})"


def _column(column: Column, table: SourceTable) -> str:
    default = f" default {_NOW}" if column.name == table.modified else ""
    return f"{quoted(column.name)} {_type(column)}{default}"


def _type(column: Column) -> str:
    dtype = column.dtype
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision}, {dtype.scale})"
    if dtype == pl.String:
        return "uuid" if column.is_guid else f"varchar({column.longest})" if column.longest else "text"
    return _TYPES[type(dtype)]


def _key(table: SourceTable) -> str:
    """Return the primary key, or UNIQUE if the key may be NULL, as for the root node of `Production.Document`."""
    names = key_of(table)
    nullable = {column.name for column in source_columns_of(table) if column.nullable}
    kind = "unique nulls not distinct" if nullable & set(names) else "primary key"
    return f"{kind} ({', '.join(map(quoted, names))})"


def _touch_function(column: str) -> str:
    name = quoted(column)
    return f"""create or replace function {_touch(column)} returns trigger language plpgsql as $$
begin
    if new.{name} is not distinct from old.{name} then
        new.{name} := {_NOW};
    end if;
    return new;
end $$"""


def _touch_trigger(table: SourceTable) -> str:
    return (
        f"create or replace trigger touch before update on {relation(table)} "
        f"for each row execute function {_touch(table.modified)}"
    )


def _touch(column: str) -> str:
    return f"{quoted(_FUNCTIONS_SCHEMA)}.{quoted(f'touch_{column}')}()"


def _grants(schemas: list[str]) -> str:
    names = ", ".join(map(quoted, schemas))
    return f"""do $$ begin
    if exists (select from pg_catalog.pg_roles where rolname = {literal(READER)}) then
        grant usage on schema {names} to {READER};
        grant select on all tables in schema {names} to {READER};
    end if;
end $$"""
