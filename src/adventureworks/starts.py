"""Choose which of the due analyses Airflow can start now.

`due` decides from the warehouse alone. This module adds Airflow's own state: paused DAGs, active runs, failures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from adventureworks.airflow_tables import Connection, DagState, dag_states
from adventureworks.due import Decisions, Plan

MOST_TRIES = 4
"""How many runs of a computation may end without completing it. After that, only a change or a user starts another."""
FIRST_PAUSE = timedelta(seconds=30)
"""Pause after a run that failed or did not compute what was due; each further one makes it four times as long."""
RUN_ID_PREFIX = "due__"
"""Prefix of the ids of runs that are started because an analysis is due."""


UNKNOWN = DagState(is_paused=True, is_active=False)
"""The state of a DAG that Airflow does not know yet."""


@dataclass(frozen=True)
class NextStart:
    """When a due analysis can be started, and the id of its run."""

    run_id: str
    at: datetime | None
    """The end of the pause after a failure; None: nothing failed."""

    def is_within(self, moment: datetime) -> bool:
        """Return whether it can be started by this moment."""
        return self.at is None or self.at <= moment


def next_starts(decisions: Decisions, states: Mapping[str, DagState]) -> dict[str, NextStart]:
    """Return the next start of each analysis that can be started now, or after the pause that follows a failure.

    Such an analysis is due or has reports to deliver again, is not paused, has no queued or running run, and has tries
    left. A run that ended without computing what it was started for counts as a failure, whatever its state in Airflow.
    """
    found = {}
    for dag, plan in decisions.runnable.items():
        state = states.get(dag, UNKNOWN)
        prefix = _run_id_prefix(plan)
        tried = [ended for run_id, ended in state.tried if run_id.startswith(prefix)]
        if state.is_paused or state.is_active or len(tried) >= MOST_TRIES:
            continue
        pauses = [state.failed_at + FIRST_PAUSE] if state.failed_at else []
        pauses += [ended + FIRST_PAUSE * 4 ** (len(tried) - 1) for ended in tried if ended]
        found[dag] = NextStart(f"{prefix}{len(tried)}", max(pauses, default=None))
    return found


def may_start(decisions: Decisions, states: Mapping[str, DagState], now: datetime) -> dict[str, str]:
    """Return the analyses that can be started now, each with the id of the run."""
    return {dag: start.run_id for dag, start in next_starts(decisions, states).items() if start.is_within(now)}


def states_of(airflow: Connection, dags: Collection[str]) -> Mapping[str, DagState]:
    """Return the state of each DAG that Airflow knows, with the runs that were started because it was due."""
    return dag_states(airflow, dags, RUN_ID_PREFIX)


def _run_id_prefix(plan: Plan) -> str:
    """Return a prefix of run ids that is the same for the same computation or delivery."""
    what = (sorted(plan.inputs.items()), sorted(plan.months), plan.models, plan.as_of)
    return f"{RUN_ID_PREFIX}{hashlib.sha256(repr(what).encode()).hexdigest()[:12]}__"
