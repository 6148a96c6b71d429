"""Every DAG runs alone in one process, as developers of Airflow are used to: `airflow dags test`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adventureworks.catalog import ANALYSES, INGESTION, SOURCE_TABLES, is_tolerant, marts_of, starts_analyses
from adventureworks.embedded.postgres import EmbeddedPostgres
from tests.chaos.tasks import declared
from tests.conftest import REPOSITORY, create_database
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import any_order, change_quantity

TEST = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

dags = DagBag(sys.argv[1]).dags
for name in sys.argv[2:]:
    print("ENDED", json.dumps([name, dags[name].test().state]))
"""

Events = dict[str, dict[str, Any]]
"""By the DAG that sent them: the payload of the event of each asset."""


@pytest.fixture
def run(pipeline: Pipeline, postgres: EmbeddedPostgres, migrated_airflow: str, tmp_path: Path) -> Callable[..., Events]:
    """A function that runs DAGs one after the other, and returns the events that they sent."""
    metadata = postgres.url(create_database(postgres, "airflow", migrated_airflow), "airflow")
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.replace("://", "+psycopg2://"),
        "ADVENTUREWORKS_HOME": str(tmp_path / "home"),
        "ADVENTUREWORKS_SOURCE_URL": pipeline._source_url,
        "ADVENTUREWORKS_WAREHOUSE_URL": pipeline.url,
        # Each month has a report in each language.
        "ADVENTUREWORKS_REPORT_LANGUAGES": '["en"]',
    }

    def run_all(*dags: str) -> Events:
        command = [sys.executable, "-c", TEST, variables["AIRFLOW__CORE__DAGS_FOLDER"], *dags]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **variables})
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        ended = [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("ENDED ")]
        assert ended == [[dag, "success"] for dag in dags]
        has_analysis = {*dags} != {INGESTION}
        for step in ("build", "gate", "publish"):
            assert (f"::group::{step}\n" in done.stdout) == has_analysis
        events: Events = {dag: {} for dag in dags}
        with psycopg.connect(metadata) as airflow:
            rows = airflow.execute(
                "delete from asset_event as e using asset as a where a.id = e.asset_id"
                " returning source_dag_id, a.name, e.extra, source_run_id"
            ).fetchall()
        for dag, asset, extra, source_run in rows:
            assert asset not in events[dag], "one event of each asset"
            assert source_run
            events[dag][asset] = extra
        return events

    return run_all


def test_every_dag_runs_with_the_test_command_of_airflow(pipeline: Pipeline, run: Callable[..., Events]) -> None:
    order, line, month = any_order(pipeline)
    change_quantity(pipeline, order, line, 1)
    *others, last = sorted(ANALYSES, key=is_tolerant)
    events = run(INGESTION, *others, last)
    assert events[INGESTION].keys() == {"Sales_SalesOrderHeader", "Sales_SalesOrderDetail"}
    assert events[INGESTION]["Sales_SalesOrderDetail"]["rows_changed"] == 1
    for dag in ("daily_sales_etl", "sales_territory_analysis", "financial_reporting", last):
        assert events[dag].keys() == {mart.name for mart in marts_of(dag)}
    assert events["daily_sales_etl"]["fact_sales"]["months"] == [month]
    assert not events["production_costs"], "it reads no orders"
    [settling] = [dag for dag in events if "settled_data" in events[dag]]
    assert settling == [dag for dag in others if events[dag]][-1], "only then is nothing else due any more"
    assert not run(INGESTION)[INGESTION], "nothing changed since"


def test_an_unchanged_mart_sends_an_event_only_if_that_starts_an_analysis(
    pipeline: Pipeline, run: Callable[..., Events]
) -> None:
    _, line, _ = any_order(pipeline)
    pipeline.change(
        'update "Sales"."SalesOrderDetail" set "CarrierTrackingNumber" = null where "SalesOrderDetailID" = %s', (line,)
    )
    events = run(INGESTION, "daily_sales_etl")
    assert events[INGESTION].keys() == {"Sales_SalesOrderDetail"}
    assert events["daily_sales_etl"].keys() == {"settled_data"}, "readers of `fact_sales` have nothing to compute"
    pipeline.change('update "Production"."Product" set "Name" = "Name" || \' (new)\' where "ProductID" = 707')
    events = run(INGESTION, "daily_sales_etl")
    assert events[INGESTION].keys() == {"Production_Product"}
    # Analyses of products read the new name, but wait for `fact_sales`, which is computed from products, too.
    assert events["daily_sales_etl"].keys() == {"fact_sales"}
    assert events["daily_sales_etl"]["fact_sales"]["version"] == 1


def test_the_log_says_how_each_step_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from adventureworks.orchestration.analyses import _logged

    with _logged("build"):
        pass
    with pytest.raises(ValueError, match="x"), _logged("gate"):
        raise ValueError("x")
    logged = capsys.readouterr().out
    assert "::endgroup::\nThe step build ended after" in logged
    assert "::endgroup::\nThe step gate failed after" in logged


def test_the_graph_of_assets_shows_the_task_that_publishes_each_mart_and_each_table_that_starts_an_analysis(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Airflow writes its configuration there on first import.
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from airflow.sdk import Asset

    for dag in (INGESTION, *ANALYSES):
        outlets = [outlet for task in declared(dag).tasks for outlet in task.outlets]
        published = [mart.name for mart in marts_of(dag)] or [name for name in SOURCE_TABLES if starts_analyses(name)]
        assert [outlet.name for outlet in outlets] == published
        assert {type(outlet) for outlet in outlets} == {Asset}, (
            "an alias would tie more assets together, and fail one of two tasks that use it first at the same time"
        )
