"""The tasks of every downstream DAG: thin calls of `adventureworks.marts`, imported when they run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from adventureworks.catalog import ANALYSES, is_tolerant, marts_of
from adventureworks.orchestration import lineage
from adventureworks.orchestration.schedules import SETTLED_ALIAS, asset, current_run_id, tell_if_settled
from adventureworks.settings import settings


def analysis(dag_id: str) -> None:
    """The steps of a downstream DAG: build, gate, publish, and deliver where it reports."""
    marts = [asset(mart.name) for mart in marts_of(dag_id)]

    @task
    def build() -> None:
        """Computes the changed months into staging; those that come out the same are not published again.

        Skips the run if nothing changed, or if an input is due itself: its publication starts the next run.
        """
        from adventureworks.marts.build import build as compute

        lineage.build_starts(dag_id)
        _skip_if_nothing_to_do(compute(settings(), dag_id, current_run_id()))

    @task
    def gate() -> None:
        """Holds the candidates against their contracts and checks."""
        from adventureworks.marts.gate import gate as hold

        with _owners_told():
            step = hold(settings(), dag_id, current_run_id())
        if step is not None:
            lineage.build_abandoned(dag_id)
        _skip_if_nothing_to_do(step)

    @task(inlets=marts, outlets=marts if is_tolerant(dag_id) else [*marts, SETTLED_ALIAS])
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
        # Airflow tells of every outlet. A mart that came out the same has to be among them: its event also starts DAGs
        # that do not subscribe to an input that they share with it.
        for version in (*outcome.published, *outcome.confirmed):
            print(f"{version.asset}: version {version.version}, {version.rows:,} rows, {version.verdict}")
            outlet_events[asset(version.asset)].extra = version.as_extra()
            asset_state_store[asset(version.asset)].set("verdict", version.as_extra())
            asset_state_store[asset(version.asset)].set("watermark", {"input_versions": dict(version.inputs)})
        if not is_tolerant(dag_id):
            tell_if_settled(outlet_events)
        lineage.marts_published()
        send((), outcome.resolved, outcome.notices)

    published = build() >> gate() >> publish()
    if ANALYSES[dag_id].reports:
        published >> deliver(dag_id)


def deliver(dag_id: str) -> Any:
    """The task that files the reports of every month that shows something new."""

    # Also where nothing was computed: a file may be lost, or a delivery have failed.
    @task(task_id="deliver", trigger_rule=TriggerRule.NONE_FAILED, priority_weight=1)
    def file_reports() -> None:
        """Files the workbook and the PDF of each month that shows something new; newer figures come first."""
        from adventureworks.due import Plan
        from adventureworks.marts.plan import plan
        from adventureworks.orchestration.notify import tell_pending
        from adventureworks.orchestration.storage import report_folder
        from adventureworks.reports import delivery

        # Figures come first, where both want the processor.
        os.nice(10)
        known = settings()
        folder = report_folder(known)
        left = list(delivery.months_stale(known, folder))
        if not left:
            raise AirflowSkipException("No month shows anything new.")
        try:
            for done in delivery.deliver_each(known, folder, list(left), current_run_id()):
                print(f"{done.month}: {done.status}")
                left.remove(done.month)
                step = plan(known, dag_id)
                if left and isinstance(step, Plan) and not step.refused:
                    print(f"There are newer figures. The next run files {', '.join(left)}.")
                    break
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
