"""The tables of the embedded source database, laid out from the contracts.

It stands in for the company's own database, so types and keys are SQL Server's, in the nearest types of PostgreSQL. It
must also be able to hold bad rows, so that the platform can be tried on them: no foreign keys, no CHECK rules, and
NOT NULL on key columns only. nchar becomes varchar, which keeps the padding as it was loaded.

A change made by hand is found like any other: a trigger sets the modification date where an UPDATE left it alone.
"""

from __future__ import annotations

import polars as pl

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import Column, key_of, source_columns_of
from adventureworks.source.postgres_columns import literal, quoted, relation

READER = "source_reader"
"""The role that the platform reads with, if the server has it."""

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
    """SQL that creates every schema, table and trigger that is missing; what is there stays as it is."""
    tables = SOURCE_TABLES.values()
    schemas = sorted({table.schema for table in tables})
    functions = sorted({table.modified for table in tables})
    statements = [f"create schema if not exists {quoted(schema)}" for schema in schemas]
    statements += [_touch_function(column) for column in functions]
    for table in tables:
        statements += [_table(table), _touch_trigger(table)]
    return ";\n".join([*statements, _grants(schemas)])


def missing_columns_script(table: SourceTable) -> str:
    """SQL that adds the columns of the contract that somebody dropped."""
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
    """The primary key; in `Production.Document` a key may be NULL (the root's empty node), which only UNIQUE takes."""
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
