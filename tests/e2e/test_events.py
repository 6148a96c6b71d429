"""Changes of the source trigger the affected analyses through events, in a platform with a real scheduler."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from decimal import Decimal

import pytest

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, Mart
from adventureworks.months import first_day
from adventureworks.reports.month import shows_any
from adventureworks.texts import language
from tests.e2e.running import Inbox, RunningPlatform, wait_for

ORDER_TABLES = ["Sales_SalesOrderDetail", "Sales_SalesOrderHeader"]
QUALITY_RUNS = "select id, run_type from dag_run where dag_id = 'data_quality_control'"


def any_order(platform: RunningPlatform, months_ago: int = 1) -> tuple[int, int, str]:
    """Return the id, a line id and the month of an order with several lines, `months_ago` months before the newest.

    A change appears in the reports of its month and of each later month, so a recent month causes little work.
    """
    order, line, month = platform.sql(
        "warehouse",
        # Skip lines that would reach the next volume discount with one more piece.
        "select sales_order_id, min(sales_order_detail_id) filter (where quantity < 9),"
        " to_char(min(order_date), 'YYYY-MM') from marts.fact_sales where date_trunc('month', order_date) ="
        " (select date_trunc('month', max(order_date)) - make_interval(months => %s) from marts.fact_sales)"
        " group by 1 having count(*) filter (where quantity < 9) > 1 order by 1 limit 1",
        (months_ago,),
    )[0]
    return order, line, month


def sell_one_more(order: int, line: int) -> tuple[str, str]:
    """Return the statements that increase the quantity of one order line by one."""
    return (
        'update "Sales"."SalesOrderDetail" set "OrderQty" = "OrderQty" + 1, "LineTotal" = round("UnitPrice" *'
        f' (1 - "UnitPriceDiscount") * ("OrderQty" + 1), 6) where "SalesOrderDetailID" = {line}',
        'update "Sales"."SalesOrderHeader" as h set "SubTotal" = d.total, "TotalDue" = d.total + "TaxAmt" + "Freight"'
        ' from (select round(sum("LineTotal"), 4) as total from "Sales"."SalesOrderDetail"'
        f' where "SalesOrderID" = {order}) as d where "SalesOrderID" = {order}',
    )


def sources_of(mart: Mart) -> set[str]:
    """Return the source tables that a mart depends on, directly or through other marts."""
    return set().union(*({name} if name in SOURCE_TABLES else sources_of(MARTS[name]) for name in mart.inputs))


def test_the_first_run_publishes_everything_once(platform: RunningPlatform) -> None:
    versions = dict(platform.sql("warehouse", "select asset, max(version) from ops.publication group by asset"))
    assert versions == dict.fromkeys([*SOURCE_TABLES, *MARTS], 1)
    assert {dag: platform.runs(dag) for dag in ["ingest_source", *ANALYSES]} == dict.fromkeys(
        ["ingest_source", *ANALYSES], 1
    ), "many inputs change at once, but each analysis runs once"
    too_early = platform.sql(
        "airflow",
        "select dag_id from dag_run where run_type = 'scheduled' and run_after < (select min(queued_at) from dag_run)"
        " and dag_id not in ('ingest_source', 'financial_reporting')",
    )
    assert too_early == [], "no calendar may start an analysis before there is data"
    assert {version for mart in MARTS for version in platform.newest(mart)[1].values()} == {1}
    assert any(f"{len(MARTS)} of {len(MARTS)} marts are fresh" in line for line in platform.output)


def test_each_table_has_one_event_with_what_was_published(platform: RunningPlatform) -> None:
    events = platform.api("/api/v2/assets/events?limit=200")["asset_events"]
    tables = [event for event in events if event["name"] in SOURCE_TABLES]
    assert sorted(event["name"] for event in tables) == sorted(SOURCE_TABLES)
    [(first,)] = platform.sql(
        "warehouse", "select distinct run_id from ops.publication where asset like 'Sales_Sales%'"
    )
    assert {f"{event['source_dag_id']}/{event['source_run_id']}" for event in tables} == {first}
    [lines] = [event["extra"] for event in tables if event["name"] == "Sales_SalesOrderDetail"]
    [(rows,)] = platform.sql("warehouse", 'select count(*) from raw."Sales_SalesOrderDetail"')
    assert lines["version"] == 1
    assert lines["rows"] == lines["rows_changed"] == rows
    assert (lines["rows_set_aside"], lines["verdict"]) == (0, "passed")
    assert len(lines["months"]) == 14


def test_the_asset_page_shows_the_verdict_and_what_it_is_about(platform: RunningPlatform) -> None:
    assets = {asset["name"]: asset for asset in platform.api("/api/v2/assets?limit=200")["assets"]}
    assert assets["Sales_SalesOrderHeader"]["group"] == "source_Sales"
    assert assets["daily_sales"]["group"] == "sales"
    for name, cause in (("Sales_SalesOrderHeader", "newest_change"), ("daily_sales", "input_versions")):
        entries = platform.api(f"/api/v2/assets/{assets[name]['id']}/state-store")["asset_state_store"]
        state = {entry["key"]: entry["value"] for entry in entries}
        assert "passed" in str(state["verdict"])
        assert cause in str(state["verdict"])


def test_the_api_requires_a_login(platform: RunningPlatform) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        platform.api("/api/v2/dags", token=None)


@dataclass(frozen=True)
class Before:
    """What there was before an order changed."""

    month: str
    """The month of the order."""
    runs: dict[str, int]
    """The number of runs of each DAG that published something."""
    quality_runs: dict[int, str]
    """The kind of each run of the DAG that checks all marts, by id."""
    revenue: dict[str, Decimal]
    """By month."""
    reports: dict[str, str]
    """The digests of the files of each month's report."""
    revision: int
    """The revision of the report of the order's month."""


