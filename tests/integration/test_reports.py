"""The reports of a month: their figures are the warehouse's, their files are the same for the same figures."""

from __future__ import annotations

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
from pypdf import PdfReader

from adventureworks.errors import PlatformError
from adventureworks.outbox.desk import Desk
from adventureworks.outbox.routes import routes
from adventureworks.reports import delivery, mailing
from adventureworks.reports import month as months
from adventureworks.reports.due import months_due
from adventureworks.settings import Settings
from adventureworks.texts import language
from tests.integration.pipeline import Pipeline

RUN = "financial_reporting/test"
MONTHS = "select to_char(month, 'YYYY-MM'), is_partial from staging.sales_month order by month"


def figures(pipeline: Pipeline, key: str) -> months.Month:
    with psycopg.connect(pipeline.url) as connection:
        return months.figures(connection, key)


def last_whole(pipeline: Pipeline) -> str:
    return [key for key, partial in pipeline.published(MONTHS) if not partial][-1]


def rename_products(pipeline: Pipeline, *names: str) -> None:
    for number, name in enumerate(names):
        pipeline.change(
            'update "Production"."Product" set "Name" = %s where "ProductID" ='
            ' (select "ProductID" from "Sales"."SalesOrderDetail" group by 1 order by count(*) desc, 1'
            " offset %s limit 1)",
            (name, number),
        )
    pipeline.ingest()
    pipeline.settle()


def sell_more(pipeline: Pipeline, key: str) -> Decimal:
    """One more piece of one line of a month; returns what it adds to the revenue."""
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


def test_the_workbook_holds_the_warehouses_figures_to_the_cent(pipeline: Pipeline) -> None:
    key = last_whole(pipeline)
    book = load_workbook(BytesIO(delivery.made(figures(pipeline, key), "en", "workbook")))
    first = f"{key}-01"
    [(revenue, profit, control)] = pipeline.published(
        'select sum(revenue), sum(profit), (select sum("SubTotal") from raw."Sales_SalesOrderHeader"'
        " where date_trunc('month', \"OrderDate\") = %s) from marts.monthly_profit where month = %s",
        (first, first),
    )
    assert abs(revenue - control) <= Decimal("0.01")
    detail = list(book["Detail"].iter_rows(min_row=2, values_only=True))
    *rows, total = [row for row in detail if row[0]]
    published = pipeline.published(
        "select product_id, revenue, profit, fallback_cost_revenue from marts.monthly_profit where month = %s", (first,)
    )
    read = [(row[2], *(round(Decimal(str(row[place])), 6) for place in (4, 7, 9))) for row in rows]
    assert sorted(read) == sorted((product, *(round(x, 6) for x in figures_)) for product, *figures_ in published)
    for sheet, place in (("Regions", 2), ("Categories", 1), ("Products", 2), ("Detail", 4)):
        lines = [row for row in book[sheet].iter_rows(min_row=2, values_only=True) if row[0]]
        stop = next(number for number, row in enumerate(lines) if row[0] == "Total")
        assert sum(Decimal(str(row[place])) for row in lines[:stop]) == pytest.approx(revenue, abs=Decimal("0.01"))
        assert Decimal(str(lines[stop][place])) == pytest.approx(revenue, abs=Decimal("0.001"))
        assert book[sheet].freeze_panes
        assert book[sheet].tables
    assert Decimal(str(total[7])) == pytest.approx(profit, abs=Decimal("0.001"))
    sources = dict(book["Sources"].iter_rows(min_row=2, max_col=2, values_only=True))
    assert sources["fact_sales"] == 1
    assert {"Sales_SalesOrderHeader", "Production_ProductCategory"} <= set(sources)


def test_no_name_becomes_a_formula_or_markup(pipeline: Pipeline) -> None:
    hostile = ("=1+1", "@SUM(A1)", "#strong[x] $ \\ <b>&amp;", '=HYPERLINK("http://example.org")')
    rename_products(pipeline, *hostile)
    found = figures(pipeline, next(key for key, _ in pipeline.published(MONTHS)[::-1] if sold(pipeline, key, hostile)))
    book = load_workbook(BytesIO(delivery.made(found, "fr", "workbook")))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert [cell for cell in cells if cell.data_type == "f"] == []
    assert {cell.value for cell in cells} & set(hostile)
    assert all(cell.hyperlink is None for cell in cells)
    text = "".join(page.extract_text() for page in PdfReader(BytesIO(delivery.made(found, "fr", "document"))).pages)
    names = {line.name for line in found.products} & set(hostile)
    assert names
    assert all(name.replace(" ", "") in text.replace(" ", "").replace("\n", "") for name in names)


def sold(pipeline: Pipeline, key: str, names: tuple[str, ...]) -> bool:
    return any(line.name in names and line.now.revenue for line in figures(pipeline, key).products)


@pytest.mark.parametrize("code", ["en", "fr"])
def test_the_pdf_says_the_same_is_tagged_and_names_its_language(pipeline: Pipeline, code: str) -> None:
    found = figures(pipeline, last_whole(pipeline))
    speech = language(code)
    reader = PdfReader(BytesIO(delivery.made(found, code, "document")))
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


