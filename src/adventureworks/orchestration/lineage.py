"""Sends OpenLineage events; off unless a transport is configured for the client or Airflow's provider.

The provider reports DAG runs and tasks; these events report tables and marts, with the DAG run as their parent. A
transport that fails or hangs costs a few seconds and a log line, but never fails a build.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adventureworks.catalog import ANALYSES, INGESTION, marts_of
from adventureworks.settings import Settings, settings

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.facet_v2 import parent_run

    from adventureworks.lineage.events import Reporter
    from adventureworks.warehouse.postgres import Connection
    from adventureworks.warehouse.session import Session

TIMEOUT_SECONDS = 10.0
"""Timeout for the transport to accept the events of a task, in seconds."""

log = logging.getLogger(__name__)


def build_started(dag_id: str) -> None:
    """Report that a run of an analysis is about to compute its marts."""
    _emit(lambda reporter, session: reporter.started(_due(session, dag_id, reporter.run_id), _now()))


def build_abandoned(dag_id: str) -> None:
    """Report that what a run of an analysis computed, if anything, is not published: its inputs changed meanwhile."""
    _emit(lambda reporter, session: reporter.abandoned(_recorded(session.records, dag_id, reporter.run_id), _now()))


def marts_published() -> None:
    """Report that a run of an analysis published its marts."""
    _emit(lambda reporter, session: reporter.published(session.records, _now()))


def tables_published() -> None:
    """Report which tables a run of the ingestion published and which it refused."""
    _emit(lambda reporter, session: reporter.ingested(session.records, _now()))


def run_ended(here: Settings, run_id: str, refusal: str = "") -> None:
    """Report what a run outside Airflow published and refused.

    `here`: the settings of the run. `refusal`: why its marts were refused, if they were.
    """
    dag_id = run_id.partition("/")[0]

    def of_run(reporter: Reporter, session: Session) -> list[RunEvent]:
        records = session.records
        if dag_id == INGESTION:
            return reporter.ingested(records, _now())
        names = _built(records, dag_id, run_id)
        ended = reporter.failed(records, names, _now(), refusal) if refusal else reporter.published(records, _now())
        return [*reporter.started(names, _now()), *ended]

    _emit(of_run, here=here, run_id=run_id)


def task_failed(context: Mapping[str, Any]) -> None:
    """Report that a task failed permanently and its marts or tables are not published."""
    from adventureworks.incidents.ledger import BUILDING
    from adventureworks.warehouse.steps import shown_task

    instance = context["ti"]
    dag_id, task_id = instance.dag_id, instance.task_id
    error = type(context.get("exception")).__name__

    def of_analysis(reporter: Reporter, session: Session) -> list[RunEvent]:
        records, run_id = session.records, reporter.run_id
        cause = f"The task {shown_task(records, dag_id, run_id, task_id)} failed: {error}"
        return reporter.failed(records, _built(records, dag_id, run_id), _now(), cause)

    def of_ingestion(reporter: Reporter, session: Session) -> list[RunEvent]:
        return reporter.interrupted(session.records, _now(), f"The task {task_id} failed: {error}")

    if dag_id == INGESTION:
        _emit(of_ingestion, context)
    elif dag_id in ANALYSES and task_id in BUILDING:
        _emit(of_analysis, context)


def _due(session: Session, dag_id: str, run_id: str) -> list[str]:
    """Return the marts that a run has to compute, or has computed; empty if it has to wait."""
    from adventureworks.due import Plan
    from adventureworks.marts.plan import plan_now

    step = plan_now(settings(), session, dag_id)
    return list(step.months) if isinstance(step, Plan) else _recorded(session.records, dag_id, run_id)


def _built(records: Connection, dag_id: str, run_id: str) -> list[str]:
    """Return the marts that a run computed; if that is not known, all marts of the DAG."""
    return _recorded(records, dag_id, run_id) or [mart.name for mart in marts_of(dag_id)]


def _recorded(records: Connection, dag_id: str, run_id: str) -> list[str]:
    """Return the marts that a run is known to have computed."""
    from adventureworks.errors import CandidateLost
    from adventureworks.marts.build import build_of

    try:
        return [mart.name for mart in build_of(records, dag_id, run_id).marts]
    except CandidateLost:
        return []


def _emit(
    build: Callable[[Reporter, Session], list[RunEvent]],
    context: Mapping[str, Any] | None = None,
    *,
    here: Settings | None = None,
    run_id: str = "",
) -> None:
    """Build events and send them if a transport is configured; never raises and takes at most the timeout.

    The run is that of the task, or of its `context`; outside Airflow it is `run_id`, with the settings `here`.
    """
    try:
        here = here or settings()
        from airflow.providers.openlineage import conf

        if conf.is_disabled():
            return
        from airflow.sdk import get_current_context

        from adventureworks.lineage.events import Reporter
        from adventureworks.orchestration.connections import with_source

        parent = None
        if not run_id:
            instance = (context or get_current_context())["ti"]
            run_id, parent = f"{instance.dag_id}/{instance.run_id}", _parent(instance)
        # Read here, because the task context is local to this thread.
        reporter = Reporter(with_source(here), conf.namespace(), run_id, parent)
    except Exception as error:
        log.warning("No lineage is sent: %s", type(error).__name__)
        return
    end = time.monotonic() + TIMEOUT_SECONDS
    arguments = (here, build, reporter, end)
    sender = threading.Thread(target=_build_and_send, args=arguments, name="lineage", daemon=True)
    sender.start()
    sender.join(TIMEOUT_SECONDS)
    if sender.is_alive():
        log.warning("The lineage transport did not accept all events within %.0f seconds.", TIMEOUT_SECONDS)


def _build_and_send(
    here: Settings, build: Callable[[Reporter, Session], list[RunEvent]], reporter: Reporter, end: float
) -> None:
    from adventureworks.warehouse import open_warehouse

    try:
        with open_warehouse(here).connect("lineage") as session:
            events = build(reporter, session)
    except Exception as error:
        log.warning("No lineage is sent: %s", type(error).__name__)
        return
    _send(events, end)


def _send(events: list[RunEvent], end: float) -> None:
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter

    try:
        # Use the provider's client, so that both share one configuration, but not its `emit`, which masks columns whose
        # names look like secrets.
        client = OpenLineageAdapter().get_or_create_openlineage_client()
        for event in events:
            if time.monotonic() > end:
                break
            client.emit(event)
        client.close(max(0.0, end - time.monotonic()))
    except Exception as error:
        # Only the type: the message may contain an address.
        log.warning("The lineage transport does not accept events: %s", type(error).__name__)


def _parent(instance: Any) -> parent_run.ParentRunFacet | None:
    """Return the DAG run under the id that Airflow's provider reports for it; None outside of a run."""
    from airflow.providers.openlineage.plugins import macros
    from openlineage.client.facet_v2 import parent_run as facet

    run = macros.lineage_root_run_id(instance)
    namespace, name = macros.lineage_root_job_namespace(instance), macros.lineage_root_job_name(instance)
    return facet.ParentRunFacet(facet.Run(run), facet.Job(namespace, name))


def _now() -> datetime:
    return datetime.now(UTC)
