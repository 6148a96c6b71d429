"""OpenLineage events on their way: off unless a transport is configured, as the client and Airflow's provider have it.

The provider tells of DAG runs and tasks; these events tell of tables and marts, and name the DAG run as their parent. A
transport that fails or hangs costs some seconds and a log line, never a build.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adventureworks.catalog import ANALYSES, marts_of
from adventureworks.incidents.ledger import BUILDING
from adventureworks.settings import settings

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.facet_v2 import parent_run

    from adventureworks.lineage.events import Reporter
    from adventureworks.warehouse.postgres import Connection

INGESTION = "ingest_source"
LONGEST_SECONDS = 10.0
"""So long a task waits for its events to be taken."""

log = logging.getLogger(__name__)


def build_starts(dag_id: str) -> None:
    """A run of an analysis is about to compute its marts."""
    _tell(lambda reporter, connection: reporter.started(_due(connection, dag_id, reporter.run_id), _now()))


def build_abandoned(dag_id: str) -> None:
    """What a run of an analysis computed is not published: its inputs moved on."""
    _tell(lambda reporter, connection: reporter.abandoned(_built(connection, dag_id, reporter.run_id), _now()))


def marts_published() -> None:
    """A run of an analysis published its marts."""
    _tell(lambda reporter, connection: reporter.published(connection, _now()))


def tables_published() -> None:
    """A run of the ingestion published its tables, or refused some."""
    _tell(lambda reporter, connection: reporter.ingested(connection, _now()))


def task_failed(context: Mapping[str, Any]) -> None:
    """A task failed for good: what it should have led to is not published."""
    instance = context["ti"]
    dag_id, task_id = instance.dag_id, instance.task_id
    cause = f"The task {task_id} failed: {type(context.get('exception')).__name__}"

    def of_analysis(reporter: Reporter, connection: Connection) -> list[RunEvent]:
        return reporter.failed(connection, _built(connection, dag_id, reporter.run_id), _now(), cause)

    if dag_id == INGESTION:
        _tell(lambda reporter, connection: reporter.interrupted(connection, _now(), cause), context)
    elif dag_id in ANALYSES and task_id in BUILDING:
        _tell(of_analysis, context)


def _due(connection: Connection, dag_id: str, run_id: str) -> list[str]:
    """The marts that a run has to compute, or has computed; none where it has to wait."""
    from adventureworks.due import Plan
    from adventureworks.marts.plan import plan_now

    step = plan_now(settings(), connection, dag_id)
    return list(step.months) if isinstance(step, Plan) else _known(connection, dag_id, run_id)


def _built(connection: Connection, dag_id: str, run_id: str) -> list[str]:
    """The marts that a run computed; where that is not known, those that it could have."""
    return _known(connection, dag_id, run_id) or [mart.name for mart in marts_of(dag_id)]


def _known(connection: Connection, dag_id: str, run_id: str) -> list[str]:
    """The marts that a run is known to have computed."""
    from adventureworks.errors import CandidateLost
    from adventureworks.marts.build import build_of

    try:
        return [mart.name for mart in build_of(connection, dag_id, run_id).marts]
    except CandidateLost:
        return []


def _tell(word: Callable[[Reporter, Connection], list[RunEvent]], context: Mapping[str, Any] | None = None) -> None:
    """Words events and sends them, if anybody wants them; never raises, and takes only some seconds."""
    try:
        from airflow.providers.openlineage import conf

        if conf.is_disabled():
            return
        from airflow.sdk import get_current_context

        from adventureworks.lineage.events import Reporter
        from adventureworks.orchestration.connections import with_source

        instance = (context or get_current_context())["ti"]
        run_id = f"{instance.dag_id}/{instance.run_id}"
        # Here, not in the other thread: the context is this one's.
        reporter = Reporter(with_source(settings()), conf.namespace(), run_id, _parent(instance))
    except Exception as error:
        log.warning("No lineage is told: %s", type(error).__name__)
        return
    end = time.monotonic() + LONGEST_SECONDS
    sender = threading.Thread(target=_word_and_send, args=(word, reporter, end), name="lineage", daemon=True)
    sender.start()
    sender.join(LONGEST_SECONDS)
    if sender.is_alive():
        log.warning("The lineage transport did not take all events within %.0f seconds.", LONGEST_SECONDS)


def _word_and_send(word: Callable[[Reporter, Connection], list[RunEvent]], reporter: Reporter, end: float) -> None:
    from adventureworks.warehouse import open_warehouse

    try:
        with open_warehouse(settings()).connect("lineage") as connection:
            events = word(reporter, connection)
    except Exception as error:
        log.warning("No lineage is told: %s", type(error).__name__)
        return
    _send(events, end)


def _send(events: list[RunEvent], end: float) -> None:
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter

    try:
        # The provider's client, for one configuration of both; not its `emit`, which masks columns that are called
        # like secrets.
        client = OpenLineageAdapter().get_or_create_openlineage_client()
        for event in events:
            if time.monotonic() > end:
                break
            client.emit(event)
        client.close(max(0.0, end - time.monotonic()))
    except Exception as error:
        # Not its text: it may hold an address.
        log.warning("The lineage transport does not take events: %s", type(error).__name__)


def _parent(instance: Any) -> parent_run.ParentRunFacet | None:
    """The DAG run, under the id by which Airflow's provider tells of it; None outside of a run."""
    from airflow.providers.openlineage.plugins import macros
    from openlineage.client.facet_v2 import parent_run as facet

    run = macros.lineage_root_run_id(instance)
    namespace, name = macros.lineage_root_job_namespace(instance), macros.lineage_root_job_name(instance)
    return facet.ParentRunFacet(facet.Run(run), facet.Job(namespace, name))


def _now() -> datetime:
    return datetime.now(UTC)