def test_the_same_figures_give_the_same_bytes_in_any_process(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    settings = pipeline.settings.model_copy(update={"home": tmp_path})
    delivery.deliver(settings, tmp_path / "one", key, RUN)
    code = (
        "import sys; from pathlib import Path; from pydantic import SecretStr;"
        " from adventureworks.settings import Settings; from adventureworks.reports import month, delivery;"
        " import psycopg; c = psycopg.connect(sys.argv[1]); m = month.figures(c, sys.argv[2]);"
        " [Path(sys.argv[3], k).write_bytes(delivery.made(m, 'fr', k)) for k in delivery.KINDS]"
    )
    subprocess.run([sys.executable, "-c", code, pipeline.url, key, str(tmp_path)], check=True, timeout=120)
    for kind in delivery.KINDS:
        filed = tmp_path / "one" / "monthly" / key / delivery.file_name(key, "fr", kind)
        assert filed.read_bytes() == (tmp_path / kind).read_bytes()


def test_a_month_that_does_not_agree_with_its_orders_is_not_delivered(pipeline: Pipeline, tmp_path: Path) -> None:
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


def test_only_what_changed_is_delivered_anew_and_it_says_what(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    other = pipeline.published(MONTHS)[2][0]
    for each in (key, other):
        assert delivery.deliver(pipeline.settings, tmp_path, each, RUN).status == "new"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(before) == 8
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "unchanged"

    added = sell_more(pipeline, key)
    assert months_due(pipeline.settings) == (), "not before the sales are computed"
    pipeline.analyse("daily_sales_etl")
    assert months_due(pipeline.settings) == (key,)
    pipeline.settle()
    assert key in delivery.months_stale(pipeline.settings)
    assert other not in delivery.months_stale(pipeline.settings)
    done = delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert (done.status, done.revision) == ("restated", 2)
    moved = {change.part: change.after - change.before for change in done.changes if change.measure == "revenue"}
    assert moved == {"total": added, "region": added, "category": added}
    assert key not in delivery.months_stale(pipeline.settings)
    changed = {path for path in before if path.read_bytes() != before[path]}
    assert {path.parent.name for path in changed} == {key}
    assert len(changed) == 4
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


def test_a_file_that_was_lost_is_made_again(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    done = delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    lost = tmp_path / done.files[0].path
    content = lost.read_bytes()
    lost.unlink()
    assert delivery.deliver(pipeline.settings, tmp_path, key, RUN).status == "unchanged"
    assert lost.read_bytes() == content


def test_a_month_that_is_over_is_announced_once_and_a_restated_one_says_so(pipeline: Pipeline, tmp_path: Path) -> None:
    key = last_whole(pipeline)
    older = pipeline.published(MONTHS)[3][0]
    partial = next(month for month, is_partial in pipeline.published(MONTHS)[::-1] if is_partial)
    desk = Desk(routes(Settings()).model_copy(update={"digests": {}}), ("email",), "slack_default", "http://ui")

    def told(later: timedelta = timedelta()) -> list[str]:
        with psycopg.connect(pipeline.url) as connection:
            mailing.compose(connection, desk, tmp_path, datetime.now(UTC) + later)
            rows = connection.execute(
                "update ops.outbox set sent_at = created where sent_at is null returning letter_id"
            ).fetchall()
            return [
                str(connection.execute("select subject from ops.letter where letter_id = %s", row).fetchone()[0])  # type: ignore[index]
                for row in rows
            ]

    for each in (older, key, partial):
        delivery.deliver(pipeline.settings, tmp_path, each, RUN)
    name = language("en").month(months.first_day(key))
    assert told() == [f"[AdventureWorks] Report of {name}"], "what was over before, or is not over, is no news"
    assert told() == []
    with psycopg.connect(pipeline.url) as connection:
        names = connection.execute("select name, media_type from ops.enclosure order by name").fetchall()
    assert [row[0] for row in names] == [f"AdventureWorks-{key}-en.pdf", f"AdventureWorks-{key}-en.xlsx"]

    sell_more(pipeline, key)
    pipeline.settle()
    delivery.deliver(pipeline.settings, tmp_path, key, RUN)
    assert told() == [], "others may follow"
    assert told(timedelta(minutes=3)) == [f"[AdventureWorks] {name} was restated"]
    assert told(timedelta(minutes=6)) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2014-5"], "2014-5 is no month. Write it as 2014-05."),
        (["1999-01"], "Nothing was sold in 1999-01. There are months from"),
        (["2014-05", "--lang", "de"], "There is no language de. Choose: --lang en or --lang fr"),
    ],
)
def test_the_command_says_what_is_wrong(
    pipeline: Pipeline,
    adventureworks: Callable[..., subprocess.CompletedProcess[str]],
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", pipeline.url)
    done = adventureworks("report", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_command_makes_both_files(
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