def revenue_by_month(platform: RunningPlatform) -> dict[str, Decimal]:
    return dict(
        platform.sql(
            "warehouse", "select to_char(order_date, 'YYYY-MM'), sum(revenue) from marts.daily_sales group by 1"
        )
    )


def filed_reports(platform: RunningPlatform) -> dict[str, str]:
    return dict(
        platform.sql(
            "warehouse",
            "select month, string_agg(digest, ' ' order by language, kind) from ops.report_file group by month",
        )
    )


@pytest.fixture(scope="module")
def before(platform: RunningPlatform) -> Before:
    """Change one order, and return what there was before once everything that depends on it is published."""
    wait_for(platform.is_idle)
    order, line, month = any_order(platform, months_ago=4)
    reported = "select revision, status from ops.monthly_report where month = %s"
    [(revision, _)] = platform.sql("warehouse", reported, (month,))
    before = Before(
        month=month,
        runs={dag: platform.runs(dag) for dag in ["ingest_source", *ANALYSES]},
        quality_runs=dict(platform.sql("airflow", QUALITY_RUNS)),
        revenue=revenue_by_month(platform),
        reports=filed_reports(platform),
        revision=revision,
    )
    platform.change(*sell_one_more(order, line))
    # The DAG that checks all marts runs last.
    wait_for(lambda: platform.newest("data_quality")[0] == 2)
    wait_for(lambda: platform.sql("warehouse", reported, (month,)) == [(revision + 1, "restated")])
    wait_for(platform.is_idle)
    return before


def test_one_changed_order_runs_each_affected_analysis_once(platform: RunningPlatform, before: Before) -> None:
    affected = {mart.dag for mart in MARTS.values() if sources_of(mart) & set(ORDER_TABLES)}
    assert {"production_costs"} == set(ANALYSES) - affected
    runs = {dag: platform.runs(dag) - before.runs[dag] for dag in before.runs}
    assert runs == {dag: int(dag in {"ingest_source", *affected}) for dag in runs}, "each affected analysis runs once"
    new = [kind for number, kind in platform.sql("airflow", QUALITY_RUNS) if number not in before.quality_runs]
    assert "asset_triggered" in new, "the last publication must start it"
    # Two analyses that end together may both find that everything is settled, and the dispatcher may be faster.
    assert len(new) <= 3, "no earlier publication may start it"
    versions = dict(platform.sql("warehouse", "select asset, max(version) from ops.publication group by asset"))
    for mart in MARTS:
        read = platform.newest(mart)[1]
        assert read == {name: versions[name] for name in read}, (
            f"{mart} must be computed from the newest version of every input"
        )
    loaded = platform.sql(
        "warehouse",
        "select asset from ops.change where run_id = (select run_id from ops.publication where asset ="
        " 'Sales_SalesOrderHeader' and version = 2) order by 1",
    )
    assert [row[0] for row in loaded] == ORDER_TABLES
    inputs = platform.newest("daily_sales")[1]
    assert {inputs[name] for name in ORDER_TABLES} == {2}
    [(months,)] = platform.sql(
        "warehouse", "select months from ops.publication where asset = 'daily_sales' and version = 2"
    )
    assert json.loads(months) == [before.month]
    revenue = revenue_by_month(platform)
    assert {month for month in revenue if revenue[month] != before.revenue[month]} == {before.month}
    shown = language("en").month(first_day(before.month))
    note = f"2 rows of Sales_SalesOrderDetail, Sales_SalesOrderHeader changed: {shown} computed again."
    notes = "select content from dag_run_note join dag_run on id = dag_run_id where dag_id = 'daily_sales_etl'"
    wait_for(lambda: (note,) in platform.sql("airflow", notes))


