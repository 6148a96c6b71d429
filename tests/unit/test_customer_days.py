"""Orders of a customer on one day in two channels and territories: rows of their own, and one day for every figure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from adventureworks.catalog import MARTS
from adventureworks.gate.check_files import declared_checks, with_values
from adventureworks.marts import models
from adventureworks.settings import PROJECT_ROOT

VIEWS = Path(str(resources.files("adventureworks.warehouse")))
AS_OF = date(2014, 6, 30)
BEFORE, LAST = date(2013, 3, 2), date(2014, 6, 2)
BIKE, BELL = 1, 2
LINES = [
    (LAST, 7, 4, "reseller", date(2014, 5, 1), 12, BELL, 20),
    (LAST, 7, 1, "online", date(2014, 6, 1), 11, BIKE, 900),
    (LAST, 7, 1, "online", date(2014, 6, 1), 11, BELL, 10),
    (LAST, 7, 1, "online", date(2014, 6, 1), 10, BELL, 10),
    (BEFORE, 7, 1, "online", date(2013, 3, 1), 9, BELL, 40),
    (BEFORE, 8, 1, "online", date(2013, 3, 1), 8, BIKE, 700),
    (BEFORE, 8, 2, "online", date(2013, 3, 1), 7, BELL, 30),
]
"""Day, customer, territory, channel, booking month, order, product and revenue of lines, which cost half as much."""


@pytest.fixture
def data() -> Iterator[duckdb.DuckDBPyConnection]:
    """These lines, and the days of customers that the model makes of them."""
    with duckdb.connect() as connection:
        for schema in ("raw", "marts", "staging"):
            connection.execute(f"create schema {schema}")
        connection.execute(
            'create table raw."Production_ProductCategory" as select 1 as "ProductCategoryID", \'Bikes\' as "Name"'
        )
        connection.execute(
            'create table raw."Production_ProductSubcategory" as'
            ' select 1 as "ProductSubcategoryID", 1 as "ProductCategoryID"'
        )
        connection.execute(
            'create table raw."Production_Product" as select * from (values (1, 1), (2, null))'
            ' as p ("ProductID", "ProductSubcategoryID")'
        )
        connection.execute("create table staging.channel_month (month date, channel varchar, is_partial boolean)")
        connection.execute(
            "insert into staging.channel_month values"
            " ('2014-05-01', 'online', false), ('2014-04-01', 'reseller', false)"
        )
        connection.execute("create view channel_month as from staging.channel_month")
        connection.execute((VIEWS / "booking_delay.sql").read_text(encoding="utf-8"))
        connection.execute(
            "create table marts.fact_sales (order_date date, customer_id int, territory_id int, channel varchar,"
            " booking_month date, sales_order_id int, product_id int, revenue decimal(38, 6), cogs decimal(38, 4))"
        )
        connection.executemany(
            "insert into marts.fact_sales values (?, ?, ?, ?, ?, ?, ?, ?, ?)", [(*line, line[-1] / 2) for line in LINES]
        )
        connection.execute("create view fact_sales as from marts.fact_sales")
        connection.execute(
            f"create table marts.customer_days as {in_duckdb(models.rendered(MARTS['customer_days'], 'customer_days'))}"
        )
        connection.execute("create view customer_days as from marts.customer_days")
        yield connection


def in_duckdb(query: str) -> str:
    return sqlglot.transpile(query, read="postgres", write="duckdb")[0]


def broken_rules(data: duckdb.DuckDBPyConnection, mart: str) -> list[str]:
    """Return the rules over rows that a mart breaks."""
    checks = declared_checks(PROJECT_ROOT / "checks" / "marts", mart)
    queries = {one.rule: with_values(one.query, {"as_of": AS_OF.isoformat()}) for one in checks if one.query}
    return [rule for rule, query in queries.items() if data.execute(in_duckdb(query)).fetchall()]


def computed(data: duckdb.DuckDBPyConnection, name: str) -> dict[int, dict[str, Any]]:
    """Compute a mart from the days into a table, and return its rows by customer."""
    mart = MARTS[name]
    rows = models.compute(mart, lambda query: data.sql(in_duckdb(models.rendered(mart, query))).pl(), AS_OF)
    data.register("rows", rows)
    data.execute(f"create table {name} as from rows")
    return {row["customer_id"]: row for row in rows.iter_rows(named=True)}


def test_a_row_has_the_orders_of_one_channel_and_territory(data: duckdb.DuckDBPyConnection) -> None:
    columns = "order_date, customer_id, territory_id, channel, orders, last_order_id, revenue, has_bike"
    assert data.execute(f"select {columns} from marts.customer_days order by last_order_id desc").fetchall() == [
        (LAST, 7, 4, "reseller", 1, 12, 20, False),
        (LAST, 7, 1, "online", 2, 11, 920, True),
        (BEFORE, 7, 1, "online", 1, 9, 40, False),
        (BEFORE, 8, 1, "online", 1, 8, 700, True),
        (BEFORE, 8, 2, "online", 1, 7, 30, False),
    ]
    assert broken_rules(data, "customer_days") == []


@pytest.mark.parametrize(
    "fault", ["orders = orders + 1", "last_order_id = 10", "booking_month = '2014-06-01'", "has_bike = true"]
)
def test_a_wrong_value_in_a_row_is_found(data: duckdb.DuckDBPyConnection, fault: str) -> None:
    data.execute(f"update marts.customer_days set {fault} where last_order_id = 12")
    assert broken_rules(data, "customer_days") == ["days_are_those_of_the_orders"]


def test_rows_of_the_same_day_are_one_order_day_of_a_customer(data: duckdb.DuckDBPyConnection) -> None:
    rows = computed(data, "customer_value")
    shown = ("channel", "frequency", "monetary", "last_order_has_bike")
    assert [rows[7][name] for name in shown] == ["reseller", 2, 980, True]
    assert [rows[8][name] for name in shown] == ["online", 1, 730, True]
    assert broken_rules(data, "customer_value") == []


def test_a_customer_belongs_to_the_channel_of_the_last_order(data: duckdb.DuckDBPyConnection) -> None:
    rows = computed(data, "customer_churn")
    assert {customer: (row["channel"], row["last_order_date"]) for customer, row in rows.items()} == {
        7: ("reseller", LAST),
        8: ("online", BEFORE),
    }
    assert broken_rules(data, "customer_churn") == []
