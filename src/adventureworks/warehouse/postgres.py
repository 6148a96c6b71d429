"""PostgreSQL as the warehouse: connections, bulk loading, column types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import Any

import polars as pl
import psycopg
from psycopg.rows import TupleRow
from pydantic import SecretStr

from adventureworks.errors import ServiceUnavailable, StatementTimeout, Step
from adventureworks.postgres_address import (
    LATER_TIMEOUTS,
    TIMEOUT_STATES,
    TRANSIENT_CLASSES,
    WITHOUT_TIMEOUTS,
    conninfo,
    parts_of,
)
from adventureworks.postgres_arrow import connect_arrow
from adventureworks.postgres_sql import literal, quoted
from adventureworks.warehouse.dialect import Parameters, in_environment
from adventureworks.warehouse.environments import environment_of, schema_of
from adventureworks.warehouse.session import Contents, Kind, Session
from adventureworks.warehouse.sql import names, table

Connection = psycopg.Connection[TupleRow]


class WarehouseConnection(psycopg.Connection[TupleRow]):
    """A psycopg connection whose statements are sent to the schemas of an environment."""

    environment = ""
    layout = ""
    """The digest of the layout that was found on this connection (see `layout.prepare`)."""

    def make_schemas(self, schemas: Iterable[str]) -> None:
        """Create the schemas that are missing."""
        for schema in schemas:
            self.execute(f"create schema if not exists {quoted(schema_of(self.environment, schema))}".encode())

    def drop_schemas(self, schemas: Iterable[str]) -> None:
        """Drop the schemas of an environment and everything in them."""
        for schema in schemas:
            self.execute(f"drop schema if exists {quoted(schema_of(self.environment, schema))} cascade".encode())

    def environments(self) -> set[str]:
        """Return the names of the environments in this database that this login may read."""
        rows = self.execute(
            "select n.nspname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
            " where c.relname = 'publication' and has_schema_privilege(n.oid, 'usage')"
        )
        return {environment_of(schema, "ops") for (schema,) in rows} - {""}

    def has_table(self, schema: str, name: str) -> bool:
        """Return whether a table or a view exists."""
        row = self.execute("select to_regclass(%s) is not null", (table(schema_of(self.environment, schema), name),))
        return row.fetchone() == (True,)

    def columns_in(self, schema: str) -> dict[str, set[str]]:
        """Return the columns of each table and view in a schema."""
        found: dict[str, set[str]] = {}
        rows = self.execute(
            "select table_name, column_name from information_schema.columns where table_schema = %s",
            (schema_of(self.environment, schema),),
        )
        for name, column in rows:
            found.setdefault(name, set()).add(column)
        return found

    def views_in(self, schema: str) -> set[str]:
        """Return the names of the views in a schema: in `raw` and `marts`, the assets of another environment."""
        rows = self.execute(
            "select viewname from pg_views where schemaname = %s", (schema_of(self.environment, schema),)
        )
        return {name for (name,) in rows}


class _InEnvironment:
    """A mixin for cursors that rewrites statements for the schemas of the connection's environment."""

    connection: WarehouseConnection

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """Do what psycopg's method does, in the environment."""
        return super().execute(self._of_environment(query), *arguments, **options)  # type: ignore[misc]

    def executemany(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """Do what psycopg's method does, in the environment."""
        return super().executemany(self._of_environment(query), *arguments, **options)  # type: ignore[misc]

    def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        """Do what psycopg's method does, in the environment."""
        return super().copy(self._of_environment(statement), *arguments, **options)  # type: ignore[misc]

    def stream(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """Do what psycopg's method does, in the environment."""
        return super().stream(self._of_environment(query), *arguments, **options)  # type: ignore[misc]

    def _of_environment(self, query: Any) -> Any:
        environment = self.connection.environment
        return in_environment(as_text(query), environment).encode() if environment else query


class _Cursor(_InEnvironment, psycopg.Cursor[Any]):
    pass


class _ServerCursor(_InEnvironment, psycopg.ServerCursor[Any]):
    pass


def as_text(query: Any) -> str:
    """Return the text of a statement, in any form that psycopg accepts."""
    if isinstance(query, bytes):
        return query.decode()
    return query if isinstance(query, str) else str(query.as_string())


_Idle = dict[tuple[str, str], list[WarehouseConnection]]
_idle: ContextVar[_Idle | None] = ContextVar("idle", default=None)


@contextmanager
def reuse_connections() -> Iterator[None]:
    """Reuse connections within the block unless they failed: connecting takes longer than most statements."""
    if _idle.get() is not None:
        yield
        return
    idle: _Idle = {}
    token = _idle.set(idle)
    try:
        yield
    finally:
        _idle.reset(token)
        for connection in chain.from_iterable(idle.values()):
            connection.close()


@contextmanager
def connected(url: SecretStr, environment: str = "", purpose: str = "adventureworks") -> Iterator[WarehouseConnection]:
    """Open a connection for the schemas of an environment; commit or roll back at the end, as psycopg does."""
    idle = _idle.get()
    kept = idle.setdefault((url.get_secret_value(), environment), []) if idle is not None else []
    with ExitStack() as stack:
        connection = stack.enter_context(_reused(kept, purpose) or _new(url, environment, purpose))
        yield connection
        if idle is not None and not connection.autocommit and not connection.closed:
            connection.commit()
            kept.append(connection)
            stack.pop_all()


def _new(url: SecretStr, environment: str, purpose: str) -> WarehouseConnection:
    address = address_of(url, purpose).get_secret_value()
    # No statement is prepared: a view that is recreated between two transactions may have other columns.
    connection = WarehouseConnection.connect(address, cursor_factory=_Cursor, prepare_threshold=None)
    # Outside a transaction, because a rollback would undo the settings.
    connection.autocommit = True
    connection.execute(LATER_TIMEOUTS)
    connection.autocommit = False
    connection.server_cursor_factory = _ServerCursor
    connection.environment = environment
    return connection


def _reused(kept: list[WarehouseConnection], purpose: str) -> WarehouseConnection | None:
    """Return a kept connection that is still alive, or None."""
    while kept:
        connection = kept.pop()
        try:
            connection.autocommit = True
            connection.execute("select set_config('application_name', %s, false)", (purpose[:63],))
            connection.autocommit = False
        except psycopg.OperationalError:
            connection.close()
        else:
            return connection
    return None


def address_of(url: SecretStr, purpose: str) -> SecretStr:
    """Return the connection string of the warehouse, with the password and a search path without foreign schemas.

    Functions and operators that others defined are therefore not used. Raises `PlatformError` if `url` is not a URL.
    """
    given = parts_of(url, "warehouse", "ADVENTUREWORKS_WAREHOUSE_URL")
    return conninfo(given, purpose, settings={**_FORMS, "search_path": "pg_catalog"}, defaults=_TIMEOUTS)


_FORMS = {"timezone": "UTC", "datestyle": "ISO", "client_encoding": "UTF8"}
"""How values are written, whatever the defaults of the database and the login are: Polars reads no other form."""


_TIMEOUTS = {
    **WITHOUT_TIMEOUTS,
    # How long to wait for a reader's lock. After that the table is left out, or the step is retried.
    "lock_timeout": "300000",
    "statement_timeout": "3600000",
}
"""In milliseconds. They replace the limits set for the login, which are meant for people: large tables take longer."""


_WITHOUT_NESTED_LOOPS = "set{} enable_nestloop = off"
"""For statements that join whole tables in several steps. PostgreSQL expects a few rows of each step, and a nested loop
would repeat the next step for each of many. Joins that are possible in no other way are still nested loops."""


Append = Callable[[str, str, pl.DataFrame], None]
"""Appends a frame to a table: schema, table, rows."""


_TYPES = {
    pl.Int16: "smallint",
    pl.Int32: "integer",
    pl.Int64: "bigint",
    pl.UInt8: "smallint",
    pl.Boolean: "boolean",
    pl.String: "varchar",
    pl.Date: "date",
    pl.Time: "time",
    pl.Datetime: "timestamp",
}


_UNSCALED = 12
"""Decimal places of a numeric expression without a cast."""


def column_type(dtype: pl.DataType) -> str:
    """Return the column type that holds a contract's type without loss."""
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision}, {dtype.scale})"
    return _TYPES[type(dtype)]


