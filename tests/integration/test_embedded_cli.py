"""The command line on the embedded PostgreSQL, with the platform stopped."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.marts import models
from adventureworks.settings import Settings
from adventureworks.warehouse import layout
from adventureworks.warehouse.postgres import PostgresWarehouse, Records
from tests.integration.conftest import Adventureworks


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with published data, whose platform is stopped."""
    path = tmp_path_factory.mktemp("cli") / "home"
    with EmbeddedPostgres(path) as server, psycopg.connect(server.url("warehouse")) as connection:
        with PostgresWarehouse(Records(SecretStr(server.url("warehouse")))).connect() as session:
            layout.prepare(session)
        connection.execute("create schema if not exists marts")
        connection.execute("create table marts.prices as select 0.10::numeric(10, 4) as price, null::text as note")
        publish = (
            "insert into ops.publication"
            " (asset, version, rows, changed_rows, inputs, model, as_of, verdict, run_id, announced)"
        )
        connection.execute(f"{publish} values ('Sales_Store', 2, 701, 1, null, null, null, 'passed', 'r/1', true)")
        made = models.digests(Settings().checks_folder / "marts")
        for mart in ("fact_sales", "customer_days"):
            connection.execute(
                f"{publish} values (%s, 2, 9, 9, '{{}}', %s, %s, 'passed', 'r/1', true)",
                (mart, made[mart], date.min),
            )
        for mart, version in (("customer_retention", 1), ("customer_churn", 2)):
            connection.execute(
                f"{publish} values (%s, 1, 9, 9, %s, %s, %s, 'passed', 'r/1', true)",
                (mart, json.dumps({"fact_sales": 2, "customer_days": version}), made[mart], date.min),
            )
        detail = {"failed": 350, "total": 701, "examples": []}
        parameters = {"cause": "half the rows are gone.", "has_version": True}
        connection.execute(
            """
            insert into ops.incident
            (incident_id, fingerprint, asset, rule, owner, severity, status, code, parameters, detail, run_id)
            values ('1', 'f', 'Sales_Store', 'few_rows_are_deleted', 'sales', 'error', 'open', 'blocked', %s, %s, 'r/2')
            """,
            (json.dumps(parameters), json.dumps(detail)),
        )
    return path


def test_csv_is_exact_and_undecorated(adventureworks: Adventureworks, home: Path) -> None:
    query = "select price, note, true as good, 'a,b' as text from marts.prices"
    done = adventureworks("sql", query, "--format", "csv", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 'price,note,good,text\n0.1000,,true,"a,b"\n'
    assert adventureworks("sql", "select 1 where false", "--format", "csv", home=home).stdout == "?column?\n"
    assert not EmbeddedPostgres(home).running()


@pytest.mark.parametrize("statement", ["delete from marts.prices", "create table t (a int)", "set role warehouse"])
def test_sql_is_read_only(adventureworks: Adventureworks, home: Path, statement: str) -> None:
    done = adventureworks("sql", statement, home=home)
    assert done.returncode == 1
    assert done.stderr.startswith("The query failed: ")
    assert done.stderr.count("\n") == 1
    assert (
        adventureworks("sql", "select count(*) from marts.prices", "--format", "csv", home=home).stdout == "count\n1\n"
    )


def test_shell_runs_a_command_in_the_environment_of_airflow(adventureworks: Adventureworks, home: Path) -> None:
    with EmbeddedPostgres(home) as server, psycopg.connect(server.url("airflow")) as connection:
        # Airflow's tables are not needed here.
        connection.execute(f"comment on database airflow is 'airflow {version('apache-airflow')}'")
    # Importing its commands prints no advice.
    script = 'echo "$AIRFLOW_HOME"; command -v airflow; python -c "import airflow.cli.commands.dag_command"; exit 3'
    done = adventureworks("shell", "sh", "-c", script, home=home)
    assert (done.returncode, done.stderr) == (3, "")
    airflow_home, program = done.stdout.splitlines()
    assert airflow_home == str(home / "airflow")
    assert Path(program).parent == Path(sys.executable).parent


def test_concurrent_commands_share_the_server(adventureworks: Adventureworks, home: Path) -> None:
    with ThreadPoolExecutor() as pool:
        queries = ["select 1 as a", "select pg_sleep(1)::text, 2 as a"]
        done = list(pool.map(lambda query: adventureworks("sql", query, "--format", "csv", home=home), queries))
    assert [one.returncode for one in done] == [0, 0]
    assert not EmbeddedPostgres(home).running()


def test_status_shows_what_is_stale_and_what_is_wrong(adventureworks: Adventureworks, home: Path) -> None:
    status = json.loads(adventureworks("status", "--json", home=home).stdout)
    states = {state["asset"]: state for state in status["assets"]}
    assert (states["Sales_Store"]["version"], states["Sales_Store"]["verdict"]) == (2, "blocked")
    assert (states["customer_retention"]["fresh"], states["customer_retention"]["behind"]) == (
        False,
        "customer_days is newer",
    )
    assert (states["customer_churn"]["fresh"], states["customer_churn"]["behind"]) == (True, "")
    assert states["Sales_Currency"]["verdict"] == "never published"
    assert status["incidents"][0]["next_step"] == "adventureworks status Sales_Store"
    shown = adventureworks("status", home=home)
    assert shown.returncode == 0
    assert "Sales_Store: few_rows_are_deleted. Sales_Store is blocked: half the rows are gone." in shown.stdout
    assert "customer_retention: out of date (customer_days is newer)" in shown.stdout.splitlines()
    assert "Sales_Store: blocked since " in shown.stdout
    assert "customer_churn: " not in shown.stdout, "it is fresh"
    listed = adventureworks("status", "--all", home=home).stdout
    assert "passed, out of date (customer_days is newer)" in " ".join(listed.split())
    assert "customer_churn" in listed
    details = " ".join(adventureworks("status", "customer_retention", home=home).stdout.split())
    assert "mart of customer_retention" in details
    assert "State passed, out of date (customer_days is newer)" in details


def test_source_sql_runs_all_statements_in_one_transaction(adventureworks: Adventureworks, home: Path) -> None:
    made = adventureworks("source", "sql", "create table t (a int)", "insert into t values (1)", home=home)
    assert (made.returncode, made.stdout) == (0, "CREATE TABLE\nINSERT 0 1\n")
    failed = adventureworks("source", "sql", "insert into t values (2)", "insert into t values ('x')", home=home)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    with EmbeddedPostgres(home) as server, psycopg.connect(server.url("source")) as connection:
        assert connection.execute("select a from t").fetchall() == [(1,)]
