"""The dashboard as served to a browser: its figures, access control, and pages for errors and missing data."""

from __future__ import annotations

import csv
import html
import io
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import openpyxl
import psycopg
import pytest

from adventureworks import dashboard, incidents, texts
from adventureworks.catalog import ANALYSES, INGESTION, MARTS, SOURCE_TABLES, entry, owner_of
from adventureworks.catalog.pages import VIEWS, address, asset_address
from adventureworks.columns import version_of
from adventureworks.dashboard import analysis, breakdown, figures, search
from adventureworks.dictionary import definition, grain
from adventureworks.errors import COMMAND_VARIABLE
from adventureworks.incidents import events
from adventureworks.lineage import origins
from adventureworks.messaging.incident_messages import run_page_of
from adventureworks.reports import delivery
from adventureworks.reports.bridge import BRIDGE_COLUMNS
from adventureworks.settings import settings
from adventureworks.texts import phrase
from adventureworks.texts.analyses import view_name
from tests.integration.pipeline import Pipeline
from tests.integration.test_notify import FINDING
from tests.integration.test_pipeline import any_order, change_quantity

PAGES = ("overview", "forecast", "quality", "incidents", "lineage", "reports")
FIGURE_PAGES = tuple(f"figure/{name}" for name in breakdown.KPIS)
ANALYSIS_PAGES = tuple(address(mart) for mart in VIEWS)
ASSET_PAGES = tuple(map(asset_address, ("Sales_SalesOrderDetail", "fact_sales", "territory_sales", "data_quality")))
EMPTY = {"product_affinity"}
"""Marts without rows on sample data."""
VERDICTS = ("bloqué", "conforme", "jamais publié")
UNBOUND = re.compile(r"[\w)»%][:;!?](?=\s)|(?<=\S) [:;!?»](?=\s)|« ")
"""A French punctuation mark at which a line may be broken, or without a space."""
ENGLISH = re.compile(r"(?i)\b(?:and|are|by|from|has|have|is|not|of|rows|since|than|the|was|were|with)\b")
"""Words that no French sentence contains."""
OTHER_HOST = re.compile(r"""(?:src|href|action)=["'](?:https?:)?//|@import|url\(["']?(?:https?:)?//""")


class User:
    """A browser of a user with a role; without a role, the user is not signed in. `below`: the path of the base_url."""

    def __init__(self, role: str | None, below: str = "") -> None:
        from airflow.api_fastapi.app import create_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from airflow.api_fastapi.core_api.security import get_user
        from fastapi import FastAPI
        from fastapi.testclient import TestClient

        from adventureworks.dashboard import PREFIX
        from adventureworks.dashboard.app import _cache, app

        _cache.clear()
        create_auth_manager()
        app.dependency_overrides = {}
        if role:
            app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="ann", role=role)
        outer = FastAPI(root_path=below)
        outer.mount(PREFIX, app)
        self._at = f"{below}/dashboard"
        self._client = TestClient(outer, base_url="http://ui.test", follow_redirects=False)

    def get(self, path: str, **headers: str) -> Any:
        return self._client.get(f"{self._at}/{path}", headers=headers)

    def post(self, path: str, **headers: str) -> Any:
        return self._client.post(f"{self._at}/{path}", headers=headers)


