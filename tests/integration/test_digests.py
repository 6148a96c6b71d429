"""Digests by mail: they show the warehouse's figures, are readable everywhere, and are sent once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from openpyxl import load_workbook

from adventureworks import incidents
from adventureworks.dictionary import unit_text
from adventureworks.incidents import Finding, events
from adventureworks.messaging import Attachment, RenderedMessage
from adventureworks.messaging.recipients import Recipients
from adventureworks.messaging.routes import DigestRoute, last_due, routes
from adventureworks.messaging.store import Message
from adventureworks.messaging.wording import words
from adventureworks.orchestration.channels import compose_mail
from adventureworks.reports import mailing, month
from adventureworks.reports.delivery import Delivery, deliver
from adventureworks.reports.digests import DIGESTS, low_stock, monthly_report
from adventureworks.reports.digests.monthly_report import ReportFiles
from adventureworks.settings import Settings
from adventureworks.texts import language
from tests.integration.pipeline import Pipeline
from tests.unit.test_messages import assert_valid_blocks

LARGEST_IMAGE = 200_000
LARGEST_PAGE = 100_000
"""Mail clients truncate longer ones."""


def rendered(pipeline: Pipeline, name: str, code: str = "en") -> RenderedMessage | None:
    with pipeline.session() as session:
        return DIGESTS[name].message(session, language(code), "http://ui.test")


def add_pairs(pipeline: Pipeline, count: int = 1) -> None:
    """Publish pairs of products that are often bought together; the sample has too few orders for one."""
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "insert into marts.product_affinity (product_id, other_product_id, channel, product, other_product,"
            " orders_together, support, confidence, other_confidence, lift, lift_lower_95, last_month)"
            " select n, n + 1, 'online', 'Mountain bottle cage ' || n, 'Water bottle ' || n, 20 + n, 0.07, 0.38, 0.82,"
            " 5.3, 4.9, date '2014-06-01' from generate_series(1, %s) as n",
            (count,),
        )


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("code", ["en", "fr"])
@pytest.mark.parametrize("name", list(DIGESTS))
def test_digest_is_readable_in_any_mail_client(pipeline: Pipeline, name: str, code: str) -> None:
    add_pairs(pipeline)
    found = rendered(pipeline, name, code)
    assert found is not None
    assert f'<html lang="{code}"' in found.html
    assert set(re.findall(r'src="cid:([^"]+)"', found.html)) == {image.name for image in found.images}
    assert re.findall(r'src="(?!cid:)', found.html) == []
    for image in found.images:
        assert image.content.startswith(b"\x89PNG")
        assert len(image.content) < LARGEST_IMAGE
        assert re.search(r'<img[^>]+alt="[^"]{10,}"', found.html)
    assert found.html.partition("<body")[2].count("style=") > 20, "the layout does not depend on a style sheet"
    assert "http://ui.test/dashboard/" in found.text
    assert not re.search(r"\badventureworks [a-z]", found.text), "business users have no shell"
    assert_valid_blocks(found.blocks)


def test_daily_digest_shows_sales(pipeline: Pipeline) -> None:
    found = rendered(pipeline, "daily_sales")
    assert found is not None
    english = language("en")
    [(day, revenue)] = pipeline.published(
        "select order_date, sum(revenue) from marts.daily_sales group by 1 order by 1 desc limit 1"
    )
    channels = pipeline.published(
        "select sum(orders), sum(revenue) from marts.daily_sales where order_date = %s group by channel", (day,)
    )
    to_date = pipeline.published(
        "select case channel when 'online' then 'Online' else 'Resellers' end,"
        " coalesce(sum(revenue) filter (where order_date >= %s), 0) from marts.daily_sales group by channel",
        (day.replace(day=1),),
    )
    assert english.day(day) in found.subject
    for text in (flat(found.text), flat(found.html)):
        assert english.money(revenue) in text
        assert english.short_money(sum(total for _, total in to_date)) in text
        for channel, total in to_date:
            assert f"{channel}: {english.short_money(total)}" in text if total else f"{channel}: no orders yet." in text
        for orders, of_channel in channels:
            assert f"Orders: {english.number(orders)}, average {english.money(of_channel / orders)}" in text


def test_stock_digest_lists_ten_orders_and_has_all_of_them_in_the_workbook(pipeline: Pipeline) -> None:
    found = rendered(pipeline, "low_stock")
    assert found is not None
    english = language("en")
    orders = pipeline.published(
        "select product, vendor, order_quantity, order_unit, order_by, amount from marts.purchase_proposal"
        " where preferred and order_quantity > 0 order by state <> 'out', order_by nulls last, product_id"
    )
    assert len(orders) > low_stock.MAX_ROWS
    shown = flat(found.text)
    for product, vendor, quantity, unit, order_by, amount in orders[: low_stock.MAX_ROWS]:
        assert f"{product} (" in shown
        assert f"{vendor}; " in shown
        assert f"order quantity {english.number(quantity)} × {unit_text(unit, english)}" in shown
        assert f"amount {english.money(amount)}" in shown
        assert f"order by {english.day(order_by)}" in shown
    assert f"And {len(orders) - low_stock.MAX_ROWS:,} more." in shown
    (file,) = found.attachments
    book = load_workbook(BytesIO(file.content))
    assert book.sheetnames == ["Orders", "Other vendors", "Not bought", "Definitions"]
    rows = list(book["Orders"].iter_rows(values_only=True))
    names = pipeline.published("select product from marts.purchase_proposal where preferred")
    assert sorted(row[1] for row in rows[1:]) == sorted(name for (name,) in names)
    assert [row[1] for row in rows[1:4]] == [product for product, *_ in orders[:3]]
    assert rows[1][rows[0].index("Order unit")] == unit_text(orders[0][3], english)
    not_bought = list(book["Not bought"].iter_rows(values_only=True))[1:]
    others = pipeline.published(
        "select product from marts.inventory_status where state in ('out', 'reorder', 'low')"
        " and product_id not in (select product_id from marts.purchase_proposal)"
    )
    assert sorted(row[1] for row in not_bought) == sorted(name for (name,) in others)
    explained = {row[0] for row in book["Definitions"].iter_rows(values_only=True)}
    assert explained >= {cell.value for sheet in book.worksheets[:3] for cell in sheet[1]}


def test_stock_digest_starts_with_what_is_out_of_stock_and_names_units_of_unknown_content(pipeline: Pipeline) -> None:
    [(product,)] = pipeline.published(
        "select product from marts.purchase_proposal where preferred and order_quantity > 0"
        " order by order_by desc nulls first, product_id desc limit 1"
    )
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.purchase_proposal set state = 'low', order_unit = 'CS', order_pieces = null where preferred"
        )
        connection.execute(
            "update marts.purchase_proposal set state = 'out', order_unit = 'CTN' where preferred and product = %s",
            (product,),
        )
    found = rendered(pipeline, "low_stock")
    assert found is not None
    shown = flat(found.text)
    assert f"To order, most urgent first - {product} (" in re.sub(r"\(\d+\) - ", "- ", shown)
    assert "The content of these units is not in the source: case, container." in shown
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update marts.purchase_proposal set order_unit = 'EA', order_pieces = order_quantity")
    found = rendered(pipeline, "low_stock")
    assert found is not None
    assert "The content of these units" not in found.text


def test_workbook_of_the_same_proposals_is_the_same_file(pipeline: Pipeline) -> None:
    one, other = rendered(pipeline, "low_stock"), rendered(pipeline, "low_stock")
    assert one is not None
    assert other is not None
    assert one.attachments == other.attachments


def test_quality_digest_shows_failing_rules_and_quarantine(pipeline: Pipeline) -> None:
    pipeline.change('update "Sales"."SalesOrderDetail" set "OrderQty" = 0 where "SalesOrderDetailID" = 5')
    pipeline.ingest()
    pipeline.settle()
    found = rendered(pipeline, "data_quality")
    assert found is not None
    failing = pipeline.published(
        "select rule, failed from marts.data_quality where failed > 0"
        " and run_number = (select max(run_number) from marts.data_quality)"
    )
    assert failing
    assert all(rule.replace("_", " ") in found.text for rule, _ in failing)
    [(score,)] = pipeline.published(
        "select min(overall_score) from marts.data_quality"
        " where run_number = (select max(run_number) from marts.data_quality)"
    )
    assert f"Overall score: {language('en').percent(score)} (business rules that pass)" in flat(found.text)
    assert "reorder point reaches the safety stock (systematic)" in found.text
    assert "Rows in quarantine" in found.text
    assert "Open incidents" in found.text


def test_late_operations_digest_compares_with_the_month_and_the_year_before(pipeline: Pipeline) -> None:
    found = rendered(pipeline, "late_work_orders")
    assert found is not None
    english = language("en")
    months = pipeline.published(
        "select l.month, sum(l.late), sum(l.operations), sum(l.late * l.mean_days_late)"
        " from marts.late_work_orders as l join staging.sales_month as s on s.month = l.month"
        " where not s.is_partial group by l.month order by 1 desc"
    )
    (month, late, operations, days), before, *_ = months
    [year_before] = [row for row in months if row[0] == month.replace(year=month.year - 1)]
    shown = flat(found.text)
    assert english.month(month) in found.subject
    assert (
        f"{english.percent(late / operations)} ({english.percent(before[1] / before[2])} in the month before,"
        f" {english.percent(year_before[1] / year_before[2])} a year before)" in shown
    )
    assert flat(f"Mean delay: {english.days(days / late, 1)}") in shown
    for (location,) in pipeline.published(
        "select distinct location from marts.late_work_orders where month = %s", (month,)
    ):
        assert location in shown
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update marts.late_work_orders set unfinished = 1 where month = %s", (month,))
    earlier = rendered(pipeline, "late_work_orders")
    assert earlier is not None
    assert english.month(before[0]) in earlier.subject, "more operations of the newest month may end late"


def test_quota_digest_lists_every_sales_person_of_the_newest_quotas_furthest_behind_first(pipeline: Pipeline) -> None:
    found = rendered(pipeline, "quota_pace")
    assert found is not None
    rows = pipeline.published(
        """select p."FirstName" || ' ' || p."LastName", q.quota, q.sales_to_date, q.pace
        from marts.quota_pace as q join raw."Person_Person" as p on p."BusinessEntityID" = q.sales_person_id
        where q.quota_date = (select max(quota_date) from marts.quota_pace)
        order by q.sales_to_date - q.expected_sales nulls last, q.sales_person_id"""
    )
    english, shown = language("en"), flat(found.text)
    assert rows
    lines = [
        f"- {name}: quota {english.money(quota)}; sales to date {english.money(sales)}; pace {english.percent(pace)}"
        for name, quota, sales, pace in rows
    ]
    places = [shown.find(line) for line in lines]
    assert -1 not in places, lines
    assert places == sorted(places)


def test_customer_digest_has_the_margin_of_new_customers_by_age(pipeline: Pipeline) -> None:
    found = rendered(pipeline, "customer_value")
    assert found is not None
    [(cohort, customers, margin)] = pipeline.published(
        "select cohort_month, customers, margin from marts.customer_cohort_value"
        " where channel = 'online' and months_since = 2 order by cohort_month desc limit 1"
    )
    english = language("en")
    assert (
        f"{english.month(cohort)}; customers {english.number(customers)};"
        f" margin per customer, first 3 months {english.money(margin / customers)}"
    ) in flat(found.text)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("delete from marts.customer_cohort_value where months_since > 1")
    found = rendered(pipeline, "customer_value")
    assert found is not None
    assert "Margin of new customers" not in found.text + found.html, "no cohort has three months"


def test_affinity_digest_lists_the_most_frequent_pairs_that_chance_does_not_explain(pipeline: Pipeline) -> None:
    assert rendered(pipeline, "product_affinity") is None, "the sample has no frequent pairs"
    add_pairs(pipeline, 3)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update marts.product_affinity set lift_lower_95 = 0.9 where product_id = 2")
    found = rendered(pipeline, "product_affinity")
    assert found is not None
    assert "Online: 2 (of 3 frequent pairs)" in flat(found.text)
    assert re.findall(r"Mountain bottle cage \d", found.text) == ["Mountain bottle cage 3", "Mountain bottle cage 1"]


def test_customer_digest_names_resellers_and_their_sales_persons_but_no_private_person(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update marts.customer_churn set status = 'lapsed' where channel = 'reseller'")
    found = rendered(pipeline, "customer_value")
    assert found is not None
    [(store, sales_person, last_order, revenue, profit)] = pipeline.published(
        """select s."Name", p."FirstName" || ' ' || p."LastName", max(f.order_date), sum(f.revenue),
            sum(f.revenue - f.cogs)
        from marts.fact_sales as f
        join raw."Sales_Customer" as c on c."CustomerID" = f.customer_id
        join raw."Sales_Store" as s on s."BusinessEntityID" = c."StoreID"
        join raw."Person_Person" as p on p."BusinessEntityID" = s."SalesPersonID"
        where f.channel = 'reseller' group by c."CustomerID", s."Name", p."FirstName", p."LastName"
        order by sum(f.revenue) desc limit 1"""
    )
    english = language("en")
    assert (
        f"- {store}: {sales_person}; Lapsed; {english.day(last_order)}; revenue so far {english.money(revenue)};"
        f" gross profit {english.money(profit)}; margin {english.percent(profit / revenue)}"
    ) in flat(found.text)
    names = pipeline.published(
        """select distinct "FirstName" || ' ' || "LastName" from raw."Person_Person" where "PersonType" = 'IN'"""
    )
    assert not [name for (name,) in names if name in found.text]
    [(value,)] = pipeline.published("select sum(clv_52w) from marts.customer_value where channel = 'online'")
    assert language("en").short_money(value) in found.text


def test_customer_digest_says_why_no_probability_is_shown(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.customer_churn set reorder_probability_52w = null, status = null,"
            " withheld_because = 'no_better_than_constant' where channel = 'online'"
        )
    found = rendered(pipeline, "customer_value")
    assert found is not None
    expected = "Online: the probability of another order is not published, because in the year before it was no better"
    assert expected in flat(found.text)
    # Online customers have no cycle of orders, so none of them can lapse.
    assert flat(found.text).count(" lapsed") == 1


def test_names_from_the_data_are_escaped(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update marts.purchase_proposal set product = '<script>alert(1)</script> & <!channel>'")
    found = rendered(pipeline, "low_stock")
    assert found is not None
    assert "<script>" not in found.html
    assert "<!channel>" not in str(found.blocks)


def test_recipient_gets_a_digest_once_when_due_and_only_with_new_data(pipeline: Pipeline, tmp_path: Path) -> None:
    given = routes(Settings(owner_emails={"sales": "s@example.org"}))
    route = DigestRoute.model_validate({"to": ["sales"], "at": "06:00"})
    recipients = Recipients(
        given.model_copy(update={"digests": {"daily_sales": route}}), ("email", "slack"), "slack_default", ""
    )

    def queued(moment: datetime) -> list[tuple[str, str]]:
        with pipeline.session() as session:
            mailing.compose(session, recipients, tmp_path, moment)
            rows = session.records.execute(
                "update ops.outbox set sent_at = created where sent_at is null returning channel, recipient"
            ).fetchall()
            return [(row[0], row[1]) for row in rows]

    now = datetime.now(UTC)
    assert queued(now) == [("email", "s@example.org")]
    assert queued(now) == []
    assert queued(now + timedelta(days=1)) == [], "there is no new data"
    pipeline.change('update "Sales"."SalesOrderHeader" set "Freight" = "Freight" + 1, "TotalDue" = "TotalDue" + 1')
    pipeline.ingest()
    pipeline.settle("daily_sales_etl")
    assert queued(now) == [], "one was already sent today"
    assert queued(now + timedelta(days=1)) == [("email", "s@example.org")]


def test_weekly_digest_is_due_on_its_day_in_the_groups_time_zone() -> None:
    route = DigestRoute.model_validate({"to": [], "every": "week", "weekday": "monday", "at": "07:00"})
    friday = datetime(2026, 3, 6, 12, tzinfo=UTC)
    assert last_due(route, "Europe/Paris", friday) == datetime(2026, 3, 2, 6, tzinfo=UTC)
    monday_early = datetime(2026, 3, 9, 5, 59, tzinfo=UTC)
    assert last_due(route, "Europe/Paris", monday_early) == datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert last_due(route, "Europe/Paris", monday_early + timedelta(minutes=1)) == datetime(2026, 3, 9, 6, tzinfo=UTC)


@pytest.mark.parametrize("ui_url", ["http://ui.test", ""])
def test_files_too_large_for_a_mail_are_not_attached(pipeline: Pipeline, ui_url: str) -> None:
    [(key,)] = pipeline.published("select to_char(max(month), 'YYYY-MM') from staging.sales_month where not is_partial")
    with pipeline.session() as session:
        found = month.figures(session, key)
    done = Delivery(key, "new", 1, False, (), ())
    for size, attached in ((3_600_000, 2), (3_700_000, 0)):
        files = tuple(Attachment(f"{number}.pdf", "application/pdf", b"x" * size) for number in range(2))
        filed = ReportFiles("en", files, ("/reports/0.pdf", "/reports/1.pdf"))
        message = monthly_report.message(done, found, language("en"), filed, ui_url)
        assert len(message.attachments) == attached
        assert ("attached" in message.text) is bool(attached)
        assert ("/reports/1.pdf" in message.text) is (not attached and not ui_url)
        assert ("http://ui.test/dashboard/reports" in message.text) is bool(ui_url)
        mail = compose_mail(Message("1", "email", "a@b.test", "", 0, message), "c@d.test")
        assert len(mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))) < 10_100_000


def test_every_digest_is_short_enough_for_mail_clients(pipeline: Pipeline) -> None:
    add_pairs(pipeline, 300)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "insert into marts.data_quality select (jsonb_populate_record(null::marts.data_quality, to_jsonb(d)"
            " || jsonb_build_object('rule', 'a_rule_with_a_long_name_' || n, 'failed', n))).* from"
            " (select * from marts.data_quality order by run_number desc limit 1) as d, generate_series(1, 300) as n"
        )
        connection.execute(
            "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id)"
            " select 'Sales_SalesOrderDetail', '{}', 'a_rule_with_a_long_name_' || n, '', '{}', 'x'"
            " from generate_series(1, 300) as n"
        )
        findings = [
            Finding(
                asset=f"Sales_Table{n}",
                rule="a_rule_with_a_long_name",
                event=events.refused("x", has_version=True),
                owner="sales",
            )
            for n in range(300)
        ]
        incidents.report(connection, findings)
        connection.execute("update marts.inventory_status set state = 'low'")
    for name in DIGESTS:
        found = rendered(pipeline, name)
        assert found is not None
        assert len(found.html.encode()) < LARGEST_PAGE, name
        assert_valid_blocks(found.blocks)
    quality = rendered(pipeline, "data_quality")
    assert quality is not None
    assert "And 275 more." in quality.html
    assert "a rule with a long name 300" in quality.text, "the worst come first"


def test_failing_message_does_not_stop_others_and_has_an_incident_until_fixed(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    given = routes(Settings())
    digests = {**given.digests, "dayly_sales": DigestRoute.model_validate({"to": ["sales"]})}
    [(key,)] = pipeline.published("select to_char(max(month), 'YYYY-MM') from staging.sales_month where not is_partial")
    done = deliver(pipeline.settings, tmp_path, key, "financial_reporting/test")
    for file in done.files:
        (tmp_path / file.path).unlink()
    add_pairs(pipeline)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("alter table marts.customer_value rename to away")

    def compose(**routed: object) -> dict[str, str]:
        recipients = Recipients(given.model_copy(update=routed), ("email",), "slack_default", "http://ui.test")
        with pipeline.session() as session:
            mailing.compose(session, recipients, tmp_path, datetime.now(UTC))
        with psycopg.connect(pipeline.url) as connection:
            return {
                one.rule: f"{words(one).summary} {words(one).next_step}"
                for one in incidents.open_incidents(connection, "reports")
            }

    broken = compose(digests=digests)
    assert set(broken) == {"digest_dayly_sales", "digest_customer_value", f"month_{key}"}
    assert "dayly_sales. Known digests: daily_sales, low_stock" in broken["digest_dayly_sales"]
    assert "UndefinedTable" in broken["digest_customer_value"]
    assert f"monthly/{key}" in broken[f"month_{key}"]
    assert "airflow dags trigger financial_reporting" in broken[f"month_{key}"]
    queued = pipeline.published("select distinct split_part(dedup_key, '/', 2) from ops.outbox order by 1")
    assert queued == [
        ("daily_sales",),
        ("data_quality",),
        ("late_work_orders",),
        ("low_stock",),
        ("product_affinity",),
        ("quota_pace",),
    ]

    with psycopg.connect(pipeline.url) as connection:
        connection.execute("alter table marts.away rename to customer_value")
    deliver(pipeline.settings, tmp_path, key, "financial_reporting/test")
    assert compose(digests=given.digests) == {}
    queued = pipeline.published("select distinct split_part(dedup_key, '/', 2) from ops.outbox order by 1")
    assert queued == [(key,), *((name,) for name in sorted(DIGESTS))]
