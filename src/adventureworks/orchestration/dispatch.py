"""Start every analysis that is due and that no event has started: the safety net under the asset events.

Events come first, so an analysis gets a moment before it is started here. Why it was due is in the configuration of its
run, where the UI shows it. A run is named after what it has to compute, so two dispatchers cannot start the same twice.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from adventureworks.catalog import MARTS, marts_of, outside_inputs
from adventureworks.due import Decisions
from adventureworks.incidents.sweep import INGESTION
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.starts import UNKNOWN, active_dags, may_start, states_of
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.state import is_laid_out

GRACE = timedelta(seconds=2)
"""How long an analysis may be due before it is started here: an event needs a moment to start it."""
GRACE_WHILE_INPUTS_RUN = timedelta(seconds=4)
"""The same while a run that publishes its inputs has not ended: it has yet to send its events."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """A run to start."""

    dag: str
    name: str
    """The same for the same computation."""
    reason: str


class Dispatcher:
    """Remembers since when each analysis could have run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle_since: dict[str, datetime] = {}

    def round(self, warehouse: Connection, airflow: Connection, now: datetime) -> list[Start]:
        """Start what is due now; return what was started."""
        if not is_laid_out(warehouse):
            return []
        decisions = decide_now(self._settings, warehouse)
        if not decisions.startable:
            self._idle_since.clear()
            return []
        states = states_of(airflow, decisions.startable)
        active = active_dags(airflow)
        for dag in [*self._idle_since]:
            if dag not in decisions.startable or states.get(dag, UNKNOWN).is_active:
                del self._idle_since[dag]
        ready = may_start(decisions, states, now)
        for dag in ready:
            self._idle_since.setdefault(dag, now)
        return [
            start
            for dag, name in ready.items()
            if now - self._idle_since[dag] >= (GRACE_WHILE_INPUTS_RUN if _sources_of(dag) & active else GRACE)
            if (start := _start(airflow, Start(dag, name, _reason(dag, decisions))))
        ]


def _sources_of(dag: str) -> frozenset[str]:
    """The DAGs that publish what an analysis reads."""
    return frozenset(MARTS[name].dag if name in MARTS else INGESTION for name in outside_inputs(dag))


def _reason(dag: str, decisions: Decisions) -> str:
    reasons = {mart.name: decisions.behind[mart.name].reason for mart in marts_of(dag) if mart.name in decisions.behind}
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _start(airflow: Connection, start: Start) -> Start | None:
    """Queue a run as `airflow dags trigger` does; None if another dispatcher was first."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import DagRunAlreadyExists
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy.exc import IntegrityError

    row = airflow.execute(
        "select count(*) from dag_run where dag_id = %s and starts_with(run_id, %s)", (start.dag, start.name)
    ).fetchone()
    with suppress(DagRunAlreadyExists, IntegrityError):
        trigger_dag(
            start.dag,
            run_id=f"{start.name}{row[0] if row else 0}",
            conf={"due": start.reason},
            note=f"Started because it was due and no event had started it. {start.reason}",
            triggered_by=DagRunTriggeredByType.CLI,
            triggering_user_name="adventureworks watch",
        )
        log.info("Started %s, which was due: %s", start.dag, start.reason)
        return start
    return None
