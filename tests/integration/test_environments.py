"""Several environments in one database: each has all tables, and none changes those of another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli import environment
from adventureworks.errors import PlatformError
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse, publication
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.snowflake import SnowflakeData
from tests import command_line
from tests.integration.pipeline import Pipeline
from tests.integration.snowflake_double import snowflake_double

SUMS = "select sum(revenue), sum(cogs), count(*) from {}marts.fact_sales"


def adventureworks(
    pipeline: Pipeline,
    *arguments: str,
    environment: str = "",
    source: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    """Run the command line on the pipeline's databases, or on another `source`."""
    assert pipeline.settings.source_url is not None
    settings = {
        **os.environ,
        "ADVENTUREWORKS_WAREHOUSE_URL": pipeline.url,
        "ADVENTUREWORKS_SOURCE_URL": "" if source else pipeline.settings.source_url.get_secret_value(),
        "ADVENTUREWORKS_SOURCE": source,
        "ADVENTUREWORKS_ENVIRONMENT": environment,
        **variables,
    }
    return command_line.run(*arguments, environment=settings, timeout=400)


def fingerprint(pipeline: Pipeline, schema: str) -> list[tuple[object, ...]]:
    return pipeline.published(
        "select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where schemaname = %s order by 1",
        (schema,),
    )


def schemas_of(pipeline: Pipeline) -> set[str]:
    return {row[0] for row in pipeline.published("select schema_name from information_schema.schemata")}


def datasets_of(events: Path) -> list[str]:
    """Return the datasets of the environment pr_42 that the events say were written."""
    sent = [json.loads(line) for line in events.read_text().splitlines()]
    names = [event["outputs"][0]["name"] for event in sent if event["eventType"] == "COMPLETE"]
    return [name.partition(".pr_42_")[2] for name in names]


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
    tables = {name for (name,) in pipeline.published("select tablename from pg_tables where schemaname = 'pr_42_raw'")}
    assert tables == {"Production_Product"}, "the other tables are read from production"
    versions = dict(pipeline.published("select asset, max(version) from pr_42_ops.publication group by asset"))
    of_production = dict(pipeline.published("select asset, max(version) from ops.publication group by asset"))
    newer = {asset for asset in versions if versions[asset] != of_production[asset]}
    assert {"Production_Product", "fact_sales", "data_quality"} <= newer
    assert not newer & {"exchange_rates", "daily_sales", "Sales_SalesOrderHeader"}
    assert {schema: fingerprint(pipeline, schema) for schema in SCHEMAS} == before, "production is unchanged"
    assert pipeline.published(SUMS.format("")) == published
    reported = datasets_of(events)
    assert len(set(reported)) == len(reported), "each version is reported to the lineage transport once"
    assert {f"raw.{name}" if name in SOURCE_TABLES else f"marts.{name}" for name in newer} <= {*reported}
    assert not {*reported} & {"raw.Sales_SalesOrderHeader", "marts.exchange_rates"}, "they are reused"
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
        assert connection.execute("update pr_42_ops.change set run_id = 'ingest_source/scheduled__1'").rowcount
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


@pytest.fixture
def changed_checks(pipeline: Pipeline, tmp_path: Path) -> dict[str, str]:
    """The settings of a pull request that changed the checks of one mart."""
    checks = shutil.copytree(pipeline.settings.checks_folder, tmp_path / "checks")
    file = checks / "marts" / "currency_sales.yml"
    file.write_text(f"{file.read_text()}\n# Another revision.\n")
    return {"ADVENTUREWORKS_CHECKS_FOLDER": str(checks)}


