"""A function that is called before each use of the warehouse, and a crash of PostgreSQL."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.warehouse import postgres as engine


def before_each_use(patch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
    """Call `before` before a statement or rows are sent to the warehouse, and before a connection to it is opened."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            before()
            return function(*arguments, **options)

        return wrapped

    patch.setattr(engine._Cursor, "execute", wrap(engine._Cursor.execute))
    patch.setattr(engine._ServerCursor, "execute", wrap(engine._ServerCursor.execute))
    patch.setattr(engine.Records, "connect", wrap(engine.Records.connect))
    original = engine.PostgresWarehouse.bulk_loader

    @contextmanager
    def bulk_loader(warehouse: engine.PostgresWarehouse) -> Iterator[engine.Append]:
        with original(warehouse) as append:
            yield wrap(append)

    patch.setattr(engine.PostgresWarehouse, "bulk_loader", bulk_loader)


def crash(server: EmbeddedPostgres) -> None:
    """Kill a process that serves a client, whereupon PostgreSQL ends all others; return when it has recovered."""
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        flush_log(connection)
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        while not connection.closed:
            with suppress(psycopg.OperationalError):
                connection.execute("select 1")
    while True:
        with suppress(psycopg.OperationalError):
            psycopg.connect(server.url("postgres", SUPERUSER)).close()
            return
        time.sleep(0.01)


def flush_log(connection: psycopg.Connection[Any]) -> None:
    """Write PostgreSQL's log to the disk.

    PostgreSQL cannot recover if the record of an aborted `create unlogged table` is lost, but not its files.
    """
    connection.execute("select pg_logical_emit_message(false, 'crash', '', true)")
