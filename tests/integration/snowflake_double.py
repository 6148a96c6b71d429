"""A test double for Snowflake: fakesnow's server, to which the real connector and the provider's hook connect by HTTP.

Its SQL runs on DuckDB. Unsupported features are switched off here; docs/operate/snowflake.md lists them.
"""

from __future__ import annotations

import functools
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import duckdb
import fakesnow.cursor
import fakesnow.transforms
import polars as pl
import pytest
import snowflake.connector
import sqlglot
import uvicorn
from fakesnow.instance import FakeSnow
from snowflake.connector.connection import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from adventureworks.warehouse.environments import SCHEMAS

DOUBLE: Any = import_module("fakesnow.server")
DATABASE = "DBT_DB"
OWN_SCHEMAS = tuple((schema, schema) for schema in SCHEMAS)
"""A mapping that keeps the platform's own schema names."""
_DIVIDEND, _DIVISOR, _QUOTIENT = "dividend_", "divisor_", "quotient_"
IGNORED_STATEMENTS = [r"(?i)^comment on table ", r"(?i)^alter table \S+ modify column "]
"""Statements that the double accepts and ignores, because it fails on apostrophes in comments."""


@contextmanager
def snowflake_double(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide an empty account, and an Airflow connection `snowflake_default` to it."""
    logging.getLogger("fakesnow.server").setLevel(logging.CRITICAL)
    DOUBLE.shared_fs = FakeSnow()
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(DOUBLE.app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    patch.setattr(
        fakesnow.cursor.FakeSnowflakeCursor, "execute", _with_sql_errors(fakesnow.cursor.FakeSnowflakeCursor.execute)
    )
    # The double casts summed values to DOUBLE in case they are text, whereas Snowflake sums a NUMBER exactly.
    patch.setattr(fakesnow.transforms, "numeric_agg_implicit_cast", divided_as_snowflake)
    patch.setattr(fakesnow.cursor.FakeSnowflakeCursor, "_describe_last_sql", _described)
    # For its telemetry, the connector inspects every file of the call stack at each sign-in, which is slow.
    patch.setattr("snowflake.connector.auth._auth.get_application_path", lambda: "tests")
    connect = snowflake.connector.connect

    def over_http(session_parameters: dict[str, Any], **options: Any) -> Any:
        """Connect as the hook does, but over plain HTTP and with the statements to ignore."""
        parameters = {**session_parameters, "nop_regexes": IGNORED_STATEMENTS}
        return connect(
            session_parameters=parameters,
            protocol="http",
            network_timeout=120,
            # Otherwise the connector tries at each sign-in to detect the cloud it runs in, and waits for the timeout.
            platform_detection_timeout_seconds=0.0,
            **options,
        )

    patch.setattr(snowflake.connector, "connect", over_http)
    extra = {"account": "double", "database": DATABASE, "host": "127.0.0.1", "port": port}
    connection = {"conn_type": "snowflake", "login": "loader", "password": "not-shown", "extra": extra}
    patch.setenv("AIRFLOW_CONN_SNOWFLAKE_DEFAULT", json.dumps(connection))
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def divided_as_snowflake(node: exp.Expr) -> exp.Expr:
    """Round a quotient as an account does: S1 decimal places in the dividend give max(S1, min(S1 + 6, 12)).

    DuckDB divides decimals and whole numbers as doubles, which hides a dividend with too few places. The rule:
    https://docs.snowflake.com/en/sql-reference/operators-arithmetic#division
    """
    if not isinstance(node, exp.Div):
        return node
    dividend, divisor = (side.transform(divided_as_snowflake) for side in (node.this, node.expression))
    quotient = exp.Div(**{**node.args, "this": dividend, "expression": divisor})
    scale = f"coalesce(try_cast(regexp_extract(typeof({_DIVIDEND}), ',([0-9]+)', 1) as int), 0)"
    floats = f"typeof({_DIVIDEND}) in ('DOUBLE', 'FLOAT') or typeof({_DIVISOR}) in ('DOUBLE', 'FLOAT')"
    rounded = sqlglot.parse_one(
        f"case when {floats} then {_QUOTIENT} else round({_QUOTIENT}, greatest({scale}, least({scale} + 6, 12))) end",
        dialect="duckdb",
    )
    parts = {_DIVIDEND: dividend, _DIVISOR: divisor, _QUOTIENT: exp.Paren(this=quotient)}
    return rounded.transform(lambda part: parts[part.name].copy() if isinstance(part, exp.Column) else part)


def stored_rows(schema: str, name: str, columns: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a table as stored in the account, with times as text.

    Bypasses the connector, which makes a Python object of each value and takes minutes for all tables.
    """
    connection = DOUBLE.shared_fs.duck_conn.cursor()
    selected = ", ".join(f'"{column.upper()}" as "{column}"' for column in columns)
    found = connection.sql(f'select {selected} from {DATABASE}."{schema}"."{name.upper()}"').to_arrow_table()
    return pl.DataFrame(found).with_columns(pl.col(pl.Datetime).dt.to_string("%Y-%m-%d %H:%M:%S%.f"))


def _with_sql_errors(execute: Any) -> Any:
    """Wrap `execute` to report a failed statement as an SQL error, as Snowflake does; the double would crash."""

    @functools.wraps(execute)
    def execute_or_report(*arguments: Any, **options: Any) -> Any:
        try:
            return execute(*arguments, **options)
        except (duckdb.Error, AssertionError) as error:
            raise ProgrammingError(msg=str(error), errno=1003, sqlstate="42000") from error

    return execute_or_report


def _described(cursor: Any) -> Any:
    """Return the columns of a cursor's result. The double would parse the statement, which is DuckDB's already."""
    return cursor._duck_conn.execute(f"describe {cursor._last_sql}", cursor._last_params).fetchall()


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """Record the statements sent to the account while the block runs, including sign-ins as `login`."""
    sent: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind, name in ((SnowflakeConnection, "__init__"), (SnowflakeCursor, "execute")):
            patch.setattr(kind, name, _recording(getattr(kind, name), sent))
        yield sent


def _recording(call: Any, sent: list[str]) -> Any:
    @functools.wraps(call)
    def record(*arguments: Any, **options: Any) -> Any:
        sent.append(str(arguments[1]) if len(arguments) > 1 else "login")
        return call(*arguments, **options)

    return record
