"""Snowflake as the warehouse: the data is there, the platform's records (`ops`) in the PostgreSQL beside Airflow.

Records are many small rows under locks, read at every poll; in Snowflake they would keep a warehouse running all day,
and Snowflake has no row locks. So a session has two sides, see `session`. Rows in quarantine are data, because
they are compared with staged rows. A commit reaches Snowflake first, then the records, which say what was done;
`gate.publish` finds a run that died between the two commits, and repeats its work.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import polars as pl
import psycopg
import pyarrow as pa
from pyarrow import parquet

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.columns import columns_of
from adventureworks.errors import ServiceUnavailable, Step
from adventureworks.postgres_sql import literal
from adventureworks.settings import Settings
from adventureworks.warehouse import use
from adventureworks.warehouse.dialect import (
    Parameters,
    Schemas,
    rewritten,
    snowflake_name,
    types_of,
    with_named_parameters,
)
from adventureworks.warehouse.environments import SCHEMAS, environment_of, schema_of
from adventureworks.warehouse.postgres import Append, Records
from adventureworks.warehouse.session import Contents, Kind, Session
from adventureworks.warehouse.snowflake_login import first_line, sign_in, task_context

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

ROWS_IN_A_STATEMENT = 100
"""Limited because the driver writes the values into the statement, and Snowflake refuses statements over a megabyte."""

STAGE = "LOADS"
"""The stage, in the staging schema, through which rows are loaded."""


class SnowflakeWarehouse:
    """A Snowflake database that holds the published tables, and a PostgreSQL database with the records of them."""

    def __init__(self, settings: Settings, records: Records) -> None:
        self._settings = settings
        self._records = records
        self._schemas = schemas_of(settings)

    @contextmanager
    def signed_in(self, schema: str, purpose: str) -> Iterator[SnowflakeConnection]:
        """Open a plain Snowflake connection in one of the platform's schemas, for libraries that need one.

        The number of statements sent over it is recorded.
        """
        with _lost_is_unavailable():
            connection = sign_in(self._settings, purpose)
            try:
                connection.cursor().execute(f"use schema {snowflake_name(dict(self._schemas)[schema])}")
                yield connection
            finally:
                connection.close()
                self._record_use(purpose, connection.sequence_counter)

    def rewritten(self, query: str) -> str:
        """Return a SELECT without parameters in Snowflake's dialect."""
        return rewritten(query, self._schemas).sql

    @contextmanager
    def connect(self, purpose: str = "adventureworks", *, counted: bool = True) -> Iterator[Session]:
        """Open a session that commits when the block succeeds and rolls back when it raises.

        The session signs in to Snowflake only when a statement first touches data. The number of statements sent is
        recorded, unless `counted` is false because the records are read-only.
        Raises `ServiceUnavailable` if a server does not answer or the connection is lost.
        """
        data = SnowflakeData(self._settings, purpose)
        try:
            with self._records.connect(purpose) as records:
                try:
                    with _lost_is_unavailable():
                        yield Session(data, records, commits_twice=True)
                        data.commit()
                finally:
                    data.close()
        finally:
            if counted and data.statements:
                self._record_use(purpose, data.statements)

    def _record_use(self, purpose: str, statements: int) -> None:
        """Record how many statements a session sent, even if it failed."""
        # An error here must not hide the session's own result; the session may also have dropped the environment.
        with suppress(ServiceUnavailable, psycopg.Error), self._records.connect(purpose) as records:
            use.record(records, purpose, statements, task_context())

    @contextmanager
    def bulk_loader(self) -> Iterator[Append]:
        """Return a function that appends frames, batch by batch; each batch is committed."""
        with self.connect("load") as session:

            def append(schema: str, name: str, frame: pl.DataFrame) -> None:
                if frame.height:
                    session.data.fill(schema, name, frame)
                    session.commit()

            yield append


