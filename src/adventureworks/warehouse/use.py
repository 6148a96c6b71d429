"""How many statements each session sent to a warehouse that is billed by use, in `ops.warehouse_use`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
DAY = timedelta(days=1)


def record(records: Connection, purpose: str, statements: int, task: Mapping[str, str]) -> None:
    """Record how many statements a session sent; `task` has its `dag`, `task` and `run`, or is empty outside a task."""
    run = f"{task['dag']}/{task['run']}" if {"dag", "run"} <= task.keys() else ""
    records.execute(
        "insert into ops.warehouse_use (run_id, task, purpose, statements) values (%s, %s, %s, %s)",
        (run, task.get("task", ""), purpose, statements),
    )


def clear(records: Connection, before: datetime) -> None:
    """Delete the records from before a moment."""
    records.execute("delete from ops.warehouse_use where noted < %s", (before,))


def statements_by_dag(records: Connection, now: datetime) -> dict[str, int]:
    """Return the number of statements of the last 24 hours by DAG; '' for manual work and the watch."""
    rows = records.execute(
        "select split_part(run_id, '/', 1), sum(statements) from ops.warehouse_use where noted > %s"
        " group by 1 order by 1",
        (now - DAY,),
    )
    return {dag: int(statements) for dag, statements in rows}
