"""Several environments in one database: each has all tables, and none changes those of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli import environment
from adventureworks.errors import PlatformError
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse
from adventureworks.warehouse.environments import SCHEMAS, in_environment, select_in_environment
from adventureworks.warehouse.snowflake import Session
from tests.integration.pipeline import Pipeline
from tests.integration.snowflake_double import snowflake_double

SUMS = "select sum(revenue), sum(cogs), count(*) from {}marts.fact_sales"


def adventureworks(
    pipeline: Pipeline, *arguments: str, environment: str = "", source: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command line on the pipeline's databases, or on another `source`."""
    assert pipeline.settings.source_url is not None
    variables = {
        **os.environ,
        "ADVENTUREWORKS_WAREHOUSE_URL": pipeline.url,
        "ADVENTUREWORKS_SOURCE_URL": "" if source else pipeline.settings.source_url.get_secret_value(),
        "ADVENTUREWORKS_SOURCE": source,
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


def test_pull_request_is_built_beside_production_and_dropped(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "events.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(events))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    before = {schema: fingerprint(pipeline, schema) for schema in SCHEMAS}
    published = pipeline.published(SUMS.format(""))
    pipeline.change('update "Production"."Product" set "StandardCost" = "StandardCost" + 1 where "StandardCost" > 0')

    built = adventureworks(pipeline, "environment", "build", "pr_42")
    assert built.returncode == 0, built.stdout + built.stderr
    everything = len(SOURCE_TABLES) + len(MARTS)
    assert f"{everything} of {everything} tables and marts are fresh" in " ".join(built.stdout.split())
    versions = dict(pipeline.published("select asset, max(version) from pr_42_ops.publication group by asset"))
    assert versions == dict.fromkeys([*SOURCE_TABLES, *MARTS], 1)
    assert {schema: fingerprint(pipeline, schema) for schema in SCHEMAS} == before, "production is unchanged"
    assert pipeline.published(SUMS.format("")) == published
    sent = [json.loads(line) for line in events.read_text().splitlines()]
    completed = [event["outputs"][0]["name"] for event in sent if event["eventType"] == "COMPLETE"]
    assert len(set(completed)) == len(completed) == everything, "each version is reported to the lineage transport once"
    assert all(".pr_42_" in name for name in completed)
    read = adventureworks(pipeline, "sql", SUMS.format(""), "--format", "csv", environment="pr_42")
    assert read.stdout.splitlines()[1].split(",")[2] == str(published[0][2])

    again = adventureworks(pipeline, "environment", "build", "pr_42")
    assert again.returncode == 0, again.stderr
    assert "Computed" not in again.stdout, "nothing changed"

    with psycopg.connect(pipeline.url, application_name="adventureworks environment pr_42: build") as builder:
        builder.execute("select pg_advisory_lock(hashtextextended('adventureworks environment pr_42', 0))")
        for command in ("build", "drop"):
            busy = adventureworks(pipeline, "environment", command, "pr_42")
            assert busy.returncode == 1
            assert "The environment pr_42 is in use: adventureworks environment pr_42: build, since" in busy.stderr

    with psycopg.connect(pipeline.url) as connection:
        of_build = connection.execute("update pr_42_ops.publication set run_id = 'ingest_source/scheduled__1'").rowcount
    assert of_build == everything
    for command in ("build", "drop"):
        kept = adventureworks(pipeline, "environment", command, "pr_42")
        assert kept.returncode == 1
        assert "Airflow keeps the environment pr_42 fresh" in kept.stderr
    listed = adventureworks(pipeline, "environment", "list")
    assert listed.stdout.split()[-4:][0] == "pr_42", listed.stdout
    assert listed.stdout.split()[-1] == "Airflow"

    dropped = adventureworks(pipeline, "environment", "drop", "pr_42", "--force", source="/no/such/folder")
    assert dropped.returncode == 0, dropped.stderr
    assert {schema for schema in schemas_of(pipeline) if schema.startswith("pr_42")} == set()
    assert schemas_of(pipeline) >= set(SCHEMAS)
    missing = adventureworks(pipeline, "environment", "drop", "pr_42")
    assert missing.returncode == 1
    assert "There is no environment pr_42" in missing.stderr
    assert "There are no environments." in adventureworks(pipeline, "environment", "list").stdout


def test_environment_in_snowflake_is_dropped_on_both_sides(
    warehouse_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url), source=str(tmp_path))
    environments = {name: settings.model_copy(update={"environment": name}) for name in ("pr_4", "pr_42")}
    with pytest.MonkeyPatch.context() as patch, snowflake_double(patch):
        for one in environments.values():
            with open_warehouse(one).connect() as connection:
                layout.prepare(connection)
        environment.show(settings)
        assert capsys.readouterr().out.split()[-6::3] == ["pr_4", "pr_42"]
        environment.drop(settings, "pr_4", force=False)
        environment.show(settings)
        assert "pr_42" in (left := capsys.readouterr().out)
        assert "pr_4 " not in left.split("\n", 1)[1]
        # Deleting a home deletes the records, but leaves the schemas in Snowflake, which cost money.
        with psycopg.connect(warehouse_url) as records:
            records.execute("drop schema pr_42_ops cascade")
        with pytest.raises(PlatformError, match="The records of the environment pr_42 are not here"):
            environment.drop(settings, "pr_42", force=False)
        environment.drop(settings, "pr_42", force=True)
        with open_warehouse(settings).connect() as connection:
            assert connection.environments() == set()
        with pytest.raises(PlatformError, match="There is no environment pr_42"):
            environment.drop(settings, "pr_42", force=False)


def test_leftovers_of_an_interrupted_build_in_snowflake_are_found_and_dropped(
    warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url), source=str(tmp_path))
    here = settings.model_copy(update={"environment": "pr_9"})
    with pytest.MonkeyPatch.context() as patch, snowflake_double(patch):
        send = Session._send

        def without_the_second_schema(session: Session, statement: str, *values: Any) -> Any:
            if "PR_9_MARTS" in statement and statement.startswith("create schema"):
                raise PlatformError("A grant is missing.")
            return send(session, statement, *values)

        with monkeypatch.context() as lacking:
            lacking.setattr(Session, "_send", without_the_second_schema)
            with pytest.raises(PlatformError, match="grant"), open_warehouse(here).connect() as connection:
                layout.prepare(connection)
        with open_warehouse(settings).connect() as connection:
            assert connection.environments() == {"pr_9"}
        environment.drop(settings, "pr_9", force=True)
        with open_warehouse(settings).connect() as connection:
            assert connection.environments() == set()


