"""The tasks of every downstream DAG: thin wrappers around `adventureworks.marts`, which is imported at run time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from airflow.sdk import TriggerRule, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from adventureworks.catalog import ANALYSES, is_tolerant, marts_of
from adventureworks.orchestration import lineage
from adventureworks.orchestration.schedules import announce, asset, current_run_id, plain_task
from adventureworks.settings import settings


def analysis(dag_id: str) -> None:
    """Define the tasks of a downstream DAG: refresh, and deliver if the DAG has reports."""
    marts = [asset(mart.name) for mart in marts_of(dag_id)]

    # It reports its success itself, over the connection that it has.
    @plain_task(inlets=marts, outlets=marts, on_success_callback=None)
    def refresh(outlet_events: Any = None, asset_state_store: Any = None) -> None:
        """Build, validate and publish the months of the marts that changed, then send their events.

        Skips the run if nothing changed, or if an input is itself due: publishing that input starts the next run.
        """
        from adventureworks.due import NothingToDo
        from adventureworks.marts.plan import runnable
        from adventureworks.orchestration.notify import notify_owners, on_task_success
        from adventureworks.pipeline import analyse
        from adventureworks.warehouse.postgres import reuse_connections

        lineage.build_started(dag_id)
        with reuse_connections():
            with _owners_notified():
                done = analyse(settings(), dag_id, current_run_id(), within=_logged)
            if isinstance(done, NothingToDo):
                lineage.build_abandoned(dag_id)
                _skip(done)
            for mart, months in done.plan.months.items() if done.plan else ():
                print(f"{mart}: {'all' if months is None else ', '.join(months) or 'no month changed'}")
            outcome = done.outcome
            for version in (*outcome.published, *outcome.confirmed):
                print(f"{version.asset}: version {version.version}, {version.rows:,} rows, {version.verdict}")
                verdict = {**version.as_extra(), "input_versions": dict(version.inputs)}
                asset_state_store[asset(version.asset)].set("verdict", verdict)
            # What a tolerant analysis publishes starts nothing.
            can_run = () if is_tolerant(dag_id) else runnable(settings())
            announce(outlet_events, outcome.published, outcome.confirmed, can_run)
            lineage.marts_published()
            notify_owners((), outcome.resolved, outcome.notices)
            on_task_success(get_current_context())

    refreshed = refresh()
    if ANALYSES[dag_id].reports:
        refreshed >> deliver(dag_id)


def deliver(dag_id: str) -> Any:
    """Return the task that files the reports of every month with new content."""

    # It also runs if nothing was computed: a file may be missing, or an earlier delivery may have failed.
    @plain_task(task_id="deliver", trigger_rule=TriggerRule.NONE_FAILED, priority_weight=1)
    def file_reports() -> None:
        """File the workbook and the PDF of each month with new content; stop early if newer figures can be computed."""
        from adventureworks.due import Plan
        from adventureworks.marts.plan import plan
        from adventureworks.orchestration.notify import send_pending
        from adventureworks.orchestration.storage import report_folder
        from adventureworks.reports import delivery

        # Computing figures takes precedence over reports when both need the processor.
        os.nice(10)
        known = settings()
        folder = report_folder(known)
        stale = delivery.stale_months(known, folder)
        if not stale:
            raise AirflowSkipException("No month has anything new to report.")

        def until_newer_figures() -> Iterator[str]:
            for place, month in enumerate(stale):
                step = plan(known, dag_id) if place else None
                if isinstance(step, Plan) and not step.refused:
                    print(f"There are newer figures. The next run files {', '.join(stale[place:])}.")
                    return
                yield month

        try:
            for done in delivery.deliver_all(known, folder, until_newer_figures(), current_run_id()):
                print(f"{done.month}: {done.status}")
        finally:
            send_pending()

    return file_reports()


@contextmanager
def _logged(step: str) -> Iterator[None]:
    """Log a step as a group, and after it whether the step failed, and its duration."""
    print(f"::group::{step}")
    begin, ended = time.monotonic(), "failed"
    try:
        yield
        ended = "ended"
    finally:
        print("::endgroup::")
        # Airflow shows groups collapsed.
        print(f"The step {step} {ended} after {time.monotonic() - begin:.2f} s.")


@contextmanager
def _owners_notified() -> Iterator[None]:
    """If the gate refuses marts, notify their owners and fail the task without retries."""
    from adventureworks.marts.gate import MartRefused
    from adventureworks.orchestration.notify import notify_owners

    try:
        yield
    except MartRefused as refused:
        notify_owners(refused.opened)
        raise AirflowFailException(f"The gate refused {refused}") from None


def _skip(step: Any) -> NoReturn:
    """Skip the run, and leave the reason for its note."""
    from adventureworks.orchestration import run_notes

    get_current_context()["ti"].xcom_push(run_notes.KEY, run_notes.message(step))
    raise AirflowSkipException(f"Nothing to compute: {step.reason}.")
