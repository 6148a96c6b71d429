"""Airflow's assets, the schedule of each DAG, and the settings that all DAGs share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    AssetAny,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)

from adventureworks.catalog import ANALYSES, MARTS, entry, is_tolerant, marts_of, readers_of, starting_inputs
from adventureworks.catalog.pages import asset_address
from adventureworks.catalog.summaries import summary_of
from adventureworks.orchestration.watcher import SourceChanged

if TYPE_CHECKING:
    from adventureworks.warehouse.publication import Publication

SOURCE = Asset("source_database", group="source", watchers=[AssetWatcher("source_watcher", trigger=SourceChanged())])
"""The source as a whole; its event means that something in it changed."""

SETTLED = Asset(
    "settled_data",
    group="quality",
    extra={"description": "Nothing is due any more. The last publication sends the event, of any DAG."},
)
"""Its event means that nothing is due any more. Analyses that read everything depend on it, not on 90 assets."""

INGESTION_CALENDARS = {timedelta(minutes=15): "*/15 * * * *", timedelta(hours=1): "0 * * * *"}
"""The calendar of the ingestion by its interval."""


def plain_task(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Return a decorator like `task`, for a task without arguments.

    Airflow renders the arguments of a task as templates and stores them through its API. These tasks have none.
    """
    if function is None:
        return lambda decorated: plain_task(decorated, **options)
    declare = task(**options)(function)

    @wraps(function)
    def call() -> Any:
        declared = declare()
        declared.operator.template_fields = ()
        return declared

    return call


def asset(name: str) -> Asset:
    """Return the Airflow asset of a source table or mart."""
    known = entry(name)
    summary = summary_of(known)
    return Asset(
        name,
        # Business areas of the source and of marts differ only in case.
        group=known.group if name in MARTS else f"source_{known.group}",
        extra={
            "description": summary.description,
            "owner": known.owner,
            "contract": f"{name} {summary.contract}",
            # Relative to the address of the UI.
            "page": f"dashboard/{asset_address(name)}",
        },
    )


def changes(dag_id: str) -> AssetOrTimeSchedule:
    """Return the schedule of an analysis: any change of its inputs, and at the latest its calendar."""
    # If every input started a tolerant analysis, nearly every run would be skipped because another input is still due.
    assets = [SETTLED] if is_tolerant(dag_id) else [asset(name) for name in starting_inputs(dag_id)]
    # A new platform has nothing to compute before its first ingestion, which sends the events that start analyses.
    calendar = CronTriggerTimetable(ANALYSES[dag_id].calendar, timezone="UTC", run_immediately=timedelta())
    return AssetOrTimeSchedule(timetable=calendar, assets=AssetAny(*assets))


def announce(
    outlet_events: Any,
    published: Iterable[Publication],
    confirmed: Iterable[Publication] = (),
    can_run: Collection[str] = (),
) -> None:
    """Let the running task send the events of the published versions, and of all others only those that are needed.

    `can_run`: the analyses that can run now. `confirmed`: the versions that stay because newer inputs led to the same
    rows; the event of one is sent if it starts one of these analyses, which does not subscribe to the inputs that it
    shares with the mart. The event of `SETTLED` is sent if one of them waits for all others.
    """
    needed = {name for dag in can_run for name in starting_inputs(dag)}
    versions = [*published, *(version for version in confirmed if version.asset in needed)]
    sent = {asset(version.asset): version.as_extra() for version in versions}
    for outlet, extra in sent.items():
        outlet_events[outlet].extra = extra
    # When a task succeeds, Airflow sends an event for each outlet that it has by then. Those that its DAG declares are
    # only what the graph of assets shows. An asset alias is the documented way to send fewer events, but it ties assets
    # together in that graph, and Airflow fails one of two tasks that record the same alias at the same time.
    get_current_context()["task"].outlets = [*sent, *([SETTLED] if any(map(is_tolerant, can_run)) else [])]


def source_changes() -> AssetOrTimeSchedule:
    """Return the schedule of the ingestion: a change seen by the watcher, and at the latest its calendar."""
    from adventureworks.settings import settings

    when = INGESTION_CALENDARS[settings().ingestion_interval]
    calendar = CronTriggerTimetable(when, timezone="UTC", run_immediately=True)
    return AssetOrTimeSchedule(timetable=calendar, assets=SOURCE)


def settings_for(dag_id: str) -> dict[str, Any]:
    """Return the arguments that every DAG of the platform shares."""
    marts = marts_of(dag_id)
    reports = dag_id in ANALYSES and ANALYSES[dag_id].reports
    is_long = dag_id in ANALYSES and ANALYSES[dag_id].is_long
    owner, tag = (marts[0].owner, marts[0].domain) if marts else ("platform", "ingestion")
    published = ", ".join(mart.name for mart in marts) or "the changed tables of the source"
    return {
        "dag_id": dag_id,
        "dag_display_name": ANALYSES[dag_id].title if marts else "Ingestion of the source",
        "description": f"Publishes {published}.",
        # With a start date, Airflow makes up for a missed calendar time, including the first one. DAGs with reports
        # need it because only a run notices a lost report; the dispatcher starts everything else that is missing.
        "start_date": datetime(2024, 1, 1) if reports else None,  # noqa: DTZ001 - Airflow reads it as UTC
        "catchup": False,
        # Two concurrent runs would overwrite each other's staging. An event that Airflow drops because of this does no
        # harm: a run reads everything that is unprocessed when it starts.
        "max_active_runs": 1,
        "tags": [tag],
        "default_args": {
            "owner": owner,
            # When workers are scarce, the analyses that most others depend on run first, then those that take longest.
            "priority_weight": 1 + 2 * (len(readers_of(dag_id)) if marts else len(ANALYSES)) + is_long,
            "weight_rule": "absolute",
            "retries": 4,
            "retry_delay": timedelta(seconds=5),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(hours=2),
            "retry_policy": _retry_lost_connections_only(),
            "on_failure_callback": _report_failure,
            "on_success_callback": _report_success,
        },
    }


def _retry_lost_connections_only() -> ExceptionRetryPolicy:
    """Return a policy that retries after a lost connection, but not after a broken contract or a bug."""
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
    """Return `<dag>/<run>`, the run's id in the platform's tables: Airflow's run ids are unique only within a DAG."""
    run = get_current_context()["dag_run"]
    return f"{run.dag_id}/{run.run_id}"
