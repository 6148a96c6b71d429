"""The classes of products, by the model and by the check that computes them again: months without any sales."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest
import sqlglot

from adventureworks.catalog import MARTS
from adventureworks.gate.check_files import declared_checks
from adventureworks.marts.models import rendered
from adventureworks.months import shifted
from adventureworks.settings import PROJECT_ROOT

FIRST = date(2013, 1, 1)
RAW = """
    create table raw."Production_Product" ("ProductID" int, "Name" varchar, "ProductSubcategoryID" int);
    insert into raw."Production_Product" values (1, 'Bell', null);
    create table raw."Production_ProductSubcategory" (
        "ProductSubcategoryID" int, "Name" varchar, "ProductCategoryID" int
    );
    create table raw."Production_ProductCategory" ("ProductCategoryID" int, "Name" varchar);
    create table raw."Production_ProductListPriceHistory" (
        "ProductID" int, "StartDate" timestamp, "EndDate" timestamp, "ListPrice" decimal(19, 4)
    );
"""


def classes(months: list[int]) -> dict[date, tuple[str, str | None]]:
    """Return the classes of the one product of a company that sold one a month in these months, counted from `FIRST`.

    Fails if the check does not agree with the model.
    """
    mart = MARTS["product_performance"]
    with duckdb.connect() as data:
        for schema in ("raw", "marts", "staging"):
            data.execute(f"create schema {schema}")
        data.execute(RAW)
        data.execute("create table staging.channel_month (month date, channel varchar, is_partial boolean)")
        data.execute("create view staging.sales_month as select month, is_partial from staging.channel_month")
        for view in ("channel_month", "sales_month"):
            data.execute(f"create view {view} as from staging.{view}")
        data.executemany(
            "insert into staging.channel_month values (?, 'online', false)", [[shifted(FIRST, n)] for n in months]
        )
        data.execute(
            "create table marts.fact_sales as select month as order_date, month as booking_month, channel,"
            " 1 as product_id, 1 as quantity, 10.0 as revenue, 10.0 as gross_amount, 0.0 as discount_amount,"
            " 4.0 as cogs from staging.channel_month"
        )
        model = sqlglot.transpile(rendered(mart, mart.name), read="postgres", write="duckdb")[0]
        data.execute(f"create table product_performance as {model}")
        [check] = [
            one
            for one in declared_checks(PROJECT_ROOT / "checks" / "marts", mart.name)
            if one.rule == "classes_are_those_of_twelve_months"
        ]
        assert data.execute(sqlglot.transpile(check.query, read="postgres", write="duckdb")[0]).fetchall() == []
        rows = data.execute("select month, abc_class, xyz_class from product_performance").fetchall()
    return {month: (abc, xyz) for month, abc, xyz in rows}


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        (list(range(11)), None),
        (list(range(12)), "X"),
        # A month in which the company sold nothing leaves the class by regularity open.
        ([*range(5), *range(6, 12)], None),
        ([0, *range(2, 13)], None),
        ([0, *range(2, 14)], "X"),
        ([0, 11], None),
    ],
)
def test_products_have_a_class_by_regularity_after_twelve_months_with_sales(
    months: list[int], expected: str | None
) -> None:
    assert classes(months)[shifted(FIRST, months[-1])] == ("A", expected)
