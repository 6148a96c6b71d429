"""The steps of an analysis. Airflow runs them as one task; which step a run is in follows from its records."""

from __future__ import annotations

from datetime import datetime

from adventureworks.warehouse.postgres import Connection

BUILD, GATE, PUBLISH = "build", "gate", "publish"
REFRESH = "refresh"
"""The task of an analysis that runs the three steps."""


def step_of(records: Connection, dag: str, run_id: str, ended: datetime | None = None) -> str:
    """Return the step that a run of an analysis (`<dag>/<run>`) is in, or with which it continues if it is repeated.

    `ended`: when the run ended. If another run has built the analysis since, the result is empty: it is not known.
    """
    row = records.execute(
        "select exists (select from ops.publication where %(run)s in (run_id, confirmed_by)),"
        " b.run_id = %(run)s and not b.refused, b.passed, b.run_id <> %(run)s and b.started_at > %(ended)s"
        " from (values (1)) as one left join ops.build as b on b.dag = %(dag)s",
        {"run": run_id, "dag": dag, "ended": ended},
    ).fetchone()
    is_published, is_built, has_passed, is_unknown = row or (False, False, False, False)
    if is_published:
        return PUBLISH
    if is_built:
        return PUBLISH if has_passed else GATE
    return "" if is_unknown else BUILD


def shown_task(records: Connection, dag: str, run_id: str, task: str, ended: datetime | None = None) -> str:
    """Return the name of a task of a run (`<dag>/<run>`) with the step that it is or was in: `refresh (gate)`."""
    step = step_of(records, dag, run_id, ended) if task == REFRESH else ""
    return f"{task} ({step})" if step else task
