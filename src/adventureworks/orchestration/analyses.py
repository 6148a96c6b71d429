"""The tasks of every downstream DAG: thin calls of `adventureworks.marts`, imported when they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from adventureworks.catalog import ANALYSES, marts_of, monthly_readers
from adventureworks.orchestration import lineage
from adventureworks.orchestration.schedules import MONTH_TO_REPORT, asset, current_month, current_run_id
from adventureworks.settings import settings


def analysis(dag_id: str) -> None:
    """The steps of a downstream DAG: build, gate, publish.

    A monthly one delivers then. One whose marts are what a monthly one is made of calls for the months.
    """
    marts = [asset(mart.name) for mart in marts_of(dag_id)]

    @task
    def build() -> None:
        """Computes the changed months into staging.

        Skips the run if nothing changed, or if an input is due itself: its publication starts the next run.
        """
        from adventureworks.due import NothingToDo
        from adventureworks.marts.build import build as compute

        lineage.build_starts(dag_id)
        step = compute(settings(), dag_id, current_run_id())
        if isinstance(step, NothingToDo):
            lineage.build_abandoned(dag_id)
        _skip_if_nothing_to_do(step)

    @task
    def gate() -> None:
        """Holds the candidates against their contracts and checks."""
        from adventureworks.marts.gate import gate as hold

        with _owners_told():
            step = hold(settings(), dag_id, current_run_id())
        if step is not None:
            lineage.build_abandoned(dag_id)
        _skip_if_nothing_to_do(step)

    @task(inlets=marts, outlets=marts)
    def publish(outlet_events: Any = None, asset_state_store: Any = None) -> None:
        """Publishes the marts in one transaction, then their events."""
        from adventureworks.due import NothingToDo
        from adventureworks.marts.publish import publish as replace_months
        from adventureworks.orchestration.notify import tell as send

        with _owners_told():
            outcome = replace_months(settings(), dag_id, current_run_id())
        if isinstance(outcome, NothingToDo):
            lineage.build_abandoned(dag_id)
            raise AirflowSkipException(f"Nothing to compute: {outcome.reason}.")
        for version in outcome.published:
            print(f"{version.asset}: version {version.version}, {version.rows:,} rows, {version.verdict}")
            outlet_events[asset(version.asset)].extra = version.as_extra()
            asset_state_store[asset(version.asset)].set("verdict", version.as_extra())
            asset_state_store[asset(version.asset)].set("watermark", {"input_versions": dict(version.inputs)})
        lineage.marts_published()
        send((), outcome.resolved, outcome.notices)

    published = build() >> gate() >> publish()
    if ANALYSES[dag_id].monthly:
        published >> deliver(dag_id)
    elif monthly_readers(dag_id):
        published >> call_for_months()


@task(outlets=[MONTH_TO_REPORT])
def call_for_months(outlet_events: Any = None) -> None:
    """Starts a run of the monthly analysis for each month that has something new to report."""
    from adventureworks.reports.due import months_due

    months = months_due(settings())
    if not months:
        raise AirflowSkipException("No month has anything new to report.")
    print(", ".join(months))
    outlet_events[MONTH_TO_REPORT].add_partitions(list(months))


def deliver(dag_id: str) -> Any:
    """The task that files the reports of the run's month."""

    # The months of one change are computed together by the first run; the others find them published.
    @task(task_id="deliver", trigger_rule=TriggerRule.NONE_FAILED)
    def file_reports() -> None:
        """Files the workbook and the PDF of the month; started by hand, of every month that has something new."""
        from adventureworks.orchestration.notify import tell_pending
        from adventureworks.orchestration.storage import report_folder
        from adventureworks.reports import delivery

        known, month = settings(), current_month()
        folder = report_folder(known)
        keys = [month] if month else delivery.months_stale(known, folder)
        try:
            for done in delivery.deliver_each(known, folder, keys, current_run_id()):
                print(f"{done.month}: {done.status}")
        finally:
            tell_pending()

    return file_reports()


@contextmanager
def _owners_told() -> Iterator[None]:
    """Where the gate refuses marts, tells their owners and fails the task for good."""
    from adventureworks.marts.gate import GateClosed
    from adventureworks.orchestration.notify import tell as send

    try:
        yield
    except GateClosed as closed:
        send(closed.opened)
        raise AirflowFailException(str(closed)) from None


def _skip_if_nothing_to_do(step: Any) -> None:
    from adventureworks.due import NothingToDo

    if isinstance(step, NothingToDo):
        raise AirflowSkipException(f"Nothing to compute: {step.reason}.")
    if step is not None:
        for mart, months in step.months.items():
            print(f"{mart}: {'all' if months is None else ', '.join(months) or 'no month changed'}")
