"""The notes on runs, written into Airflow's own tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from adventureworks import pipeline as steps
from adventureworks.catalog import INGESTION
from adventureworks.due import NothingToDo
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.months import first_day
from adventureworks.orchestration import run_notes
from adventureworks.orchestration.run_notes import KEY, LOOKBACK, message
from adventureworks.orchestration.watch import NoteWriter
from adventureworks.texts import language
from adventureworks.warehouse import publication
from adventureworks.warehouse.cause import cause_of
from tests.conftest import create_database
from tests.integration.pipeline import Pipeline
from tests.integration.test_approve import refused_mart
from tests.integration.test_pipeline import any_order, change_quantity

DAG = "daily_sales_etl"
NOW = datetime.now(UTC)


class Airflow:
    """Airflow's database with Airflow's own schema."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, query: str, *values: object) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(query, values)

    def ended(
        self, run_id: str, *, ago: timedelta = timedelta(), failed: str = "", message: object | None = None
    ) -> None:
        """Record that a run of `<dag>/<run>` ended; `failed`: a task that failed; `message`: what a task left."""
        dag, _, run = run_id.partition("/")
        self.run(
            "insert into dag_run (dag_id, run_id, run_type, run_after, state, end_date)"
            " values (%s, %s, 'manual', now(), %s, %s)",
            *(dag, run, "failed" if failed else "success", NOW - ago),
        )
        task = failed or "refresh"
        self.run(
            "insert into task_instance (id, task_id, dag_id, run_id, state, try_number, pool, pool_slots, map_index,"
            " max_tries) values (%s, %s, %s, %s, %s, 1, 'default_pool', 1, -1, 0)",
            *(uuid4(), task, dag, run, "failed" if failed else "success"),
        )
        if message is not None:
            self.run(
                "insert into xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)"
                " select id, %s, -1, %s, dag_id, run_id, %s, now() from dag_run where dag_id = %s and run_id = %s",
                *(task, KEY, Jsonb(message), dag, run),
            )

    def notes(self) -> dict[str, str]:
        """Return the notes of runs, by `<dag>/<run>`."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "select dag_id || '/' || run_id, content from dag_run join dag_run_note on dag_run_id = id"
            ).fetchall()
        return dict(rows)


@pytest.fixture
def airflow(postgres: EmbeddedPostgres, migrated_airflow: str) -> Airflow:
    return Airflow(postgres.url(create_database(postgres, "airflow", migrated_airflow), "airflow"))


@pytest.fixture
def writer(pipeline: Pipeline, airflow: Airflow) -> NoteWriter:
    return NoteWriter(pipeline.settings, airflow.url)


def test_runs_note_which_rows_changed_and_which_months_were_computed_again(
    pipeline: Pipeline, airflow: Airflow, writer: NoteWriter
) -> None:
    order, line, month = any_order(pipeline)
    change_quantity(pipeline, order, line, 1)
    loads, computes, waits = f"{INGESTION}/loads", f"{DAG}/computes", "sales_territory_analysis/waits"
    steps.ingest(pipeline.settings, loads)
    step = steps.analyse(pipeline.settings, "sales_territory_analysis", waits)
    assert isinstance(step, NothingToDo)
    steps.analyse(pipeline.settings, DAG, computes)
    airflow.ended(loads)
    airflow.ended(waits, message=message(step))
    airflow.ended(computes)
    airflow.ended(f"{INGESTION}/idle")
    airflow.ended(f"{INGESTION}/lost", failed="load")
    # After the last build of the analysis, by another run.
    airflow.ended("sales_forecasting/lost", failed="refresh", ago=timedelta(hours=-1))
    airflow.ended(f"{INGESTION}/old", ago=LOOKBACK + timedelta(minutes=1))
    writer.write()
    changed = "2 rows of Sales_SalesOrderDetail, Sales_SalesOrderHeader changed"
    name = language("en").month(first_day(month))
    assert airflow.notes() == {
        loads: f"{changed}.",
        waits: "Waiting: fact_sales is due and will be published first.",
        computes: f"{changed}: {name} computed again.",
        f"{INGESTION}/idle": "No table changed.",
        f"{INGESTION}/lost": "Failed: load.",
        "sales_forecasting/lost": "Failed: refresh (build).",
    }


def test_notes_of_people_stay_and_a_run_that_ends_again_gets_a_new_note(airflow: Airflow, writer: NoteWriter) -> None:
    airflow.ended(f"{INGESTION}/own", failed="load")
    airflow.ended(f"{INGESTION}/edited", failed="load")
    writer.write()
    airflow.run(
        "update dag_run_note set content = 'The disk was full.', user_id = '1'"
        " where dag_run_id = (select id from dag_run where run_id = 'edited')"
    )
    airflow.run("update task_instance set state = 'success'")
    airflow.run("update dag_run set state = 'success', end_date = end_date + interval '1 second'")
    writer.write()
    assert airflow.notes() == {
        f"{INGESTION}/own": "No table changed.",
        f"{INGESTION}/edited": "The disk was full.",
    }


def test_note_of_a_rolled_back_analysis_names_nobody(pipeline: Pipeline, airflow: Airflow, writer: NoteWriter) -> None:
    with pipeline.session() as session:
        session.records.execute(
            "insert into ops.intervention (kind, asset, who, reason, detail)"
            """ values ('rollback', 'fact_sales', 'ann', 'wrong prices', '{"versions": {"fact_sales": 1}}')"""
        )
    step = steps.analyse(pipeline.settings, DAG, f"{DAG}/held")
    assert isinstance(step, NothingToDo)
    airflow.ended(f"{DAG}/held", message=message(step))
    # The analysis is released before the note is written.
    with pipeline.session() as session:
        session.records.execute("update ops.intervention set ended_at = current_timestamp")
    writer.write()
    assert airflow.notes() == {f"{DAG}/held": "Nothing to compute: rolled back."}


def test_blocked_tables_and_refused_marts_are_named(pipeline: Pipeline, airflow: Airflow, writer: NoteWriter) -> None:
    pipeline.change('alter table "Purchasing"."Vendor" rename column "CreditRating" to "Rating"')
    loads = f"{INGESTION}/loads"
    steps.ingest(pipeline.settings, loads)
    computes = refused_mart(pipeline).opened[0].run_id
    airflow.ended(loads, failed="load")
    airflow.ended(computes, failed="refresh")
    writer.write()
    assert airflow.notes() == {loads: "Blocked: Purchasing_Vendor.", computes: "Blocked: fact_sales."}


def test_cause_of_a_version_that_several_marts_share_names_none_of_them(pipeline: Pipeline) -> None:
    with pipeline.session() as session:
        newest = publication.newest(session.records, "fact_sales")
        assert newest is not None
        cause = cause_of(session.records, newest, replace(newest, model="another"))
    assert (str(cause.others), cause.changes) == ("the model, contract or checks changed", ())
    assert cause.others.shown(language("fr")) == "le modèle, le contrat ou les contrôles ont changé"


def test_a_run_whose_note_fails_does_not_stop_the_others(
    airflow: Airflow, writer: NoteWriter, caplog: pytest.LogCaptureFixture
) -> None:
    # Left by a version with another form of messages.
    airflow.ended(f"{DAG}/unreadable", message={"reason": "unknown"})
    airflow.run(
        "create function refuse() returns trigger language plpgsql as"
        " 'begin if new.content like ''Failed%%'' then raise ''refused''; end if; return new; end'"
    )
    airflow.run("create trigger refuse before insert on dag_run_note for each row execute function refuse()")
    airflow.ended(f"{INGESTION}/refused", failed="load")
    airflow.ended(f"{INGESTION}/idle")
    for _ in range(2):
        writer.write()
    assert airflow.notes() == {f"{INGESTION}/idle": "No table changed."}
    failed = [one.getMessage().partition(" cannot be written")[0] for one in caplog.records]
    assert failed == [f"The note of {DAG}/unreadable", f"The note of {INGESTION}/refused"], "each is logged once"


def test_watch_goes_on_if_notes_cannot_be_written(
    airflow: Airflow, writer: NoteWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    airflow.ended(f"{INGESTION}/idle")
    airflow.run("alter table dag_run_note rename to elsewhere")
    for _ in range(2):
        writer.write()
    assert [one.getMessage().partition(":")[0] for one in caplog.records] == ["The notes of runs cannot be written"]
    airflow.run("alter table elsewhere rename to dag_run_note")
    # Another transaction holds a lock that the note needs.
    monkeypatch.setattr(run_notes, "LOCK_TIMEOUT_MS", 1)
    caplog.clear()
    with psycopg.connect(airflow.url) as other:
        other.execute("select from dag_run for update")
        writer.write()
    assert airflow.notes() == {}
    assert caplog.messages == [], "the notes are written in a later round"
    writer.write()
    assert airflow.notes() == {f"{INGESTION}/idle": "No table changed."}
