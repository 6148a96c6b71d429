"""The commands of the developers' pages, executed in a copy of the repository, and what they produce."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import sqlglot
import yaml

from adventureworks.cli.new import RESERVED
from adventureworks.messaging.routes import routes
from adventureworks.settings import Settings
from tests.conftest import REPOSITORY

NOT_COPIED = shutil.ignore_patterns(".*", "_site", "build")
"""Environments, caches of tools and what is built. Compiled modules are copied: compiling all of them takes seconds."""
AS_OF = "date '2014-06-30'"
ROWS = """
    create schema marts; create schema raw;
    create table marts.fact_sales as select * from (values
        ('online', 1, 43659, 707, 10.50), ('online', 1, 43659, 708, 2.25), ('online', 4, 43660, 707, 10.50),
        ('reseller', 1, 43661, 707, 8.00)
    ) as line(channel, territory_id, sales_order_id, product_id, revenue);
    create view mart_fact_sales as select * from marts.fact_sales;
    create view sold as select * from marts.fact_sales;
    create table raw."Production_Location" as select * from (values (1), (2)) as location("LocationID");
    create table raw."Production_WorkOrderRouting" as select * from (values (2), (2), (3)) as routing("LocationID");
    create view Production_Location as select "LocationID" as LocationID from raw."Production_Location";
    create view Production_WorkOrderRouting as
        select "LocationID" as LocationID from raw."Production_WorkOrderRouting";
"""
"""The inputs, in SQL that DuckDB and PostgreSQL understand. References do not quote the names of tables."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A working copy whose commands use its own code, in the environment of the tests."""
    shutil.copytree(REPOSITORY, tmp_path, ignore=NOT_COPIED, dirs_exist_ok=True)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def shell(copy: Path, commands: str) -> str:
    """Run commands as a user in the copy would; return their output. The test fails if one of them fails."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    variables["PYTHONPATH"] = f"{copy / 'src'}:{copy}"
    done = subprocess.run(
        ["bash", "-eu", "-c", commands], cwd=copy, env=variables, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


def blocks(page: str, heading: str = "") -> list[str]:
    """Return the commands of a page, or of one of its sections: the blocks marked `sh`."""
    text = (REPOSITORY / "docs" / page).read_text()
    if heading:
        [text] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found


def query_of(checks: Path) -> str:
    """Return the SELECT of the only rule with one in a check file."""
    [items] = yaml.safe_load(checks.read_text()).values()
    [query] = [body["fail query"] for check in items for body in check.values() if "fail query" in body]
    return str(query)


def compared(copy: Path, mart: str, postgres_url: str) -> int:
    """Compare a mart's model, check and second computation on a few rows, and return the number of the mart's rows.

    The check is executed by DuckDB, and by PostgreSQL in an empty database.
    """
    model = next((copy / "src" / "adventureworks" / "marts").rglob(f"{mart}.sql")).read_text()
    reference = (copy / "tests" / "acceptance" / "references" / f"{mart}.sql").read_text()
    [fault] = re.findall(r"^-- Fault of \w+: (.+)$", reference, re.MULTILINE)
    query = query_of(copy / "checks" / "marts" / f"{mart}.yml").replace("date '${as_of}'", AS_OF)
    with duckdb.connect() as duck:
        duck.execute(ROWS)
        [select] = sqlglot.transpile(model.replace(":as_of", AS_OF), read="snowflake", write="duckdb")
        duck.execute(f"create table {mart} as {select}")
        reference = reference.replace("$as_of", AS_OF)
        assert duck.execute(f"from {mart} except all ({reference})").fetchall() == []
        assert duck.execute(f"({reference}) except all from {mart}").fetchall() == []
        assert_finds_faults(duck, query, fault, mart)
        [(rows,)] = duck.execute(f"select count(*) from ({reference})").fetchall()
    with psycopg.connect(postgres_url) as connection:
        connection.execute(ROWS.encode())
        connection.execute(f"create table {mart} as {reference}".encode())
        assert_finds_faults(connection, query, fault, mart)
        connection.rollback()
    return int(rows)


def assert_finds_faults(connection: Any, query: str, fault: str, mart: str) -> None:
    """Assert that a check's query passes the mart, and finds a fault and an empty mart."""
    assert connection.execute(query).fetchall() == []
    connection.execute(fault.replace("candidate", mart))
    assert connection.execute(query).fetchall(), "the rule finds its fault"
    connection.execute(f"delete from {mart}")
    assert connection.execute(query).fetchall(), "an empty mart is found"


