"""Monthly reports: their figures match the warehouse, and the same figures produce the same files."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from openpyxl import load_workbook
from openpyxl.utils import get_column_letter
from pypdf import PdfReader

from adventureworks.errors import PlatformError
from adventureworks.messaging.recipients import Recipients
from adventureworks.messaging.routes import routes
from adventureworks.months import first_day
from adventureworks.orchestration.storage import report_folder
from adventureworks.reports import delivery, mailing
from adventureworks.reports import month as months
from adventureworks.settings import Settings
from adventureworks.texts import LANGUAGES, language
from tests.integration.pipeline import Pipeline

RUN = "financial_reporting/test"
SETTLED = timedelta(minutes=3)
REPORTING = ("daily_sales_etl", "financial_reporting")
"""The analyses that reports depend on; the others would take most of the time."""
MONTHS = "select to_char(month, 'YYYY-MM'), is_partial from staging.sales_month order by month"


def figures(pipeline: Pipeline, key: str) -> months.Month:
    with pipeline.session() as session:
        return months.figures(session, key)


def last_whole(pipeline: Pipeline) -> str:
    return [key for key, partial in pipeline.published(MONTHS) if not partial][-1]


def readers(channels: tuple[str, ...] = ("email",), ui_url: str = "http://ui", **changes: object) -> Recipients:
    """Return recipients of monthly reports, without any digests."""
    return Recipients(
        routes(Settings()).model_copy(update={"digests": {}, **changes}), channels, "slack_default", ui_url
    )


def announced(
    pipeline: Pipeline, folder: Path, later: timedelta = timedelta(), recipients: Recipients | None = None
) -> list[tuple[str, str]]:
    """Return subject and text of the messages queued now."""
    with pipeline.session() as session:
        mailing.compose(session, recipients or readers(), folder, datetime.now(UTC) + later)
        return session.records.execute(
            "with taken as (update ops.outbox set sent_at = created where sent_at is null returning content_id)"
            " select subject, text from taken join ops.message_content using (content_id) order by subject"
        ).fetchall()


def subjects(messages: list[tuple[str, str]]) -> list[str]:
    return [subject.removeprefix("[AdventureWorks] ") for subject, _ in messages]


def name_of(key: str) -> str:
    return language("en").month(first_day(key))


def filed(folder: Path, key: str) -> bytes:
    return (folder / "monthly" / key / delivery.file_name(key, "en", "workbook")).read_bytes()


def cancel(pipeline: Pipeline, key: str, status: int = 6) -> None:
    pipeline.change(
        """update "Sales"."SalesOrderHeader" set "Status" = %s where to_char("OrderDate", 'YYYY-MM') = %s""",
        (status, key),
    )
    pipeline.ingest()
    pipeline.analyse("daily_sales_etl")


def rename_products(pipeline: Pipeline, *names: str) -> None:
    for number, name in enumerate(names):
        pipeline.change(
            'update "Production"."Product" set "Name" = %s where "ProductID" ='
            ' (select "ProductID" from "Sales"."SalesOrderDetail" group by 1 order by count(*) desc, 1'
            " offset %s limit 1)",
            (name, number),
        )
    pipeline.ingest()
    pipeline.settle(*REPORTING)


def sell_more(pipeline: Pipeline, key: str) -> Decimal:
    """Increase the quantity of one order line of a month by one; return the additional revenue."""
    [(order, line, price)] = pipeline.at_source(
        'select d."SalesOrderID", d."SalesOrderDetailID", d."UnitPrice" from "Sales"."SalesOrderDetail" as d'
        ' join "Sales"."SalesOrderHeader" as h using ("SalesOrderID")'
        """ where to_char(h."OrderDate", 'YYYY-MM') = %s and d."UnitPriceDiscount" = 0 order by 2 limit 1""",
        (key,),
    )
    pipeline.change(
        'update "Sales"."SalesOrderDetail" set "OrderQty" = "OrderQty" + 1, "LineTotal" = "LineTotal" + "UnitPrice"'
        ' where "SalesOrderDetailID" = %s',
        (line,),
    )
    pipeline.change(
        'update "Sales"."SalesOrderHeader" set "SubTotal" = "SubTotal" + %s, "TotalDue" = "TotalDue" + %s'
        ' where "SalesOrderID" = %s',
        (price, price, order),
    )
    pipeline.ingest()
    return Decimal(price)


@pytest.fixture
def without_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """PDF files have no pages, because rendering them takes most of the time."""
    render_file = delivery.render_file

    def render_workbook(found: months.Month, code: str, kind: delivery.Kind) -> bytes:
        return render_file(found, code, kind) if kind == "workbook" else b"%PDF-"

    monkeypatch.setattr(delivery, "render_file", render_workbook)


def test_workbook_matches_the_warehouse_to_the_cent(pipeline: Pipeline) -> None:
    key = last_whole(pipeline)
    content = delivery.render_file(figures(pipeline, key), "en", "workbook")
    book, shown = load_workbook(BytesIO(content)), load_workbook(BytesIO(content), data_only=True)
    first = f"{key}-01"
    [(revenue, profit, control)] = pipeline.published(
        'select sum(revenue), sum(profit), (select sum("SubTotal") from raw."Sales_SalesOrderHeader"'
        " where date_trunc('month', \"OrderDate\") = %s) from marts.monthly_profit where month = %s",
        (first, first),
    )
    assert abs(revenue - control) <= Decimal("0.01")
    detail = list(shown["Detail"].iter_rows(min_row=2, values_only=True))
    *rows, total = [row for row in detail if row[0]]
    published = pipeline.published(
        'select "ProductNumber", revenue, profit, fallback_cost_revenue from marts.monthly_profit'
        ' join raw."Production_Product" on "ProductID" = product_id where month = %s',
        (first,),
    )
    read = [(row[3], *(round(Decimal(str(row[place])), 6) for place in (4, 7, 9))) for row in rows]
    assert sorted(read) == sorted((product, *(round(x, 6) for x in figures_)) for product, *figures_ in published)
    for sheet, place in (("Channels", 1), ("Regions", 2), ("Categories", 1), ("Products", 3), ("Detail", 4)):
        lines = [row for row in shown[sheet].iter_rows(min_row=2, values_only=True) if row[0]]
        stop = next(number for number, row in enumerate(lines) if row[0] == "Total")
        column = get_column_letter(place + 1)
        assert book[sheet].cell(stop + 2, place + 1).value == f"=SUM({column}2:{column}{stop + 1})"
        assert book[sheet].print_title_rows == "$1:$1"
        assert (book[sheet].page_setup.fitToWidth or 1, book[sheet].page_setup.fitToHeight) == (1, 0)
        assert sum(Decimal(str(row[place])) for row in lines[:stop]) == pytest.approx(revenue, abs=Decimal("0.01"))
        assert Decimal(str(lines[stop][place])) == pytest.approx(revenue, abs=Decimal("0.001"))
        assert book[sheet].freeze_panes
        assert book[sheet].tables
    assert Decimal(str(total[7])) == pytest.approx(profit, abs=Decimal("0.001"))
    sources = dict(book["Sources"].iter_rows(min_row=2, max_col=2, values_only=True))
    assert sources["fact_sales"] == 1
    assert {"Sales_SalesOrderHeader", "Production_ProductCategory"} <= set(sources)


def test_names_never_become_formulas_or_markup(pipeline: Pipeline) -> None:
    hostile = ("=1+1", "@SUM(A1)", "#strong[x] $ \\ <b>&amp;", '=HYPERLINK("http://example.org")')
    rename_products(pipeline, *hostile)
    found = figures(pipeline, next(key for key, _ in pipeline.published(MONTHS)[::-1] if sold(pipeline, key, hostile)))
    book = load_workbook(BytesIO(delivery.render_file(found, "fr", "workbook")))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    formulas = [str(cell.value) for cell in cells if cell.data_type == "f"]
    total = re.compile(r'=SUM\([A-Z]+\d+(:[A-Z]+\d+)?\)|=IF\([A-Z]+\d+=0,"",[A-Z]+\d+/[A-Z]+\d+\)')
    assert [formula for formula in formulas if not total.fullmatch(formula)] == []
    assert {cell.value for cell in cells} & set(hostile)
    assert all(cell.hyperlink is None for cell in cells)
    text = "".join(
        page.extract_text() for page in PdfReader(BytesIO(delivery.render_file(found, "fr", "document"))).pages
    )
    names = {line.name for line in found.sold} & set(hostile)
    assert names
    assert all(name.replace(" ", "") in text.replace(" ", "").replace("\n", "") for name in names)


def sold(pipeline: Pipeline, key: str, names: tuple[str, ...]) -> bool:
    return any(line.name in names and line.now.revenue for line in figures(pipeline, key).products)


@pytest.mark.parametrize("code", ["en", "fr"])
def test_pdf_shows_the_same_figures_is_tagged_and_declares_its_language(pipeline: Pipeline, code: str) -> None:
    found = figures(pipeline, last_whole(pipeline))
    speech = language(code)
    reader = PdfReader(BytesIO(delivery.render_file(found, code, "document")))
    text = " ".join("".join(page.extract_text() for page in reader.pages).split())
    plain = text.replace("\u202f", " ").replace("\xa0", " ")
    for figure in (found.total.now.revenue, found.total.now.profit, *(line.now.revenue for line in found.regions)):
        assert " ".join(speech.money(figure).split()) in " ".join(plain.split())
    root = reader.trailer["/Root"]
    assert root["/Lang"] == code  # type: ignore[index]
    assert root["/MarkInfo"]["/Marked"]  # type: ignore[index]
    assert reader.metadata is not None
    assert speech.month(found.month) in str(reader.metadata.title)
    assert len(reader.pages) > 1


def test_same_figures_produce_the_same_bytes_in_any_process(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    settings = pipeline.settings.model_copy(update={"home": tmp_path})
    delivery.deliver(settings, tmp_path / "one", key, RUN)
    code = (
        "import sys; from pathlib import Path; from pydantic import SecretStr;"
        " from adventureworks.settings import Settings; from adventureworks.reports import month, delivery;"
        " from adventureworks.warehouse import open_warehouse;"
        " session = open_warehouse(Settings(warehouse_url=SecretStr(sys.argv[1]))).connect();"
        " m = month.figures(session.__enter__(), sys.argv[2]);"
        " [Path(sys.argv[3], k).write_bytes(delivery.render_file(m, 'fr', k)) for k in delivery.KINDS]"
    )
    subprocess.run([sys.executable, "-c", code, pipeline.url, key, str(tmp_path)], check=True, timeout=120)
    for kind in delivery.KINDS:
        filed = tmp_path / "one" / "monthly" / key / delivery.file_name(key, "fr", kind)
        assert filed.read_bytes() == (tmp_path / kind).read_bytes()


def test_month_that_does_not_match_its_orders_is_not_delivered(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.monthly_profit set revenue = revenue + 1 where ctid ="
            " (select min(ctid) from marts.monthly_profit where month = %s)",
            (f"{key}-01",),
        )
    with pytest.raises(PlatformError, match=f"totals_agree: the revenue of {key} .* adventureworks status"):
        delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert list(tmp_path.iterdir()) == []
    assert pipeline.published("select count(*) from ops.report_file") == [(0,)]


def test_only_changed_months_are_delivered_again_with_their_changes(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    other = pipeline.published(MONTHS)[2][0]
    for each in (key, other):
        assert delivery.deliver(pipeline.settings, tmp_path, each, RUN).status == "new"
    assert len(announced(pipeline, tmp_path)) == 1
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(before) == 8
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "unchanged"

    added = sell_more(pipeline, key)
    pipeline.settle(*REPORTING)
    assert key in delivery.stale_months(pipeline.settings)
    assert other not in delivery.stale_months(pipeline.settings)
    done = delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert (done.status, done.revision) == ("restated", 2)
    moved = {change.part: change.after - change.before for change in done.changes if change.measure == "revenue"}
    assert moved == {"total": added, "region": added, "category": added}
    assert key not in delivery.stale_months(pipeline.settings)
    changed = {path for path in before if path.read_bytes() != before[path]}
    assert {path.parent.name for path in changed} == {key}
    assert len(changed) == 4
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


def test_a_month_whose_profit_bridge_changed_is_delivered_again(pipeline: Pipeline, tmp_path: Path) -> None:
    [(key,)] = pipeline.published(
        "select to_char(max(month), 'YYYY-MM') from marts.profit_bridge where profit_year_before is not null"
    )
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert key not in delivery.stale_months(pipeline.settings)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.profit_bridge set volume_effect = volume_effect + 1, mix_effect = mix_effect - 1"
            " where month = %s",
            (f"{key}-01",),
        )
    assert key in delivery.stale_months(pipeline.settings)
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert key not in delivery.stale_months(pipeline.settings)
    bridge = load_workbook(BytesIO(filed(tmp_path, key)), data_only=True)["Bridge"]
    shown = [row[3] for row in bridge.iter_rows(min_row=2, values_only=True) if isinstance(row[3], (int, float))]
    [(volume,)] = pipeline.published(
        "select sum(volume_effect) from marts.profit_bridge where month = %s", (f"{key}-01",)
    )
    assert shown[-1] == pytest.approx(float(volume))


@pytest.mark.usefixtures("without_documents")
@pytest.mark.parametrize(
    "change",
    [
        """update marts.fact_sales set channel = case channel when 'online' then 'reseller' else 'online' end
        where sales_order_id = (select max(sales_order_id) from marts.fact_sales
            where order_date < %(first)s and order_date >= cast(%(first)s as date) - interval '1 month')""",
        """update raw."Production_Product" set "ProductNumber" = 'new' where "ProductID" = (
            select min(product_id) from marts.monthly_profit where month = %(first)s)""",
    ],
    ids=["channel in the month before", "product number"],
)
def test_a_month_is_delivered_again_when_a_channel_or_a_name_changed(
    pipeline: Pipeline, tmp_path: Path, change: str
) -> None:
    key = last_whole(pipeline)
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert key not in delivery.stale_months(pipeline.settings)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(change, {"first": f"{key}-01"})
    assert key in delivery.stale_months(pipeline.settings)
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).revision == 2
    assert key not in delivery.stale_months(pipeline.settings)


def test_a_month_is_delivered_again_when_it_is_over(pipeline: Pipeline, tmp_path: Path) -> None:
    key = pipeline.published(MONTHS)[-1][0]
    assert not figures(pipeline, key).is_over
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert key not in delivery.stale_months(pipeline.settings)
    with psycopg.connect(pipeline.url) as connection:
        connection.execute("update ops.publication set as_of = as_of + 31 where asset = 'monthly_profit'")
    assert key in delivery.stale_months(pipeline.settings)
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).revision == 2
    assert key not in delivery.stale_months(pipeline.settings)
    total = figures(pipeline, key).total
    assert total.before is not None
    summary = load_workbook(BytesIO(filed(tmp_path, key)))["Summary"]
    assert any(str(row[0]).startswith("The margin") for row in summary.iter_rows(values_only=True))


def test_missing_file_is_created_again(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    done = delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    lost = tmp_path / done.files[0].path
    content = lost.read_bytes()
    lost.unlink()
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "unchanged"
    assert lost.read_bytes() == content


@pytest.mark.usefixtures("without_documents")
def test_completed_month_is_announced_once_and_again_when_restated(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    older = pipeline.published(MONTHS)[3][0]
    partial = next(month for month, is_partial in pipeline.published(MONTHS)[::-1] if is_partial)
    for each in (older, key, partial):
        delivery.deliver(pipeline.settings, tmp_path, each, RUN)
    name = language("en").month(first_day(key))
    assert subjects(announced(pipeline, tmp_path)) == [f"Report for {name}"], (
        "earlier and partial months are not announced"
    )
    assert announced(pipeline, tmp_path) == []
    with psycopg.connect(pipeline.url) as connection:
        names = connection.execute("select name, media_type from ops.attachment order by name").fetchall()
    assert [row[0] for row in names] == [f"AdventureWorks-{key}-en.pdf", f"AdventureWorks-{key}-en.xlsx"]

    sell_more(pipeline, key)
    pipeline.settle(*REPORTING)
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert announced(pipeline, tmp_path) == [], "other months may follow"
    assert subjects(announced(pipeline, tmp_path, SETTLED)) == [f"{name} was restated"]
    assert announced(pipeline, tmp_path, SETTLED) == []


@pytest.mark.usefixtures("without_documents")
def test_months_compared_with_a_changed_one_are_filed_again_and_mentioned_in_one_line(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    settings = pipeline.settings.model_copy(update={"report_languages": ("en",)})
    keys = [key for key, _ in pipeline.published(MONTHS)]
    newest = last_whole(pipeline)
    changed = keys[keys.index(newest) - 12]
    for key in keys:
        delivery.deliver(settings, tmp_path, key, RUN)
    announced(pipeline, tmp_path)
    before = {key: filed(tmp_path, key) for key in keys}
    sell_more(pipeline, changed)
    window = keys[keys.index(changed) : keys.index(newest) + 1]
    pipeline.settle(*REPORTING)
    assert delivery.stale_months(settings) == tuple(window), "a report a year later still compares with it"
    done = list(delivery.deliver_all(settings, tmp_path, window, RUN))
    assert {one.month: one.status for one in done} == {
        key: "restated" if key == changed else "refreshed" for key in window
    }
    assert delivery.stale_months(settings) == ()
    for key in window:
        assert filed(tmp_path, key) == delivery.render_file(figures(pipeline, key), "en", "workbook"), key
    assert {one.status for one in delivery.deliver_all(settings, tmp_path, keys, RUN)} == {"unchanged"}
    assert {key for key in keys if filed(tmp_path, key) != before[key]} == set(window)

    [(subject, text)] = announced(pipeline, tmp_path, SETTLED)
    assert subject.endswith(f"{name_of(changed)} was restated")
    assert f"12 months from {name_of(window[1])} to {name_of(newest)}" in text
    assert announced(pipeline, tmp_path, SETTLED) == []


@pytest.mark.usefixtures("without_documents")
def test_changes_are_relative_to_the_announced_figures(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    sell_more(pipeline, key)
    pipeline.settle(*REPORTING)
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "new", "the first one was not announced"
    assert subjects(announced(pipeline, tmp_path)) == [f"Report for {name_of(key)}"]
    known = figures(pipeline, key).total.now.revenue
    for _ in range(2):
        added = sell_more(pipeline, key)
        pipeline.settle(*REPORTING)
        assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "restated"
    [(_, text)] = announced(pipeline, tmp_path, SETTLED)
    english = language("en")
    assert f"{english.money(known, 2)} → {english.money(figures(pipeline, key).total.now.revenue, 2)}" in text
    assert english.money(known + added, 2) not in text, "the revision in between was not announced"


@pytest.mark.usefixtures("without_documents")
def test_report_without_a_control_total_is_created_again(pipeline: Pipeline, tmp_path: Path) -> None:
    keys = [key for key, _ in pipeline.published(MONTHS)]
    key = last_whole(pipeline)
    sell_more(pipeline, keys[3])
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    before = filed(tmp_path, key)
    pipeline.settle(*REPORTING)
    assert key in delivery.stale_months(pipeline.settings), "although none of its figures changes"
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "unchanged"
    assert filed(tmp_path, key) == delivery.render_file(figures(pipeline, key), "en", "workbook") != before
    assert key not in delivery.stale_months(pipeline.settings)


@pytest.mark.usefixtures("without_documents")
def test_month_without_orders_is_withdrawn_and_can_return(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    [revenue] = [figures(pipeline, key).total.now.revenue]
    done = delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    announced(pipeline, tmp_path)
    cancel(pipeline, key)
    pipeline.settle(*REPORTING)
    assert key in delivery.stale_months(pipeline.settings)
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "withdrawn"
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "unchanged"
    assert not any((tmp_path / file.path).exists() for file in done.files)
    assert pipeline.published("select count(*) from ops.report_file where month = %s", (key,)) == [(0,)]
    assert key not in delivery.stale_months(pipeline.settings)
    [(subject, text)] = announced(pipeline, tmp_path, SETTLED)
    assert subject.endswith(f"The report for {name_of(key)} was withdrawn")
    assert f"{language('en').money(revenue, 2)} → $0.00" in text

    cancel(pipeline, key, status=5)
    pipeline.settle(*REPORTING)
    assert key in delivery.stale_months(pipeline.settings)
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "new"
    assert subjects(announced(pipeline, tmp_path)) == [f"Report for {name_of(key)}"]


def test_business_date_within_the_month_also_limits_its_control_total(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    pipeline.settings = pipeline.settings.model_copy(update={"as_of": first_day(key).replace(day=15)})
    pipeline.settle(*REPORTING)
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).is_partial
    found = figures(pipeline, key)
    assert found.control_total is not None
    assert abs(found.control_total - found.total.now.revenue) <= months.TOLERANCE


@pytest.mark.usefixtures("without_documents")
def test_failing_month_does_not_stop_the_others(pipeline: Pipeline, tmp_path: Path) -> None:
    first, bad, other, last = [key for key, _ in pipeline.published(MONTHS)][4:8]
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.monthly_profit set revenue = revenue + 1 where ctid in"
            " (select min(ctid) from marts.monthly_profit where month in (%s, %s) group by month)",
            (f"{bad}-01", f"{other}-01"),
        )
    keys, rule = (first, bad, other, last), "task_deliver:"

    def deliver_keys() -> list[str]:
        return [one.month for one in delivery.deliver_all(pipeline.settings, tmp_path, keys, RUN)]

    for _ in range(2):
        with pytest.raises(PlatformError, match=f"reports for 2 months were not.*{bad}: Rule.*{other}: Rule.*status"):
            deliver_keys()
    assert {file.month for file in filed_files(pipeline)} == {first, last}
    assert opened(pipeline) == [(rule + bad, "open", 2), (rule + other, "open", 2)], "one incident per month"
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.monthly_profit set revenue = revenue - 1 where month = %s and ctid ="
            " (select max(ctid) from marts.monthly_profit where month = %s)",
            (f"{bad}-01", f"{bad}-01"),
        )
    delivery.deliver(pipeline.settings, tmp_path, bad, RUN)
    assert opened(pipeline) == [(rule + bad, "resolved", 2), (rule + other, "open", 2)]


def opened(pipeline: Pipeline) -> list[tuple[str, str, int]]:
    return pipeline.published(
        "select rule, status, seen_count::int from ops.incident where asset = 'financial_reporting' order by rule"
    )


def filed_files(pipeline: Pipeline) -> list[delivery.File]:
    with psycopg.connect(pipeline.url) as connection:
        return list(delivery.files(connection))


def test_file_that_cannot_be_created_does_not_stop_others_and_is_retried(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = last_whole(pipeline)
    render_file = delivery.render_file

    class PanicException(BaseException):
        """The class that Rust extensions raise."""

    def broken(found: months.Month, code: str, kind: delivery.Kind) -> bytes:
        if (code, kind) == ("fr", "document"):
            raise PanicException("no glyph")
        if (code, kind) == ("en", "workbook"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return render_file(found, code, kind)

    monkeypatch.setattr(delivery, "render_file", broken)
    with pytest.raises(delivery.NotDelivered, match=r"xlsx \(en\), pdf \(fr\): No space left on device.*airflow dags"):
        list(delivery.deliver_all(pipeline.settings, tmp_path, [key], RUN))
    assert {(file.language, file.kind) for file in filed_files(pipeline)} == {("en", "document"), ("fr", "workbook")}
    [(_, text)] = announced(pipeline, tmp_path)
    assert "could not be created yet" in text
    assert key in delivery.stale_months(pipeline.settings, tmp_path)
    assert opened(pipeline) == [(f"task_deliver:{key}", "open", 1)]
    monkeypatch.undo()
    [done] = delivery.deliver_all(pipeline.settings, tmp_path, [key], RUN)
    assert (done.status, len(done.files)) == ("unchanged", 4)
    assert key not in delivery.stale_months(pipeline.settings, tmp_path)
    assert opened(pipeline) == [(f"task_deliver:{key}", "resolved", 1)]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.usefixtures("without_documents")
def test_month_is_announced_once_a_channel_is_configured(pipeline: Pipeline, tmp_path: Path) -> None:
    delivery.deliver(pipeline.settings, tmp_path, last_whole(pipeline), RUN)
    assert announced(pipeline, tmp_path, recipients=readers(("slack",))) == []
    assert announced(pipeline, tmp_path, recipients=readers(("slack",))) == []
    assert len(announced(pipeline, tmp_path, recipients=readers(("email", "slack")))) == 1
    sell_more(pipeline, last_whole(pipeline))
    pipeline.settle(*REPORTING)
    delivery.deliver(pipeline.settings, tmp_path, last_whole(pipeline), RUN)
    assert announced(pipeline, tmp_path, SETTLED, readers(monthly_report=())) == []
    assert announced(pipeline, tmp_path, SETTLED) == [], "there were no recipients"


def test_recipients_without_reports_in_their_language_get_another_language(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings.model_copy(update={"report_languages": ("en",)})
    key = last_whole(pipeline)
    delivery.deliver(settings, tmp_path, key, RUN)
    groups = routes(Settings()).groups
    french = {**groups, "finance": groups["finance"].model_copy(update={"language": "fr"})}
    [(_, text)] = announced(pipeline, tmp_path, recipients=readers(groups=french))
    assert "joints en anglais" in text
    names = pipeline.published("select name from ops.attachment where not is_image order by name")
    assert names == [(f"AdventureWorks-{key}-en.pdf",), (f"AdventureWorks-{key}-en.xlsx",)]


def test_reports_can_be_stored_in_an_object_store(pipeline: Pipeline) -> None:
    folder = report_folder(pipeline.settings.model_copy(update={"reports_url": "memory://bucket/reports"}))
    key = last_whole(pipeline)
    done = delivery.deliver(pipeline.settings, folder, key, RUN)
    found = figures(pipeline, key)
    for file in done.files:
        assert (folder / file.path).read_bytes() == delivery.render_file(found, file.language, file.kind)
    (folder / done.files[0].path).unlink()
    assert delivery.stale_months(pipeline.settings, folder) != delivery.stale_months(pipeline.settings)
    delivery.deliver(pipeline.settings, folder, key, RUN)
    assert (folder / done.files[0].path).exists()
    cancel(pipeline, key)
    pipeline.settle(*REPORTING)
    delivery.deliver(pipeline.settings, folder, key, RUN)
    assert not any((folder / file.path).exists() for file in done.files)


def test_pdf_has_a_similar_layout_in_every_language(pipeline: Pipeline, tmp_path: Path) -> None:
    found = figures(pipeline, last_whole(pipeline))
    pages = {}
    for code in LANGUAGES:
        content = delivery.render_file(found, code, "document")
        reader = PdfReader(BytesIO(content))
        pages[code] = len(reader.pages)
        rows = [
            " ".join(line.split())
            for page in reader.pages
            for line in page.extract_text(extraction_mode="layout").splitlines()
        ]
        for line in (*found.sold, *found.regions):
            shown = f"{line.name} {' '.join(language(code).money(line.now.revenue).split())}"
            assert any(row.startswith(shown) for row in rows), f"{shown} is not in one row"
    assert max(pages.values()) - min(pages.values()) <= 1, pages


@pytest.mark.parametrize("code", LANGUAGES)
def test_pdf_pages_respect_their_margins_and_are_not_nearly_empty(
    pipeline: Pipeline, tmp_path: Path, code: str
) -> None:
    program = shutil.which("pdftoppm")
    if program is None:
        pytest.skip("no pdftoppm on this machine (make programs installs it)")
    file = tmp_path / "report.pdf"
    file.write_bytes(delivery.render_file(figures(pipeline, last_whole(pipeline)), code, "document"))
    subprocess.run([program, "-gray", "-r", "50", str(file), str(tmp_path / "page")], check=True, capture_output=True)
    pictures = sorted(tmp_path.glob("page*.pgm"))
    assert len(pictures) > 4
    for number, picture in enumerate(pictures, start=1):
        rows = pixels(picture)
        margin = round(14 / 25.4 * 50)
        assert all(min(row[:margin]) > 250 and min(row[-margin:]) > 250 for row in rows), f"page {number}"
        written = sum(min(row) < 200 for row in rows) / len(rows)
        assert written > (0.3 if number < len(pictures) else 0.1), f"page {number} is nearly empty"


def pixels(picture: Path) -> list[bytes]:
    """Return the pixel rows of a greyscale image (PGM); 0 is black."""
    kind, width, height, _, content = picture.read_bytes().split(maxsplit=4)
    assert kind == b"P5"
    wide, high = int(width), int(height)
    content = content[-wide * high :]
    return [content[row * wide : (row + 1) * wide] for row in range(high)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2014-5"], "2014-5 is not a month. Write it as 2014-05."),
        (["1999-01"], "There are no sales in 1999-01. There are sales from"),
        (["2014-05", "--lang", "de"], "The language de is not supported. Choose: --lang en or --lang fr"),
    ],
)
def test_command_reports_invalid_arguments(
    pipeline: Pipeline,
    adventureworks: Callable[..., subprocess.CompletedProcess[str]],
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", pipeline.url)
    done = adventureworks("report", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_command_creates_both_files(
    pipeline: Pipeline,
    adventureworks: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", pipeline.url)
    key = last_whole(pipeline)
    done = adventureworks("report", key, "--lang", "fr", "--to", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == [f"AdventureWorks-{key}-fr.pdf", f"AdventureWorks-{key}-fr.xlsx"]
    assert all(str(path) in done.stdout for path in made)
