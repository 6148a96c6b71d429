"""Every mart compared row by row with a second computation, and the known figures."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import psycopg
import pytest

from adventureworks.catalog import ANALYSES, MARTS, Mart
from adventureworks.columns import columns_of, key_of
from adventureworks.marts import models
from adventureworks.warehouse.sql import in_months, names
from tests.acceptance.reference import REFERENCES, reference_of
from tests.acceptance.report import FILE, Report, Result
from tests.integration.candidates import AS_OF
from tests.integration.pipeline import Pipeline


def test_every_mart_has_a_reference_and_every_reference_a_mart() -> None:
    assert {path.stem for path in REFERENCES.glob("[a-z]*.sql")} == MARTS.keys()


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_a_second_computation_returns_the_same_rows(
    duck: duckdb.DuckDBPyConnection, report: Report, mart: Mart
) -> None:
    reference = reference_of(mart)
    duck.execute(f"create or replace temp table reference as {reference.select}")
    columns = [row[0] for row in duck.execute("describe reference").fetchall()]
    assert set(columns) <= {column.name for column in columns_of(mart)}
    key = [name for name in key_of(mart) if name in columns]
    compared = [name for name in columns if name not in key]
    among = f" where {reference.among}" if reference.among else ""
    joined = (
        f"(select *, true as is_there from reference) as r full join"
        f" (select *, true as is_there from mart_{mart.name}{among}) as m"
        f" on {' and '.join(f'r.{name} = m.{name}' for name in key)}"
    )
    shown = ", ".join(f"coalesce(r.{name}, m.{name})" for name in key)
    for fault in ("m.is_there is null", "r.is_there is null"):
        side = "missing in the mart" if fault.startswith("m") else "only in the mart"
        rows = duck.execute(f"select {shown} from {joined} where {fault}").fetchall()
        assert not rows, f"{mart.name}: {len(rows):,} rows are {side}, for example {rows[:3]}"
    for name in compared:
        rows = duck.execute(
            f"select {shown}, r.{name}, m.{name} from {joined} where {_differs(duck, name, reference.within)}"
        ).fetchall()
        assert not rows, f"{mart.name}.{name}: {len(rows):,} rows differ (key, reference, mart): {rows[:3]}"
    [(count,)] = duck.execute("select count(*) from reference").fetchall()
    assert count
    [(report.as_of,)] = duck.execute("select getvariable('as_of')").fetchall()
    report.results[mart.name] = Result(reference.validated, count, tuple(compared), reference.among)


@pytest.mark.parametrize("mart", [mart for mart in MARTS.values() if mart.incremental], ids=lambda mart: mart.name)
def test_months_that_are_computed_alone_have_the_same_rows(platform: Pipeline, mart: Mart) -> None:
    months = tuple(f"{year}-{month:02}" for year in range(2010, 2016) for month in range(1, 13))
    columns = names(column.name for column in columns_of(mart))
    with psycopg.connect(platform.url) as warehouse:
        for chosen in (months[0::5], months[3::5]):
            of_months = in_months(mart.dated, chosen)
            alone = f"select {columns} from ({models.rendered(mart, mart.name, months=chosen)}) as m where {of_months}"
            whole = f"select {columns} from marts.{mart.name} where {of_months}"
            difference = f"({alone} except all {whole}) union all ({whole} except all {alone})"
            assert warehouse.execute(difference, {"as_of": AS_OF}).fetchall() == []
            assert warehouse.execute(f"select 1 from ({whole}) as m limit 1").fetchone(), "some of the months have rows"


def _differs(duck: duckdb.DuckDBPyConnection, name: str, within: str) -> str:
    [(kind,)] = duck.execute(f"select typeof({name}) from reference limit 1").fetchall()
    if kind != "DOUBLE":
        return f"r.{name} is distinct from m.{name}"
    far = f"abs(r.{name} - m.{name}::double) > greatest(1e-10, {within} * abs(r.{name}))"
    return f"({far}) or (r.{name} is null) <> (m.{name} is null) or coalesce(isnan(r.{name}), false)"


FIGURES: dict[str, tuple[str, Decimal | int | str]] = {
    "orders": ("select count(distinct sales_order_id) from marts.fact_sales", 31_465),
    "order lines": ("select count(*) from marts.fact_sales", 121_317),
    "sum of LineTotal, USD": ("select sum(revenue) from marts.fact_sales", Decimal("109846381.399888")),
    "sum of SubTotal, USD": ("select sum(revenue_usd) from marts.currency_sales", Decimal("109846381.4039")),
    "sum of TotalDue, USD": ("select sum(total_due) from marts.daily_sales", Decimal("123216786.1159")),
    "online revenue, USD": (
        "select round(sum(revenue), 2) from marts.territory_sales where channel = 'online'",
        Decimal("29358677.22"),
    ),
    "reseller revenue, USD": (
        "select round(sum(revenue), 2) from marts.territory_sales where channel = 'reseller'",
        Decimal("80487704.18"),
    ),
    "revenue by calendar month, of all months, USD": (
        "select sum(calendar_revenue) from marts.territory_sales",
        Decimal("109846381.399888"),
    ),
    "booking months of resellers, each with one wave": (
        "select count(*) from (select booking_month from marts.fact_sales where channel = 'reseller'"
        " group by booking_month having max(order_date) - min(order_date) <= 1) as wave",
        36,
    ),
    **{
        f"{kind}, {channel}": (
            f"select string_agg(to_char(month, 'YYYY-MM'), ', ' order by month) from staging.channel_month"
            f" where channel = '{channel}' and is_partial",
            found,
        )
        for kind, channel, found in (
            ("partial months", "online", "2011-05, 2014-06"),
            ("partial months", "reseller", "2014-05, 2014-06"),
        )
    },
    "last whole booking month of resellers": (
        "select to_char(max(month), 'YYYY-MM') from marts.territory_sales"
        " where channel = 'reseller' and not is_partial",
        "2014-04",
    ),
    "revenue whose cost is a fallback, USD": (
        "select round(sum(fallback_cost_revenue), 2) from marts.monthly_profit",
        Decimal("37107.22"),
    ),
    "online cost of goods sold, USD": (
        "select round(sum(revenue - profit), 2) from marts.territory_sales where channel = 'online'",
        Decimal("17277793.58"),
    ),
    "reseller cost of goods sold, USD": (
        "select round(sum(revenue - profit), 2) from marts.territory_sales where channel = 'reseller'",
        Decimal("80010807.23"),
    ),
    "quotas": ("select count(*) from marts.sales_person_performance", 163),
    "sum of quotas, USD": ("select sum(quota) from marts.sales_person_performance", Decimal(95_714_000)),
    "quotas of the last finished period, each after its three waves": (
        "select count(*) from marts.quota_pace where is_finished and elapsed_waves = 3",
        17,
    ),
    "sales of that period by booking month, USD": (
        "select round(sum(sales_to_date), 2) from marts.quota_pace",
        Decimal("8946346.69"),
    ),
    "attainment, %": (
        "select round(100 * sum(sales) / sum(quota), 2) from marts.sales_person_performance",
        Decimal("84.09"),
    ),
    "units scrapped": ("select sum(scrapped) from marts.production_costs", 10_651),
    "units ordered": ("select sum(ordered) from marts.production_costs", 4_507_721),
    "units scrapped whose cost is above 0": (
        "select round(sum(scrapped * scrap_cost_coverage)) from marts.production_costs",
        2_282,
    ),
    "pairs of products bought together": ("select count(*) from marts.product_affinity", 6_273),
    "proposals to order, of all active vendors": ("select count(*) from marts.purchase_proposal", 211),
    "bought products that run out": ("select count(*) from marts.purchase_proposal where preferred", 134),
    "value of the orders from preferred vendors, USD": (
        "select sum(amount) from marts.purchase_proposal where preferred",
        Decimal("1724171.7601"),
    ),
    "products ordered in a unit of unknown content": (
        "select count(*) from marts.inventory_status where suggested_order > 0 and suggested_pieces is null",
        54,
    ),
    "campaigns that can be compared, and those whose baseline passed its test": (
        "select count(tested_periods) || ', ' || count(baseline_units) from marts.campaign_performance",
        "2, 2",
    ),
    "operations of work orders": ("select sum(operations) from marts.late_work_orders", 67_131),
    "operations that ended late": ("select sum(late) from marts.late_work_orders", 39_212),
    **{
        f"margin of new {kind} in their first twelve months, USD per customer": (
            "select round(sum(margin) / sum(customers), 2) from marts.customer_cohort_value"
            f" where channel = '{channel}' and months_since = 11",
            found,
        )
        for kind, channel, found in (
            ("online customers", "online", Decimal("1111.03")),
            ("resellers", "reseller", Decimal("1060.82")),
        )
    },
    **{
        f"{effect} on the profit from resellers, fiscal year 2014, USD": (
            f"select round(sum({column}), 2) from marts.profit_bridge"
            " where channel = 'reseller' and month >= '2013-07-01'",
            found,
        )
        for effect, column, found in (
            ("volume effect", "volume_effect", Decimal("-75404.11")),
            ("mix effect", "mix_effect", Decimal("9426.83")),
            ("price effect", "price_effect", Decimal("1156082.41")),
            ("cost effect", "cost_effect", Decimal("-1472442.66")),
            ("effect of new products", "new_products", Decimal("-571623.81")),
            ("effect of gone products", "gone_products", Decimal("-247890.51")),
        )
    },
    "profit from resellers, fiscal year 2014, USD": (
        "select round(sum(profit), 2) from marts.profit_bridge where channel = 'reseller' and month >= '2013-07-01'",
        Decimal("-236460.72"),
    ),
    "profit from resellers a year before, USD": (
        "select round(sum(profit_year_before), 2) from marts.profit_bridge"
        " where channel = 'reseller' and month >= '2013-07-01'",
        Decimal("965391.13"),
    ),
    "online buyers": ("select count(*) from marts.customer_value where channel = 'online'", 18_484),
    "reseller buyers": ("select count(*) from marts.customer_value where channel = 'reseller'", 635),
    "online buyers with orders on two days or more": (
        "select count(*) from marts.customer_value where channel = 'online' and frequency > 1",
        6_860,
    ),
    "online churn threshold, days": (
        "select max(threshold_days) from marts.customer_churn where channel = 'online'",
        702,
    ),
    "reseller churn threshold, days": (
        "select max(threshold_days) from marts.customer_churn where channel = 'reseller'",
        92,
    ),
    **{
        f"products in state {state}": (
            f"select count(*) from marts.inventory_status where state = '{state}'",
            count,
        )
        for state, count in {
            "ok": 284,
            "low": 61,
            "reorder": 4,
            "out": 3,
            "unknown": 54,
            "discontinued": 98,
        }.items()
    },
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_known_figure_is_reproduced(platform: Pipeline, report: Report, name: str) -> None:
    query, expected = FIGURES[name]
    [(found,)] = platform.published(query)
    assert found == expected
    report.figures.append((name, _shown(expected), _shown(found)))


def _shown(figure: Decimal | int | str) -> str:
    return figure if isinstance(figure, str) else f"{Decimal(figure).normalize():,f}"


CHANGED = {
    "outliers among the 1,097 days of the VEB": (
        "select count(*) from marts.exchange_rates where currency_code = 'VEB' and is_outlier",
        139,
        24,
    ),
    "cells of customer_retention": ("select count(*) from marts.customer_retention", 2_470, 1_258),
    "resellers who are lost (before: churned, now: lapsed)": (
        "select count(*) from marts.customer_churn where channel = 'reseller' and status = 'lapsed'",
        277,
        166,
    ),
    "use of all products a day, pieces": (
        "select round(sum(velocity_90d), 1) from marts.inventory_status",
        Decimal("46355.0"),
        Decimal("58660.5"),
    ),
    "needed, pieces": ("select sum(needed) from marts.inventory_status", 1_019_671, 1_293_758),
    "suggested orders (before: units of any kind added up, now: pieces where the content is known)": (
        "select sum(suggested_pieces) from marts.inventory_status",
        84_942,
        113_911,
    ),
    "online customers with an expected margin": (
        "select count(clv_52w) from marts.customer_value where channel = 'online'",
        18_484,
        0,
    ),
    "margin of resellers in the trailing year, USD": (
        "select round(sum(clv_52w)) from marts.customer_value where channel = 'reseller'",
        -236_461,
        -667_313,
    ),
    "cells of customer_demographics": ("select count(*) from marts.customer_demographics", 484, 481),
    "products that change their class from one month to the next, %": (
        "select round(100.0 * avg(case when b.abc_class = a.abc_class then 0 else 1 end), 1) from"
        " marts.product_performance as a join marts.product_performance as b on b.product_id = a.product_id and"
        " b.month = a.month + interval '1 month' where not a.is_partial and not b.is_partial",
        Decimal("16.5"),
        Decimal("6.5"),
    ),
    "territories with a forecast, by channel": (
        "select count(distinct (channel, territory_id)) from marts.sales_forecast where forecast is not null",
        20,
        12,
    ),
    "overall score of data quality, %": (
        "select round(100 * min(overall_score), 2) from marts.data_quality where run_number = (select max(run_number)"
        " from marts.data_quality)",
        Decimal("99.94"),
        Decimal("90.20"),
    ),
}
"""By figure that a changed definition moved: its query, its value before the change, and its value now."""


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_definition_gives_its_stated_figure(platform: Pipeline, report: Report, name: str) -> None:
    query, before, after = CHANGED[name]
    [(found,)] = platform.published(query)
    assert found == after
    report.changes.append((name, f"{before:,}", f"{found:,}", query))


def test_the_validation_page_covers_every_analysis() -> None:
    page = FILE.read_text(encoding="utf-8")
    assert [name for name in (*ANALYSES, *MARTS) if f"`{name}`" not in page] == []
    assert [name for name in (*FIGURES, *CHANGED) if f"| {name} |" not in page] == []
    stated = [reference_of(mart).validated for mart in MARTS.values()]
    assert [text for text in stated if text not in page] == [], "regenerate it: make validation"