def test_reports_that_show_the_changed_month_are_filed_again(platform: RunningPlatform, before: Before) -> None:
    sold = platform.sql("warehouse", "select distinct to_char(month, 'YYYY-MM') from marts.monthly_profit")
    months = sorted(row[0] for row in sold)
    assert set(before.reports) == set(months)
    after = filed_reports(platform)
    # The month itself and the four later ones that show it as previous month, in the year to date or in the chart.
    showing = [month for month in months if shows_any(month, [before.month])]
    assert len(showing) == 5
    assert {month for month in months if after[month] != before.reports[month]} == set(showing)
    states = platform.sql("warehouse", "select month, status from ops.monthly_report where status = 'refreshed'")
    # The newest complete month is announced itself, and the month after it is not over.
    assert {month for month, _ in states} >= set(showing[1:-2]), (
        "the other reports are only filed again because they are compared with it"
    )
    [(changes,)] = platform.sql("warehouse", "select changes from ops.monthly_report where month = %s", (before.month,))
    assert {change["part"] for change in json.loads(changes)} == {"total", "region", "category"}
    [(path, size)] = platform.sql(
        "warehouse",
        "select path, bytes from ops.report_file where month = %s and language = 'en' and kind = 'document'",
        (before.month,),
    )
    assert (platform.home / "reports" / path).stat().st_size == size


def test_an_ingestion_without_a_change_starts_nothing(platform: RunningPlatform) -> None:
    wait_for(platform.is_idle)
    [(before,)] = platform.sql("airflow", "select count(*) from dag_run where dag_id = 'daily_sales_etl'")
    run = platform.api("/api/v2/dags/ingest_source/dagRuns", {"logical_date": None})["dag_run_id"]
    wait_for(lambda: platform.api(f"/api/v2/dags/ingest_source/dagRuns/{run}")["state"] == "success")
    wait_for(platform.is_idle)
    tasks = platform.api(f"/api/v2/dags/ingest_source/dagRuns/{run}/taskInstances")["task_instances"]
    states = {task["task_id"]: task["state"] for task in tasks}
    assert set(states.values()) == {"success"}, "what has nothing to do is no problem to look at"
    assert platform.sql("warehouse", "select 1 from ops.publication where run_id = %s", (f"ingest_source/{run}",)) == []
    assert platform.sql("airflow", "select count(*) from dag_run where dag_id = 'daily_sales_etl'") == [(before,)]


def test_a_run_with_nothing_to_compute_has_a_note_that_says_why(platform: RunningPlatform) -> None:
    wait_for(platform.is_idle)
    run = platform.api("/api/v2/dags/daily_sales_etl/dagRuns", {"logical_date": None})["dag_run_id"]
    query = "select content from dag_run_note join dag_run on id = dag_run_id where run_id = %s"
    [(note,)] = wait_for(lambda: platform.sql("airflow", query, (run,)))
    assert note.startswith("Nothing to compute: ")


def test_a_broken_line_and_a_dropped_column_are_reported_to_owners_and_not_published(
    platform: RunningPlatform, inbox: tuple[Inbox, dict[str, str]]
) -> None:
    received, _ = inbox
    wait_for(platform.is_idle)
    received.mails.clear()
    received.posts.clear()
    order, line, _ = any_order(platform)
    good = platform.sql("warehouse", "select sum(revenue), count(*) from marts.fact_sales")
    platform.change(
        f'update "Sales"."SalesOrderDetail" set "OrderQty" = 0 where "SalesOrderDetailID" = {line}',
        'alter table "Purchasing"."Vendor" rename column "CreditRating" to "Rating"',
    )
    assets = ("Sales_SalesOrderDetail", "Purchasing_Vendor")

    def notified(times: int) -> bool:
        return all(len(messages) == times for asset in assets for messages in received.about(asset))

    wait_for(lambda: notified(1))
    wait_for(platform.is_idle)
    assert notified(1)
    assert platform.sql("warehouse", "select sum(revenue), count(*) from marts.fact_sales") == good

    mails = [mail for asset in assets for mail in received.about(asset)[0]]
    bodies = " ".join(mail.get_body(("plain",)).get_content() for mail in mails)  # type: ignore[union-attr]
    assert [mail["to"] for mail in mails] == ["sales@localhost", "purchasing@localhost"]
    posts = json.dumps(received.posts).replace("&gt;", ">")
    for words in (str(line), "OrderQty > 0", "CreditRating", "/dashboard/incidents#incident-"):
        assert all(words in shown for shown in (" ".join(bodies.split()), posts))
    assert "adventureworks quarantine" not in bodies + posts, "business users have no shell"

    platform.change(
        f'update "Sales"."SalesOrderDetail" set "OrderQty" = 1, "LineTotal" = round("UnitPrice" *'
        f' (1 - "UnitPriceDiscount"), 6) where "SalesOrderDetailID" = {line}',
        'alter table "Purchasing"."Vendor" rename column "Rating" to "CreditRating"',
        *sell_one_more(order, line),
    )
    wait_for(lambda: notified(2))
    assert platform.sql("warehouse", "select count(*) from ops.incident where status = 'open'") == [(0,)]
