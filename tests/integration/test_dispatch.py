"""The dispatcher: what is due is started in time, once, and not while an event may still come."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from adventureworks.incidents import Finding
from adventureworks.incidents.ledger import PER_MONTH, report, resolve_rules, task_rule
from adventureworks.marts.plan import decide_now
from adventureworks.orchestration import dispatch
from adventureworks.orchestration.dispatch import GRACE, GRACE_WHILE_INPUTS_RUN, Dispatcher, Start
from adventureworks.starts import FIRST_PAUSE
from tests.conftest import FreshDatabase
from tests.integration.pipeline import Pipeline

DAG = "currency_exchange_rates"
READ = {
    "dag": ("dag_id", "is_paused", "is_stale"),
    "dag_run": ("id", "dag_id", "run_id", "state", "queued_at", "end_date"),
}
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Airflow:
    """Airflow's database as far as the dispatcher reads it, in the types of Airflow's own models."""

    def __init__(self, url: str, pipeline: Pipeline) -> None:
        from airflow.models import DagModel, DagRun
        from sqlalchemy.dialects.postgresql import dialect

        self.url, self.pipeline = url, pipeline
        models: list[Any] = [DagModel, DagRun]
        for model in models:
            table = model.__table__
            types = {name: table.columns[name].type.compile(dialect=dialect()) for name in READ[table.name]}
            self.run(f"create table {table.name} ({', '.join(f'{name} {kind}' for name, kind in types.items())})")
        self.run("insert into dag values (%s, false, false), ('daily_sales_etl', false, false)", DAG)

    def run(self, query: str, *values: object) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(query, values)

    def look(self, dispatcher: Dispatcher, after: timedelta) -> list[str]:
        """The DAGs that a round of the dispatcher starts."""
        with psycopg.connect(self.pipeline.url) as warehouse, psycopg.connect(self.url) as airflow:
            return [start.dag for start in dispatcher.round(warehouse, airflow, NOW + after)]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Start]:
    """The runs that were started; the same one only once, as in Airflow's database."""
    runs: list[Start] = []

    def once(start: Start) -> bool:
        if any((start.dag, start.run_id) == (known.dag, known.run_id) for known in runs):
            return False
        runs.append(start)
        return True

    monkeypatch.setattr(dispatch, "_started", once)
    return runs


@pytest.fixture
def airflow(pipeline: Pipeline, fresh_database: FreshDatabase) -> Airflow:
    """An idle Airflow, and a warehouse in which one mart is of another model."""
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update ops.publication set model = 'another' where asset = 'exchange_rates'")
    return Airflow(fresh_database("source"), pipeline)


def test_what_is_due_is_started_once_after_a_moment_and_its_run_says_why(
    airflow: Airflow, started: list[Start]
) -> None:
    one, other = Dispatcher(airflow.pipeline.settings), Dispatcher(airflow.pipeline.settings)
    for dispatcher in (one, other):
        assert airflow.look(dispatcher, timedelta()) == [], "an event may come"
    assert airflow.look(one, GRACE) == [DAG]
    assert airflow.look(other, GRACE) == [], "another dispatcher was first"
    assert [start.reason for start in started] == ["exchange_rates: its model, contract or checks changed"]


def test_while_its_inputs_are_being_published_it_is_given_longer(airflow: Airflow, started: list[Start]) -> None:
    airflow.run("insert into dag_run values (1, 'daily_sales_etl', 'r', 'running', now(), null)")
    dispatcher = Dispatcher(airflow.pipeline.settings)
    assert airflow.look(dispatcher, timedelta()) == []
    assert airflow.look(dispatcher, GRACE) == []
    assert airflow.look(dispatcher, GRACE_WHILE_INPUTS_RUN) == [DAG]
    assert len(started) == 1


@pytest.mark.parametrize(
    "change",
    [
        f"update dag set is_paused = true where dag_id = '{DAG}'",
        f"update dag set is_stale = true where dag_id = '{DAG}'",
        f"insert into dag_run values (1, '{DAG}', 'r', 'queued', now(), null)",
    ],
)
def test_a_dag_that_is_paused_gone_or_on_its_way_is_left_alone(
    airflow: Airflow, started: list[Start], change: str
) -> None:
    airflow.run(change)
    dispatcher = Dispatcher(airflow.pipeline.settings)
    airflow.look(dispatcher, timedelta())
    assert airflow.look(dispatcher, timedelta(hours=1)) == []
    assert started == []


def test_a_run_that_computed_nothing_is_tried_again_ever_more_rarely(airflow: Airflow, started: list[Start]) -> None:
    dispatcher, at, pauses = Dispatcher(airflow.pipeline.settings), timedelta(), []
    while at < timedelta(hours=1):
        if airflow.look(dispatcher, at):
            airflow.run(
                "insert into dag_run values (%s, %s, %s, 'success', %s, %s)",
                len(started),
                DAG,
                started[-1].run_id,
                NOW + at,
                NOW + at,
            )
            pauses.append(at)
        at += FIRST_PAUSE
    waited = [later - earlier for earlier, later in itertools.pairwise(pauses)]
    assert len(waited) == 3, "four tries in all: the fifth would have come after half an hour"
    assert waited == sorted(waited)
    assert waited[0] >= FIRST_PAUSE
    assert waited[2] >= 16 * FIRST_PAUSE


def test_reports_that_could_not_be_delivered_are_tried_again(airflow: Airflow, started: list[Start]) -> None:
    airflow.run("insert into dag values ('financial_reporting', false, false)")
    dispatcher = Dispatcher(airflow.pipeline.settings)
    finding = Finding(
        asset="financial_reporting",
        rule=task_rule(PER_MONTH, "2014-05"),
        severity="error",
        summary="The reports of 2014-05 are not delivered: No space left on device.",
        next_step="Free some space.",
        run_id="financial_reporting/x",
        owner="finance",
        cause="No space left on device.",
    )
    with psycopg.connect(airflow.pipeline.url) as connection:
        report(connection, [finding])
    airflow.look(dispatcher, timedelta())
    assert airflow.look(dispatcher, GRACE) == [DAG, "financial_reporting"]
    assert started[-1].reason == "reports could not be delivered"
    with psycopg.connect(airflow.pipeline.url) as connection:
        assert decide_now(airflow.pipeline.settings, connection).undelivered.keys() == {"financial_reporting"}
        resolve_rules(connection, "financial_reporting", {finding.rule}, "financial_reporting/y")
        assert decide_now(airflow.pipeline.settings, connection).undelivered == {}