def test_the_page_on_marts_produces_a_correct_mart(copy: Path, empty_warehouse_url: str) -> None:
    create, *others = blocks("add-a-mart.md")
    shell(copy, create)
    assert compared(copy, "territory_orders", empty_warehouse_url) == 3
    shell(copy, "\n".join(others))
    assert compared(copy, "territory_orders", empty_warehouse_url) == 3


def test_a_mart_of_several_inputs_passes_every_policy_at_once(copy: Path, empty_warehouse_url: str) -> None:
    name, dag = "location_counts", "marketing_campaigns"
    command = f".venv/bin/adventureworks new mart {name} --dag {dag} --key location_id"
    shell(copy, f"{command} --inputs Production_Location,Production_WorkOrderRouting")
    _, checks, *_ = blocks("add-a-mart.md")
    shell(copy, checks.replace("territory_orders or sales_territory_analysis", f"{name} or {dag}"))
    assert compared(copy, name, empty_warehouse_url) == 3


def test_words_that_an_engine_reserves_are_no_names(empty_warehouse_url: str) -> None:
    with psycopg.connect(empty_warehouse_url) as connection, duckdb.connect() as duck:
        postgres = connection.execute("select word from pg_get_keywords() where catcode in ('R', 'T')").fetchall()
        reserved = "keyword_category in ('reserved', 'type_function')"
        words = duck.execute(f"select keyword_name from duckdb_keywords() where {reserved}").fetchall()
    assert {word for (word,) in (*postgres, *words)} - RESERVED == set()


@pytest.mark.parametrize(("kinds", "is_broken"), [("('No Discount'), ('Seasonal')", False), ("('Seasonal')", True)])
def test_the_recipe_for_a_check_produces_a_rule_that_finds_its_fault(copy: Path, kinds: str, is_broken: bool) -> None:
    shell(copy, "\n".join(blocks("recipes.md", "A check")))
    with duckdb.connect() as duck:
        duck.execute(
            f'create table "Sales_SpecialOffer" as select 1 as "SpecialOfferID", * from (values {kinds}) as o("Type")'
        )
        found = duck.execute(query_of(copy / "checks" / "source" / "Sales_SpecialOffer.yml")).fetchall()
    assert bool(found) == is_broken


def test_the_recipe_for_a_recipient_produces_valid_routes(copy: Path) -> None:
    shell(copy, "\n".join(blocks("recipes.md", "A recipient")))
    known = routes(Settings(routes=copy / "routes.yaml"))
    assert [name for name, _ in known.groups_of("finance")] == ["finance", "controlling"]
    assert known.groups["controlling"].language == "fr"
    assert known.digests["daily_sales"].to == ("sales", "controlling")
    assert known.digests["low_stock"].to == ("production", "purchasing"), "the others stay"


RENDER = """
from types import SimpleNamespace
import duckdb
from adventureworks.reports.digests import DIGESTS
from adventureworks.texts import language
duck = duckdb.connect()
duck.execute("create schema marts")
duck.execute("create table marts.card_usage as from (values (date '2014-04-01', 'Vista', 7, 70.0), (date '2014-05-01',"
    " 'Vista', 3, 1234.5), (date '2014-05-01', 'No card', 5, 80.0)) as card(month, card_type, orders, revenue)")
data = SimpleNamespace(execute=lambda query, values=(): duck.execute(query.replace("%s", "?"), values))
print(DIGESTS["card_usage"].message(SimpleNamespace(data=data), language("fr")).text)
"""


def test_the_recipe_for_a_report_produces_a_message_with_the_newest_figures(copy: Path) -> None:
    shell(copy, "\n".join(blocks("recipes.md", "A report")))
    text = shell(copy, f".venv/bin/python - <<'END'\n{RENDER}\nEND")
    assert "Cartes de paiement en mai 2014" in text
    assert text.index("No card") < text.index("Vista"), "the most orders first"
    assert "1\u202f23" in text
    assert "70" not in text, "only the newest month"
