"""The dispatcher: starts what is due in time, once, and not while an event may still start it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adventureworks.airflow_tables import has_work
from adventureworks.catalog import INGESTION
from adventureworks.errors import Step
from adventureworks.incidents import Finding, events
from adventureworks.incidents.ledger import PER_MONTH, report, resolve_rules, task_rule
from adventureworks.marts.plan import decide_now
from adventureworks.orchestration import dispatch
from adventureworks.orchestration.dispatch import GRACE, GRACE_WHILE_INPUTS_RUN, Dispatcher, Start
from adventureworks.starts import FIRST_PAUSE
from tests import airflow_tables
from tests.conftest import FreshDatabase
from tests.integration.pipeline import Pipeline

DAG = "currency_exchange_rates"
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Airflow:
    """The tables of Airflow's database, and the warehouse of a pipeline."""

    def __init__(self, url: str, pipeline: Pipeline) -> None:
        self.url, self.pipeline = url, pipeline
        airflow_tables.create(url)
        self.run("insert into dag values (%s, false, false), ('daily_sales_etl', false, false)", DAG)

    def run(self, query: str, *values: object) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(query, values)

    def start_due(self, dispatcher: Dispatcher, after: timedelta) -> list[str]:
        """Run a round of the dispatcher and return the DAGs that it starts."""
        with self.pipeline.session() as session, psycopg.connect(self.url) as airflow:
            return [start.dag for start in dispatcher.round(session, airflow, NOW + after)]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Start]:
    """The runs that were started; each run id only once, as in Airflow's database."""
    runs: list[Start] = []

    def once(start: Start) -> bool:
        if any((start.dag, start.run_id) == (known.dag, known.run_id) for known in runs):
            return False
        runs.append(start)
        return True

    monkeypatch.setattr(dispatch, "_trigger", once)
    return runs


@pytest.fixture
def airflow(pipeline: Pipeline, fresh_database: FreshDatabase) -> Airflow:
    """An idle Airflow and a warehouse in which one mart was computed by another model."""
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update ops.publication set model = 'another' where asset = 'exchange_rates'")
    return Airflow(fresh_database("source"), pipeline)


def test_a_due_dag_is_started_once_with_the_reason(airflow: Airflow, started: list[Start]) -> None:
    one, other = Dispatcher(airflow.pipeline.settings), Dispatcher(airflow.pipeline.settings)
    assert airflow.start_due(one, timedelta()) == [DAG], "nothing else starts it"
    assert airflow.start_due(other, timedelta()) == [], "another dispatcher was first"
    assert [start.reason for start in started] == ["exchange_rates: its model, contract or checks changed"]


@pytest.mark.parametrize(
    ("sign", "grace"),
    [
        (f"insert into asset_dag_run_queue values ('{DAG}')", GRACE),
        ("insert into dag_run values (1, 'daily_sales_etl', 'r', 'running', now(), null)", GRACE_WHILE_INPUTS_RUN),
    ],
    ids=["an event was sent", "inputs are being published"],
)
def test_a_dag_that_an_event_may_start_is_started_after_a_grace_period(
    airflow: Airflow, started: list[Start], sign: str, grace: timedelta
) -> None:
    airflow.run(sign)
    dispatcher = Dispatcher(airflow.pipeline.settings)
    assert airflow.start_due(dispatcher, timedelta()) == []
    assert airflow.start_due(dispatcher, grace - timedelta(seconds=1)) == []
    assert airflow.start_due(dispatcher, grace) == [DAG]
    assert len(started) == 1


def test_the_ingestion_is_started_if_airflow_holds_its_event_back(airflow: Airflow, started: list[Start]) -> None:
    airflow.run("insert into dag values (%s, false, false)", INGESTION)
    airflow.run("insert into asset_dag_run_queue values (%s, %s)", INGESTION, NOW)
    airflow.run("insert into dag_run values (1, %s, 'r', 'running', now(), null)", INGESTION)
    one, other = Dispatcher(airflow.pipeline.settings), Dispatcher(airflow.pipeline.settings)
    assert INGESTION not in airflow.start_due(one, GRACE), "the event waits for the run"
    airflow.run("update dag_run set state = 'success'")
    assert INGESTION not in airflow.start_due(one, GRACE / 2)
    assert INGESTION in airflow.start_due(one, GRACE)
    assert INGESTION not in airflow.start_due(other, GRACE), "another dispatcher was first"


@pytest.mark.parametrize(
    "change",
    [
        f"update dag set is_paused = true where dag_id = '{DAG}'",
        f"update dag set is_stale = true where dag_id = '{DAG}'",
        f"insert into dag_run values (1, '{DAG}', 'r', 'queued', now(), null)",
    ],
)
def test_paused_removed_and_queued_dags_are_not_started(airflow: Airflow, started: list[Start], change: str) -> None:
    airflow.run(change)
    dispatcher = Dispatcher(airflow.pipeline.settings)
    airflow.start_due(dispatcher, timedelta())
    assert airflow.start_due(dispatcher, timedelta(hours=1)) == []
    assert started == []


def test_runs_that_compute_nothing_are_retried_with_back_off(airflow: Airflow, started: list[Start]) -> None:
    dispatcher, at, pauses = Dispatcher(airflow.pipeline.settings), timedelta(), []
    while at < timedelta(hours=1):
        if airflow.start_due(dispatcher, at):
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
    assert len(waited) == 3, "four attempts within the hour: the fifth would come half an hour later"
    assert waited == sorted(waited)
    assert waited[0] >= FIRST_PAUSE
    assert waited[2] >= 16 * FIRST_PAUSE


def test_failed_report_deliveries_are_retried(airflow: Airflow, started: list[Start]) -> None:
    airflow.run("insert into dag values ('financial_reporting', false, false)")
    dispatcher = Dispatcher(airflow.pipeline.settings)
    finding = Finding(
        asset="financial_reporting",
        rule=task_rule(PER_MONTH, "2014-05"),
        severity="error",
        event=events.report_not_delivered("2014-05", "No space left on device.", Step("Free some space.")),
        run_id="financial_reporting/x",
        owner="finance",
    )
    with psycopg.connect(airflow.pipeline.url) as connection:
        report(connection, [finding])
    assert airflow.start_due(dispatcher, timedelta()) == [DAG, "financial_reporting"]
    assert started[-1].reason == "reports could not be delivered"
    with airflow.pipeline.session() as session:
        assert decide_now(airflow.pipeline.settings, session).undelivered.keys() == {"financial_reporting"}
        resolve_rules(session.records, "financial_reporting", {finding.rule}, "financial_reporting/y")
        assert decide_now(airflow.pipeline.settings, session).undelivered == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("select 1", False),
        ("insert into dag_run (dag_id, state) values ('daily_sales_etl', 'queued')", True),
        ("insert into dag_run (dag_id, state) values ('daily_sales_etl', 'success')", False),
        ("insert into asset_dag_run_queue values ('daily_sales_etl')", True),
        ("update dag set next_dagrun_create_after = now() - interval '1 second'", True),
        ("update dag set next_dagrun_create_after = now() + interval '1 hour'", False),
        ("update dag set next_dagrun_create_after = now() - interval '1 second', is_paused = true", False),
    ],
)
def test_an_idle_scheduler_is_woken_by_runs_events_and_calendars(airflow: Airflow, change: str, expected: bool) -> None:
    airflow.run(change)
    with psycopg.connect(airflow.url) as connection:
        assert has_work(connection) is expected
