"""Every DAG runs alone in one process, as developers of Airflow are used to: `airflow dags test`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adventureworks.catalog import ANALYSES, INGESTION
from adventureworks.embedded.postgres import EmbeddedPostgres
from tests.chaos.tasks import declared
from tests.conftest import REPOSITORY, create_database
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import any_order, change_quantity

TEST_ALL = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

dags = DagBag(sys.argv[1]).dags
for name in sys.argv[2:]:
    run = dags.pop(name).test()
    print("ENDED", json.dumps([name, run.state, {one.task_id: one.state for one in run.get_task_instances()}]))
assert not dags, dags
"""


def test_every_dag_runs_with_the_test_command_of_airflow(
    pipeline: Pipeline, postgres: EmbeddedPostgres, migrated_airflow: str, tmp_path: Path
) -> None:
    order, line, _ = any_order(pipeline)
    change_quantity(pipeline, order, line, 1)
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
    command = [sys.executable, "-c", TEST_ALL, variables["AIRFLOW__CORE__DAGS_FOLDER"], INGESTION, *ANALYSES]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **variables})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ended = [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("ENDED ")]
    assert {name: state for name, state, _ in ended} == dict.fromkeys([INGESTION, *ANALYSES], "success")
    computed = {name for name, _, tasks in ended if tasks.get("refresh", tasks.get("publish_tables")) == "success"}
    assert {INGESTION, "daily_sales_etl", "sales_territory_analysis", "financial_reporting"} <= computed
    for step in ("build", "gate", "publish"):
        assert f"::group::{step}\n" in done.stdout


def test_no_two_dags_send_events_through_the_same_alias(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Airflow writes its configuration there on first import.
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from airflow.sdk import AssetAlias

    outlets = [outlet for dag in (INGESTION, *ANALYSES) for task in declared(dag).tasks for outlet in task.outlets]
    aliases = [outlet.name for outlet in outlets if isinstance(outlet, AssetAlias)]
    assert len(aliases) >= len(ANALYSES)
    assert len(aliases) == len({*aliases}), "Airflow fails one of two tasks that use an alias first at the same time"