def test_plan_names_what_a_pull_request_computes_and_how_the_rows_differ(
    pipeline: Pipeline, changed_checks: dict[str, str]
) -> None:
    fresh = adventureworks(pipeline, "plan")
    assert fresh.returncode == 0, fresh.stderr
    assert "Nothing would be computed" in fresh.stdout

    before = {schema: fingerprint(pipeline, schema) for schema in SCHEMAS if schema != "marts"}
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.currency_sales set revenue_usd = revenue_usd + 1 where ctid in"
            " (select ctid from marts.currency_sales order by ctid limit 2)"
        )
    planned = adventureworks(pipeline, "plan", "--diff", "--format", "json", variables=changed_checks)
    assert planned.returncode == 0, planned.stderr
    mart, quality = json.loads(planned.stdout)["marts"]
    assert (mart["mart"], mart["reason"]) == ("currency_sales", "its model, contract or checks changed")
    assert (quality["mart"], quality["waits"]) == ("data_quality", True)
    assert mart["last_seconds"] > 0
    assert (mart["difference"]["added"], mart["difference"]["removed"], mart["difference"]["changed"]) == (0, 0, 2)
    assert mart["difference"]["by_column"]["revenue_usd"] == 2
    old, new = map(Decimal, mart["difference"]["totals"]["revenue_usd"])
    assert old - new == 2
    assert {schema for schema in schemas_of(pipeline) if schema.startswith("plan")} == set()
    assert {schema: fingerprint(pipeline, schema) for schema in before} == before
    readable = adventureworks(pipeline, "plan", "--format", "markdown", variables=changed_checks)
    assert "| `currency_sales` | its model, contract or checks changed | all |" in readable.stdout


def test_promoted_environment_is_published_without_computing_it_again(
    pipeline: Pipeline, changed_checks: dict[str, str]
) -> None:
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update marts.currency_sales set revenue_usd = revenue_usd + 1")
    (wrong,) = pipeline.published("select sum(revenue_usd) from marts.currency_sales")
    built = adventureworks(pipeline, "environment", "build", "pr_7", variables=changed_checks)
    assert built.returncode == 0, built.stderr
    assert built.stdout.count("Computed") == 2, "the changed mart, and the quality of its checks"
    kept = "select count(*) from pg_tables where schemaname = 'pr_7_staging' and tablename like '%\\_\\_kept'"
    assert pipeline.published(kept) == [(0,)], "nothing can be rolled back there"
    promoted = adventureworks(pipeline, "environment", "promote", "pr_7", variables=changed_checks)
    assert promoted.returncode == 0, promoted.stderr
    (right,) = pipeline.published("select sum(revenue_usd) from marts.currency_sales")
    assert right == pipeline.published("select sum(revenue_usd) from pr_7_marts.currency_sales")[0] != wrong
    left = json.loads(adventureworks(pipeline, "plan", "--format", "json", variables=changed_checks).stdout)["marts"]
    assert [(one["mart"], one["reason"]) for one in left] == [("data_quality", "currency_sales is newer")]

    other = adventureworks(pipeline, "environment", "promote", "pr_7", environment="staging")
    assert "pr_7 reuses production, not staging." in other.stderr
    assert not any(schema.startswith("staging_") for schema in schemas_of(pipeline))
    outdated = adventureworks(pipeline, "environment", "promote", "pr_7")
    assert outdated.returncode == 1
    again = adventureworks(pipeline, "environment", "promote", "pr_7", variables=changed_checks)
    assert again.returncode == 1
    assert "Since pr_7 was built, newer versions were published: currency_sales." in again.stderr
    assert adventureworks(pipeline, "environment", "drop", "pr_7").returncode == 0


