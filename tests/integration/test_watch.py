"""The watch: the metrics that it sends about a real warehouse, unreliable collectors, and retention."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from adventureworks.catalog import MARTS, SOURCE_TABLES, fresh_within
from adventureworks.columns import columns_of
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.marts.plan import decide_now
from adventureworks.messaging import store
from adventureworks.messaging.rendered import RenderedMessage
from adventureworks.monitoring.figures import BLOCKED, QUEUE_AGE, Figure
from adventureworks.monitoring.telemetry import FIGURES_AGE, Telemetry
from adventureworks.orchestration import retention
from adventureworks.warehouse.state import asset_states
from tests.conftest import create_database
from tests.integration.channels import Inbox, use_mail
from tests.integration.collector import Collector, collector
from tests.integration.pipeline import Pipeline

__all__ = ["collector"]

HOUR = 3600
LONG = 600
"""Timeout in seconds that is configured for a hanging collector; nothing may wait for that long."""

Watch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def airflow_url(postgres: EmbeddedPostgres, migrated_airflow: str) -> str:
    """Airflow's database with Airflow's own schema: three runs are waiting, the oldest for an hour."""
    url = postgres.url(create_database(postgres, "airflow", migrated_airflow), "airflow")
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into dag_run (dag_id, run_id, run_type, run_after, state, queued_at)"
            " select 'daily_sales_etl', 'run_' || n, 'manual', now(), 'queued', now() - n * interval '30 minutes'"
            " from generate_series(0, 2) as n"
        )
        # This DAG is paused: its run waits for a person and must not count as waiting.
        connection.execute("insert into dag_bundle (name, active) values ('dags-folder', true)")
        connection.execute(
            "insert into dag (dag_id, is_paused, bundle_name, fileloc, is_stale, has_task_concurrency_limits,"
            " has_import_errors, max_active_tasks, max_consecutive_failed_dag_runs, timetable_type,"
            " partition_mapper_info)"
            " values ('customer_analytics', true, 'dags-folder', '', false, false, false, 1, 0, '', '{}')"
        )
        connection.execute(
            "insert into dag_run (dag_id, run_id, run_type, run_after, state, queued_at)"
            " values ('customer_analytics', 'run', 'manual', now(), 'queued', now() - interval '1 day')"
        )
    return url


@pytest.fixture
def watch(pipeline: Pipeline, airflow_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return a function that starts `adventureworks watch` on the warehouse of the pipeline."""
    for name in [*os.environ]:
        if name.startswith("OTEL_") or name in {"HTTP_PROXY", "http_proxy"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("ADVENTUREWORKS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", pipeline.url)
    monkeypatch.setenv("ADVENTUREWORKS_METADATA_URL", airflow_url)

    def start(*options: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "adventureworks.cli", "watch", *options],
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def add_waiting_message(pipeline: Pipeline, since: timedelta) -> None:
    with psycopg.connect(pipeline.url) as connection:
        rendered = RenderedMessage(subject="Late", html="<p>Late</p>", text="Late")
        store.add(connection, rendered, channel="email", recipient="sales@example.org", dedup_key="late")
        connection.execute("update ops.outbox set created = created - %s", (since,))


def test_metrics_report_what_is_stale_blocked_set_aside_and_waiting(
    pipeline: Pipeline, watch: Watch, collector: Collector
) -> None:
    # All stores and one order line break their contracts; products change, but no mart is computed again.
    pipeline.change('update "Sales"."Store" set "Name" = null')
    pipeline.change(
        'update "Sales"."SalesOrderDetail" set "OrderQty" = 0'
        ' where "SalesOrderDetailID" = (select min("SalesOrderDetailID") from "Sales"."SalesOrderDetail")'
    )
    pipeline.change('update "Production"."Product" set "ListPrice" = "ListPrice" + 1 where "ListPrice" > 0')
    assert pipeline.ingest().opened["Sales_Store"]
    add_waiting_message(pipeline, timedelta(hours=2))
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update ops.publication set published_at = published_at - interval '3 hours'")

    done = watch("--once", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_RESOURCE_ATTRIBUTES="site=lab")
    assert done.wait(timeout=120) == 0, done.communicate()[1]

    assert (collector.resource["service.name"], collector.resource["site"]) == ("adventureworks", "lab")
    blocked = collector.values("adventureworks.asset.blocked", "asset")
    assert set(blocked) == {*SOURCE_TABLES, *MARTS}
    assert {asset for asset, value in blocked.items() if value} == {"Sales_Store"}
    behind = collector.values("adventureworks.asset.behind", "asset")
    assert 0 < behind["Sales_Store"] < HOUR
    stale = {mart for mart in MARTS if behind[mart]}
    assert {"product_performance", "inventory_status", "data_quality"} <= stale
    assert "exchange_rates" not in stale, "it depends on neither products nor sales"
    assert all(3 * HOUR <= behind[mart] < 4 * HOUR for mart in stale)
    assert not any(behind[table] for table in SOURCE_TABLES if table != "Sales_Store")
    promised = collector.values("adventureworks.asset.fresh_within", "asset")
    assert promised == {asset: fresh_within(asset).total_seconds() for asset in (*SOURCE_TABLES, *MARTS)}
    missed = collector.values("adventureworks.asset.promise_missed", "asset")
    assert set(missed.values()) == {0}, "the watch has only begun"
    ages = collector.values("adventureworks.asset.age", "asset", kind="mart")
    assert set(ages) == set(MARTS)
    assert min(ages.values()) >= 3 * HOUR
    with pipeline.session() as session:
        states = {state.asset: state for state in asset_states(session.records, decide_now(pipeline.settings, session))}
    assert {asset for asset, state in states.items() if state.verdict == "blocked"} == {"Sales_Store"}
    assert {mart for mart in MARTS if not states[mart].fresh} == stale, "`adventureworks status` agrees"
    verdicts = collector.values("adventureworks.assets", "verdict", kind="source")
    assert (verdicts["blocked"], verdicts["never published"], sum(verdicts.values())) == (1, 0, 71)
    set_aside = collector.values("adventureworks.rows.set_aside", "asset")
    assert {table: rows for table, rows in set_aside.items() if rows} == {"Sales_SalesOrderDetail": 1}
    assert states["Sales_SalesOrderDetail"].set_aside == 1
    assert collector.values("adventureworks.incidents.open", "severity") == dict(
        pipeline.published("select severity, count(*) from ops.incident where status <> 'resolved' group by severity")
    )
    waiting = collector.values("adventureworks.queue.length", "queue")
    assert waiting == {"messages": 1, "runs": 3, "tasks": 0}
    oldest = collector.values("adventureworks.queue.age", "queue")
    assert oldest["messages"] > 2 * HOUR
    assert HOUR <= oldest["runs"] < 2 * HOUR
    assert oldest["tasks"] == 0
    assert collector.units["adventureworks.queue.age"] == collector.units["adventureworks.asset.behind"] == "s"


def test_unreadable_figures_are_kept_for_a_while_and_their_age_is_reported(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    of_warehouse = [Figure(BLOCKED, 1, {"asset": "daily_sales"})]
    of_airflow = [Figure(QUEUE_AGE, 2, {"queue": "runs"})]
    for max_age, kept in ((LONG, {"daily_sales": 1}), (0.2, {})):
        collector.series.clear()
        telemetry = Telemetry(max_age, "staging")
        telemetry.refresh(lambda: of_warehouse, lambda: of_airflow)
        time.sleep(0.3)
        telemetry.refresh(lambda: [1 / 0], lambda: of_airflow)  # type: ignore[list-item]
        telemetry.close()
        assert collector.values(QUEUE_AGE.name, "queue") == {"runs": 2}
        assert (collector.values(BLOCKED.name, "asset") if BLOCKED.name in collector.series else {}) == kept
        [age] = collector.series[FIGURES_AGE.name].values()
        assert 0.3 <= age < LONG, "the age of the old figures, not of the new ones"
    assert collector.resource["deployment.environment.name"] == "staging"


@pytest.mark.parametrize("failure", ["nothing listens", "invalid URL"])
def test_an_unreachable_collector_costs_only_log_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", {"nothing listens": closed}.get(failure, "no address"))
        telemetry = Telemetry(LONG)
        telemetry.refresh(lambda: [Figure(QUEUE_AGE, 2, {"queue": "runs"})])
        telemetry.close()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_a_hanging_collector_does_not_disturb_the_watch(
    watch: Watch, pipeline: Pipeline, collector: Collector, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mail(monkeypatch, inbox.port)
    collector.hangs = True
    running = watch(
        "--every",
        "1",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        OTEL_EXPORTER_OTLP_TIMEOUT=str(LONG),
        OTEL_METRIC_EXPORT_INTERVAL="200",
    )
    try:
        for number in range(2):
            add_waiting_message(pipeline, timedelta())
            deadline = time.monotonic() + LONG / 10
            while not (late := [subject for subject in inbox.subjects() if subject == "Late"]):
                assert running.poll() is None, running.communicate()[1]
                assert time.monotonic() < deadline, number
                time.sleep(0.1)
            inbox.mails.clear()
            assert late == ["Late"], "rounds continue, and each message is sent once"
            with psycopg.connect(pipeline.url) as connection:
                connection.execute("delete from ops.outbox")
        running.send_signal(signal.SIGTERM)
        assert running.wait(LONG / 10) == 0
    finally:
        running.kill()
    assert collector.requests == 1


def test_without_a_collector_opentelemetry_is_not_imported() -> None:
    script = (
        "import sys; from adventureworks.monitoring.telemetry import Telemetry\n"
        "Telemetry(1).refresh(lambda: 1 / 0)\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", script], check=False, env=quiet, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_of_the_watch_have_no_tables_of_airflow_left_to_map(airflow_url: str) -> None:
    """Mapping tables takes a lock and imports modules; importing modules maps tables. Two threads must not do both."""
    script = """
from adventureworks.orchestration.watch import load_airflow
load_airflow()
from sqlalchemy import event
from sqlalchemy.orm import Mapper
event.listen(Mapper, "before_configured", lambda: print("mapped later"))
from airflow.api.common.trigger_dag import trigger_dag
from airflow.exceptions import AirflowNotFoundException, DagNotFound
from airflow.sdk.bases.hook import BaseHook
from airflow.utils.types import DagRunTriggeredByType
try:
    BaseHook.get_connection("none")
except AirflowNotFoundException:
    print("asked")
try:
    trigger_dag("none", triggered_by=DagRunTriggeredByType.CLI)
except DagNotFound:
    print("asked")
"""
    variables = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_url.replace("postgresql://", "postgresql+psycopg2://"),
        "_AIRFLOW_PROCESS_CONTEXT": "server",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, env={**os.environ, **variables}, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-2:] == ["asked", "asked"], done.stderr
    assert "mapped later" not in done.stdout


def age_everything(pipeline: Pipeline, by: timedelta) -> None:
    """Make all records of the warehouse older by this interval."""
    times = "select table_name, column_name from information_schema.columns where table_schema = 'ops'"
    kinds = (
        " and data_type like 'timestamp%' and table_name in (select tablename from pg_tables where schemaname = 'ops')"
    )
    with psycopg.connect(pipeline.url) as connection:
        for table, column in connection.execute(times + kinds).fetchall():
            if column not in {"newest_change", "latest_change"}:
                connection.execute(f"update ops.{table} set {column} = {column} - %s", (by,))


def test_old_records_are_dropped_without_changing_any_decision(pipeline: Pipeline) -> None:
    dearer = 'update "Production"."Product" set "ListPrice" = "ListPrice" + 1 where "ListPrice" > 0'
    for _ in range(2):
        pipeline.change('update "Sales"."SalesTerritory" set "CostYTD" = "CostYTD" + 1')
        pipeline.change(dearer)
        pipeline.ingest()
        pipeline.settle()
    pipeline.change('update "Sales"."Store" set "Name" = null')
    assert pipeline.ingest().opened == {"Sales_Store": "few_rows_are_set_aside"}
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update ops.incident set status = 'resolved', resolved_at = current_timestamp")
    add_waiting_message(pipeline, timedelta())
    for _ in range(2):
        pipeline.change(dearer)
        pipeline.ingest()
    age_everything(pipeline, timedelta(days=100))
    with pipeline.session() as session:
        before = decide_now(pipeline.settings, session)
    assert "daily_sales_etl" in before.runnable
    of_blocked_table = (
        "select run_id from ops.change where asset = 'Sales_Store' and status = 'blocked' order by detected_at"
    )
    first, *_, last = blocked = pipeline.published(of_blocked_table)
    assert len(blocked) > 2, "it is read again with every other change"

    retention.drop_records(pipeline.settings, datetime.now(UTC))
    with pipeline.session() as session:
        assert decide_now(pipeline.settings, session) == before
    kept = dict(pipeline.published("select asset, array_agg(version order by version) from ops.publication group by 1"))
    assert kept["Sales_SalesTerritory"] == [3]
    # Some marts were still computed from version 3 of the products.
    assert kept["Production_Product"] == [4, 5]
    assert kept["data_quality"] == [3]
    assert pipeline.published("select count(*) from ops.incident where status = 'resolved'") == [(0,)]
    assert dict(pipeline.published("select asset, count(*) from ops.change group by 1"))["Production_Product"] == 1
    assert pipeline.published(of_blocked_table) == [first, last], "the time since when it is blocked is still known"
    assert pipeline.published("select count(*) from ops.outbox where sent_at is null and given_up_at is null") == [(1,)]
    assert pipeline.settle(), "what was due is computed"
    assert pipeline.settle() == []


def test_every_table_declares_what_bounds_its_size(pipeline: Pipeline) -> None:
    tables: dict[str, set[str]] = {}
    for schema, table in pipeline.published(
        "select table_schema, table_name from information_schema.tables"
        " where table_type = 'BASE TABLE' and table_schema !~ '^pg_|^information_schema$'"
    ):
        tables.setdefault(schema, set()).add(table)
    staged = {table.partition("__")[0] for table in tables.pop("staging")}
    assert staged <= {*SOURCE_TABLES, *MARTS}, "a run replaces what the one before has staged"
    # They grow with the source; the catalogue bounds the marts that keep the rows of earlier builds.
    assert tables.pop("raw") == {*SOURCE_TABLES}
    assert tables.pop("marts") == {*MARTS}
    assert tables == {"ops": {*retention.RECORDS}}


def test_only_the_newest_runs_of_data_quality_stay_published(pipeline: Pipeline) -> None:
    history = MARTS["data_quality"].history
    assert history is not None
    assert history.keeps != "months"
    with psycopg.connect(pipeline.url) as connection:
        others = ", ".join(
            column.name for column in columns_of(MARTS["data_quality"]) if column.name not in {"run_id", "run_number"}
        )
        connection.execute(
            f"insert into marts.data_quality (run_id, run_number, {others})"
            f" select 'run_' || n, n, {others} from marts.data_quality, generate_series(2, %s) as n"
            " where run_number = 1 and rule = 'is_fresh'",
            (history.keeps.builds,),
        )
    assert pipeline.published("select min(run_number) from marts.data_quality") == [(1,)]
    pipeline.change('update "Sales"."Store" set "Name" = "Name" || \' & Co\'')
    pipeline.ingest()
    assert "data_quality_control" in pipeline.settle()
    newest = history.keeps.builds + 1
    assert pipeline.published(
        "select min(run_number), max(run_number), count(distinct run_number) from marts.data_quality"
    ) == [(2, newest, newest - 1)]
    [(rows,)] = pipeline.published("select count(*) from marts.data_quality")
    recorded = pipeline.published(
        "select rows from ops.publication where asset = 'data_quality' order by version desc limit 1"
    )
    assert recorded == [(rows,)], "the version counts what is left"


def test_old_airflow_runs_are_dropped(
    pipeline: Pipeline, airflow_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", airflow_url.replace("postgresql://", "postgresql+psycopg2://")
    )
    with psycopg.connect(airflow_url) as connection:
        connection.execute(
            "insert into dag_run (dag_id, run_id, run_type, run_after, state, start_date, end_date, queued_at)"
            " select 'credit_card_analysis', 'days_ago_' || n, 'asset_triggered', at, 'success', at, at, at from"
            " (select n, now() - make_interval(days => n) as at from unnest(array[10, 100, 200]) as n) as runs"
        )
        connection.execute(
            "insert into log (dttm, event) select now() - make_interval(days => n), 'tried' from"
            " unnest(array[10, 100]) as n"
        )
    retention.drop_runs(pipeline.settings, airflow_url, datetime.now(UTC))
    with psycopg.connect(airflow_url) as connection:
        runs = connection.execute("select run_id from dag_run where dag_id = 'credit_card_analysis'").fetchall()
        paused = connection.execute("select dag_id from dag where is_paused").fetchall()
        events = connection.execute("select count(*) from log where event = 'tried'").fetchall()
        connection.execute("delete from dag_run where dag_id = 'credit_card_analysis'")
    assert runs == [("days_ago_10",)]
    assert events == [(1,)]
    assert paused == [("customer_analytics",)], "a paused DAG stays paused"


def test_the_aliases_of_earlier_versions_are_dropped_and_their_events_stay(
    pipeline: Pipeline, airflow_url: str
) -> None:
    with psycopg.connect(airflow_url) as connection:
        connection.execute(
            'insert into asset (name, uri, "group", extra, created_at, updated_at)'
            " values ('settled_data', 'settled_data', 'quality', '{}', now(), now())"
        )
        connection.execute("insert into asset_event (asset_id, extra, timestamp) select id, '{}', now() from asset")
        connection.execute(
            "insert into asset_alias (name, \"group\") select unnest(array['source_tables', 'settled_by_dag',"
            " 'of_another_dag']), ''"
        )
        connection.execute("insert into asset_alias_asset select a.id, b.id from asset_alias as a, asset as b")
        connection.execute(
            "insert into asset_alias_asset_event select a.id, e.id from asset_alias as a, asset_event as e"
        )
    retention.drop_runs(pipeline.settings, airflow_url, datetime.now(UTC))
    with psycopg.connect(airflow_url) as connection:
        assert connection.execute("select name from asset_alias").fetchall() == [("of_another_dag",)]
        assert connection.execute("select count(*) from asset_event").fetchall() == [(1,)]


def test_old_logs_are_dropped(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(retention.LOG_FOLDER, str(tmp_path))
    now = datetime.now(UTC)
    for run, days in {"old": 100, "recent": 10}.items():
        log = tmp_path / "dag_id=daily_sales_etl" / f"run_id={run}" / "task_id=refresh" / "attempt=1.log"
        log.parent.mkdir(parents=True)
        log.write_text("Built.")
        os.utime(log, times=((now - timedelta(days=days)).timestamp(),) * 2)
    retention.drop_logs(pipeline.settings, now)
    assert [log.parts[-3] for log in tmp_path.rglob("*.log")] == ["run_id=recent"]
    for days in range(2, 4):
        retention.drop_logs(pipeline.settings, now + timedelta(days=days))
    assert [folder.name for folder in tmp_path.glob("*/run_id=*")] == ["run_id=recent"]
