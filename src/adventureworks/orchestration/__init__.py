"""The thin layer between Airflow and the platform: what the DAG files are wired from.

Everything it calls is plain Python that knows nothing of Airflow. Heavy imports happen inside the tasks: a DAG file is
parsed again and again.
"""

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
    task,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from adventureworks.catalog import ANALYSES, SOURCE_TABLES, entry, marts_of, outside_inputs
from adventureworks.orchestration.watcher import SourceChanged
from adventureworks.settings import settings

SOURCE_ALIAS = AssetAlias("source_tables", group="source")
"""Through it one task announces all source tables that changed, and no other."""

SOURCE = Asset("source_database", group="source", watchers=[AssetWatcher("source_watcher", trigger=SourceChanged())])
"""The source as a whole; its event says that something in it changed."""

INGESTION_CALENDAR = "*/15 * * * *"


def asset(name: str) -> Asset:
    """The Airflow asset of a source table or mart."""
    known = entry(name)
    return Asset(name, group=known.group, extra={"owner": known.owner})


def changes(dag_id: str) -> AssetOrTimeSchedule:
    """When an analysis starts: on the change of any of its inputs, at the latest on its calendar."""
    return AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(ANALYSES[dag_id].calendar, timezone="UTC"),
        assets=AssetAny(*(asset(name) for name in outside_inputs(dag_id))),
    )


def source_changes() -> AssetOrTimeSchedule:
    """When the ingestion starts: when the watcher sees a change, at the latest on its calendar."""
    return AssetOrTimeSchedule(timetable=CronTriggerTimetable(INGESTION_CALENDAR, timezone="UTC"), assets=SOURCE)


def settings_for(dag_id: str) -> dict[str, Any]:
    """What every DAG of the platform has in common."""
    marts = marts_of(dag_id)
    owner, tag = (marts[0].owner, marts[0].domain) if marts else ("platform", "ingestion")
    return {
        "dag_id": dag_id,
        "start_date": datetime(2024, 1, 1),  # noqa: DTZ001 - Airflow reads it as UTC
        "catchup": False,
        # Two runs at once would stage over each other. A wake-up that Airflow drops because of it is no loss: a run
        # reads what is unprocessed when it starts.
        "max_active_runs": 1,
        "tags": [tag],
        "default_args": {
            "owner": owner,
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
    from adventureworks.orchestration.notify import on_task_failure

    on_task_failure(context)


def _report_success(context: Any) -> None:
    from adventureworks.orchestration.notify import on_task_success

    on_task_success(context)


def _run_id() -> str:
    """The run, as the platform's tables name it: run ids are unique within a DAG only."""
    run = get_current_context()["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


# --- ingestion ------------------------------------------------------------------------------------------------------


@task
def detect() -> list[list[str]]:
    """Notes which tables changed; returns them in groups, one for each load task."""
    from adventureworks.gate import detect as detection
    from adventureworks.orchestration.notify import tell_pending

    tell_pending()
    conf = get_current_context()["dag_run"].conf or {}
    groups = detection.detect(settings(), _run_id(), everything=bool(conf.get("everything")))
    if not groups and not detection.has_work(settings(), _run_id()):
        raise AirflowSkipException("No table changed.")
    # A batch may hold nothing to load, only tables that cannot be read: the steps after the load are for them too.
    return groups or [[]]


@task(map_index_template="{{ tables }}")
def load(group: list[str]) -> None:
    """Stages the changes of a group of tables, read from one snapshot of the source."""
    from adventureworks.gate.load import load as load_group

    label = ", ".join(group) if len(group) < 4 else f"{group[0]}, {group[1]} and {len(group) - 2} more"
    get_current_context()["tables"] = label  # type: ignore[typeddict-unknown-key]
    for name, rows in load_group(settings(), _run_id(), group).items():
        print(f"{name}: {rows:,} rows read")


@task
def check() -> None:
    """Runs references and checks on the candidates and decides which tables may pass."""
    from adventureworks.gate.judge import judge

    judge(settings(), _run_id())


@task(outlets=[SOURCE_ALIAS])
def publish_tables(outlet_events: Any = None) -> None:
    """Publishes the batch in one transaction, then one event per table that changed."""
    from adventureworks.gate.publish import publish

    for version in publish(settings(), _run_id()):
        print(f"{version.asset}: version {version.version}, {version.changed_rows:,} rows changed, {version.verdict}")
        outlet_events[SOURCE_ALIAS].add(asset(version.asset), extra=version.as_extra())


@task(inlets=[asset(name) for name in SOURCE_TABLES])
def tell(asset_state_store: Any = None) -> None:
    """Shows each table's verdict on its asset's page, and tells the owners what they have to know."""
    from adventureworks.gate.publish import conclude
    from adventureworks.orchestration.notify import tell as send

    conclusion = conclude(settings(), _run_id())
    for name, state in conclusion.states.items():
        for key, value in state.items():
            asset_state_store[asset(name)].set(key, value)
    send(conclusion.opened, conclusion.resolved)
    for incident in conclusion.opened:
        print(incident.summary)


# --- analyses -------------------------------------------------------------------------------------------------------


def analysis(dag_id: str) -> None:
    """The steps of a downstream DAG: plan, build, gate, publish."""
    marts = [asset(mart.name) for mart in marts_of(dag_id)]

    @task
    def plan() -> None:
        """Compares the versions consumed last with those published now."""
        from adventureworks.marts.plan import plan as compare

        _skip_if_nothing_to_do(compare(settings(), dag_id))

    @task
    def build() -> None:
        """Computes the changed months into staging."""
        from adventureworks.marts.build import build as compute

        _skip_if_nothing_to_do(compute(settings(), dag_id, _run_id()))

    @task
    def gate() -> None:
        """Holds the candidates against their contracts and checks."""
        from adventureworks.marts.gate import GateClosed
        from adventureworks.marts.gate import gate as hold
        from adventureworks.orchestration.notify import tell as send

        try:
            _skip_if_nothing_to_do(hold(settings(), dag_id, _run_id()))
        except GateClosed as closed:
            send(closed.opened)
            raise AirflowFailException(str(closed)) from None

    @task(inlets=marts, outlets=marts)
    def publish(outlet_events: Any = None, asset_state_store: Any = None) -> None:
        """Publishes the marts in one transaction, then their events."""
        from adventureworks.marts.publish import publish as replace_months
        from adventureworks.orchestration.notify import tell as send

        outcome = replace_months(settings(), dag_id, _run_id())
        for version in outcome.published:
            print(f"{version.asset}: version {version.version}, {version.rows:,} rows, {version.verdict}")
            outlet_events[asset(version.asset)].extra = version.as_extra()
            asset_state_store[asset(version.asset)].set("verdict", version.as_extra())
            asset_state_store[asset(version.asset)].set("watermark", {"input_versions": dict(version.inputs)})
        send((), outcome.resolved)

    plan() >> build() >> gate() >> publish()


def _skip_if_nothing_to_do(step: Any) -> None:
    from adventureworks.marts.plan import NothingToDo

    if isinstance(step, NothingToDo):
        raise AirflowSkipException(f"Nothing to compute: {step.reason}.")
    if step is not None:
        print("All months." if step.months is None else f"Months: {', '.join(step.months) or 'none'}.")
