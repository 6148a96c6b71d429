"""The tasks of every downstream DAG: thin calls of `adventureworks.marts`, imported when they run."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from adventureworks.catalog import marts_of
from adventureworks.orchestration.schedules import asset, current_run_id
from adventureworks.settings import settings


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

        _skip_if_nothing_to_do(compute(settings(), dag_id, current_run_id()))

    @task
    def gate() -> None:
        """Holds the candidates against their contracts and checks."""
        from adventureworks.marts.gate import GateClosed
        from adventureworks.marts.gate import gate as hold
        from adventureworks.orchestration.notify import tell as send

        try:
            _skip_if_nothing_to_do(hold(settings(), dag_id, current_run_id()))
        except GateClosed as closed:
            send(closed.opened)
            raise AirflowFailException(str(closed)) from None

    @task(inlets=marts, outlets=marts)
    def publish(outlet_events: Any = None, asset_state_store: Any = None) -> None:
        """Publishes the marts in one transaction, then their events."""
        from adventureworks.marts.publish import publish as replace_months
        from adventureworks.orchestration.notify import tell as send

        outcome = replace_months(settings(), dag_id, current_run_id())
        for version in outcome.published:
            print(f"{version.asset}: version {version.version}, {version.rows:,} rows, {version.verdict}")
            outlet_events[asset(version.asset)].extra = version.as_extra()
            asset_state_store[asset(version.asset)].set("verdict", version.as_extra())
            asset_state_store[asset(version.asset)].set("watermark", {"input_versions": dict(version.inputs)})
        send((), outcome.resolved, outcome.notices)

    plan() >> build() >> gate() >> publish()


def _skip_if_nothing_to_do(step: Any) -> None:
    from adventureworks.marts.plan import NothingToDo

    if isinstance(step, NothingToDo):
        raise AirflowSkipException(f"Nothing to compute: {step.reason}.")
    if step is not None:
        for mart, months in step.months.items():
            print(f"{mart}: {'all' if months is None else ', '.join(months) or 'no month changed'}")
