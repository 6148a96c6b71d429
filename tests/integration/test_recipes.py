"""The commands of the developers' pages, executed in a copy of the repository, and what they make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import sqlglot
import yaml

from adventureworks.messaging.routes import routes
from adventureworks.settings import Settings
from tests.conftest import REPOSITORY

COPIED = ("src", "contracts", "checks", "dags", "tests", "pyproject.toml")
AS_OF = "date '2014-06-30'"
ROWS = """
    create schema marts; create schema raw;
    create table marts.fact_sales as from (values
        ('online', 1, 43659, 707, 10.50), ('online', 1, 43659, 708, 2.25), ('online', 4, 43660, 707, 10.50),
        ('reseller', 1, 43661, 707, 8.00)
    ) as line(channel, territory_id, sales_order_id, product_id, revenue);
    create view mart_fact_sales as from marts.fact_sales;
    create view sold as from marts.fact_sales;
    create table raw.Production_Location as from (values (1), (2)) as location("LocationID");
    create table raw.Production_WorkOrderRouting as from (values (2), (2), (3)) as routing("LocationID");
    create view Production_Location as from raw.Production_Location;
    create view Production_WorkOrderRouting as from raw.Production_WorkOrderRouting;
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A working copy whose commands use its own code, in the environment of the tests."""
    for name in COPIED:
        origin = REPOSITORY / name
        (shutil.copytree if origin.is_dir() else shutil.copy)(origin, tmp_path / name)
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


def assert_true(copy: Path, mart: str) -> int:
    """Compare a mart's model, check and second computation on a few rows, and return the number of the mart's rows."""
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
        assert duck.execute(query).fetchall() == []
        duck.execute(fault.replace("candidate", mart))
        assert duck.execute(query).fetchall(), "the rule finds its fault"
        duck.execute(f"delete from {mart}")
        assert duck.execute(query).fetchall(), "an empty mart is found"
        [(rows,)] = duck.execute(f"select count(*) from ({reference})").fetchall()
    return int(rows)


def test_the_page_on_marts_leads_to_a_mart_that_is_true(copy: Path) -> None:
    create, *others = blocks("add-a-mart.md")
    shell(copy, create)
    assert assert_true(copy, "territory_orders") == 3
    shell(copy, "\n".join(others))
    assert assert_true(copy, "territory_orders") == 3


def test_a_mart_of_several_inputs_passes_every_policy_at_once(copy: Path) -> None:
    name, dag = "location_counts", "marketing_campaigns"
    command = f".venv/bin/adventureworks new mart {name} --dag {dag} --key location_id"
    shell(copy, f"{command} --inputs Production_Location,Production_WorkOrderRouting")
    shell(copy, ".venv/bin/ruff check src contracts dags\n.venv/bin/ruff format --check src contracts dags")
    shell(copy, ".venv/bin/python -m adventureworks.marts.lint")
    shell(copy, f".venv/bin/python -m pytest -q -n 0 tests/unit -k '{name} or {dag} or translation'")
    assert assert_true(copy, name) == 3


@pytest.mark.parametrize(("kinds", "is_broken"), [("('No Discount'), ('Seasonal')", False), ("('Seasonal')", True)])
def test_the_recipe_for_a_check_leads_to_a_rule_that_finds_its_fault(copy: Path, kinds: str, is_broken: bool) -> None:
    shell(copy, "\n".join(blocks("recipes.md", "A check")))
    with duckdb.connect() as duck:
        duck.execute(
            f'create table "Sales_SpecialOffer" as select 1 as "SpecialOfferID", * from (values {kinds}) as o("Type")'
        )
        found = duck.execute(query_of(copy / "checks" / "source" / "Sales_SpecialOffer.yml")).fetchall()
    assert bool(found) == is_broken


def test_the_recipe_for_a_recipient_leads_to_valid_routes(copy: Path) -> None:
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


def test_the_recipe_for_a_report_leads_to_a_message_with_the_newest_figures(copy: Path) -> None:
    shell(copy, "\n".join(blocks("recipes.md", "A report")))
    text = shell(copy, f".venv/bin/python - <<'END'\n{RENDER}\nEND")
    assert "Cartes de paiement en mai 2014" in text
    assert text.index("No card") < text.index("Vista"), "the most orders first"
    assert "1\u202f23" in text
    assert "70" not in text, "only the newest month"
