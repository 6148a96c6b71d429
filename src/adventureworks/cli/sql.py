"""`adventureworks sql`: run one query and print its values exactly as the warehouse returns them."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, Literal

import psycopg
from psycopg.types.string import TextLoader
from sqlglot import parse_one
from sqlglot.errors import ParseError
from sqlglot.expressions import Query

from adventureworks.cli.output import console, table
from adventureworks.cli.reading import reading
from adventureworks.errors import PlatformError
from adventureworks.settings import Settings
from adventureworks.warehouse.dialect import reads_data, select_in_environment
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.snowflake import SnowflakeData
from adventureworks.warehouse.snowflake_login import first_line

NUMBERS = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "oid"})
_NO_JSON_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})

Row = Sequence[str | None]
Column = tuple[str, str]
"""Name and type."""


def query(settings: Settings, statement: str, form: Literal["table", "csv", "json"]) -> None:
    """Run one statement and print its rows. Raises `PlatformError` with the warehouse's own message."""
    # It logs what it cannot parse, which the error already reports.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    with reading(settings) as session:
        try:
            here = select_in_environment(statement, settings.environment) if settings.environment else statement
            if isinstance(session.data, SnowflakeData):
                columns, rows = _rows_with_snowflake(session.data, session.records, statement, here)
            else:
                columns, rows = _rows(session.records, here)
            if form == "csv":
                _print_csv(columns, rows)
            elif form == "json":
                _print_json(columns, rows)
            else:
                _print_table(columns, rows)
            sys.stdout.flush()
        except psycopg.Error as error:
            raise PlatformError(f"The query failed: {_first_line(error)}.") from None
        except _query_errors(session) as error:
            raise PlatformError(f"The query failed: {first_line(error)}.") from None


def _query_errors(session: Session) -> tuple[type[Exception], ...]:
    """Return the errors of a statement that cannot be parsed or that Snowflake rejects."""
    if not isinstance(session.data, SnowflakeData):
        return (ParseError, ValueError)
    # Importing the connector takes longer than a query of PostgreSQL.
    from snowflake.connector.errors import DatabaseError

    return (DatabaseError, ParseError, ValueError)


def _rows(connection: Connection, statement: str) -> tuple[list[Column], Iterator[Row]]:
    """Return the columns and the rows, each value as the text that the server sends. Rows are read as needed."""
    # Not the connection's own cursor, which would search for schema names a second time.
    cursor = psycopg.Cursor(connection)
    for known in psycopg.adapters.types:
        cursor.adapters.register_loader(known.oid, TextLoader)
        cursor.adapters.register_loader(known.array_oid, TextLoader)
    stream = cursor.stream(statement.encode())
    first = next(stream, None)
    if first is None:
        # A stream without rows does not provide its columns.
        cursor.execute(statement.encode())
    columns = [(column.name, _type_name(column.type_code)) for column in cursor.description or ()]
    if not columns:
        raise PlatformError("The statement returns no rows.", "Give a single SELECT.")
    return columns, chain(() if first is None else (first,), stream)


def _rows_with_snowflake(
    data: SnowflakeData, records: Connection, statement: str, here: str
) -> tuple[list[Column], Iterator[Row]]:
    """Return columns and rows where the data is in Snowflake. The statement is in PostgreSQL's dialect for both.

    `here` is the statement with the environment's schemas, for the records in PostgreSQL.
    """
    select = parse_one(statement, dialect="postgres")
    if not isinstance(select, Query):
        raise PlatformError("The statement is not a SELECT.", "Give a single SELECT.")
    if not reads_data(select):
        return _rows(records, here)
    found = data.execute(statement)
    columns = [
        (name, _SNOWFLAKE_KINDS.get(column.type_code, "text"))
        for name, column in zip(found.columns, found.description, strict=True)
    ]
    return columns, (tuple(map(_as_postgres_text, row)) for row in found)


_SNOWFLAKE_KINDS = {0: "numeric", 1: "float8", 13: "bool"}


def _as_postgres_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _type_name(oid: int) -> str:
    known = psycopg.adapters.types.get(oid)
    return known.name if known else "text"


def _print_csv(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([name for name, _ in columns])
    out.writerows(_with_booleans(columns, row) for row in rows)


def _print_json(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print a list of objects. Numbers keep every digit, because they are not converted to floating point."""
    separator = "[\n"
    for row in rows:
        members = (
            f"{json.dumps(name)}: {_json(kind, value)}" for (name, kind), value in zip(columns, row, strict=True)
        )
        sys.stdout.write(f"{separator}  {{{', '.join(members)}}}")
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def _print_table(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    numbers = [name for name, kind in columns if kind in NUMBERS]
    shown = [["" if value is None else value for value in _with_booleans(columns, row)] for row in rows]
    console().print(table([name for name, _ in columns], shown, right=numbers))


def _with_booleans(columns: Sequence[Column], row: Row) -> list[str | None]:
    words = {"t": "true", "f": "false"}
    return [
        words.get(value, value) if kind == "bool" and value is not None else value
        for (_, kind), value in zip(columns, row, strict=True)
    ]


def _json(kind: str, value: str | None) -> str:
    if value is None:
        return "null"
    if kind == "bool":
        return "true" if value == "t" else "false"
    if kind in ("json", "jsonb") or (kind in NUMBERS and value not in _NO_JSON_NUMBERS):
        return value
    return json.dumps(value, ensure_ascii=False)


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error).strip().splitlines()[0]).rstrip(".")
