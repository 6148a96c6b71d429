"""Warm workers: a task process is forked with everything imported. Parsing a DAG file imports no data libraries."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg

from tests.integration.pipeline import Pipeline

STEPS = """
import sys
import adventureworks.dashboard.plugin  # every process of Airflow imports it
import adventureworks.orchestration  # every DAG file imports it
print("parsing:", *sorted({"pandera", "polars", "psycopg", "pyarrow", "sqlglot"}.intersection(sys.modules)))
from adventureworks.orchestration.warm import warm_up
warm_up()
print("dashboard:", "adventureworks.dashboard.app" in sys.modules)
import ast
from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.orchestration.schedules import asset
parse, ast.parse = ast.parse, None  # making assets fails if it reads a contract's file
for name in (*SOURCE_TABLES, *MARTS):
    asset(name)
ast.parse = parse
before = set(sys.modules)
from adventureworks.gate import detect, judge, load
from adventureworks.gate import publish as publishing
from adventureworks.pipeline import analyse
from adventureworks.settings import settings
run = "ingest_source/warm"
for group in detect.detect(settings(), run):
    load.load(settings(), run, group)
judge.judge(settings(), run)
publishing.publish(settings(), run)
publishing.conclude(settings(), run)
for dag in ("daily_sales_etl", "sales_territory_analysis", "sales_forecasting", "inventory_management"):
    analyse(settings(), dag, f"{dag}/warm")
new = set(sys.modules) - before
print("new:", *sorted(name for name in new if not name.startswith("adventureworks.marts.")))
"""


def test_tasks_import_nothing_new(pipeline: Pipeline) -> None:
    pipeline.change('update "Sales"."SalesTerritory" set "CostYTD" = "CostYTD" + 1')
    assert pipeline.settings.source_url is not None
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update ops.publication set model = 'another' where model is not null")
    done = subprocess.run(
        [sys.executable, "-c", STEPS],
        env={
            **os.environ,
            "ADVENTUREWORKS_WAREHOUSE_URL": pipeline.url,
            "ADVENTUREWORKS_SOURCE_URL": pipeline.settings.source_url.get_secret_value(),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "dashboard: False" in done.stdout.splitlines(), "only the API server imports it"
    assert "parsing:" in done.stdout.splitlines(), "each DAG file is parsed in a process of its own"
    [line] = [line for line in done.stdout.splitlines() if line.startswith("new:")]
    assert line == "new:"
