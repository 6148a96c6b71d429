"""Snowflake's part, played by fakesnow's server: the real connector and the provider's hook talk to it over HTTP.

Its SQL runs on DuckDB. What it cannot do is switched off here; docs/operate/snowflake.md lists it.
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
import uvicorn
from fakesnow.instance import FakeSnow
from snowflake.connector.connection import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import ProgrammingError

from adventureworks.warehouse.environments import SCHEMAS

DOUBLE: Any = import_module("fakesnow.server")
DATABASE = "DBT_DB"
OWN_SCHEMAS = tuple((schema, schema) for schema in SCHEMAS)
"""The platform's own names, for a copy that keeps them."""
NOT_PLAYED = [r"(?i)^comment on table ", r"(?i)^alter table \S+ modify column "]
"""Statements that the double lets pass without doing anything: it breaks on apostrophes in comments."""


@contextmanager
def snowflake_double(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, and an Airflow connection `snowflake_default` that leads to it."""
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
        fakesnow.cursor.FakeSnowflakeCursor, "execute", _refusing(fakesnow.cursor.FakeSnowflakeCursor.execute)
    )
    # The double casts what is summed to a double, in case it is text; an account sums a NUMBER exactly.
    patch.setattr(fakesnow.transforms, "numeric_agg_implicit_cast", lambda expression: expression)
    # For its statistics, the connector looks at every file of the call stack at each sign-in.
    patch.setattr("snowflake.connector.auth._auth.get_application_path", lambda: "tests")
    connect = snowflake.connector.connect

    def over_http(session_parameters: dict[str, Any], **options: Any) -> Any:
        """As the hook connects; that the double speaks plain HTTP, and what it is to let pass, no hook says."""
        parameters = {**session_parameters, "nop_regexes": NOT_PLAYED}
        return connect(
            session_parameters=parameters,
            protocol="http",
            network_timeout=120,
            # Else the connector asks at each sign-in in which cloud it runs, and waits for answers that do not come.
            platform_detection_timeout_seconds=0.0,
            **options,
        )

    patch.setattr(snowflake.connector, "connect", over_http)
    extra = {"account": "double", "database": DATABASE, "host": "127.0.0.1", "port": port}
    connection = {"conn_type": "snowflake", "login": "loader", "password": "not-told", "extra": extra}
    patch.setenv("AIRFLOW_CONN_SNOWFLAKE_DEFAULT", json.dumps(connection))
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def kept_rows(schema: str, name: str, columns: Sequence[str]) -> pl.DataFrame:
    """The rows of a table as the account holds them; times as text.

    The connector makes a Python object of each value, which takes minutes for all tables.
    """
    connection = DOUBLE.shared_fs.duck_conn.cursor()
    asked = ", ".join(f'"{column.upper()}" as "{column}"' for column in columns)
    found = connection.sql(f'select {asked} from {DATABASE}."{schema}"."{name.upper()}"').to_arrow_table()
    return pl.DataFrame(found).with_columns(pl.col(pl.Datetime).dt.to_string("%Y-%m-%d %H:%M:%S%.f"))


def _refusing(execute: Any) -> Any:
    """An account answers a statement that it cannot run with an error, where the double's server would break."""

    @functools.wraps(execute)
    def refuse(*arguments: Any, **options: Any) -> Any:
        try:
            return execute(*arguments, **options)
        except (duckdb.Error, AssertionError) as error:
            raise ProgrammingError(msg=str(error), errno=1003, sqlstate="42000") from error

    return refuse


@contextmanager
def signed_in_statements() -> Iterator[list[str]]:
    """What the account is asked while the block runs, logins among it."""
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind, name in ((SnowflakeConnection, "__init__"), (SnowflakeCursor, "execute")):
            patch.setattr(kind, name, _noted(getattr(kind, name), asked))
        yield asked


def _noted(call: Any, asked: list[str]) -> Any:
    @functools.wraps(call)
    def note(*arguments: Any, **options: Any) -> Any:
        asked.append(str(arguments[1]) if len(arguments) > 1 else "login")
        return call(*arguments, **options)

    return note
