"""`adventureworks new mart`: what it refuses, and that it writes everything or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from adventureworks.cli import new
from adventureworks.cli.new import new_mart, planned, write
from adventureworks.cli.new_mart import changed_files
from adventureworks.errors import PlatformError
from adventureworks.settings import PROJECT_ROOT

DAG = "sales_territory_analysis"


@pytest.mark.parametrize(
    ("name", "dag", "inputs", "key", "message"),
    [
        ("fact_sales", DAG, "fact_sales", "channel", "There is already a mart fact_sales"),
        ("Order_Counts", DAG, "fact_sales", "channel", "Order_Counts is not a name for a mart"),
        ("orders", DAG, "fact_sales", "channel", "at least two words"),
        ("order_counts; drop", DAG, "fact_sales", "channel", "is not a name for a mart"),
        ("a_" * 20 + "name", DAG, "fact_sales", "channel", "at most 40"),
        ("current_date", DAG, "fact_sales", "channel", "current_date is a reserved word"),
        ("pivot_longer", DAG, "fact_sales", "channel", "pivot_longer is a reserved word"),
        ("order_counts", DAG, "Sales_SalesTerritory", "group", "would be called group, which is a reserved word"),
        ("order_counts", DAG, "Production_ProductProductPhoto", "primary", "called primary, which is a reserved word"),
        ("order_counts", DAG, "dbo_DatabaseLog", "schema", "would be called schema, which is a reserved word"),
        ("order_counts", DAG, "Production_Product", "class", "would be called class, which is a reserved word"),
        ("order_counts", DAG, "dbo_AWBuildVersion", "database version", "called database version, which is not an ide"),
        ("mart_table", DAG, "fact_sales", "channel", "MartTable, is that of a column type"),
        ("channel_month", DAG, "fact_sales", "channel", "the name of a view"),
        ("order_counts", "sales", "fact_sales", "channel", "There is no analysis sales. Choose one of daily_sales_etl"),
        ("order_counts", "ingest_source", "fact_sales", "channel", "There is no analysis ingest_source"),
        ("order_counts", "data_quality_control", "fact_sales", "channel", "reads every table and mart"),
        ("order_counts", DAG, "Sales_Order", "channel", "There is no table or mart Sales_Order"),
        ("order_counts", DAG, "fact_sales,", "channel", "There is no table or mart"),
        ("order_counts", DAG, "fact_sales,fact_sales", "channel", "two columns of the same name"),
        ("order_counts", DAG, "fact_sales", "channel,channel", "two columns of the same name"),
        ("order_counts", DAG, "customer_value", "as_of", "two columns of the same name"),
        ("order_counts", DAG, "sales_forecast", "channel", "is computed from the marts of sales_territory_analysis"),
        ("order_counts", DAG, "data_quality", "rule", "is computed from the marts of sales_territory_analysis"),
        ("order_counts", "daily_sales_etl", "late_work_orders", "month", "promises its marts sooner"),
        ("order_counts", DAG, "fact_sales", "chanel", "no column chanel. .* Choose from sales_order_id, "),
        (
            "order_counts",
            DAG,
            "fact_sales,Sales_SalesTerritory",
            "channel",
            "Sales_SalesTerritory has no column channel",
        ),
        ("order_counts", DAG, "Sales_SalesOrderHeader", "territory_id", "TerritoryID of .* may be empty"),
        ("order_counts", DAG, "fact_sales", "revenue", "revenue of fact_sales is of a type that no key has"),
        ("order_counts", DAG, "Person_Person", "last_name", "LastName of Person_Person is personal data"),
        ("order_counts", DAG, "fact_sales,Production_TransactionHistory", "quantity", "quantity has another type in"),
    ],
)
def test_what_cannot_become_a_mart_is_refused(name: str, dag: str, inputs: str, key: str, message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        planned(name, dag, inputs.split(","), key.split(","))


def test_outside_a_working_copy_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlatformError, match="not in the working copy of the repository"):
        new_mart("order_counts", DAG, "fact_sales", "channel")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "model.sql").write_text("select mine")
    (tmp_path / "catalogue.py").write_text("before")
    with pytest.raises(PlatformError, match=r"not overwritten: model\.sql\."):
        write(tmp_path, {Path("checks.yml"): "", Path("model.sql"): ""}, {Path("catalogue.py"): "after"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "model.sql": "select mine",
        "catalogue.py": "before",
    }


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "catalogue.py").write_text("before")
    with pytest.raises(OSError, match="nowhere"):
        write(tmp_path, {Path("model.sql"): "", Path("nowhere", "checks.yml"): ""}, {Path("catalogue.py"): "after"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"catalogue.py": "before"}


@pytest.mark.parametrize("renamed", range(3))
def test_an_interruption_leaves_every_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    before = {"catalogue.py": "the catalogue", "contract.py": "the contract"}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    rename, left = Path.replace, [renamed]

    def interrupted(self: Path, target: Path) -> Path:
        if self.suffix == ".new":
            if not left[0]:
                raise SystemExit(130)
            left[0] -= 1
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(SystemExit):
        write(tmp_path, {Path("model.sql"): ""}, dict.fromkeys(map(Path, before), "after"))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_spaces_between_inputs_and_between_columns_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def keep(_: Path, created: Mapping[Path, str], changed: Mapping[Path, str]) -> None:
        written.extend([*created, *changed])

    monkeypatch.chdir(PROJECT_ROOT)
    monkeypatch.setattr(new, "write", keep)
    new_mart("order_counts", DAG, "fact_sales, Sales_SalesOrderDetail", " sales_order_id, product_id ")
    assert Path("checks", "marts", "order_counts.yml") in written


def test_a_long_key_does_not_make_a_line_of_the_documentation_too_long() -> None:
    name = "order_counts_by_order_product_and_offer"
    key = ["sales_order_id", "product_id", "special_offer_id"]
    mart = planned(name, DAG, ["fact_sales"], key)
    documentation = changed_files(mart, PROJECT_ROOT)[Path("dags", "sales", f"{DAG}.py")]
    added = documentation[documentation.index("It also publishes") :]
    assert max(map(len, documentation.splitlines())) <= 120
    assert f"one row per {key[0]}, {key[1]} and {key[2]}." in " ".join(added.split())
