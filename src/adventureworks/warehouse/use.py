"""What a warehouse that is paid by use was sent: each session notes its statements in `ops.warehouse_use`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
DAY = timedelta(days=1)


def note(connection: Connection, purpose: str, statements: int, task: Mapping[str, str]) -> None:
    """Notes what a session sent; `task` has the `dag`, `task` and `run` that it was for, or nothing: by hand."""
    run = f"{task['dag']}/{task['run']}" if {"dag", "run"} <= task.keys() else ""
    connection.execute(
        "insert into ops.warehouse_use (run_id, task, purpose, statements) values (%s, %s, %s, %s)",
        (run, task.get("task", ""), purpose, statements),
    )


def clear(connection: Connection, before: datetime) -> None:
    """Forgets what was noted before a moment."""
    connection.execute("delete from ops.warehouse_use where noted < %s", (before,))


def of_a_day(connection: Connection, now: datetime) -> dict[str, int]:
    """The statements of the last 24 hours by DAG; what was done by hand, and the watch, has none."""
    rows = connection.execute(
        "select split_part(run_id, '/', 1), sum(statements) from ops.warehouse_use where noted > %s"
        " group by 1 order by 1",
        (now - DAY,),
    )
    return {dag: int(statements) for dag, statements in rows}
