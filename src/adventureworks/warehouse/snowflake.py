"""Snowflake as the warehouse: data lives there, the platform's own records (`ops`) in the PostgreSQL beside Airflow.

Records are many small rows under locks, read at every tick; in Snowflake they would keep a warehouse awake all day, and
nothing there locks a row. So a session has two sides, and a statement goes where its tables are. Rows in quarantine are
data: they are compared with staged ones. A commit reaches Snowflake first, then the records, which say what was done;
what dies in between is found by `gate.publish` and done again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import polars as pl
import psycopg
import pyarrow as pa
from pyarrow import parquet

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.columns import columns_of
from adventureworks.errors import ServiceUnavailable
from adventureworks.settings import Settings
from adventureworks.warehouse import use
from adventureworks.warehouse.environments import SCHEMAS, named_by, schema_of
from adventureworks.warehouse.postgres import Append, PostgresWarehouse, WarehouseConnection, as_text, literal
from adventureworks.warehouse.snowflake_login import first_line, of_the_task, sign_in
from adventureworks.warehouse.snowflake_sql import Parameters, Schemas, named, rewritten, types_of

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

ROWS_IN_A_STATEMENT = 100
"""The driver writes the values into the statement, and Snowflake takes no statement above a megabyte."""

STAGE = "LOADS"
"""The stage, in the schema of candidates, through which rows come."""

_DATA = re.compile(
    r"""(?<![\w."])"?(?:raw|marts|staging|quarantine)"?\.|(?<![\w."])"?ops"?\."?quarantined_row\b""", re.IGNORECASE
)
_RECORDS = re.compile(r"""(?<![\w."])"?ops"?\."?(?!quarantined_row\b)\w+""", re.IGNORECASE)


class SnowflakeWarehouse:
    """A Snowflake database that holds the published tables, and a PostgreSQL database with the records of them."""

    def __init__(self, settings: Settings, records: PostgresWarehouse) -> None:
        self._settings = settings
        self._records = records
        self._schemas = schemas_of(settings)

    @contextmanager
    def signed_in(self, schema: str, purpose: str) -> Iterator[SnowflakeConnection]:
        """A connection of Snowflake's own, in one of the platform's schemas, for libraries that want one."""
        with _lost_is_unavailable():
            connection = sign_in(self._settings, purpose)
            try:
                connection.cursor().execute(f'use schema "{dict(self._schemas)[schema]}"')
                yield connection
            finally:
                connection.close()

    def rewritten(self, query: str) -> str:
        """A SELECT without parameters in Snowflake's words."""
        return rewritten(query, self._schemas).sql

    @contextmanager
    def connect(self, purpose: str = "adventureworks", *, counted: bool = True) -> Iterator[WarehouseConnection]:
        """A session that commits when the block ends well and rolls back when it does not.

        Snowflake is asked for nothing before the first statement that touches data; how many it was sent is noted in
        the records (`counted`: where the records may be written).
        Raises ServiceUnavailable when a server does not answer, or is lost on the way.
        """
        session = None
        try:
            with self._records.connect(purpose) as records:
                session = Session(self._settings, records, purpose)
                try:
                    with _lost_is_unavailable():
                        yield cast(WarehouseConnection, session)
                        session.commit_data()
                finally:
                    session.close()
        finally:
            if counted and session and session.statements:
                self._note(purpose, session.statements)

    def _note(self, purpose: str, statements: int) -> None:
        """Notes what a session sent, however it ended; the environment may have been dropped by it."""
        # What a session came to matters more than what it cost.
        with suppress(ServiceUnavailable, psycopg.Error), self._records.connect(purpose) as records:
            use.note(records, purpose, statements, of_the_task())

    @contextmanager
    def bulk_loader(self) -> Iterator[Append]:
        """A function that appends frames, batch by batch; each batch is committed."""
        with self.connect("load") as connection:

            def append(schema: str, name: str, frame: pl.DataFrame) -> None:
                if frame.height:
                    connection.fill(schema, name, frame)
                    connection.commit()

            yield append


