"""The dispatcher: it starts every analysis that is due, or has reports to redeliver, and that no event has started.

Events have priority, so an analysis is not started here at once while one may still start it. The reason why it was due
is in the configuration of its run, where the UI shows it. A run's id encodes what it computes and the number of the
attempt, so two dispatchers that see the same state cannot start it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from adventureworks.airflow_tables import DagState, active_dags, waiting_event
from adventureworks.catalog import INGESTION, marts_of, outside_inputs, producer_of
from adventureworks.due import Decisions
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.starts import RUN_ID_PREFIX, may_start, states_of
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import is_laid_out

GRACE = timedelta(seconds=2)
"""How long an analysis may be due before it is started here although an event was sent that starts it."""
GRACE_WHILE_INPUTS_RUN = timedelta(seconds=4)
"""The same while a run that publishes its inputs has not ended, as its events are still to come."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """A run to start."""

    dag: str
    run_id: str
    reason: str


class Dispatcher:
    """Tracks how long each analysis has been runnable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._startable_since: dict[str, datetime] = {}

    def round(self, session: Session, airflow: Connection, now: datetime) -> list[Start]:
        """Start what is due now and return what was started."""
        held = _start_held_ingestion(airflow, now)
        if not is_laid_out(session.records):
            return held
        # Read first: the events of a run that has ended by now are then known, too.
        active = active_dags(airflow)
        decisions = decide_now(self._settings, session)
        if not decisions.runnable:
            self._startable_since = {}
            return held
        states = states_of(airflow, decisions.runnable)
        ready = may_start(decisions, states, now)
        self._startable_since = {dag: self._startable_since.get(dag, now) for dag in ready}
        return held + [
            start
            for dag, run_id in ready.items()
            if now - self._startable_since[dag] >= _grace(dag, states[dag], active)
            if _trigger(start := Start(dag, run_id, _reason(dag, decisions)))
        ]


def _start_held_ingestion(airflow: Connection, now: datetime) -> list[Start]:
    """Start the ingestion if the watcher has sent an event and Airflow does not start it; return what was started.

    Airflow holds events of a DAG back until its next run ends if its file is parsed while its only run is active
    (apache/airflow issues 56050 and 73032). Analyses are due then; the ingestion would wait for its calendar.
    """
    sent = waiting_event(airflow, INGESTION)
    if sent is None or now - sent < GRACE:
        return []
    start = Start(INGESTION, f"{RUN_ID_PREFIX}{sent:%Y%m%dT%H%M%S.%f}", "Airflow holds back an event that starts it")
    return [start] if _trigger(start) else []


def _grace(dag: str, state: DagState, active: Collection[str]) -> timedelta:
    """Return how long an analysis may be due before it is started here."""
    if not _sources_of(dag).isdisjoint(active):
        return GRACE_WHILE_INPUTS_RUN
    return GRACE if state.has_event else timedelta()


def _sources_of(dag: str) -> frozenset[str]:
    """Return the DAGs that publish what an analysis reads."""
    return frozenset(producer_of(name) for name in outside_inputs(dag))


def _reason(dag: str, decisions: Decisions) -> str:
    if dag in decisions.undelivered:
        return "reports could not be delivered"
    reasons = {mart.name: decisions.behind[mart.name].reason for mart in marts_of(dag) if mart.name in decisions.behind}
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _trigger(start: Start) -> bool:
    """Queue a run as `airflow dags trigger` does; False if another dispatcher was first."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import DagRunAlreadyExists
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy.exc import IntegrityError

    try:
        trigger_dag(
            start.dag,
            run_id=start.run_id,
            # The ingestion has options of its own.
            conf=None if start.dag == INGESTION else {"due": start.reason},
            triggered_by=DagRunTriggeredByType.CLI,
            triggering_user_name="adventureworks watch",
        )
    except (DagRunAlreadyExists, IntegrityError):
        return False
    log.info("Started %s, which was due: %s", start.dag, start.reason)
    return True