@pytest.fixture
def warehouse(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", pipeline.url)
    settings.cache_clear()
    yield pipeline
    settings.cache_clear()


def open_incident(pipeline: Pipeline) -> incidents.Incident:
    with psycopg.connect(pipeline.url) as connection:
        return incidents.report(connection, [FINDING])[0]


def words(html: str) -> str:
    """Return the text of a page with single spaces; also in French, where some of them are no-break spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_anonymous_users_see_no_data(warehouse: Pipeline) -> None:
    anonymous = User(None)
    incident = open_incident(warehouse)
    page = "analysis/sales_territory_analysis"
    for path in (
        *PAGES,
        *ASSET_PAGES,
        "figure/revenue",
        "search?q=sales",
        page,
        f"{page}/csv",
        "dag/daily_sales_etl",
        "reports/2014-05/en/workbook",
    ):
        answer = anonymous.get(path)
        assert answer.status_code == 401, path
        assert FINDING.asset not in answer.text
        assert "Please sign in" in answer.text
    assert anonymous.get("static/style.css").status_code == 200, "the page that asks users to sign in has its styles"
    assert anonymous.post(f"incidents/{incident.incident_id}/acknowledge").status_code == 401
    assert warehouse.published("select status from ops.incident") == [("open",)]


def test_viewers_can_read_but_not_acknowledge(warehouse: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = open_incident(warehouse)
    viewer = User("VIEWER")
    assert {viewer.get(page).status_code for page in PAGES} == {200}
    assert 'method="post"' not in viewer.get("incidents").text
    assert "est bloqué\xa0: «" in viewer.get("incidents?lang=fr").text
    shown = viewer.get("incidents").text
    assert f'id="incident-{incident.short_id}"' in shown, "mails link to it"
    assert f'href="/{run_page_of(incident)}"' in shown
    assert viewer.post(f"incidents/{incident.incident_id}/acknowledge").status_code == 403
    editor = User("USER")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/data")
    assert editor.get("incidents").text.count('method="post"') == 1
    url = f"incidents/{incident.incident_id}/acknowledge"
    for other in ("http://evil.example", "http://[evil"):
        assert editor.post(url, origin=other).status_code == 403, other
    assert warehouse.published("select status from ops.incident") == [("open",)]
    assert editor.post(url, origin="http://ui.test").status_code == 303
    assert warehouse.published("select status, acknowledged_by from ops.incident") == [("acknowledged", "ann")]
    for own in ("http://ui.test", "https://airflow.example"):
        assert editor.post(url, origin=own).status_code == 409, own


def test_a_withheld_probability_is_explained_and_does_not_hide_that_of_the_other_channel(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "update marts.customer_churn set reorder_probability_52w = case channel when 'reseller' then 0.625 end,"
            " withheld_because = case channel when 'online' then 'total_is_off' end"
        )
        # One of the resellers is in a band without customers a year before.
        connection.execute(
            "update marts.customer_churn set reorder_probability_52w = null, withheld_because = 'nothing_to_compare'"
            " where customer_id = (select min(customer_id) from marts.customer_churn where channel = 'reseller')"
        )
    shown = words(User("VIEWER").get("overview").text)
    assert "Resellers expected to order again 62.5%" in shown
    withheld = "not published, because in the year before it predicted less than half"
    assert f"Online customers expected to order again {texts.MISSING} {withheld}" in shown


def test_a_withheld_margin_is_explained(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "update marts.customer_value set clv_52w = null, withheld_because = 'no_better_than_constant'"
        )
        connection.execute(
            "update marts.customer_value set withheld_because = 'no_complete_month' where channel = 'reseller'"
        )
    shown = words(User("VIEWER").get("overview").text)
    withheld = f"{texts.MISSING} not published, because"
    assert f"Expected margin from online customers, 52 weeks {withheld} in the last 52 weeks it was no better" in shown
    assert f"Margin from resellers, last twelve booking months {withheld} no booking month is complete yet" in shown


@pytest.mark.parametrize("code", ["en", "fr"])
def test_figures_match_the_marts(warehouse: Pipeline, code: str) -> None:
    language = texts.language(code)
    shown = words(User("VIEWER").get(f"overview?lang={code}").text)
    [(month, profit)] = warehouse.published(
        "select month, sum(profit) from marts.monthly_profit where not is_partial"
        " group by month order by month desc limit 1"
    )
    [(revenue, orders, buyers)] = warehouse.published(
        "select sum(revenue), count(distinct sales_order_id), count(distinct customer_id) from marts.fact_sales"
        " where booking_month = %s",
        (month,),
    )
    [(out,)] = warehouse.published("select count(*) from marts.inventory_status where state = 'out'")
    [(operations, late, days)] = warehouse.published(
        "select sum(operations), sum(late), sum(late * mean_days_late) from marts.late_work_orders where month = %s",
        (month,),
    )
    [(units, products, class_a)] = warehouse.published(
        "select sum(units), count(*), count(*) filter (where abc_class = 'A') from marts.product_performance"
        " where month = %s",
        (month,),
    )
    [(ordered,)] = warehouse.published("select sum(amount) from marts.purchase_proposal where preferred")
    [proposal] = warehouse.published(
        "select product, vendor, order_by, needed_pieces from marts.purchase_proposal where preferred"
        " and order_quantity > 0 order by order_by nulls last, product_id limit 1"
    )
    [(per_customer,)] = warehouse.published(
        "select sum(margin) / sum(customers) from (select margin, customers from marts.customer_cohort_value"
        " where channel = 'online' and months_since = 11 order by cohort_month desc limit 12) as newest"
    )
    [amounts] = warehouse.published(
        f"select {', '.join(f'sum({name})' for name in BRIDGE_COLUMNS)} from marts.profit_bridge"
        " where channel = 'reseller' and month = %s",
        (month,),
    )
    [(person, quota, sales, expected_sales)] = warehouse.published(
        "select sales_person_id, quota, sales_to_date, expected_sales from marts.quota_pace"
        " where quota_date = (select max(quota_date) from marts.quota_pace)"
        " order by sales_to_date - expected_sales nulls last, sales_person_id limit 1"
    )
    for expected in (
        language.month(month),
        f"{language.text('Revenue')} {language.short_money(revenue)}",
        f"{language.text('Orders')} {language.number(orders)}",
        f"{language.text('Order value')} {language.short_money(Decimal(revenue) / orders)}",
        f"{language.text('Gross profit')} {language.short_money(profit)}",
        f"{language.text('Customers who ordered')} {language.number(buyers)}",
        f"{language.text('Units sold')} {language.number(units)}",
        f"{language.text('Products sold')} {language.number(products)}",
        f"{language.text('Products in class A')} {language.number(class_a)}",
        f"{language.text('Share of late operations')} {language.percent(late / operations)}",
        f"{language.text('Mean delay')} {language.days(days / late, 1)}",
        f"{language.text('Out of stock')} {language.number(out)}",
        f"{language.text('Value of the proposed orders')} {language.short_money(ordered)}",
        f"{proposal[0]} {proposal[1]} {language.day(proposal[2])} {language.number(proposal[3])}",
        f"{language.text('Margin per new online customer, first twelve months')} {language.short_money(per_customer)}",
        f"{language.text('Resellers')} {' '.join(map(language.money, amounts))}",
        f"{person} {language.money(quota)} {language.money(sales)} {language.money(expected_sales)}",
    ):
        assert " ".join(expected.split()) in shown


def parts_in(html: str) -> list[tuple[str, list[str]]]:
    """Return the address (empty without one) and the cells of each row of a breakdown; the last one is the total."""
    rows = html.partition('id="parts"')[2].partition("</table>")[0].split("<tr>")[2:]
    return [
        (
            "".join(re.findall(r'href="\?([^"]*)"', row)).replace("&amp;", "&"),
            [words(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)],
        )
        for row in rows
    ]


def kpis_of(warehouse: Pipeline) -> dict[str, tuple[date, Decimal]]:
    """Return the month and the exact value of each sum on the overview that can be broken down, from its mart."""
    found = {}
    for name, mart in {
        "revenue": "territory_sales",
        "orders": "territory_sales",
        "profit": "monthly_profit",
        "units": "product_performance",
    }.items():
        [(month, value)] = warehouse.published(
            f"select month, sum({name}) from marts.{mart} where month = (select max(month) from staging.sales_month"
            " where not is_partial) group by month"
        )
        found[name] = (month, Decimal(value))
    return found


def test_the_parts_of_a_kpi_add_up_to_it_on_every_level(warehouse: Pipeline) -> None:
    english = texts.language("en")
    with warehouse.session() as session:
        months = breakdown.months_of(session.data)
        for name, (month, value) in kpis_of(warehouse).items():
            levels, expected = breakdown.KPIS[name].levels, value
            chosen: dict[breakdown.Level, str] = {}
            for level in levels:
                found = breakdown.broken_down(session.data, name, months, "", chosen, english)
                assert (found.month, found.level, found.is_last) == (month, level, level == levels[-1])
                assert found.total.now == sum(part.now or 0 for part in found.parts) == expected, (name, level)
                if all((part.now or 0) >= 0 for part in found.parts):
                    assert sum(part.share or 0 for part in found.parts) == pytest.approx(1)
                expected = found.parts[0].now or Decimal(0)
                chosen[level] = found.parts[0].key
            with pytest.raises(analysis.InvalidParameter):
                breakdown.broken_down(session.data, name, months, "", chosen, english)


def test_ratios_are_broken_down_as_ratios_of_sums(warehouse: Pipeline) -> None:
    with warehouse.session() as session:
        found = breakdown.broken_down(
            session.data, "margin", breakdown.months_of(session.data), "", {}, texts.language("en")
        )
        [(margin,)] = warehouse.published(
            "select sum(profit) / sum(revenue) from marts.monthly_profit where month = %s", (found.month,)
        )
        by_channel = dict(
            warehouse.published(
                "select channel, sum(revenue - cogs) / sum(revenue) from marts.fact_sales"
                " where date_trunc('month', order_date) = %s group by channel",
                (found.month,),
            )
        )
    assert found.total.now == pytest.approx(margin)
    assert {part.key: part.now for part in found.parts} == pytest.approx(by_channel)
    assert {part.share for part in (*found.parts, found.total)} == {None}


@pytest.mark.parametrize("code", ["en", "fr"])
def test_a_kpi_opens_channel_territory_and_product(warehouse: Pipeline, code: str) -> None:
    language, viewer = texts.language(code), User("VIEWER")
    month, revenue = kpis_of(warehouse)["revenue"]
    overview = viewer.get(f"overview?lang={code}").text
    query = f"month={month:%Y-%m}"
    assert f'href="/dashboard/figure/revenue?{query}"' in overview
    assert f'href="/dashboard/{address("inventory_status")}"' in overview, (
        "a KPI without a breakdown opens its analysis"
    )
    figure = " ".join(language.money(revenue, 2).split())
    trail = [language.text("Overview"), language.text("Revenue")]
    for level in ("Channel", "Territory", "Product"):
        page = viewer.get(f"figure/revenue?{query}&lang={code}").text
        *parts, (_, total) = parts_in(page)
        assert f'<th scope="col">{language.text(level)}</th>' in page
        assert total[:2] == [language.text("Total"), figure]
        crumbs = page.partition('class="crumbs"')[2].partition("<ol>")[2].partition("</ol>")[0]
        assert words(crumbs) == " ".join(trail)
        query, (name, figure, *_) = parts[0]
        trail.append(name)
    assert {query for query, _ in parts} == {""}, "products are the last level"


def test_an_impossible_choice_is_harmless_and_explained(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    hostile = "%27;drop table marts.fact_sales--<script>"
    for choice in (f"channel={hostile}&territory=%25", "channel=%00", "territory=99"):
        answer = viewer.get(f"figure/revenue?{choice}")
        assert answer.status_code == 400, choice
        assert "The address of this page has an invalid value" in answer.text
        assert "<script>" not in answer.text.partition("<main")[2].partition("</main>")[0]
    answer = viewer.get("figure/orders?channel=online&territory=1")
    assert answer.status_code == 400
    assert "This figure cannot be broken down further." in answer.text
    assert viewer.get("figure/revenue?month=1999-13").status_code == 400
    assert viewer.get("figure/nothing").status_code == 404


def test_an_offer_is_shown_with_the_intervals_of_its_effect(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "update marts.campaign_performance set method = 'difference_in_differences', discount_cost = 50,"
            " incremental_units = 98, incremental_units_lower_95 = -56, incremental_units_upper_95 = 253,"
            " incremental_profit = -100, roi = -2, roi_lower_95 = -2.5, roi_upper_95 = -1.5,"
            " first_day = date '2098-01-01' where (special_offer_id, category) = (select special_offer_id, category"
            " from marts.campaign_performance where lines > 0 order by 1, 2 limit 1)"
        )
    assert "$50 98 [-56; 253] -$100 -2.00 [-2.50; -1.50]" in words(User("VIEWER").get("overview").text)


def test_new_publications_are_shown_at_once(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    before = viewer.get("overview").text
    warehouse.change('update "Production"."ProductInventory" set "Quantity" = 0')
    warehouse.settings.set_aside_limit = 1.0
    warehouse.ingest()
    warehouse.settle(MARTS["inventory_status"].dag)
    after = viewer.get("overview").text
    [(out,)] = warehouse.published("select count(*) from marts.inventory_status where state = 'out'")
    assert f"Out of stock {out}" in words(after)
    assert f"Out of stock {out}" not in words(before)


def test_the_quality_page_lists_every_asset_with_blocked_ones_first(warehouse: Pipeline) -> None:
    open_incident(warehouse)
    assets = User("VIEWER").get("quality").text.partition('id="assets"')[2]
    rows = re.findall(r"<tr>\s*<th scope=\"row\">(.*?)</tr>", assets, re.DOTALL)
    assert len(rows) == len(SOURCE_TABLES) + len(MARTS)
    assert "Sales_SalesOrderDetail" in rows[0]
    assert "blocked" in rows[0]


def test_the_quality_page_shows_the_share_of_business_rules_that_pass_and_the_systematic_rules(
    warehouse: Pipeline,
) -> None:
    shown = words(User("VIEWER").get("quality").text)
    newest = "run_number = (select max(run_number) from marts.data_quality)"
    [(rules, passed)] = warehouse.published(
        "select count(*), count(*) filter (where failed = 0) from marts.data_quality"
        f" where {newest} and is_business_rule and checked > 0"
    )
    assert 0 < passed < rules
    assert f"{texts.language('en').percent(passed / rules)} of the business rules pass" in shown
    for table, rule in warehouse.published(
        f"select table_name, rule from marts.data_quality where {newest} and systematic"
    ):
        assert f"{rule.replace('_', ' ')} systematic {table}" in shown


def failing_rules_in(html: str) -> list[str]:
    """Return the rows of the table of failing rules, as text."""
    section = html.partition('id="rules"')[2].partition("</section>")[0]
    body = section.partition("<tbody>")[2].partition("</tbody>")[0]
    return [words(row) for row in body.split("</tr>")[:-1]]


def test_failing_rules_are_shown_with_their_change_and_trend_and_can_be_filtered(warehouse: Pipeline) -> None:
    rule, table = "is_good_enough", "Sales_Store"
    with psycopg.connect(warehouse.url) as connection:
        [(run,)] = connection.execute("select max(run_number) from marts.data_quality").fetchall()
        columns = "run_id, run_number, table_name, rule, dimension, checked, failed, pass_rate, previous_pass_rate,"
        for number, failed, change in ((run - 1, 10, 0), (run, 25, -0.15)):
            connection.execute(
                f"insert into marts.data_quality ({columns} change, severity, sample_keys, systematic, as_of)"
                " select run_id || %s, %s, %s, %s, 'validity', 100, %s, %s, 0.9, %s, 'error', '', false, as_of"
                " from marts.data_quality where run_number = %s limit 1",
                (f"/{number}", number, table, rule, failed, 1 - failed / 100, change, run),
            )
    failing = warehouse.published(
        "select rule, dimension from marts.data_quality where failed > 0 and run_number = %s", (run,)
    )
    viewer = User("VIEWER")
    page = viewer.get("quality").text
    assert len(failing_rules_in(page)) == len(failing)
    [row] = failing_rules_in(viewer.get(f"quality?rule=store+GOOD&dimension=validity&owner={owner_of(table)}").text)
    assert row == f"is good enough {table} Validity error {owner_of(table)} 25 of 100 25.00% +15.0 points"
    shown = viewer.get("quality?rule=good").text
    assert 'class="number worse"' in shown
    assert "<polyline" in shown
    validity = failing_rules_in(viewer.get("quality?dimension=validity").text)
    assert len(validity) == sum(dimension == "validity" for _, dimension in failing)
    assert failing_rules_in(viewer.get("quality?rule=%25&owner=<script>").text) == []
    french = failing_rules_in(viewer.get("quality?rule=good&lang=fr").text)
    assert [row.partition(table)[0].split() for row in french] == [["«", rule, "»"]]


@pytest.mark.parametrize(("late", "expected"), [("0", "worse"), ("operations", "better")])
def test_more_late_operations_than_a_year_before_are_bad_news(warehouse: Pipeline, late: str, expected: str) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            f"update marts.late_work_orders set late = {late} where month = (select cast(max(month) - interval '1 year'"
            " as date) from staging.sales_month where not is_partial)".encode()
        )
    with warehouse.session() as session:
        shown = figures.overview(session, texts.language("en"))
    [kpi] = [kpi for group in shown.groups for kpi in group.kpis if kpi.name == "Share of late operations"]
    assert kpi.trend == expected


def test_pages_load_nothing_from_other_hosts_and_forbid_eval(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    for page in (*PAGES, *FIGURE_PAGES, *ANALYSIS_PAGES, *ASSET_PAGES):
        answer = viewer.get(page)
        assert not OTHER_HOST.search(answer.text), page
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-eval" not in policy
    static = Path(dashboard.__file__).parent / "static"
    assert [path.name for path in static.glob("*.*") if OTHER_HOST.search(path.read_text("utf-8"))] == []


def test_text_from_the_data_is_escaped(warehouse: Pipeline) -> None:
    hostile = "</script><script>alert(1)</script>"
    with psycopg.connect(warehouse.url) as connection:
        connection.execute('update raw."Sales_SalesTerritory" set "Name" = %s', (hostile,))
        connection.execute("update marts.territory_sales set territory = %s", (hostile,))
        connection.execute(
            "insert into ops.publication (asset, version, rows, changed_rows, verdict, run_id)"
            " values ('x', 1, 0, 0, 'passed', 'x')"
        )
    viewer = User("VIEWER")
    for page in ("overview", "forecast"):
        assert "<script>alert" not in viewer.get(page).text


def test_reports_can_be_downloaded(warehouse: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADVENTUREWORKS_HOME", str(tmp_path))
    settings.cache_clear()
    [(key,)] = warehouse.published(
        "select to_char(max(month), 'YYYY-MM') from staging.sales_month where not is_partial"
    )
    delivery.deliver(settings(), tmp_path / "reports", key, "financial_reporting/x")
    viewer = User("VIEWER")
    page = viewer.get("reports").text
    for code in ("en", "fr"):
        for kind in delivery.KINDS:
            assert f"reports/{key}/{code}/{kind}" in page
            answer = viewer.get(f"reports/{key}/{code}/{kind}")
            assert answer.content.startswith({"workbook": b"PK", "document": b"%PDF"}[kind])
            assert delivery.file_name(key, code, kind) in answer.headers["content-disposition"]
    for path in (f"reports/{key}/de/workbook", f"reports/{key}/en/secrets", "reports/..%2f..%2fsecrets/en/workbook"):
        assert viewer.get(path).status_code == 404


def test_columns_are_traced_back_to_the_source() -> None:
    columns = {column.name: column for column in origins.columns("territory_sales")}
    assert columns["revenue"].made_of == (("fact_sales", "revenue"),)
    assert columns["revenue"].from_source == (("Sales_SalesOrderDetail", "LineTotal"),)
    assert ("Production_ProductCostHistory", "StandardCost") in columns["profit"].from_source
    assert columns["territory"].from_source == (("Sales_SalesTerritory", "Name"),)
    assert columns["is_partial"].made_of == tuple(
        ("fact_sales", name) for name in ("booking_month", "channel", "order_date")
    )
    first, *_, last = origins.levels("sales_forecast")
    assert first == ("sales_forecast",)
    assert "Sales_SalesOrderDetail" in last


def test_every_column_has_an_origin_including_counts() -> None:
    without = {(mart, column.name) for mart in MARTS for column in origins.columns(mart) if not column.from_source}
    assert {name for _, name in without} == {"as_of"}, "the business date is not a column of a table"
    counted = {
        ("daily_sales", "orders"): ("fact_sales", "sales_order_id"),
        ("daily_sales", "average_order_value"): ("fact_sales", "sales_order_id"),
        ("sales_person_performance", "orders"): ("fact_sales", "sales_order_id"),
        ("currency_sales", "orders"): ("fact_sales", "sales_order_id"),
        ("card_usage", "order_share"): ("fact_sales", "sales_order_id"),
        ("production_costs", "work_orders"): ("Production_WorkOrder", "WorkOrderID"),
        ("late_work_orders", "operations"): ("Production_WorkOrderRouting", "WorkOrderID"),
        ("customer_retention", "cohort_size"): ("customer_days", "customer_id"),
        ("customer_retention", "retained"): ("customer_days", "customer_id"),
        ("customer_cohort_value", "customers"): ("customer_retention", "cohort_size"),
        ("customer_demographics", "customers"): ("Sales_Customer", "CustomerID"),
        ("customer_demographics", "attribute"): ("Sales_Customer", "CustomerID"),
        ("bill_of_materials_cost", "levels"): ("Production_BillOfMaterials", "ComponentID"),
        ("exchange_rates", "is_gap_filled"): ("Sales_CurrencyRate", "CurrencyRateDate"),
    }
    for (mart, name), origin in counted.items():
        [column] = [column for column in origins.columns(mart) if column.name == name]
        assert origin in column.made_of, f"{mart}.{name}"


def test_no_mart_has_personal_values_but_the_bands_of_survey_answers() -> None:
    personal = {(table, name) for table, known in SOURCE_TABLES.items() for name in (*known.personal, *known.protected)}
    made_of_personal = {
        (mart, column.name)
        for mart in MARTS
        if origins.by_column(mart)
        for column in origins.columns(mart)
        if personal & set(column.from_source)
    }
    assert made_of_personal == {("customer_demographics", "band")}, "the dashboard shows the values of marts"


def test_empty_and_unreachable_warehouses_are_reported(
    empty_warehouse_url: str, monkeypatch: pytest.MonkeyPatch, warehouse: Pipeline
) -> None:
    viewer = User("VIEWER")
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", empty_warehouse_url)
    settings.cache_clear()
    for page in ("overview", "forecast", "quality", "incidents", "reports"):
        assert "Nothing is published yet" in viewer.get(page).text
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", "postgresql://u:hunter2@127.0.0.1:1/w")
    settings.cache_clear()
    answer = viewer.get("overview")
    assert answer.status_code == 503
    assert "The warehouse does not answer" in answer.text
    assert "hunter2" not in answer.text


def test_links_stay_under_the_path_of_the_base_url(warehouse: Pipeline) -> None:
    viewer = User("VIEWER", below="/data")
    for page in (*PAGES, "figure/revenue", "search?q=sales", ANALYSIS_PAGES[0], *ASSET_PAGES):
        found = re.findall(r"""(?:href|src|action)=["'](/[^"']*)""", viewer.get(page).text)
        assert found
        assert [link for link in found if not link.startswith("/data/")] == [], page
    assert viewer.get("dag/sales_forecasting").headers["location"] == "/data/dashboard/asset/sales_forecast"


def test_the_lineage_page_links_all_marts_of_the_dag_and_language_links_keep_the_mart(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    shown = viewer.get("lineage?mart=sales_forecast").text
    assert 'Marts of this DAG: <a href="?mart=sales_forecast"' in shown
    assert 'href="?mart=forecast_accuracy"' in shown
    assert 'href="?mart=sales_forecast&amp;lang=fr"' in shown


@pytest.mark.parametrize("code", ["en", "fr"])
def test_figures_lead_to_the_definition_of_their_column_in_the_users_language(warehouse: Pipeline, code: str) -> None:
    viewer = User("VIEWER")
    margin = definition("monthly_profit", "margin", texts.language(code))
    link = f'lineage?mart=monthly_profit#margin" title="{margin.meaning}">{margin.label}</a>'
    assert link in viewer.get(f"overview?lang={code}").text
    row = words(f"{margin.label} margin {margin.meaning}")
    assert row in words(viewer.get(f"lineage?mart=monthly_profit&lang={code}").text)
    error = definition("forecast_accuracy", "wape", texts.language(code))
    assert words(error.line) in words(viewer.get(f"forecast?lang={code}").text)


def test_every_error_is_shown_as_a_page(warehouse: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = User("VIEWER")
    assert viewer.get("forecast?channel=&territory=").status_code == 200
    asset = ("asset/nothing", "asset/fact_sales?steps=4")
    for path in ("nowhere", "lineage?mart=nothing", "analysis/nothing", "static/nothing.css", *asset):
        answer = viewer.get(path)
        assert answer.status_code == 404
        assert "Page not found" in answer.text, path
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("alter table marts.data_quality rename to elsewhere")
    answer = viewer.get("quality")
    assert answer.status_code == 503
    assert "This page cannot be shown at the moment" in answer.text
    assert "adventureworks doctor" in answer.text


def test_before_the_first_marts_a_page_says_that_nothing_was_published(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        for mart in MARTS:
            connection.execute(f"delete from marts.{mart}")
        connection.execute("delete from ops.publication where asset = any(%s)", (list(MARTS),))
    viewer = User("VIEWER")
    for page in ("overview", "forecast", "figure/revenue", "analysis/sales_territory_analysis"):
        assert "These figures have not been published yet" in viewer.get(page).text
    assert "Ces chiffres n’ont pas encore été publiés" in viewer.get("overview?lang=fr").text


def page_names() -> set[str]:
    """Return the first parts of the addresses of all pages, without those that redirect."""
    from fastapi.routing import APIRoute

    from adventureworks.dashboard.app import app

    routes = (route for route in app.routes if isinstance(route, APIRoute) and "GET" in route.methods)
    return {route.path.split("/")[1] for route in routes} - {"", "dag"}


def test_french_pages_are_french_throughout(warehouse: Pipeline) -> None:
    open_incident(warehouse)
    moved = phrase("the business date moved to {day}", day=date(2014, 7, 1))
    late = events.late(datetime.now(UTC), moved, "daily_sales_etl", paused=True)
    with psycopg.connect(warehouse.url) as connection:
        incidents.report(connection, [incidents.Finding(asset="daily_sales", rule="is_fresh_in_time", event=late)])
        connection.execute("update ops.publication set model = 'another' where asset = 'fact_sales'")
        connection.execute("update marts.sales_forecast set forecast = null, withheld_because = 'total_is_off'")
    # Names in the data stay as they are.
    named = warehouse.published(
        "select product from marts.product_performance union select subcategory from marts.product_performance"
    )
    names = [words(name) for (name,) in named if ENGLISH.search(name)]
    viewer = User("VIEWER")
    lineage = [f"lineage?mart={mart}" for mart in MARTS]
    in_error = ("figure/unknown", "analysis/sales_territory_analysis?period=day", "asset/fact_sales?steps=9")
    searches = ("search", "search?q=marge", "search?q=zzz")
    pages = (*PAGES, *FIGURE_PAGES, *searches, *lineage, *ANALYSIS_PAGES, *ASSET_PAGES, *in_error)
    shown = {re.split(r"[/?]", page)[0] for page in pages}
    assert page_names() - shown == set(), "every page is looked at"
    for page in pages:
        answer = viewer.get(f"{page}{'&' if '?' in page else '?'}lang=fr").text
        assert not {"Unassigned", "No card"} & {cell for row in table_in(answer) for cell in row}, page
        without_code = re.sub(r"(?s)<(script|style|code)\b.*?</\1>", " ", answer)
        # Quoted causes are in English.
        text = re.sub(r"(?s)(«.).*?(.»)", r"\1…\2", html.unescape(re.sub(r"<[^>]+>", "", without_code)))
        assert [text[max(match.start() - 40, 0) : match.end() + 40] for match in UNBOUND.finditer(text)] == [], page
        found = words(re.sub(r"(?s)«.*?»", " ", without_code))
        for name in names:
            found = found.replace(name, "")
        assert [found[max(match.start() - 40, 0) : match.end() + 40] for match in ENGLISH.finditer(found)] == [], page


def test_outdated_figures_are_marked(warehouse: Pipeline) -> None:
    shown = words(User("VIEWER").get("overview").text)
    assert f"{len(MARTS)} of {len(MARTS)} marts are fresh" in shown
    with psycopg.connect(warehouse.url) as connection:
        finding = replace(FINDING, asset="territory_sales")
        incidents.report(connection, [finding])
        connection.execute("delete from marts.monthly_profit")
        connection.execute("delete from ops.publication where asset = 'monthly_profit'")
        connection.execute("update ops.publication set version = version + 1 where asset = 'Production_Product'")
    shown = words(User("VIEWER").get("overview").text)
    assert "Sales by booking month blocked" in shown
    assert "Finance by calendar month never published" in shown
    assert "Products out of date" in shown
    assert f"{len(MARTS)} of {len(MARTS)} marts are fresh" not in shown
    assert "1 open incident" in shown
    assert "1 open incidents" not in shown
    assert "Gross profit –" in shown
    french = words(User("VIEWER").get("quality?lang=fr").text)
    assert {"bloqué", "conforme", "jamais publié"} <= {word for word in VERDICTS if word in french}
    assert "passed" not in french.replace("adventureworks", "")


def test_months_without_orders_are_zero_and_errors_are_relative_to_the_naive_model(
    warehouse: Pipeline,
) -> None:
    with warehouse.session() as session:
        every = [figures.series(session.data, *found) for found in figures.series_names(session.data)]
        # In the sample, resellers have too few booking months for a comparison.
        whole = next(one for one in every if all(error is not None for _, error, *_ in one.accuracy))
        channel, territory, name, month = whole.channel, whole.territory_id, whole.territory, whole.past[-3][0]
        session.data.execute(
            "delete from marts.territory_sales where channel = %s and territory_id = %s and month = %s",
            (channel, territory, month),
        )
        gap = figures.series(session.data, channel, territory, name)
    assert [day for day, _ in gap.past] == [day for day, _ in whole.past]
    assert dict(gap.past)[month] == 0
    against = {model: ratio for model, _, ratio, *_ in whole.accuracy}
    wape = {model: error for model, error, *_ in whole.accuracy}
    assert against["naive"] == 1
    assert all(against[model] == error / wape["naive"] for model, error in wape.items())


def test_a_page_without_a_forecast_says_why(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "update marts.sales_forecast set forecast = null, withheld_because = 'no_better_than_constant',"
            " channel_forecast = null, channel_withheld_because = 'total_is_off'"
        )
    shown = words(User("VIEWER").get("forecast").text)
    assert "No forecast is shown, because in the past it was no better than the mean of all earlier months." in shown
    assert "because in the past its total was less than half, or more than twice, the actual revenue." in shown
    assert "only if forecasts did well in the past both in this series and over all territories of the channel" in shown
    rows = table_in(User("VIEWER").get(address("sales_forecast")).text)
    assert {row[-1] for row in rows} == {
        "in the past its total was less than half, or more than twice, the actual revenue"
    }


def test_a_reason_of_contract_2_is_also_that_of_the_total(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "update marts.sales_forecast set forecast = null, withheld_because = 'no_better_than_constant',"
            " channel_forecast = null, channel_withheld_because = null"
        )
    shown = words(User("VIEWER").get("forecast").text)
    reason = "No forecast is shown, because in the past it was no better than the mean of all earlier months."
    assert shown.count(reason) == 2


def test_a_territory_without_a_forecast_still_shows_the_total(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "update marts.sales_forecast set forecast = null, withheld_because = 'no_better_than_constant',"
            " channel_forecast = 123456, channel_withheld_because = null"
        )
    shown = words(User("VIEWER").get("forecast").text)
    assert "No forecast is shown, because" in shown
    assert texts.language("en").money(123456) in shown


def test_what_the_running_month_has_sold_so_far_is_beside_its_forecast(warehouse: Pipeline) -> None:
    [(month, until)] = warehouse.published(
        "select max(month), (select max(as_of) from ops.publication) from marts.territory_sales"
        " where channel = 'online'"
    )
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "update marts.sales_forecast set month = %s + (horizon - 1) * interval '1 month', forecast = 1000,"
            " lower_80 = null, upper_80 = null, lower_95 = null, upper_95 = null, channel_forecast = 5000,"
            " channel_lower_80 = null, channel_upper_80 = null, channel_lower_95 = null, channel_upper_95 = null,"
            " withheld_because = null, channel_withheld_because = null",
            (month,),
        )
    [(territory, of_territory, of_channel)] = warehouse.published(
        "select territory_id, revenue, sum(revenue) over () from marts.territory_sales"
        " where channel = 'online' and month = %s order by territory_id limit 1",
        (month,),
    )
    english = texts.language("en")
    page = words(User("VIEWER").get(f"forecast?channel=online&territory={territory}").text)
    for forecast, sold in ((1000, of_territory), (5000, of_channel)):
        amount, share = english.money(sold), english.percent(sold / forecast, 0)
        assert f"{english.month(month)} {english.money(forecast)} – – {amount} {share}" in page
    assert f"from orders until {english.day(until)}" in page


@pytest.mark.parametrize(
    ("change", "more_is_better", "trend"),
    [
        ("0.1", True, "better"),
        ("0.1", False, "worse"),
        ("-0.1", True, "worse"),
        ("0.1", None, ""),
        ("0.0004", True, ""),
    ],
)
def test_a_change_is_good_or_bad_only_where_that_is_known(change: str, more_is_better: bool | None, trend: str) -> None:
    assert figures.trend(Decimal(change), more_is_better) == trend


@pytest.mark.parametrize(("now", "then", "growth"), [(3, 2, "0.5"), (3, -2, None), (3, 0, None), (-1, 2, "-1.5")])
def test_growth_is_undefined_for_a_base_of_zero_or_less(now: int, then: int, growth: str | None) -> None:
    assert figures._growth(Decimal(now), Decimal(then)) == (None if growth is None else Decimal(growth))


def rows_of(warehouse: Pipeline, mart: str, month: date) -> list[tuple[Any, ...]]:
    """Return the columns that a page shows of a mart's rows in the quarter of a month, or of its newest rows."""
    newest = {
        "data_quality": "run_id = (select run_id from marts.data_quality order by run_number desc limit 1)",
        "sales_forecast": "trained_until = (select max(a.trained_until) from marts.forecast_accuracy as a"
        " where a.channel = sales_forecast.channel)",
    }
    time = VIEWS[mart].time
    quarter = f"date_trunc('quarter', {time}) = date_trunc('quarter', %s::date)"
    where = quarter if time else newest.get(mart, "true")
    columns = ", ".join(VIEWS[mart].columns)
    return warehouse.published(f"select {columns} from marts.{mart} where {where}", (month,) if time else ())


def month_in(warehouse: Pipeline, mart: str) -> date:
    """Return a month in the middle of a mart."""
    time = VIEWS[mart].time or "current_date"
    months = warehouse.published(f"select distinct date_trunc('month', {time})::date from marts.{mart} order by 1")
    found: date = months[len(months) // 2][0]
    return found


def exact(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def table_in(html: str) -> list[list[str]]:
    """Return the cells of the table with a mart's rows."""
    body = html.partition('id="rows"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [[words(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in body.split("</tr>")[:-1]]


def charts_in(html: str) -> dict[str, dict[str, str]]:
    """Return the figures of each chart by name, by the chart's caption."""
    figures_of = {}
    for drawn in re.findall(r"(?s)<figure>(.*?)</figure>", html):
        caption = words(re.findall(r"(?s)<figcaption>(.*?)</figcaption>", drawn)[0])
        rows = re.findall(r'<th scope="row">(.*?)</th><td class="number">(.*?)</td>', drawn)
        figures_of[caption] = {words(name): words(value) for name, value in rows}
    return figures_of


def test_the_page_and_the_files_of_each_analysis_have_the_rows_of_its_mart_in_the_period(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    for mart in VIEWS.keys() - EMPTY:
        month = month_in(warehouse, mart)
        expected = rows_of(warehouse, mart, month)
        assert expected, mart
        choice = f"mart={mart}&period=quarter&month={month:%Y-%m}"
        page = viewer.get(f"analysis/{MARTS[mart].dag}?{choice}")
        assert page.status_code == 200, mart
        file = viewer.get(f"analysis/{MARTS[mart].dag}/csv?{choice}")
        header, *lines = csv.reader(io.StringIO(file.content.decode("utf-8-sig"), newline=""))
        assert tuple(header) == VIEWS[mart].columns
        kept = [place for place, name in enumerate(header) if name not in VIEWS[mart].coarser]
        assert sorted([line[place] for place in kept] for line in lines) == sorted(
            [exact(row[place]) for place in kept] for row in expected
        ), mart
        assert len(table_in(page.text)) == min(len(expected), analysis.ROWS), mart
        assert page.text.count('data-chart="chart-') == 2 or "There are no figures to show here" in page.text, mart


@pytest.mark.parametrize("code", ["en", "fr"])
def test_the_table_shows_the_figures_of_the_mart_as_the_workbook_has_them(warehouse: Pipeline, code: str) -> None:
    language = texts.language(code)
    month = month_in(warehouse, "territory_sales")
    rows = warehouse.published(
        "select month, territory, channel, orders, customers, revenue, profit, margin, revenue_share, revenue_growth,"
        " is_partial from marts.territory_sales where month = %s order by revenue desc, territory_id, channel",
        (month,),
    )
    channels = {"online": language.text("Online"), "reseller": language.text("Resellers")}
    flags = {True: language.text("yes"), False: language.text("no")}
    path = "analysis/sales_territory_analysis"
    choice = f"month={month:%Y-%m}&lang={code}"
    viewer = User("VIEWER")
    assert table_in(viewer.get(f"{path}?{choice}").text) == [
        [
            " ".join(cell.split())
            for cell in (
                language.month(row[0]),
                row[1],
                channels[row[2]],
                language.number(row[3]),
                language.number(row[4]),
                language.money(row[5], 2),
                language.money(row[6], 2),
                *map(language.percent, row[7:10]),
                flags[row[10]],
            )
        ]
        for row in rows
    ]
    file = viewer.get(f"{path}/xlsx?{choice}")
    assert f"territory_sales-month-{month:%Y-%m}.xlsx" in file.headers["content-disposition"]
    book = openpyxl.load_workbook(io.BytesIO(file.content))
    header, *cells = book.worksheets[0].iter_rows(values_only=True)
    assert header[5] == definition("territory_sales", "revenue", language).label
    assert [(row[1], row[2], row[5], row[10]) for row in cells] == [
        (row[1], channels[row[2]], pytest.approx(float(row[5])), flags[row[10]]) for row in rows
    ]
    assert book.sheetnames[1] == language.text("Definitions")


def test_a_page_without_a_choice_shows_the_last_complete_month_and_marks_partial_ones(warehouse: Pipeline) -> None:
    [(complete, partial)] = warehouse.published(
        "select max(month) filter (where not is_partial), max(month) from staging.sales_month"
    )
    assert complete < partial
    viewer = User("VIEWER")
    english = texts.language("en")
    shown = viewer.get("analysis/financial_reporting").text
    assert f'<option value="{complete:%Y-%m}" selected>' in shown
    assert f"{english.month(partial)} is incomplete" not in words(shown)
    whole = viewer.get(f"analysis/financial_reporting?period=trailing_twelve&month={partial:%Y-%m}").text
    assert f"{english.month(partial)} is incomplete" in words(whole)
    assert english.text("yes") in {row[-1] for row in table_in(whole) if row[0] == english.month(partial)}


def test_charts_show_what_an_independent_query_finds(warehouse: Pipeline) -> None:
    english = texts.language("en")
    viewer = User("VIEWER")

    def found(query: str, *values: Any) -> list[tuple[Any, ...]]:
        return warehouse.published(query, values)

    month = month_in(warehouse, "territory_sales")
    revenue = found(
        "select month, sum(revenue) from marts.territory_sales where month <= %s group by month order by month", month
    )
    charts = charts_in(viewer.get(f"{address('territory_sales')}&month={month:%Y-%m}").text)
    assert charts["Revenue by month"] == {
        english.short_month(first): words(english.short_money(amount)) for first, amount in revenue[-25:]
    }

    month = month_in(warehouse, "product_performance")
    products = found(
        "select product, revenue from marts.product_performance where month = %s order by revenue desc", month
    )
    charts = charts_in(viewer.get(f"{address('product_performance')}&month={month:%Y-%m}").text)
    [largest] = [caption for caption in charts if "product" in caption]
    assert list(charts[largest]) == [name for name, _ in products[:12]]
    assert largest == f"Revenue by product: the 12 largest of {len(products)}"

    ages = found(
        "select months_since, sum(retained), sum(cohort_size) from marts.customer_retention where channel = 'online'"
        " and cohort_month = (select max(cohort_month) - interval '12 months' from marts.customer_retention"
        " where channel = 'online') and months_since between 1 and 12 group by months_since order by months_since"
    )
    [cohort] = found(
        "select max(cohort_month) - interval '12 months' from marts.customer_retention where channel = 'online'"
    )
    charts = charts_in(viewer.get(f"{address('customer_retention')}&month={cohort[0]:%Y-%m}").text)
    [curve] = [figures for caption, figures in charts.items() if caption.endswith(", online")]
    assert curve == {str(age): words(english.percent(Decimal(back) / size)) for age, back, size in ages}

    states = found("select count(*) from marts.customer_churn where channel = 'reseller'")
    charts = charts_in(viewer.get(address("customer_churn")).text)
    [statuses] = [figures for caption, figures in charts.items() if caption.endswith(", resellers")]
    assert sum(int(count.replace(",", "")) for count in statuses.values()) == states[0][0], "also those withheld"


def test_an_empty_mart_is_shown_as_empty_and_not_as_being_computed(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("delete from marts.exchange_rates")
    answer = User("VIEWER").get(address("exchange_rates"))
    assert answer.status_code == 200
    assert "No rows yet." in answer.text


def test_an_invalid_choice_in_the_address_is_explained(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    path = "analysis/sales_territory_analysis"
    for choice, reason in {
        "period=decade": "There is no period decade. Choose from month, quarter, fiscal_year, trailing_twelve.",
        "month=1999-13": "There are no figures for the month 1999-13. Choose one from 20",
        "mart=card_usage": "There is no mart card_usage on this page. Choose from territory_sales.",
    }.items():
        for page in (path, f"{path}/csv", f"{path}/xlsx"):
            answer = viewer.get(f"{page}?{choice}")
            assert answer.status_code == 400, page
            assert "The address of this page has an invalid value" in answer.text
            assert reason in words(answer.text)
    assert "n’existe pas" in viewer.get(f"{path}?period=decade&lang=fr").text
    assert viewer.get(f"{path}/pdf").status_code == 404
    assert "<script>" not in viewer.get(f"{path}?month=<script>").text


def test_withheld_predictions_say_why(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("update marts.customer_value set clv_52w = null, withheld_because = 'total_is_off'")
    [(customers,)] = warehouse.published("select count(*) from marts.customer_value")
    count = texts.language("en").number(customers)
    shown = words(User("VIEWER").get("analysis/customer_analytics").text)
    assert f"Predictions withheld for {count} of {count} rows Not published, because in the last 52 weeks" in shown


def test_text_from_the_data_becomes_neither_markup_nor_a_formula(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("update marts.inventory_status set product = '<script>alert(1)'")
        connection.execute(
            "update marts.inventory_status set product = '=1+1', days_of_supply = -1"
            " where product_id = (select min(product_id) from marts.inventory_status)"
        )
    viewer = User("VIEWER")
    path = "analysis/inventory_management"
    page = viewer.get(path).text
    assert "<script>alert" not in page
    assert [row[0] for row in table_in(page)][:2] == ["=1+1", "&lt;script&gt;alert(1)"]
    assert viewer.get(f"{path}/csv").text.splitlines()[1].startswith("\\=1+1,")
    cell = openpyxl.load_workbook(io.BytesIO(viewer.get(f"{path}/xlsx").content)).worksheets[0]["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_analyses_are_linked_from_the_overview_the_lineage_and_the_list_of_assets(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    overview, assets = viewer.get("overview").text, viewer.get("quality").text
    for dag in ANALYSES:
        assert f'href="/dashboard/analysis/{dag}"' in overview
    assert f'href="/dashboard/{address("territory_sales")}"' in overview, "from the group of figures"
    for mart in VIEWS:
        assert f'href="/dashboard/{address(mart)}"' in assets
        assert f'href="/dashboard/{address(mart)}"' in viewer.get(f"lineage?mart={mart}").text
    crumbs = words(viewer.get(address("late_work_orders")).text.partition('class="crumbs"')[2].partition("</nav>")[0])
    assert crumbs.endswith("Overview Production Late operations")


def found_by(viewer: User, query: str, code: str = "en") -> dict[str, list[tuple[str, str]]]:
    """Return the addresses and the texts of what a search finds, by heading."""
    page = viewer.get(f"search?{urlencode({'q': query, 'lang': code})}").text
    return {
        words(heading): [
            (html.unescape(link), words(item))
            for link, item in re.findall(r'(?s)<li><a href="/dashboard/([^"]*)">(.*?)</li>', items)
        ]
        for heading, items in re.findall(r"(?s)<h2[^>]*>(.*?)</h2>(.*?)</section>", page)
    }


def test_search_finds_products_territories_resellers_and_customers_by_number(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    [(product, name, number)] = warehouse.published(
        'select "ProductID", "Name", "ProductNumber" from raw."Production_Product" order by "ProductID" limit 1'
    )
    for query in (name.upper(), number.lower()):
        assert (address("product_performance", product), f"{name} {number}") in found_by(viewer, query)["Products"]
    [(territory, territory_name)] = warehouse.published(
        'select "TerritoryID", "Name" from raw."Sales_SalesTerritory" order by "TerritoryID" limit 1'
    )
    [link] = [link for link, text in found_by(viewer, territory_name)["Territories"] if text == territory_name]
    assert link == f"figure/revenue?territory={territory}"
    assert viewer.get(link).status_code == 200
    with psycopg.connect(warehouse.url) as connection:
        [(store, customer)] = connection.execute(
            'select "StoreID", "CustomerID" from raw."Sales_Customer" where "StoreID" is not null'
            " order by 2 desc limit 1"
        ).fetchall()
        connection.execute(
            'update raw."Sales_Store" set "Name" = %s where "BusinessEntityID" = %s', ("L’Étape à Vélo 100%_", store)
        )
    match = (address("customer_value", customer), f"Customer {customer} L’Étape à Vélo 100%_")
    for query in ("l'etape velo", "ÉTAPE", "100%", "%_", str(customer)):
        assert match in found_by(viewer, query)["Customers"], query


def test_a_page_can_be_narrowed_to_a_product_or_customer(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    [(product, name)] = warehouse.published(
        "select product_id, product from marts.product_performance order by 1 limit 1"
    )
    months = warehouse.published("select month from marts.product_performance where product_id = %s", (product,))
    page = viewer.get(address("product_performance", product)).text
    assert f"Sales by month and product: {name}" in words(page)
    assert {row[1] for row in table_in(page)} == {name}
    assert len(table_in(page)) == len(months), "all months"
    file = viewer.get(f"{address('product_performance', product)}".replace("?", "/csv?")).text
    assert len(file.splitlines()) == 1 + len(months)
    [(customer,)] = warehouse.published("select min(customer_id) from marts.customer_value")
    assert [row[0] for row in table_in(viewer.get(address("customer_value", customer)).text)] == [str(customer)]
    for mart, refused in (("customer_value", "1x"), ("customer_value", "%00"), ("customer_retention", "1")):
        answer = viewer.get(f"{address(mart)}&of={refused}")
        assert answer.status_code == 400, refused


def test_search_finds_figures_analyses_and_tables_in_the_users_language(warehouse: Pipeline) -> None:
    viewer, french = User("VIEWER"), texts.language("fr")
    found = found_by(viewer, "chiffre d'affaires", "fr")
    assert found["Indicateurs"][0][0] == "figure/revenue"
    assert found["Indicateurs"][0][1].startswith("Chiffre d’affaires")
    assert len(found["Indicateurs"]) == search.MOST
    assert (address("territory_sales"), view_name("territory_sales", french)) in [
        (link, text[: len(view_name("territory_sales", french))])
        for link, text in found_by(viewer, view_name("territory_sales", french), "fr")["Analyses"]
    ]
    tables = found_by(viewer, "product")["Tables and marts"]
    assert (asset_address("product_performance"), "product_performance") in tables
    assert (asset_address("Production_Product"), "Production_Product") in tables
    assert [link for link, _ in found_by(viewer, "margin 52")["Figures"]] == ["lineage?mart=customer_value#clv_52w"]


def test_search_neither_finds_persons_nor_runs_what_is_typed(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    [(last_name,)] = warehouse.published(
        'select p."LastName" from raw."Person_Person" as p join raw."Sales_Customer" as c on c."PersonID" ='
        ' p."BusinessEntityID" where c."StoreID" is null order by length(p."LastName") desc, 1 limit 1'
    )
    assert "Customers" not in found_by(viewer, last_name)
    for query in ("%%", "__", '\'; drop table raw."Sales_Store"; --', "\\%", "a\0b", "%(word_0)s", "x" * 5000):
        answer = viewer.get(f"search?{urlencode({'q': query})}")
        assert answer.status_code == 200, query
        assert "Nothing was found" in answer.text, query
    assert "<script>" not in viewer.get("search?q=<script>alert(1)</script>").text.partition("<header")[2]
    for query in ("", "a", " é "):
        assert "Type at least two characters" in viewer.get(f"search?q={query}").text, query


def test_every_table_and_mart_has_a_page(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    assets = viewer.get("quality").text
    for name in (*SOURCE_TABLES, *MARTS):
        answer = viewer.get(asset_address(name))
        assert answer.status_code == 200, name
        assert f"<h1>{name} " in answer.text
        assert f'href="/dashboard/{asset_address(name)}"' in assets
    for mart in VIEWS:
        link = f'href="/dashboard/{asset_address(mart)}"'
        assert link in viewer.get(address(mart)).text
        assert link in viewer.get(f"lineage?mart={mart}").text


def test_the_page_of_an_asset_shows_its_neighbours_with_state_and_version(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    html = viewer.get(asset_address("territory_sales")).text
    graph = html.partition('class="graph"')[2].partition("</div>")[0]
    for name in ("fact_sales", "Sales_SalesTerritory", "sales_forecast"):
        assert f'href="/dashboard/{asset_address(name)}"' in graph
    shown = words(graph)
    columns = r"Reads .*fact_ sales passed version 1, .* ago .*This asset .*Read by .*dashboard: Overview"
    assert re.search(columns, shown)
    assert "Sales_ SalesOrderDetail" not in shown
    assert "Sales_ SalesOrderDetail" in words(viewer.get(f"{asset_address('territory_sales')}?steps=2").text)
    folded = words(viewer.get(f"{asset_address('data_quality')}?lang=fr").text)
    assert f"{len(SOURCE_TABLES)} tables source" in folded


def test_every_link_from_the_page_of_an_asset_leads_to_a_page(warehouse: Pipeline) -> None:
    viewer = User("VIEWER")
    links = set()
    for name in ("fact_sales", "Production_Product", "data_quality"):
        links.update(re.findall(r'href="/dashboard/([^"#]+)', viewer.get(f"{asset_address(name)}?steps=3").text))
    assert "figure/revenue" in links
    for link in links:
        assert viewer.get(link.replace("&amp;", "&")).status_code == 200, link


def test_a_blocked_table_says_why_and_those_that_read_it_say_so(warehouse: Pipeline) -> None:
    with psycopg.connect(warehouse.url) as connection:
        [incident] = incidents.report(connection, [replace(FINDING, failed=3, total=1200)])
    viewer = User("VIEWER")
    html = viewer.get(asset_address(FINDING.asset)).text
    assert f'href="/dashboard/incidents#incident-{incident.short_id}"' in html
    shown = words(html)
    assert f'<h1>{FINDING.asset} <span class="state bad">blocked</span></h1>' in html
    assert "Newer data has been blocked since" in shown
    assert f"{FINDING.asset} is blocked: the column OrderQty is missing." in shown
    assert f"Rule {FINDING.rule} , Rows 3 / 1,200" in shown
    assert f'href="/dashboard/{asset_address(FINDING.asset)}"' in viewer.get("incidents").text
    reader = words(viewer.get(asset_address("fact_sales")).text)
    assert "passed, reads blocked tables" in reader
    assert f"It is computed from the last good version of these blocked tables: {FINDING.asset}" in reader


def test_the_page_of_a_mart_says_which_inputs_changed_and_which_versions_can_be_restored(warehouse: Pipeline) -> None:
    order, line, _ = any_order(warehouse)
    change_quantity(warehouse, order, line, 1)
    warehouse.ingest()
    viewer = User("VIEWER")
    waiting = words(viewer.get(asset_address("fact_sales")).text)
    newer = "Sales_SalesOrderHeader and Sales_SalesOrderDetail are newer"
    assert f"It is to be computed again: {newer}." in waiting
    warehouse.analyse()
    html = viewer.get(asset_address("fact_sales")).text
    inputs = html.partition('id="inputs"')[2].partition("</table>")[0]
    [(version, changed, run)] = warehouse.published(
        "select version, changed_rows, run_id from ops.publication where asset = 'Sales_SalesOrderDetail'"
        " order by version desc limit 1"
    )
    assert re.search(rf"Sales_SalesOrderDetail {version} .* {changed} ", words(inputs))
    assert f'href="/dags/{run.replace("/", "/runs/")}"' in inputs
    versions = html.partition('id="versions"')[2]
    assert "adventureworks rollback fact_sales --to 1 --reason" in versions
    assert "rollback fact_sales --to 2" not in versions, "readers see it already"
    table = viewer.get(asset_address("Sales_SalesOrderDetail")).text
    assert f"adventureworks rollback Sales_SalesOrderDetail --to {version - 1} --reason" in table
    assert "Tables that are published together are rolled back together" in table


def test_a_rollback_is_explained_with_the_command_that_ends_it(
    warehouse: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMMAND_VARIABLE, "adventureworks tour")
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "insert into ops.intervention (kind, asset, who, reason, detail)"
            """ values ('rollback', 'fact_sales', 'ann', 'wrong prices', '{"versions": {"fact_sales": 1}}')"""
        )
    shown = words(User("VIEWER").get(asset_address("daily_sales")).text)
    assert "fact_sales was rolled back to version 1 by ann: wrong prices" in shown
    assert "adventureworks tour rollback fact_sales --release" in shown


@pytest.mark.parametrize("code", ["en", "fr"])
def test_columns_are_profiled_without_personal_values(warehouse: Pipeline, code: str) -> None:
    viewer = User("VIEWER")
    with psycopg.connect(warehouse.url) as connection:
        # As if it had been measured before the column was declared personal.
        connection.execute("update ops.column_profile set least = 'Zoe', most = 'Zoe' where column_name = 'FirstName'")
    html = viewer.get(f"{asset_address('Person_Person')}?lang={code}").text
    columns = html.partition('id="columns"')[2]
    assert "<code>FirstName</code>" in columns
    assert "Zoe" not in html
    for table, known in SOURCE_TABLES.items():
        for column in (*known.personal, *known.protected):
            shown = re.search(
                rf"<code>{column}</code></th>(.*?)</tr>", viewer.get(f"{asset_address(table)}?lang={code}").text
            )
            assert shown is None or "value-of" not in shown[1], f"{table}.{column}"
    margin = definition("monthly_profit", "margin", texts.language(code))
    assert words(f"{margin.label} margin {margin.meaning}") in words(
        viewer.get(f"asset/monthly_profit?lang={code}").text
    )
    [(least,)] = warehouse.published("select cast(min(month) as varchar) from marts.monthly_profit")
    assert f"<code>{least}</code>" in viewer.get(f"asset/monthly_profit?lang={code}").text
    [(most,)] = warehouse.published("select max(discount_amount) from marts.fact_sales")
    assert f"<code>{most.normalize():f}</code>" in viewer.get(f"asset/fact_sales?lang={code}").text


def test_airflow_knows_each_asset_with_its_page_and_the_title_of_each_dag(warehouse: Pipeline) -> None:
    from adventureworks.orchestration.schedules import asset, settings_for

    viewer, english = User("VIEWER"), texts.language("en")
    for name in ("Sales_Customer", "fact_sales"):
        known = entry(name)
        about = dict(asset(name).extra)
        page = str(about.pop("page"))
        assert viewer.get(page.removeprefix("dashboard/")).status_code == 200
        assert about == {
            "description": grain(known, english),
            "owner": known.owner,
            "contract": f"{name} {version_of(known)}",
        }
    groups = {asset(name).group for name in (*SOURCE_TABLES, *MARTS)}
    assert len({group.lower() for group in groups}) == len(groups), "users can tell the groups of the list apart"
    titles = {dag: settings_for(dag)["dag_display_name"] for dag in (INGESTION, *ANALYSES)}
    assert titles["daily_sales_etl"] == "Daily sales"
    assert len(set(titles.values())) == len(titles)
