"""Which of the analyses that are due Airflow can start now.

`due` decides from the warehouse alone; here Airflow's own state is added: paused DAGs, runs on their way, failures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from adventureworks.due import Decisions, Plan
from adventureworks.warehouse.postgres import Connection

MOST_FAILURES = 4
"""Runs in a row that may fail before only a change or a person starts another one; an incident is open by then."""
FIRST_PAUSE = timedelta(seconds=30)
"""Pause after a failed run; each further failure makes it four times as long."""
NAME = "due__"
"""Prefix of the ids of the runs that are started because they are due."""


@dataclass(frozen=True)
class DagState:
    """What Airflow says of a DAG."""

    is_paused: bool
    is_active: bool
    """Whether a run is queued or running."""
    failures: tuple[tuple[datetime, datetime], ...] = ()
    """When each run was queued and ended that failed since the last success."""


UNKNOWN = DagState(is_paused=True, is_active=False)
"""The state of a DAG that Airflow does not know (yet)."""


def may_start(decisions: Decisions, states: Mapping[str, DagState], now: datetime) -> dict[str, str]:
    """Return the analyses that can be started now, each with the name of what it would compute.

    They are due, nobody paused them, no run of them is queued or running, and the pause after a failure is over.
    """
    found = {}
    for dag, plan in decisions.startable.items():
        state = states.get(dag, UNKNOWN)
        moments = [cause.since for name in plan.months if (cause := decisions.behind.get(name)) and cause.since]
        since = min(moments, default=None)
        failed = [ended for queued, ended in state.failures if since is None or queued >= since]
        if state.is_paused or state.is_active or len(failed) >= MOST_FAILURES:
            continue
        if failed and now - max(failed) < FIRST_PAUSE * 4 ** (len(failed) - 1):
            continue
        found[dag] = _name(plan)
    return found


def states_of(airflow: Connection, dags: Collection[str]) -> dict[str, DagState]:
    """Return the state of each DAG that Airflow knows."""
    active = active_dags(airflow)
    failures: dict[str, list[tuple[datetime, datetime]]] = {dag: [] for dag in dags}
    rows = airflow.execute(
        "select r.dag_id, coalesce(r.queued_at, r.start_date, r.end_date), r.end_date from dag_run as r"
        " where r.dag_id = any(%s) and r.state = 'failed' and r.end_date is not null and r.id > coalesce("
        "(select max(s.id) from dag_run as s where s.dag_id = r.dag_id and s.state = 'success'), 0) order by r.id",
        (list(dags),),
    ).fetchall()
    for dag, queued, ended in rows:
        failures[dag].append((queued, ended))
    known = airflow.execute(
        "select dag_id, is_paused from dag where dag_id = any(%s) and not is_stale", (list(dags),)
    ).fetchall()
    return {dag: DagState(paused, dag in active, tuple(failures[dag])) for dag, paused in known}


def active_dags(airflow: Connection) -> frozenset[str]:
    """Return the DAGs of which a run is queued or running."""
    rows = airflow.execute("select distinct dag_id from dag_run where state in ('queued', 'running')").fetchall()
    return frozenset(row[0] for row in rows)


def _name(plan: Plan) -> str:
    digested = hashlib.sha256(repr((sorted(plan.inputs.items()), sorted(plan.months), plan.as_of)).encode())
    return f"{NAME}{digested.hexdigest()[:12]}__"