_READ_AS: dict[str, pl.DataType] = {
    "int2": pl.Int64(),
    "int4": pl.Int64(),
    "int8": pl.Int64(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "float8": pl.Float64(),
}


_ROWS_AT_ONCE = 100_000


def rows_of(connection: Connection, query: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
    """Return the rows of a SELECT.

    Integers become Int64, exact decimals keep the scale of their column, and other types become dates, times,
    Booleans, floats or text.
    """
    described = connection.execute(f"select * from (\n{query}\n) as described limit 0", parameters).description or ()
    schema: dict[str, pl.DataType] = {}
    for column in described:
        if column.type_display.startswith("numeric"):
            schema[column.name] = pl.Decimal(38, column.scale if column.scale is not None else _UNSCALED)
        else:
            schema[column.name] = _READ_AS.get(column.type_display, pl.String())
    return pl.concat([pl.DataFrame(schema=schema), *_read(connection, query, parameters, schema, _ROWS_AT_ONCE)])


def _read(
    connection: Connection,
    query: str,
    parameters: Mapping[str, Any] | None,
    schema: Mapping[str, pl.DataType],
    most: int,
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a SELECT with the columns of `schema`, in frames of at most `most` rows.

    The server writes each row as CSV, which Polars parses. It takes a tenth of the processor time of values in Python,
    and half that of COPY, which hands over row by row.
    """
    row = " || ',' || ".join(_as_csv(name, of) for name, of in schema.items())
    with connection.cursor(name="read") as cursor:
        cursor.execute(f"select {row} || E'\\n' from (\n{query}\n) as read", parameters)
        while rows := cursor.fetchmany(most):
            text = "".join(row for (row,) in rows)
            yield pl.read_csv(text.encode(), has_header=False, schema=schema)


def _as_csv(name: str, dtype: pl.DataType) -> str:
    """Return the expression of a column's value in CSV: nothing for NULL, and text in quotes."""
    text = f"{quoted(name)}::varchar"
    return (
        f"""coalesce('"' || replace({text}, '"', '""') || '"', '')""" if dtype == pl.String else f"coalesce({text}, '')"
    )


class Records:
    """The PostgreSQL database with the platform's records."""

    def __init__(self, url: SecretStr, environment: str = "") -> None:
        self.url = url
        self.environment = environment

    @contextmanager
    def connect(self, purpose: str = "adventureworks") -> Iterator[WarehouseConnection]:
        """Open a connection that commits when the block succeeds and rolls back when it raises.

        Raises `ServiceUnavailable` if the server does not answer or the connection is lost, and `StatementTimeout` if a
        statement or lock takes too long.
        """
        try:
            with connected(self.url, self.environment, purpose) as connection:
                yield connection
        except psycopg.OperationalError as error:
            kind = ServiceUnavailable if is_unavailable(error) else StatementTimeout
            raise kind(
                f"The warehouse does not answer: {_reason(error)}.", Step("Check it:", "adventureworks status")
            ) from None


class PostgresData:
    """The side of a session with the data, on the connection that is also the side with the records.

    It is a class of its own so that the type checker tells the two sides apart.
    """

    enforces_keys = True
    digests_key_ranges = True

    def __init__(self, connection: WarehouseConnection) -> None:
        self._connection = connection

    @property
    def target(self) -> str:
        """Where the tables are: the engine and the environment."""
        return f"postgres {self._connection.environment}".strip()

    def execute(self, query: str, parameters: Parameters = None) -> psycopg.Cursor[TupleRow]:
        """Run a statement and return a cursor with its rows."""
        return self._connection.execute(query, parameters)

    def describe(self, schema: str, name: str, comment: str, columns: Mapping[str, str]) -> None:
        """Write the descriptions of a table and its columns to the warehouse, as comments."""
        self.execute(f"comment on table {table(schema, name)} is {literal(comment)}")
        for column, text in columns.items():
            self.execute(f"comment on column {table(schema, name)}.{quoted(column)} is {literal(text)}")

    def frame(self, query: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a SELECT, typed as by `rows_of`."""
        return rows_of(self._connection, query, parameters)

    def batches(self, query: str, most: int) -> Iterator[list[TupleRow]]:
        """Yield the rows of a SELECT in parts of at most `most` rows, read through a server-side cursor."""
        with self._connection.cursor(name="batches") as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(most):
                yield rows

    def frames(self, query: str, schema: Mapping[str, pl.DataType], most: int) -> Iterator[pl.DataFrame]:
        """Yield the rows of a SELECT with the columns of `schema` in parts of at most `most` rows."""
        yield from _read(self._connection, query, None, schema, most)

    def contents(self, schema: str, name: str, columns: Iterable[str]) -> Contents:
        """Return row count and digest of a table or view. The digest does not depend on the order of the rows."""
        return self._summarized(schema, name, names(columns, "t"))

    def written(self, schema: str, name: str, columns: Iterable[str]) -> Contents:
        """Return row count and digest of a table. Writing a row changes the digest, even with the same values.

        It takes a tenth of the time of `contents`.
        """
        return self._summarized(schema, name, "t.ctid, t.xmin")

    def _summarized(self, schema: str, name: str, values: str) -> Contents:
        count, digest = self.execute(
            f"select count(*), coalesce(sum(hash_record_extended(row({values}), 0))::varchar, '')"
            f" from {table(schema, name)} as t"
        ).fetchone() or (0, "")
        return [int(count), digest]

    def fill(self, schema: str, name: str, frame: pl.DataFrame) -> None:
        """Append a frame to a table, in the connection's transaction."""
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"copy {table(schema, name)} ({names(frame.columns)}) from stdin (format csv)") as copy,
        ):
            # Both sides write NULL as nothing, and empty text as two quotes. Copying row by row from Python takes eight
            # times the processor time.
            copy.write(frame.write_csv(include_header=False))

    def executemany(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run an INSERT for each row."""
        with self._connection.cursor() as cursor:
            cursor.executemany(query, rows)

    def update_statistics(self, schema: str, name: str) -> None:
        """Update the planner's statistics of a table at once, before autovacuum does."""
        # Planning joins needs numbers of rows and of distinct values. For these a fifth of the usual sample is enough.
        self.execute(
            f"set local default_statistics_target = 20; analyze {table(schema, name)};"
            " set local default_statistics_target to default"
        )

    def avoid_nested_loops(self) -> None:
        """Let the planner avoid nested loops for the rest of the transaction (see `_WITHOUT_NESTED_LOOPS`)."""
        self.execute(_WITHOUT_NESTED_LOOPS.format(" local"))

    def add_index(self, schema: str, name: str, columns: Sequence[str]) -> None:
        """Add an index to a table if it is missing."""
        index = quoted(f"{name}_by_{columns[0]}")
        self.execute(f"create index if not exists {index} on {table(schema, name)} ({names(columns)})")

    def replace(self, kind: Kind, relation: str, definition: str, parameters: Parameters = None) -> None:
        """Create a table or view with this definition, in place of one of the same name.

        Views that read a replaced table are dropped.
        """
        # CREATE OR REPLACE VIEW cannot insert a column between others.
        old = "view if exists {}" if kind == "view" else "table if exists {} cascade"
        self.execute(f"drop {old.format(relation)}")
        self.execute(f"create {kind} {relation} {definition}", parameters)

    def columns_in(self, schema: str) -> dict[str, set[str]]:
        """Return the columns of each table and view in a schema."""
        return self._connection.columns_in(schema)

    def views_in(self, schema: str) -> set[str]:
        """Return the names of the views in a schema: in `raw` and `marts`, the assets of another environment."""
        return self._connection.views_in(schema)

    def make_schemas(self, schemas: Iterable[str]) -> None:
        """Create the schemas that are missing."""
        self._connection.make_schemas(schemas)

    def drop_schemas(self, schemas: Iterable[str]) -> None:
        """Drop the schemas of an environment and everything in them."""
        self._connection.drop_schemas(schemas)

    def environments(self) -> set[str]:
        """Return the names of the environments in this database that this login may read."""
        return self._connection.environments()

    def commit(self) -> None:
        """Commit the connection's transaction."""
        self._connection.commit()

    def rollback(self) -> None:
        """Roll back the connection's transaction."""
        self._connection.rollback()


class PostgresWarehouse:
    """A warehouse whose data is in the same PostgreSQL database as the records."""

    def __init__(self, records: Records) -> None:
        self.records = records

    @contextmanager
    def connect(self, purpose: str = "adventureworks") -> Iterator[Session]:
        """Open a session whose sides are one connection, as `Records.connect` does."""
        with self.records.connect(purpose) as connection:
            yield Session(PostgresData(connection), connection)

    @contextmanager
    def signed_in(self, schema: str, purpose: str, *, nested_loops: bool = True) -> Iterator[WarehouseConnection]:
        """Open a connection on which the tables of a schema may be named without it, for libraries that need one.

        Each statement is a transaction, so that one that fails does not abort those after it. `nested_loops`: whether
        tables may be joined by them where there is another way (see `_WITHOUT_NESTED_LOOPS`).
        """
        with self.records.connect(purpose) as connection:
            connection.autocommit = True
            path = f"set search_path = pg_catalog, {quoted(schema_of(connection.environment, schema))}"
            connection.execute(path if nested_loops else f"{path}; {_WITHOUT_NESTED_LOOPS.format('')}")
            yield connection
            if not connection.closed:
                connection.execute("reset search_path; reset enable_nestloop")
                connection.autocommit = False

    @contextmanager
    def bulk_loader(self) -> Iterator[Append]:
        """Return a function that appends frames batch by batch; each batch is committed.

        Raises `ServiceUnavailable` if the server does not answer or the connection is lost.
        """
        from adbc_driver_manager import Error

        with (
            _lost_is_unavailable(Error),
            # Each batch is a transaction of its own, so that none is open while the next batch is read.
            connect_arrow(address_of(self.records.url, "load"), autocommit=True) as connection,
            connection.cursor() as cursor,
        ):

            def append(schema: str, name: str, frame: pl.DataFrame) -> None:
                if frame.height:
                    batch = frame.cast({pl.UInt8: pl.Int16}).to_arrow()
                    # Here, not only around the block, so that the caller can tell a lost server from refused data.
                    with _lost_is_unavailable(Error):
                        cursor.adbc_ingest(
                            name, batch, mode="append", db_schema_name=schema_of(self.records.environment, schema)
                        )

            yield append


def is_unavailable(error: BaseException) -> bool:
    """Return whether an error of psycopg means that the server does not answer or has run out of a resource."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate not in TIMEOUT_STATES


@contextmanager
def _lost_is_unavailable(driver_error: type[Exception]) -> Iterator[None]:
    """Raise `ServiceUnavailable` for errors that a retry may fix, such as a lost connection; pass refused data on."""
    try:
        yield
    except driver_error as error:
        state = str(getattr(error, "sqlstate", None) or "")
        if state and not state.startswith(TRANSIENT_CLASSES):
            raise
        cause = (
            f"refused rows while they were loaded (SQLSTATE {state})" if state else "was lost while rows were loaded"
        )
        kind = StatementTimeout if state in TIMEOUT_STATES else ServiceUnavailable
        raise kind(f"The warehouse {cause}.", Step("Check it:", "adventureworks status")) from None


def _reason(error: psycopg.OperationalError) -> str:
    """Return the first line of a driver's error, which names host and port but never the password."""
    return str(error).strip().split("\n")[0].rstrip(".")