class SnowflakeData:
    """The side of a session with the data, in Snowflake. It signs in when the first statement is sent."""

    enforces_keys = False
    digests_key_ranges = False

    def __init__(self, settings: Settings, purpose: str) -> None:
        self._settings = settings
        self.purpose = purpose
        self._connection: SnowflakeConnection | None = None
        self._schemas = schemas_of(settings)
        self.statements = 0
        """The number of statements sent to Snowflake."""
        self.target = f"snowflake {settings.snowflake_connection} {settings.snowflake_database} {self._schemas}"

    def make_schemas(self, schemas: Iterable[str]) -> None:
        """Create the schemas that are missing, and the load stage."""
        real = dict(self._schemas)
        # Listed first: a role that may not create schemas may not even use "if not exists".
        existing = self._schema_names()
        for schema in schemas:
            if real[schema] not in existing:
                self._send(f"create schema {snowflake_name(real[schema])}")
        self._send(f"create stage if not exists {self._table('staging', STAGE)}")

    def drop_schemas(self, schemas: Iterable[str]) -> None:
        """Drop the schemas of an environment and everything in them."""
        real = dict(self._schemas)
        # The schema that identifies an environment is created first and dropped last, so that an interrupted drop can
        # be repeated.
        for schema in reversed(tuple(schemas)):
            self._send(f"drop schema if exists {snowflake_name(real[schema])} cascade")

    def environments(self) -> set[str]:
        """Return the names of the environments that have schemas in Snowflake."""
        first = self._settings.snowflake_raw_schema
        return {environment_of(schema, first) for schema in self._schema_names()} - {""}

    def _schema_names(self) -> set[str]:
        return {name for (name,) in self._send("select schema_name from information_schema.schemata").fetchall()}

    def columns_in(self, schema: str) -> dict[str, set[str]]:
        """Return the columns of each table and view of an asset in a schema, as the contracts spell them."""
        real = dict(self._schemas)[schema]
        cursor = self._send(
            f"select table_name, column_name from information_schema.columns where table_schema = '{real}'"
        )
        found: dict[str, set[str]] = {}
        for name, column in cursor.fetchall():
            found.setdefault(name, set()).add(column)
        entries: list[SourceTable | Mart] = [*SOURCE_TABLES.values(), *MARTS.values()]
        by_name = {entry.asset.upper(): entry for entry in entries}
        spelt: dict[str, set[str]] = {}
        for name, columns in found.items():
            # The platform's own tables are named after an asset, such as `X__rows`, and add columns such as `__same`.
            asset, separator, suffix = name.partition("__")
            if entry := by_name.get(asset):
                spellings = {one.name.upper(): one.name for one in columns_of(entry)}
                spelt[f"{entry.asset}{separator}{suffix.lower()}"] = {
                    spellings.get(column, column.lower()) for column in columns
                }
        return spelt

    def views_in(self, schema: str) -> set[str]:
        """Return no names: an environment in Snowflake reuses nothing of another."""
        return set()

    def describe(self, schema: str, name: str, comment: str, columns: Mapping[str, str]) -> None:
        """Write the descriptions of a table and its columns to Snowflake, as comments."""
        full = self._table(schema, name)
        self._send(f"comment on table {full} is {literal(comment)}")
        if columns:
            texts = ", ".join(
                f"column {snowflake_name(column)} comment {literal(text)}" for column, text in columns.items()
            )
            self._send(f"alter table {full} modify {texts}")

    def execute(self, query: str, parameters: Parameters = None) -> SnowflakeRows:
        """Run a statement and return its rows."""
        text, values = with_named_parameters(query, parameters)
        statement = rewritten(text, self._schemas, types_of(values))
        cursor = self._send(statement.sql, values or None)
        columns = statement.columns
        if "*" in columns:
            columns = tuple(column.name.lower() for column in cursor.description or ())
        return SnowflakeRows(cursor, columns)

    def replace(self, kind: Kind, relation: str, definition: str, parameters: Parameters = None) -> None:
        """Create a table or view with this definition, in place of one of the same name."""
        self.execute(f"create or replace {kind} {relation} {definition}", parameters)

    def batches(self, query: str, most: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a SELECT in parts of at most `most` rows."""
        rows = self.execute(query)
        while part := rows.fetchmany(most):
            yield part

    def frames(self, query: str, schema: Mapping[str, pl.DataType], most: int) -> Iterator[pl.DataFrame]:
        """Yield the rows of a SELECT with the columns of `schema`, in parts of at most `most` rows."""
        for rows in self.batches(query, most):
            yield pl.DataFrame(rows, schema=schema, orient="row")

    def executemany(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run an INSERT for each row, with many rows in a statement."""
        found = list(rows)
        if not found:
            return
        text, values = with_named_parameters(query, found[0])
        statement = rewritten(text, self._schemas, types_of(values))
        for first in range(0, len(found), ROWS_IN_A_STATEMENT):
            part = [dict(zip(values, row, strict=True)) for row in found[first : first + ROWS_IN_A_STATEMENT]]
            self.statements += 1
            self._cursor().executemany(statement.sql, part)

    def frame(self, query: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a SELECT, typed as on the PostgreSQL side: see `postgres.rows_of`."""
        cursor = self.execute(query, parameters)
        schema = {name: _dtype(column) for name, column in zip(cursor.columns, cursor.description, strict=True)}
        return pl.DataFrame(cursor.fetchall(), schema=schema, orient="row")

    def contents(self, schema: str, name: str, columns: Iterable[str]) -> Contents:
        """Return row count and digest of a table or view, as the PostgreSQL side does, but with Snowflake's hash."""
        hashed = ", ".join(map(snowflake_name, columns))
        count, digest = self._send(
            f"select count(*), coalesce(cast(sum(cast(hash({hashed}) as number(38, 2))) as varchar), '')"
            f" from {self._table(schema, name)}"
        ).fetchone() or (0, "")
        return [int(count), digest]

    def written(self, schema: str, name: str, columns: Iterable[str]) -> Contents:
        """Return the contents of a table: Snowflake does not tell which rows were written."""
        return self.contents(schema, name, columns)

    def fill(self, schema: str, name: str, frame: pl.DataFrame) -> None:
        """Append a frame to a table: upload it to the stage as Parquet, and copy it from there by column name."""
        stage = self._table("staging", STAGE)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{uuid4().hex}.parquet")
            parquet.write_table(_for_copy_into(frame.rename(str.upper).to_arrow()), path)
            self._send(f"put 'file://{path}' @{stage} auto_compress = false")
        self._send(
            f"copy into {self._table(schema, name)} from @{stage}/{path.name}"
            " file_format = (type = parquet use_logical_type = true) match_by_column_name = case_insensitive"
            " purge = true"
        )

    def update_statistics(self, schema: str, name: str) -> None:
        """Do nothing: Snowflake maintains statistics automatically."""

    def avoid_nested_loops(self) -> None:
        """Do nothing: Snowflake joins whole tables anyway."""

    def add_index(self, schema: str, name: str, columns: Sequence[str]) -> None:
        """Do nothing: Snowflake has no indexes."""

    def commit(self) -> None:
        """Commit the statements since the last commit."""
        if self._connection is not None:
            self._connection.commit()

    def rollback(self) -> None:
        """Roll back everything since the last commit, except that created tables and views stay."""
        if self._connection is not None:
            self._connection.rollback()

    def close(self) -> None:
        """End the session with Snowflake; uncommitted changes are rolled back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _table(self, schema: str, name: str) -> str:
        """Return the full name in Snowflake of a table or a stage."""
        return f"{snowflake_name(dict(self._schemas)[schema])}.{snowflake_name(name)}"

    def _cursor(self) -> SnowflakeCursor:
        """Return a Snowflake cursor; sign in first if necessary."""
        if self._connection is None:
            self._connection = sign_in(self._settings, self.purpose)
        return self._connection.cursor()

    def _send(self, statement: str, values: dict[str, Any] | None = None) -> SnowflakeCursor:
        """Send a statement that is already in Snowflake's dialect."""
        cursor = self._cursor()
        self.statements += 1
        cursor.execute(statement, values)
        return cursor


class SnowflakeRows:
    """The result of a statement in Snowflake."""

    def __init__(self, cursor: SnowflakeCursor, columns: tuple[str, ...]) -> None:
        self._cursor = cursor
        self.columns = columns
        """The names of the columns, as spelt in the statement."""

    @property
    def description(self) -> Sequence[Any]:
        """Snowflake's description of the columns."""
        return self._cursor.description or ()

    @property
    def rowcount(self) -> int:
        """The number of rows that a statement changed."""
        return self._cursor.rowcount or 0

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None at the end."""
        return self._cursor.fetchone()

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """Return the next rows, at most `size`."""
        return self._cursor.fetchmany(size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all remaining rows."""
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())


def _for_copy_into(rows: pa.Table) -> pa.Table:
    """Return the rows with times in microseconds and no unsigned numbers, as COPY INTO requires."""
    kinds = {pa.time64("ns"): pa.time64("us"), pa.uint8(): pa.int16()}
    return rows.cast(pa.schema([field.with_type(kinds.get(field.type, field.type)) for field in rows.schema]))


def schemas_of(settings: Settings) -> Schemas:
    """Return the platform's name of each schema, and its name in Snowflake."""
    names = {name: name for name in SCHEMAS} | {"raw": settings.snowflake_raw_schema}
    return tuple((name, schema_of(settings.environment, real).upper()) for name, real in names.items())


_QUOTA_IS_USED_UP = 90073
"""The error number when a resource monitor keeps a warehouse from resuming."""

# Type codes of Snowflake's connector.
_FIXED, _TIMESTAMPS = 0, {4, 6, 7, 8}
_PLAIN: dict[int, pl.DataType] = {1: pl.Float64(), 3: pl.Date(), 12: pl.Time(), 13: pl.Boolean()}


def _dtype(column: Any) -> pl.DataType:
    if column.type_code == _FIXED:
        return pl.Decimal(38, column.scale) if column.scale else pl.Int64()
    if column.type_code in _TIMESTAMPS:
        return pl.Datetime("us")
    return _PLAIN.get(column.type_code, pl.String())


def is_unavailable(error: BaseException) -> bool:
    """Return whether an error of Snowflake's connector means that the service is unavailable, not a bad statement."""
    if not type(error).__module__.startswith("snowflake."):
        return False
    from snowflake.connector.errors import DatabaseError, Error, OperationalError

    if not isinstance(error, DatabaseError):
        return isinstance(error, Error)
    away = isinstance(error, OperationalError) or str(error.sqlstate or "").startswith("57")
    return away or error.errno == _QUOTA_IS_USED_UP


@contextmanager
def _lost_is_unavailable() -> Iterator[None]:
    """Raise `ServiceUnavailable` for lost connections; pass on errors of statements, which are bugs of the platform."""
    from snowflake.connector.errors import Error

    try:
        yield
    except Error as error:
        if not is_unavailable(error):
            raise
        raise ServiceUnavailable(
            f"Snowflake does not answer: {first_line(error)}.", Step("Check it:", "adventureworks doctor")
        ) from None
