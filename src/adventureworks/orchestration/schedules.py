"""The assets that Airflow knows, what starts each DAG, and what all DAGs have in common."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import (
    Asset,
    AssetAlias,
    AssetAny,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
)

from adventureworks.catalog import ANALYSES, entry, is_tolerant, marts_of, readers_of, starting_inputs
from adventureworks.orchestration.watcher import SourceChanged

SOURCE_ALIAS = AssetAlias("source_tables", group="source")
"""Through it one task announces all source tables that changed, and no other."""

SOURCE = Asset("source_database", group="source", watchers=[AssetWatcher("source_watcher", trigger=SourceChanged())])
"""The source as a whole; its event says that something in it changed."""

SETTLED = Asset("settled_data", group="quality")
"""Its event says that whatever is due is published: for analyses that read everything, instead of 90 arrows."""

SETTLED_ALIAS = AssetAlias("settled_data_events", group="quality")
"""Through it a task sends the event of `SETTLED`, but not each time it runs."""

INGESTION_CALENDAR = "*/15 * * * *"


def asset(name: str) -> Asset:
    """The Airflow asset of a source table or mart."""
    known = entry(name)
    return Asset(name, group=known.group, extra={"owner": known.owner})


def changes(dag_id: str) -> AssetOrTimeSchedule:
    """When an analysis starts: on the change of any of its inputs, at the latest on its calendar."""
    assets = [asset(name) for name in starting_inputs(dag_id)]
    if is_tolerant(dag_id):
        # Started by each input, nearly every run would be skipped, because another input is still due.
        assets = [SETTLED]
    # A new platform has nothing to compute before its first ingestion, whose events start what is due.
    calendar = CronTriggerTimetable(ANALYSES[dag_id].calendar, timezone="UTC", run_immediately=timedelta())
    return AssetOrTimeSchedule(timetable=calendar, assets=AssetAny(*assets))


def tell_if_settled(outlet_events: Any) -> None:
    """Sends the event of `SETTLED` if, after what was just published, the analyses that wait for all others can run."""
    from adventureworks.marts.plan import startable
    from adventureworks.settings import settings

    if any(map(is_tolerant, startable(settings()))):
        outlet_events[SETTLED_ALIAS].add(SETTLED)


def source_changes() -> AssetOrTimeSchedule:
    """When the ingestion starts: when the watcher sees a change, at the latest on its calendar."""
    calendar = CronTriggerTimetable(INGESTION_CALENDAR, timezone="UTC", run_immediately=True)
    return AssetOrTimeSchedule(timetable=calendar, assets=SOURCE)


def settings_for(dag_id: str) -> dict[str, Any]:
    """What every DAG of the platform has in common."""
    marts = marts_of(dag_id)
    reports = dag_id in ANALYSES and ANALYSES[dag_id].reports
    owner, tag = (marts[0].owner, marts[0].domain) if marts else ("platform", "ingestion")
    return {
        "dag_id": dag_id,
        # With it, a calendar time that was missed is made up for, also the first one. Only a run finds a lost report;
        # whatever else is missing, the dispatcher starts.
        "start_date": datetime(2024, 1, 1) if reports else None,  # noqa: DTZ001 - Airflow reads it as UTC
        "catchup": False,
        # Two runs at once would stage over each other. A wake-up that Airflow drops because of it is no loss: a run
        # reads what is unprocessed when it starts.
        "max_active_runs": 1,
        "tags": [tag],
        "default_args": {
            "owner": owner,
            # When workers are scarce, the analyses that most others wait for go first.
            "priority_weight": 1 + (len(readers_of(dag_id)) if marts else len(ANALYSES)),
            "weight_rule": "absolute",
            "retries": 4,
            "retry_delay": timedelta(seconds=5),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(hours=2),
            "retry_policy": _only_lost_connections(),
            "on_failure_callback": _report_failure,
            "on_success_callback": _report_success,
        },
    }


def _only_lost_connections() -> ExceptionRetryPolicy:
    """A lost connection is worth another try; a broken contract or a bug is not."""
    lost = ["adventureworks.errors.ServiceUnavailable", "builtins.ConnectionError", "builtins.TimeoutError"]
    return ExceptionRetryPolicy(
        rules=[RetryRule(exception=lost, action=RetryAction.DEFAULT)],  # type: ignore[arg-type]
        default=RetryAction.FAIL,
    )


def _report_failure(context: Any) -> None:
    from adventureworks.orchestration.lineage import task_failed
    from adventureworks.orchestration.notify import on_task_failure

    on_task_failure(context)
    task_failed(context)


def _report_success(context: Any) -> None:
    from adventureworks.orchestration.notify import on_task_success

    on_task_success(context)


def current_run_id() -> str:
    """The run, as the platform's tables name it: run ids are unique within a DAG only."""
    run = get_current_context()["dag_run"]
    return f"{run.dag_id}/{run.run_id}"
