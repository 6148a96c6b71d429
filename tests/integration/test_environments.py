"""Several environments in one database: each has all tables, none touches another's."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.warehouse.environments import SCHEMAS, in_environment
from tests.integration.pipeline import Pipeline

SUMS = "select sum(revenue), sum(cogs), count(*) from {}marts.fact_sales"


def adventureworks(pipeline: Pipeline, *arguments: str, environment: str = "") -> subprocess.CompletedProcess[str]:
    """The command line on the pipeline's databases."""
    assert pipeline.settings.source_url is not None
    variables = {
        **os.environ,
        "ADVENTUREWORKS_WAREHOUSE_URL": pipeline.url,
        "ADVENTUREWORKS_SOURCE_URL": pipeline.settings.source_url.get_secret_value(),
        "ADVENTUREWORKS_ENVIRONMENT": environment,
    }
    command = [sys.executable, "-m", "adventureworks.cli", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=400, check=False)


def fingerprint(pipeline: Pipeline, schema: str) -> list[tuple[object, ...]]:
    return pipeline.published(
        "select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where schemaname = %s order by 1",
        (schema,),
    )


def schemas_of(pipeline: Pipeline) -> set[str]:
    return {row[0] for row in pipeline.published("select schema_name from information_schema.schemata")}


def test_a_pull_request_is_built_beside_production_and_thrown_away(pipeline: Pipeline) -> None:
    before = {schema: fingerprint(pipeline, schema) for schema in SCHEMAS}
    published = pipeline.published(SUMS.format(""))
    pipeline.change('update "Production"."Product" set "StandardCost" = "StandardCost" + 1 where "StandardCost" > 0')

    built = adventureworks(pipeline, "environment", "build", "pr_42")
    assert built.returncode == 0, built.stdout + built.stderr
    everything = len(SOURCE_TABLES) + len(MARTS)
    assert f"{everything} of {everything} tables and marts are fresh" in " ".join(built.stdout.split())
    versions = dict(pipeline.published("select asset, max(version) from pr_42_ops.publication group by asset"))
    assert versions == dict.fromkeys([*SOURCE_TABLES, *MARTS], 1)
    assert {schema: fingerprint(pipeline, schema) for schema in SCHEMAS} == before, "production is not touched"
    assert pipeline.published(SUMS.format("")) == published
    read = adventureworks(pipeline, "sql", SUMS.format(""), "--format", "csv", environment="pr_42")
    assert read.stdout.splitlines()[1].split(",")[2] == str(published[0][2])

    again = adventureworks(pipeline, "environment", "build", "pr_42")
    assert again.returncode == 0, again.stderr
    assert "Computing" not in again.stdout, "nothing changed"

    dropped = adventureworks(pipeline, "environment", "drop", "pr_42")
    assert dropped.returncode == 0, dropped.stderr
    assert {schema for schema in schemas_of(pipeline) if schema.startswith("pr_42")} == set()
    assert schemas_of(pipeline) >= set(SCHEMAS)
    missing = adventureworks(pipeline, "environment", "drop", "pr_42")
    assert missing.returncode == 1
    assert "There is no environment pr_42" in missing.stderr


def test_a_name_that_is_none_is_refused_before_anything_is_done(pipeline: Pipeline) -> None:
    refused = adventureworks(pipeline, "environment", "build", 'x"; drop schema marts; --')
    assert refused.returncode == 1
    assert "is no name of an environment" in refused.stderr
    with psycopg.connect(pipeline.url) as connection:
        assert connection.execute("select to_regclass('marts.fact_sales') is not null").fetchone() == (True,)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('select 1 from raw."Sales_X", "marts"."fact"', 'select 1 from pr_raw."Sales_X", "pr_marts"."fact"'),
        ("select to_regclass('ops.publication')", "select to_regclass('pr_ops.publication')"),
        ("select straw.a, t.raw, x.marts.y from straw", "select straw.a, t.raw, x.marts.y from straw"),
        ("select raw from t", "select raw from t"),
    ],
)
def test_only_names_of_schemas_change(written: str, sent: str) -> None:
    assert in_environment(written, "pr") == sent
    assert in_environment(written, "") == written