class Session:
    """The two sides of a connection, as far as the platform uses one of psycopg's."""

    commits_twice = True

    def __init__(self, settings: Settings, records: WarehouseConnection, purpose: str) -> None:
        self._settings = settings
        self.records = records
        """The side in PostgreSQL."""
        self.purpose = purpose
        self._data: SnowflakeConnection | None = None
        self._schemas = schemas_of(settings)
        self.statements = 0
        """How many statements Snowflake was sent."""
        self.target = f"snowflake {settings.snowflake_connection} {settings.snowflake_database} {self._schemas}"

    def make_schemas(self, schemas: Iterable[str]) -> None:
        """Makes the schemas that are missing, that of the records beside Airflow too, and the stage for loads."""
        real = dict(self._schemas)
        self.records.make_schemas(["ops"])
        # Asked for first: a role that may not make schemas may not even say "if not exists".
        there = self._schema_names()
        for schema in schemas:
            if real[schema] not in there:
                self._send(f'create schema "{real[schema]}"')
        self._send(f'create stage if not exists "{real["staging"]}".{STAGE}')

    def drop_schemas(self, schemas: Iterable[str]) -> None:
        """Drops the schemas of an environment and all that is in them, that of the records too."""
        real = dict(self._schemas)
        # That by which an environment is known was made first and goes last: what broke off can be dropped.
        for schema in reversed(tuple(schemas)):
            self._send(f'drop schema if exists "{real[schema]}" cascade')
        self.records.drop_schemas(["ops"])

    def environments(self) -> set[str]:
        """The names of the environments that are in Snowflake, or whose records are beside Airflow."""
        first = self._settings.snowflake_raw_schema
        ours = {named_by(schema, first) for schema in self._schema_names()}
        return (ours | self.records.environments()) - {""}

    def _schema_names(self) -> set[str]:
        return {name for (name,) in self._send("select schema_name from information_schema.schemata").fetchall()}

    def columns_in(self, schema: str) -> dict[str, set[str]]:
        """The columns of each table and view in a schema, as the contracts write them."""
        if schema == "ops":
            return self.records.columns_in(schema)
        real = dict(self._schemas)[schema]
        cursor = self._send(
            f"select table_name, column_name from information_schema.columns where table_schema = '{real}'"
        )
        found: dict[str, set[str]] = {}
        for name, column in cursor.fetchall():
            found.setdefault(name, set()).add(column)
        entries: list[SourceTable | Mart] = [*SOURCE_TABLES.values(), *MARTS.values()]
        return {
            entry.asset: {one.name for one in columns_of(entry) if one.name.upper() in found[entry.asset.upper()]}
            for entry in entries
            if entry.asset.upper() in found
        }

    def describe(self, schema: str, name: str, comment: str, columns: Mapping[str, str]) -> None:
        """Says in Snowflake what a table and its columns mean."""
        full = f'"{dict(self._schemas)[schema]}"."{name.upper()}"'
        self._send(f"comment on table {full} is {literal(comment)}")
        if columns:
            texts = ", ".join(f'column "{column.upper()}" comment {literal(text)}' for column, text in columns.items())
            self._send(f"alter table {full} modify {texts}")

    def execute(self, query: Any, parameters: Parameters = None) -> Any:
        """Runs a statement where its tables are, and gives a cursor with its rows."""
        text = as_text(query)
        if not touches_data(text):
            return self.records.execute(text.encode(), parameters)
        if text.startswith(("analyze ", "create index ")):
            # Snowflake keeps its statistics by itself, and has no indexes.
            return self.records.execute("select 1 where false")
        return self._run(text, parameters)

    def cursor(self, name: str = "", row_factory: Any = None) -> Any:
        """A cursor; with a `row_factory` it is one of the records. `name` asks for one that reads in parts: all do."""
        return self.records.cursor(row_factory=row_factory) if row_factory else Cursor(self)

    def executemany(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs an INSERT for each row, many rows in a statement."""
        found = list(rows)
        if not found:
            return
        text, values = named(query, found[0])
        statement = rewritten(text, self._schemas, types_of(values))
        for first in range(0, len(found), ROWS_IN_A_STATEMENT):
            part = [dict(zip(values, row, strict=True)) for row in found[first : first + ROWS_IN_A_STATEMENT]]
            self.statements += 1
            self._data_cursor().executemany(statement.sql, part)

    def frame(self, query: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """The rows of a SELECT: whole numbers as Int64, exact decimals with the scale of their column, else text."""
        if not touches_data(query):
            return self.records.frame(query, parameters)
        cursor = self._run(query, parameters)
        schema = {name: _dtype(column) for name, column in zip(cursor.columns, cursor.description, strict=True)}
        return pl.DataFrame(cursor.fetchall(), schema=schema, orient="row")

    def contents(
        self, schema: str, name: str, columns: Iterable[str], by_month_of: str = ""
    ) -> dict[str, list[int | str]]:
        """Rows and digest of a table by month, as the PostgreSQL side has them, with Snowflake's own hash."""
        hashed = ", ".join(f'"{column.upper()}"' for column in columns)
        part = (
            f"coalesce(left(cast(cast(\"{by_month_of.upper()}\" as date) as varchar), 7), '')" if by_month_of else "''"
        )
        rows = self._send(
            f"select {part}, count(*), cast(sum(cast(hash({hashed}) as number(38, 2))) as varchar)"
            f' from "{dict(self._schemas)[schema]}"."{name.upper()}" group by 1'
        ).fetchall()
        return {found: [int(count), digest] for found, count, digest in rows}

    def fill(self, schema: str, name: str, frame: pl.DataFrame) -> None:
        """Appends a frame to a table: Parquet to the stage, from there by the names of its columns."""
        real = dict(self._schemas)
        stage = f'"{real["staging"]}".{STAGE}'
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{uuid4().hex}.parquet")
            parquet.write_table(_as_snowflake_reads(frame.rename(str.upper).to_arrow()), path)
            self._send(f"put 'file://{path}' @{stage} auto_compress = false")
        self._send(
            f'copy into "{real[schema]}"."{name.upper()}" from @{stage}/{path.name}'
            " file_format = (type = parquet use_logical_type = true) match_by_column_name = case_insensitive"
            " purge = true"
        )

    def commit(self) -> None:
        """Makes lasting what was done: first the data, then the records."""
        self.commit_data()
        self.records.commit()

    def commit_data(self) -> None:
        """The first half of a commit."""
        if self._data is not None:
            self._data.commit()

    def rollback(self) -> None:
        """Takes back what was done since the last commit. Tables and views that were made stay."""
        if self._data is not None:
            self._data.rollback()
        self.records.rollback()

    def close(self) -> None:
        """Ends the session with Snowflake; what was not committed is taken back."""
        if self._data is not None:
            self._data.close()
            self._data = None

    def _data_cursor(self) -> SnowflakeCursor:
        """A cursor of Snowflake's own, signed in."""
        if self._data is None:
            self._data = sign_in(self._settings, self.purpose)
        return self._data.cursor()

    def _run(self, query: str, parameters: Parameters) -> Rows:
        text, values = named(query, parameters)
        statement = rewritten(text, self._schemas, types_of(values))
        cursor = self._send(statement.sql, values or None)
        columns = statement.columns
        if "*" in columns:
            columns = tuple(column.name.lower() for column in cursor.description or ())
        return Rows(cursor, columns)

    def _send(self, statement: str, values: dict[str, Any] | None = None) -> SnowflakeCursor:
        """Sends a statement that is in Snowflake's own words."""
        cursor = self._data_cursor()
        self.statements += 1
        cursor.execute(statement, values)
        return cursor


class Rows:
    """What a statement in Snowflake gave."""

    def __init__(self, cursor: SnowflakeCursor, columns: tuple[str, ...]) -> None:
        self._cursor = cursor
        self.columns = columns
        """The names of the columns, as the statement wrote them."""

    @property
    def description(self) -> Sequence[Any]:
        """Snowflake's description of the columns."""
        return self._cursor.description or ()

    @property
    def rowcount(self) -> int:
        """The rows that a statement changed."""
        return self._cursor.rowcount or 0

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return cast("tuple[Any, ...] | None", self._cursor.fetchone())

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next rows, at most so many."""
        return cast("list[tuple[Any, ...]]", self._cursor.fetchmany(size))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return cast("list[tuple[Any, ...]]", self._cursor.fetchall())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())


class Cursor:
    """A cursor whose statement decides which side it is of."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: Any = None

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows = None

    def execute(self, query: Any, parameters: Parameters = None) -> Any:
        """Runs a statement where its tables are."""
        self._rows = self._session.execute(query, parameters)
        return self._rows

    def fetchmany(self, size: int) -> Any:
        """The next rows, at most so many."""
        return self._rows.fetchmany(size)


def _as_snowflake_reads(rows: pa.Table) -> pa.Table:
    """Times in microseconds, and no unsigned numbers: what COPY INTO takes."""
    kinds = {pa.time64("ns"): pa.time64("us"), pa.uint8(): pa.int16()}
    return rows.cast(pa.schema([field.with_type(kinds.get(field.type, field.type)) for field in rows.schema]))


def touches_data(statement: str) -> bool:
    """Whether a statement is for Snowflake. Raises ValueError where it names tables of both sides."""
    of_data = _DATA.search(statement)
    of_records = _RECORDS.search(statement)
    if of_data and of_records:
        raise ValueError(f"A statement names both {of_data[0]} and {of_records[0]}, which are in two databases.")
    return bool(of_data)


def schemas_of(settings: Settings) -> Schemas:
    """The platform's name of each schema, and the one that it has in Snowflake."""
    names = {name: name for name in SCHEMAS} | {"raw": settings.snowflake_raw_schema}
    return tuple((name, schema_of(settings.environment, real).upper()) for name, real in names.items())


_QUOTA_IS_USED_UP = 90073
"""The number of the error of a warehouse that its resource monitor lets not wake."""

# Of Snowflake's connector.
_FIXED, _TIMESTAMPS = 0, {4, 6, 7, 8}
_PLAIN: dict[int, pl.DataType] = {1: pl.Float64(), 3: pl.Date(), 12: pl.Time(), 13: pl.Boolean()}


def _dtype(column: Any) -> pl.DataType:
    if column.type_code == _FIXED:
        return pl.Decimal(38, column.scale) if column.scale else pl.Int64()
    if column.type_code in _TIMESTAMPS:
        return pl.Datetime("us")
    return _PLAIN.get(column.type_code, pl.String())


def is_lost(error: BaseException) -> bool:
    """Whether an error of Snowflake's connector tells of a lost connection; else it is of the statement."""
    if not type(error).__module__.startswith("snowflake."):
        return False
    from snowflake.connector.errors import DatabaseError, Error, OperationalError

    if not isinstance(error, DatabaseError):
        return isinstance(error, Error)
    away = isinstance(error, OperationalError) or str(error.sqlstate or "").startswith("57")
    return away or error.errno == _QUOTA_IS_USED_UP


@contextmanager
def _lost_is_unavailable() -> Iterator[None]:
    """Tells a lost connection from a statement that Snowflake refuses, which is a fault of ours."""
    from snowflake.connector.errors import Error

    try:
        yield
    except Error as error:
        if not is_lost(error):
            raise
        raise ServiceUnavailable(
            f"Snowflake does not answer: {first_line(error)}.", "Check it: adventureworks doctor"
        ) from None
