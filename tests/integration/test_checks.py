"""The checks on the real data: it passes all of them, and each fault is found by its own check and by no other."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, marts_of
from adventureworks.columns import columns_of
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.errors import ServiceUnavailable
from adventureworks.gate.checks import Reference, references, run_checks
from adventureworks.gate.contract import validate
from adventureworks.marts import models
from adventureworks.settings import PROJECT_ROOT
from adventureworks.source.files import FileSource
from adventureworks.warehouse import layout
from adventureworks.warehouse.postgres import PostgresWarehouse, Records
from tests.conftest import create_database, drop_database
from tests.integration.candidates import AS_OF, MART, SOURCE, Warehouse, broken

SALES = marts_of("daily_sales_etl")


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres, real_data: Path) -> Iterator[Warehouse]:
    name = create_database(postgres, "warehouse")
    url = postgres.url(name, "warehouse")
    _publish(url, real_data)
    yield Warehouse(url)
    drop_database(postgres, name)


def _publish(url: str, real_data: Path) -> None:
    engine = PostgresWarehouse(Records(SecretStr(url)))
    with engine.connect() as session:
        layout.prepare(session)
    source = FileSource(real_data / "parquet", batch_rows=100_000)
    with source.snapshot() as snapshot, engine.bulk_loader() as append:
        for entry in SOURCE_TABLES.values():
            for batch in snapshot.rows(entry):
                append("raw", entry.asset, validate(entry, batch).good)
    with engine.connect() as session:
        for mart in SALES:
            query = f"insert into marts.{mart.name} {models.rendered(mart, mart.name)}"
            session.data.execute(query, {"as_of": AS_OF})
        session.data.execute("analyze")


def test_the_real_data_passes_every_check(warehouse: Warehouse) -> None:
    sales = [mart.name for mart in SALES]
    outcomes = [*warehouse.check(*SOURCE_TABLES), *warehouse.check(*sales, folder=MART)]
    assert broken(outcomes) == {}
    assert {outcome.table for outcome in outcomes} == {*SOURCE_TABLES, *sales}


def test_every_foreign_key_of_the_source_is_declared(real_data: Path) -> None:
    schema = json.loads((real_data / "schema.json").read_text())
    expected = {
        (
            name.replace(".", "_"),
            tuple(key["columns"]),
            key["references"].replace(".", "_"),
            tuple(key["referenced_columns"]),
        )
        for name, table in schema.items()
        for key in table["foreign_keys"]
    }
    declared = [reference for table in SOURCE_TABLES for reference in references(SOURCE, table)]
    assert len(declared) == len(expected) == 90
    assert {(r.table, r.columns, r.parent, r.parent_columns) for r in declared} == expected
    assert declared[0] == Reference(
        "HumanResources_Employee", ("BusinessEntityID",), "Person_Person", ("BusinessEntityID",), "person_exists"
    )


class Fault(NamedTuple):
    """A candidate with one fault, and the expected outcome of the checks."""

    changed: str
    select: str
    checked: str
    rule: str
    failed: int
    example: str
    outcome: str = "fail"


def changed(table: str, where: str, **columns: str) -> str:
    """Return a SELECT of the published table with columns replaced in the rows that match `where`."""
    cases = [
        f'case when {where} then {columns[c.name]} else "{c.name}" end as "{c.name}"' if c.name in columns
        else f'"{c.name}"'
        for c in columns_of(SOURCE_TABLES[table])
    ]  # fmt: skip
    return f'select {", ".join(cases)} from raw."{table}"'


def without(table: str, where: str) -> str:
    return f'select * from raw."{table}" where not ({where})'


def duplicated(table: str, where: str) -> str:
    return f'select * from raw."{table}" union all select * from raw."{table}" where {where}'


FAULTS = {
    "a missing parent": Fault(
        "Sales_SalesPerson",
        without("Sales_SalesPerson", '"BusinessEntityID" = 285'),
        "Sales_SalesOrderHeader",
        "sales_person_exists",
        16,
        "SalesOrderID=",
    ),
    "a missing parent with a key of two columns": Fault(
        "Sales_SpecialOfferProduct",
        without("Sales_SpecialOfferProduct", '"SpecialOfferID" = 1 and "ProductID" = 776'),
        "Sales_SalesOrderDetail",
        "special_offer_product_exists",
        209,
        "SalesOrderID=43659, SalesOrderDetailID=1",
    ),
    "a duplicate key": Fault(
        "Purchasing_ProductVendor",
        duplicated("Purchasing_ProductVendor", '"ProductID" = 1'),
        "Purchasing_ProductVendor",
        "key_is_unique",
        1,
        "ProductID=1, BusinessEntityID=1580",
    ),
    "a duplicate natural key": Fault(
        "Sales_SalesOrderHeader",
        changed("Sales_SalesOrderHeader", '"SalesOrderID" = 43660', SalesOrderNumber="'SO43659'"),
        "Sales_SalesOrderHeader",
        "sales_order_number_is_unique",
        1,
        "SalesOrderID=43659",
    ),
    "a subtotal is off by more than a cent": Fault(
        "Sales_SalesOrderHeader",
        changed("Sales_SalesOrderHeader", '"SalesOrderID" = 43659', SubTotal='("SubTotal" + 0.02)::numeric(19, 4)'),
        "Sales_SalesOrderHeader",
        "subtotal_is_the_sum_of_the_lines",
        1,
        "SalesOrderID=43659",
    ),
    "an order has no lines": Fault(
        "Sales_SalesOrderDetail",
        without("Sales_SalesOrderDetail", '"SalesOrderID" in (43660, 43661)'),
        "Sales_SalesOrderHeader",
        "order_has_a_line",
        2,
        "SalesOrderID=43660",
    ),
    "a purchase does not add up": Fault(
        "Purchasing_PurchaseOrderDetail",
        without("Purchasing_PurchaseOrderDetail", '"PurchaseOrderDetailID" = 2'),
        "Purchasing_PurchaseOrderHeader",
        "subtotal_is_the_sum_of_the_lines",
        1,
        "PurchaseOrderID=2",
    ),
    "two costs are valid at once": Fault(
        "Production_ProductCostHistory",
        changed("Production_ProductCostHistory", '"ProductID" = 707', EndDate="null"),
        "Production_ProductCostHistory",
        "costs_do_not_overlap",
        2,
        "ProductID=707, StartDate=2011-05-31 00:00:00",
    ),
    "two prices are valid on a day": Fault(
        "Production_ProductListPriceHistory",
        changed(
            "Production_ProductListPriceHistory",
            """"ProductID" = 707 and "StartDate" < '2012-01-01'""",
            EndDate="\"EndDate\" + interval '1 day'",
        ),
        "Production_ProductListPriceHistory",
        "prices_do_not_overlap",
        1,
        "ProductID=707, StartDate=2011-05-31 00:00:00",
    ),
    "an employee is in two departments": Fault(
        "HumanResources_EmployeeDepartmentHistory",
        changed("HumanResources_EmployeeDepartmentHistory", '"BusinessEntityID" = 4', EndDate="null"),
        "HumanResources_EmployeeDepartmentHistory",
        "departments_do_not_overlap",
        1,
        "BusinessEntityID=4",
    ),
    "an assembly contains itself": Fault(
        "Production_BillOfMaterials",
        changed("Production_BillOfMaterials", '"BillOfMaterialsID" = 1290', ComponentID="680"),
        "Production_BillOfMaterials",
        "no_assembly_contains_itself",
        2,
        "ProductAssemblyID=324",
    ),
    "a product has no primary photo": Fault(
        "Production_ProductProductPhoto",
        changed("Production_ProductProductPhoto", '"ProductID" = 1', Primary="false"),
        "Production_ProductProductPhoto",
        "product_has_one_primary_photo",
        1,
        "ProductID=1",
    ),
    "an operation is for another product": Fault(
        "Production_WorkOrderRouting",
        changed("Production_WorkOrderRouting", '"WorkOrderID" = 13', ProductID="1"),
        "Production_WorkOrderRouting",
        "product_is_that_of_the_work_order",
        6,
        "WorkOrderID=13, ProductID=1, OperationSequence=",
    ),
    "a product is sold before its time": Fault(
        "Production_Product",
        changed("Production_Product", '"ProductID" = 776', SellStartDate="timestamp '2011-06-15'"),
        "Sales_SalesOrderDetail",
        "product_was_on_sale",
        8,
        "SalesOrderID=43659, SalesOrderDetailID=1",
        outcome="warn",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_only_by_its_rule(warehouse: Warehouse, fault: Fault) -> None:
    with warehouse.candidate(fault.changed, fault.select):
        found = broken(warehouse.check(fault.checked))
    assert list(found) == [fault.rule]
    outcome = found[fault.rule]
    assert outcome.outcome == fault.outcome
    assert outcome.failed == fault.failed
    assert any(example.startswith(fault.example) for example in outcome.examples)
    assert 1 <= len(outcome.examples) <= 3
    assert f"{outcome.failed:,} " in outcome.message
    assert "expected none" in outcome.message


def test_a_table_that_lost_most_of_its_rows(warehouse: Warehouse) -> None:
    with warehouse.candidate("Sales_CurrencyRate", without("Sales_CurrencyRate", '"CurrencyRateID" % 5 < 3')):
        found = broken(warehouse.check("Sales_CurrencyRate", least_rows_Sales_CurrencyRate="6766"))
    (outcome,) = found.values()
    assert (outcome.rule, outcome.outcome) == ("keeps_most_of_its_rows", "fail")
    assert outcome.message == "5,412 rows, expected at least 6,766."
    assert outcome.dimension == "volume"


def test_an_empty_table(warehouse: Warehouse) -> None:
    with warehouse.candidate("Sales_Currency", without("Sales_Currency", "true")):
        assert list(broken(warehouse.check("Sales_Currency"))) == ["is_not_empty"]
    with warehouse.candidate("Sales_ShoppingCartItem", without("Sales_ShoppingCartItem", "true")):
        assert broken(warehouse.check("Sales_ShoppingCartItem")) == {}
        (outcome,) = broken(warehouse.check("Sales_ShoppingCartItem", least_rows_Sales_ShoppingCartItem="1")).values()
    assert outcome.outcome == "warn"


def test_a_table_that_went_back_in_time(warehouse: Warehouse) -> None:
    back = changed("Sales_Currency", "true", ModifiedDate="timestamp '2007-01-01'")
    with warehouse.candidate("Sales_Currency", back):
        found = broken(warehouse.check("Sales_Currency", stale_before_Sales_Currency="2008-03-31 00:00:00"))
    (outcome,) = found.values()
    assert (outcome.rule, outcome.outcome, outcome.dimension) == ("is_fresh", "fail", "freshness")
    expected = "The newest ModifiedDate is 2007-01-01 00:00:00, expected 2008-03-31 00:00:00 or later."
    assert outcome.message == expected


def test_orders_with_rows_set_aside_wait_for_them(warehouse: Warehouse) -> None:
    set_aside = (
        "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id) values"
        " ('Sales_SalesOrderDetail', '{}', 'OrderQty_greater_than', '', '{\"SalesOrderID\": \"43659\"}', 'r')"
    )
    with warehouse.candidate("Sales_SalesOrderDetail", without("Sales_SalesOrderDetail", '"SalesOrderID" = 43659')):
        with psycopg.connect(warehouse.url) as connection:
            connection.execute(set_aside)
        waiting = broken(warehouse.check("Sales_SalesOrderHeader"))
        with psycopg.connect(warehouse.url) as connection:
            connection.execute("update ops.quarantined_row set status = 'repaired'")
        repaired = broken(warehouse.check("Sales_SalesOrderHeader"))
    assert waiting == {}
    assert list(repaired) == ["order_has_a_line"]


def test_tax_summed_over_lines(warehouse: Warehouse) -> None:
    columns = warehouse.columns("daily_sales", tax="(tax * 2)::numeric(38, 4)")
    with warehouse.candidate("daily_sales", f"select {columns} from marts.daily_sales"):
        assert list(broken(warehouse.check("daily_sales", folder=MART))) == ["tax_and_freight_are_those_of_the_orders"]


def test_lines_later_than_as_of_do_not_belong_in_the_mart(warehouse: Warehouse) -> None:
    found = broken(warehouse.check("fact_sales", folder=MART, as_of="2014-06-29"))
    assert list(found) == ["lines_are_those_of_the_orders"]


def test_examples_contain_no_personal_data(warehouse: Warehouse) -> None:
    with warehouse.candidate("Person_Person", without("Person_Person", '"BusinessEntityID" = 3')):
        (outcome,) = broken(warehouse.check("Person_PersonPhone")).values()
    assert outcome.examples == ("BusinessEntityID=3, PhoneNumberTypeID=1",)


def folder_with(tmp_path: Path, checks: str) -> Path:
    (tmp_path / "Sales_Currency.yml").write_text(f'checks for "Sales_Currency":\n{checks}')
    return tmp_path


NOT_EMPTY = "  - row_count > 0:\n      name: is_not_empty\n"
NOT_EVALUATED = {
    "SQL that fails": "  - failed rows:\n      name: a_b\n      fail query: select 1 from nowhere\n",
    "a parent table that does not exist": '  - values in ("Name") must exist in "Nowhere" ("Name"):\n      name: a_b\n',
    "a column that does not exist": '  - duplicate_count("Nothing") = 0:\n      name: a_b\n',
    "an undefined variable": "  - row_count >= ${least_rows_nobody}:\n      name: a_b\n",
    "a setting unknown to Soda": "  - row_count > 1:\n      name: a_b\n      colour: red\n",
    "a check unknown to Soda": "  - row_count is fine:\n      name: a_b\n",
}


@pytest.mark.parametrize("check", NOT_EVALUATED.values(), ids=NOT_EVALUATED)
def test_a_check_that_cannot_be_evaluated_is_an_error(warehouse: Warehouse, tmp_path: Path, check: str) -> None:
    outcomes = warehouse.check("Sales_Currency", folder=folder_with(tmp_path, NOT_EMPTY + check))
    assert [outcome.rule for outcome in outcomes] == ["is_not_empty", "a_b"]
    assert outcomes[1].outcome == "error"
    assert outcomes[1].message.startswith("The check could not be evaluated: ")


def test_a_missing_view_and_a_missing_file_are_errors(warehouse: Warehouse, tmp_path: Path) -> None:
    given = {"least_rows_Sales_Currency": "0", "stale_before_Sales_Currency": "0001-01-01"}
    outcomes = run_checks(
        PostgresWarehouse(Records(SecretStr(warehouse.url))), SOURCE, ["Sales_Currency"], given, schema="ops"
    )
    assert {outcome.outcome for outcome in outcomes} == {"error"}
    (outcome,) = warehouse.check("Sales_Currency", folder=tmp_path)
    assert (outcome.outcome, outcome.rule) == ("error", "checks_are_readable")


def test_no_password_is_revealed_and_no_connection_stays_open(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    password = warehouse.url.split(":")[2].split("@")[0]
    warehouse.check("Sales_Currency")
    with pytest.raises(ServiceUnavailable) as refused:
        Warehouse(warehouse.url.replace(password, "not-it")).check("Sales_Currency")
    output = f"{refused.value} {caplog.text} {capfd.readouterr()}"
    assert password not in output
    assert "not-it" not in output
    others = (
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and backend_type = 'client backend'"
    )
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        # The server needs a moment to release a closed connection.
        deadline = time.monotonic() + 30
        while connection.execute(others).fetchone() != (0,):
            assert time.monotonic() < deadline, "a connection is still open"
            time.sleep(0.1)


def test_soda_sends_no_telemetry_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOME=/nowhere\n")
    code = (
        "import os, adventureworks.gate.soda as soda; from opentelemetry import trace; soda.Scan();"
        " print(type(trace.get_tracer_provider()).__name__, os.environ['HOME'])"
    )
    environment: Mapping[str, str] = {
        **os.environ,
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{PROJECT_ROOT / 'src'}{os.pathsep}{PROJECT_ROOT}",
    }
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["ProxyTracerProvider", str(tmp_path)]
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
