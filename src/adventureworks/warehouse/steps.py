"""The steps of an analysis. Airflow runs them as one task; which step a run is in follows from its records."""

from __future__ import annotations

from datetime import datetime

from adventureworks.warehouse import publication
from adventureworks.warehouse.postgres import Connection

BUILD, GATE, PUBLISH = "build", "gate", "publish"
REFRESH = "refresh"
"""The task of an analysis that runs the three steps."""


def first_step(records: Connection, dag: str, run_id: str) -> str:
    """Return the step with which an attempt at a run of an analysis (`<dag>/<run>`) begins.

    That is the step in which an earlier attempt stopped. What the gate has refused is built again.
    """
    step, is_refused = _reached(records, dag, run_id, None)
    return BUILD if is_refused else step


def shown_task(records: Connection, dag: str, run_id: str, task: str, ended: datetime | None = None) -> str:
    """Return the name of a task of a run (`<dag>/<run>`) with the step that it is or was in: `refresh (gate)`.

    `ended`: when the run ended. If another run has built the analysis since, the step is not known and not named.
    """
    step = _reached(records, dag, run_id, ended)[0] if task == REFRESH else ""
    return f"{task} ({step})" if step else task


def _reached(records: Connection, dag: str, run_id: str, ended: datetime | None) -> tuple[str, bool]:
    """Return the step that a run has reached, empty if it is not known, and whether the gate has refused its build."""
    if publication.has_published(records, run_id):
        return PUBLISH, False
    row = records.execute(
        "select run_id, passed, refused, started_at > %s from ops.build where dag = %s", (ended, dag)
    ).fetchone()
    built_by, has_passed, is_refused, is_newer = row or ("", False, False, False)
    if built_by != run_id:
        return "" if is_newer else BUILD, False
    return PUBLISH if has_passed else GATE, is_refused