def test_a_mart_with_a_new_column_and_its_readers_are_computed_in_an_environment(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("alter table marts.fact_sales drop column cost_source cascade")
        connection.execute("update ops.publication set model = 'older' where asset = 'fact_sales'")
    [(before,)] = pipeline.published("select max(version) from ops.publication where asset = 'fact_sales'")
    built = adventureworks(pipeline, "environment", "build", "pr_8")
    assert built.returncode == 0, built.stdout + built.stderr
    newest = "select max(version) from pr_8_ops.publication where asset = 'fact_sales'"
    assert pipeline.published(newest) == [(before + 1,)]
    inputs = "select max(inputs::json ->> 'fact_sales') from pr_8_ops.publication where asset = 'customer_value'"
    assert pipeline.published(inputs) == [(str(before + 1),)], "a reader with other contracts has read it"
    [(rows, filled)] = pipeline.published("select count(*), count(cost_source) from pr_8_marts.fact_sales")
    assert rows == filled == pipeline.published("select count(*) from marts.fact_sales")[0][0]


def test_views_of_an_environment_do_not_change_production_and_production_may_be_empty(empty_warehouse_url: str) -> None:
    empty = Settings(warehouse_url=SecretStr(empty_warehouse_url))
    here = empty.model_copy(update={"environment": "pr_9"})
    environment.reuse_published(empty, here)
    with open_warehouse(empty).connect() as production:
        assert production.records.environments() == {"pr_9"}, "an interrupted build can be dropped"
        layout.prepare(production)
        publication.record(
            production.records,
            asset="exchange_rates",
            rows=0,
            changed_rows=0,
            months=None,
            set_aside=0,
            verdict="passed",
            run_id="currency_exchange_rates/scheduled",
            inputs={},
            model="x",
        )
    environment.reuse_published(empty, here)
    with psycopg.connect(empty_warehouse_url) as connection:
        assert connection.execute("select count(*) from pr_9_marts.exchange_rates").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from pr_9_marts.exchange_rates")


def test_environment_in_snowflake_is_dropped_on_both_sides(
    empty_warehouse_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(empty_warehouse_url), source=str(tmp_path))
    environments = {name: settings.model_copy(update={"environment": name}) for name in ("pr_4", "pr_42")}
    with pytest.MonkeyPatch.context() as patch, snowflake_double(patch):
        for one in environments.values():
            with open_warehouse(one).connect() as session:
                layout.prepare(session)
        environment.show(settings)
        assert capsys.readouterr().out.split()[-6::3] == ["pr_4", "pr_42"]
        environment.drop(settings, "pr_4", force=False)
        environment.show(settings)
        assert "pr_42" in (left := capsys.readouterr().out)
        assert "pr_4 " not in left.split("\n", 1)[1]
        # Deleting a home deletes the records, but leaves the schemas in Snowflake, which cost money.
        with psycopg.connect(empty_warehouse_url) as records:
            records.execute("drop schema pr_42_ops cascade")
        with pytest.raises(PlatformError, match="The records of the environment pr_42 are not here"):
            environment.drop(settings, "pr_42", force=False)
        environment.drop(settings, "pr_42", force=True)
        with open_warehouse(settings).connect() as session:
            assert session.data.environments() | session.records.environments() == set()
        with pytest.raises(PlatformError, match="There is no environment pr_42"):
            environment.drop(settings, "pr_42", force=False)


def test_leftovers_of_an_interrupted_build_in_snowflake_are_found_and_dropped(
    empty_warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(empty_warehouse_url), source=str(tmp_path))
    here = settings.model_copy(update={"environment": "pr_9"})
    with pytest.MonkeyPatch.context() as patch, snowflake_double(patch):
        send = SnowflakeData._send

        def without_the_second_schema(data: SnowflakeData, statement: str, *values: Any) -> Any:
            if "PR_9_MARTS" in statement and statement.startswith("create schema"):
                raise PlatformError("A grant is missing.")
            return send(data, statement, *values)

        with monkeypatch.context() as lacking:
            lacking.setattr(SnowflakeData, "_send", without_the_second_schema)
            with pytest.raises(PlatformError, match="grant"), open_warehouse(here).connect() as session:
                layout.prepare(session)
        with open_warehouse(settings).connect() as session:
            assert session.data.environments() | session.records.environments() == {"pr_9"}
        environment.drop(settings, "pr_9", force=True)
        with open_warehouse(settings).connect() as session:
            assert session.data.environments() | session.records.environments() == set()


@pytest.mark.parametrize("name", ['x"; drop schema marts; --', "pg", "pg_1", "PR", "1", "pr_42\n"])
def test_invalid_name_is_rejected_before_anything_is_done(pipeline: Pipeline, name: str) -> None:
    rejected = adventureworks(pipeline, "environment", "build", name)
    assert rejected.returncode == 1
    assert "is not a valid environment name" in rejected.stderr
    with psycopg.connect(pipeline.url) as connection:
        assert connection.execute("select to_regclass('marts.fact_sales') is not null").fetchone() == (True,)


def test_no_query_leaves_the_environment(pipeline: Pipeline) -> None:
    here = pipeline.settings.model_copy(update={"environment": "pr_1"})
    with open_warehouse(here).connect() as session:
        layout.prepare(session)
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