@pytest.mark.parametrize("name", ['x"; drop schema marts; --', "pg", "pg_1", "PR", "1", "pr_42\n"])
def test_invalid_name_is_rejected_before_anything_is_done(pipeline: Pipeline, name: str) -> None:
    rejected = adventureworks(pipeline, "environment", "build", name)
    assert rejected.returncode == 1
    assert "is not a valid environment name" in rejected.stderr
    with psycopg.connect(pipeline.url) as connection:
        assert connection.execute("select to_regclass('marts.fact_sales') is not null").fetchone() == (True,)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('select 1 from raw."Sales_X", "marts"."fact"', 'select 1 from pr_raw."Sales_X", "pr_marts"."fact"'),
        ("select to_regclass('ops.publication')", "select to_regclass('pr_ops.publication')"),
        ("select straw.a, t.raw, x.marts.y from straw", "select straw.a, t.raw, x.marts.y from straw"),
        ("select raw from t", "select raw from t"),
        ("select 'in marts.x', 'it''s raw.y' from ops.z", "select 'in marts.x', 'it''s raw.y' from pr_ops.z"),
        ("-- what's raw.x?\nselect 1 from raw . y /* it's */", "-- what's raw.x?\nselect 1 from pr_raw . y /* it's */"),
        ("""select "it's", 'a' from raw.x""", """select "it's", 'a' from pr_raw.x"""),
    ],
)
def test_only_schema_names_change(written: str, sent: str) -> None:
    assert in_environment(written, "pr") == sent
    assert in_environment(written, "") == written


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("select 'in marts.daily_sales'", "select 'in marts.daily_sales'"),
        ('select raw."Name" from raw."Sales_Store" as raw', 'select raw."Name" from pr_raw."Sales_Store" as raw'),
        ('select 1 from raw . "Sales_Store"', 'select 1 from pr_raw . "Sales_Store"'),
        ("select 'é', marts.x.y from  RAW.x, \"marts\".x", "select 'é', pr_marts.x.y from  pr_raw.x, pr_marts.x"),
        ("with raw as (select 1 as a) select raw.a from raw", "with raw as (select 1 as a) select raw.a from raw"),
        (
            "select (select 1 from ops.a) union select 1 from ops.b",
            "select (select 1 from pr_ops.a) union select 1 from pr_ops.b",
        ),
        ('select 1 from "Raw".x -- ops.x', 'select 1 from "Raw".x -- ops.x'),
    ],
)
def test_query_of_a_user_is_sent_to_the_environment(typed: str, sent: str) -> None:
    assert select_in_environment(typed, "pr") == sent


def test_no_query_leaves_the_environment(pipeline: Pipeline) -> None:
    here = pipeline.settings.model_copy(update={"environment": "pr_1"})
    with open_warehouse(here).connect() as connection:
        layout.prepare(connection)
    database = pipeline.url.rsplit("/", 1)[1]
    assert pipeline.published('select count(*) > 0 from raw."Sales_Store"') == [(True,)]

    def ask(statement: str) -> subprocess.CompletedProcess[str]:
        return adventureworks(pipeline, "sql", statement, "--format", "json", environment="pr_1")

    for table in ('raw."Sales_Store"', 'raw . "Sales_Store"', 'RAW."Sales_Store" as raw'):
        assert json.loads(ask(f"select count(*) as n from {table}").stdout) == [{"n": 0}], table
    assert json.loads(ask("select 'in marts.daily_sales' as text").stdout) == [{"text": "in marts.daily_sales"}]
    for statement in (
        f'select 1 from {database}.raw."Sales_Store"',
        f'select {database}.raw."Sales_Store"."Name" from raw."Sales_Store"',
    ):
        refused = ask(statement)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"names a database; leave {database} out" in refused.stderr
    for statement in ('explain select 1 from raw."Sales_Store"', "select 1; select 2", "selct 1"):
        refused = ask(statement)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("The query failed: ")
