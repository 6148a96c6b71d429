"""Policies for the catalogue: every asset has a contract, key, checks and owner, and every file has its entry."""

import ast
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from adventureworks import catalog
from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.catalog.entries import Newest
from adventureworks.catalog.pages import NAMED, view_of, views_of
from adventureworks.catalog.readers import READERS, Reader, dependants_of
from adventureworks.catalog.summaries import Summary, summary_of
from adventureworks.columns import columns_of, key_of, version_of
from adventureworks.dictionary import grain
from adventureworks.gate.check_files import declared_checks
from adventureworks.marts import models
from adventureworks.reports.digests import DIGESTS
from adventureworks.settings import PROJECT_ROOT
from adventureworks.texts import language

ENTRIES = [*SOURCE_TABLES.values(), *MARTS.values()]
DAG_FILES = sorted((PROJECT_ROOT / "dags").rglob("*.py"))
READS_THE_CLOCK = re.compile(
    r"current_date|current_timestamp|\bnow\(|getdate|date\.today|datetime\.now|utcnow|time\.time\(", re.IGNORECASE
)
CALENDARS = {
    "*/15 * * * *": "every 15 minutes at the latest",
    "0 5 * * *": "daily at 05:00 UTC at the latest.",
    "0 6 * * 1": "weekly, on Monday at 06:00 UTC, at the latest.",
}
"""How a DAG's documentation words its calendar."""


def documentation(path: Path) -> dict[str, str]:
    """Return the sections of a DAG's documentation by heading, each as one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    _, *parts = re.split(r"^\*\*([\w ]+)\*\*:?", text, flags=re.MULTILINE)
    return {heading: " ".join(body.split()) for heading, body in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.asset)
def test_an_asset_has_an_owner_a_contract_a_key_and_checks(entry: SourceTable | Mart) -> None:
    folder = "source" if isinstance(entry, SourceTable) else "marts"
    columns = {column.name for column in columns_of(entry)}
    assert entry.owner
    assert (entry.contract.__doc__ or "").startswith("One "), "a contract says what one row is"
    assert key_of(entry)
    assert set(key_of(entry)) <= columns
    assert (PROJECT_ROOT / "checks" / folder / f"{entry.asset}.yml").is_file()


@pytest.mark.parametrize("table", SOURCE_TABLES.values(), ids=lambda table: table.asset)
def test_the_catalogue_names_only_existing_columns(table: SourceTable) -> None:
    columns = {column.name for column in columns_of(table)}
    assert {table.modified, *table.personal, *table.protected} <= columns
    if table.month and table.month.parent:
        parent = {column.name for column in columns_of(SOURCE_TABLES[table.month.parent])}
        assert {table.month.column, table.month.parent_key} <= parent
        assert table.month.parent_key in columns
    elif table.month:
        assert table.month.column in columns


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_a_mart_has_an_analysis_and_declares_its_inputs(mart: Mart) -> None:
    assert mart.dag in ANALYSES
    assert set(mart.inputs) <= SOURCE_TABLES.keys() | MARTS.keys()
    assert {*mart.by_month} <= set(mart.inputs)
    for period in mart.periods:
        types_of_input = {column.name: column.dtype for column in columns_of(SOURCE_TABLES[period.input])}
        assert all(types_of_input[name].is_temporal() for name in (period.first, period.last) if name)
        assert {period.input} <= {*mart.inputs} <= SOURCE_TABLES.keys(), "their versions are compared"
    assert not (mart.part and mart.periods), "one of them decides"
    if mart.part:
        assert mart.part.input in catalog.outside_inputs(mart.dag), "its version is recorded with the part"
    if mart.part or mart.periods:
        assert not mart.incremental, "it is computed whole or carried over"
        rules = declared_checks(PROJECT_ROOT / "checks" / "marts", mart.name)
        noticed = {*mart.inputs, *(one.name for one in catalog.marts_of(mart.dag))}
        assert frozenset().union(*(rule.tables for rule in rules)) <= noticed, "or its rules had to run more often"
    types = {column.name: column.dtype for column in columns_of(mart)}
    assert mart.dated in types
    if mart.history and isinstance(mart.history.keeps, Newest):
        assert {*mart.history.columns, mart.history.keeps.number} <= types.keys()
    elif mart.history:
        assert types[mart.history.columns[-1]] == pl.Date
    queries = models.queries_of(mart)
    assert [name for name, text in queries.items() if not text.startswith("-- Grain: ")] == []
    read = {name for text in queries.values() for name in re.findall(r"\b(?:raw|marts)\.(\w+)", text)}
    if any(re.search(r"staging\.(sales|channel)_month", text) for text in queries.values()):
        read.add("fact_sales")
    if any("staging.complete_customer_days" in text for text in queries.values()):
        read.add("customer_days")
    if any("staging.vendor_offer" in text for text in queries.values()):
        read |= {"Purchasing_ProductVendor", "Purchasing_Vendor"}
    if any("ops.check_result" in text for text in queries.values()):
        # Check results cover every table and mart.
        read |= SOURCE_TABLES.keys() | MARTS.keys()
    if mart.history:
        # A mart's own history does not count as an input.
        read.discard(mart.name)
    assert read == set(mart.inputs), "a mart's inputs are what its model reads"


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_checks_read_only_what_the_build_has_read(mart: Mart) -> None:
    text = (PROJECT_ROOT / "checks" / "marts" / f"{mart.name}.yml").read_text()
    outside = set(re.findall(r'\braw\."(\w+)"', text)) | set(re.findall(r"\bmarts\.(\w+)", text))
    # The build of a mart with a history reads the published rows, too.
    history = {mart.name} if mart.history else set()
    assert outside <= set(catalog.outside_inputs(mart.dag)) | history
    bare = set(re.findall(r"\b(?:from|join)\s+(\w+)(?![\w.(])", text))
    others = {name for name in bare & MARTS.keys() if MARTS[name].dag != mart.dag}
    assert not others, "another analysis may be staging its candidate at the same time: write marts.<name>"


def test_every_analysis_has_a_dag_file_and_every_dag_file_is_in_the_catalogue() -> None:
    expected = {f"{catalog.marts_of(dag)[0].domain}/{dag}.py" for dag in ANALYSES} | {"ingestion/ingest_source.py"}
    assert {str(path.relative_to(PROJECT_ROOT / "dags")) for path in DAG_FILES} == expected


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_documented_wiring_without_logic(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert {"Answers", "Starts", "Publishes", "If it fails"} <= documentation(path).keys()
    assert not re.search(r"\bselect\b.*\bfrom\b|import (polars|pandas|psycopg)", text, re.IGNORECASE)


@pytest.mark.parametrize("dag", ANALYSES)
def test_a_dag_documents_the_inputs_outputs_and_calendar_of_the_catalogue(dag: str) -> None:
    [path] = [path for path in DAG_FILES if path.stem == dag]
    sections = documentation(path)
    own = {mart.name for mart in catalog.marts_of(dag)}
    if catalog.is_tolerant(dag):
        assert set(catalog.outside_inputs(dag)) == (SOURCE_TABLES.keys() | MARTS.keys()) - own
        assert sections["Reads"] == "every source table and every other mart."
    else:
        assert re.findall(r"`(\w+)`", sections["Reads"]) == list(catalog.outside_inputs(dag))
    assert sections["Starts"].endswith(CALENDARS[ANALYSES[dag].calendar])
    assert set(re.findall(r"`(\w+)`", sections["Publishes"])) & MARTS.keys() == own
    assert set(re.findall(r"adventureworks status (\w+)", sections["If it fails"])) <= own


def test_the_ingestion_documents_its_tables_and_calendar() -> None:
    [path] = [path for path in DAG_FILES if path.stem == catalog.INGESTION]
    sections = documentation(path)
    assert f"the {len(SOURCE_TABLES)} source tables" in sections["Answers"]
    schedules = PROJECT_ROOT / "src" / "adventureworks" / "orchestration" / "schedules.py"
    [calendar] = re.findall(r'timedelta\(minutes=15\): "(.*?)"', schedules.read_text(encoding="utf-8"))
    assert CALENDARS[calendar] in sections["Starts"]


def test_no_dag_check_contract_or_mart_reads_the_clock() -> None:
    deciding = [
        *DAG_FILES,
        *(PROJECT_ROOT / "checks").rglob("*.yml"),
        *(PROJECT_ROOT / "contracts").rglob("*.py"),
        *(PROJECT_ROOT / "src" / "adventureworks" / "marts").rglob("*.*"),
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in deciding if path.suffix in {".py", ".yml", ".sql"}}
    assert len(texts) > 70
    assert [path.name for path, text in texts.items() if READS_THE_CLOCK.search(text)] == []


def test_a_unit_has_more_than_one_table_and_one_owner() -> None:
    units = {catalog.unit_of(asset) for asset, table in SOURCE_TABLES.items() if table.unit}
    assert len(units) == 3
    for unit in units:
        assert len(unit) > 1
        assert len({SOURCE_TABLES[asset].owner for asset in unit}) == 1


def test_only_marts_computed_from_orders_can_lack_withheld_ones() -> None:
    assert not catalog.reads_orders(MARTS["exchange_rates"])
    assert not catalog.reads_orders(MARTS["production_costs"])
    assert catalog.reads_orders(MARTS["fact_sales"])
    assert catalog.reads_orders(MARTS["forecast_accuracy"]), "through other marts"


READING = {
    "monthly_report": ("reports/bridge.py", "reports/month.py"),
    **{name: (f"reports/digests/{name}.py",) for name in DIGESTS},
    "low_stock": ("reports/digests/low_stock.py", "reports/purchase_list.py"),
    **dict.fromkeys(("overview", "forecast"), ("dashboard/figures.py", "reports/bridge.py")),
    "figure": ("dashboard/breakdown.py",),
    "quality": ("dashboard/rules.py",),
    "search": ("dashboard/search.py",),
}
"""The modules with the queries of each reader; those of the analyses' pages follow from `catalog.pages`."""
BEHIND_VIEW = {"order_date", "booking_month", "channel"}
"""The columns of `fact_sales` behind the view `staging.sales_month`."""


def strings_in(module: str) -> list[str]:
    """Return the strings of a module, without the parts that a program fills in, and its queries for names of ids."""
    source = (PROJECT_ROOT / "src" / "adventureworks" / module).read_text(encoding="utf-8")
    nodes = ast.walk(ast.parse(source))
    found = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    named = [NAMED[name] for name in found if name in NAMED] if "names_of(" in source else []
    return found + [f'select "{one.key}", "{one.name}" from raw."{one.table}"' for one in named]


@pytest.mark.parametrize("modules", sorted(set(READING.values())))
def test_readers_are_listed_with_the_columns_that_their_queries_name(modules: tuple[str, ...]) -> None:
    readers = [reader for reader in READERS if READING.get(reader.name) == modules]
    strings = [text for module in modules for text in strings_in(module)]
    queries = " ".join(
        text for text in strings if re.search(r"\b(select|from|where)\b.*\b(raw|marts)\.", text, re.DOTALL)
    )
    named = set(re.findall(r'\b(?:raw|marts)\."?(\w+)', " ".join(strings)))
    behind_view = {"fact_sales"} if "staging.sales_month" in " ".join(strings) else set()
    assert {asset for reader in readers for asset in reader.reads} == named | behind_view
    # An alias need not be a column.
    queried = set(re.findall(r"\w+", queries)) - set(re.findall(r"\bas (\w+)", queries))
    for asset in named:
        listed = {column for reader in readers for column in reader.reads.get(asset, ())}
        elsewhere = {column for other in named - {asset} for column in columns_in(other)}
        used = set(re.findall(r"\w+", " ".join(strings))) | (BEHIND_VIEW if behind_view else set())
        assert listed <= used, f"{asset} is read with other columns"
        assert (columns_in(asset) & queried) - elsewhere <= listed, f"columns of {asset} are missing"


def columns_in(asset: str) -> set[str]:
    return {column.name for column in columns_of(catalog.entry(asset))}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_readers_read_columns_that_exist(reader: Reader) -> None:
    for asset, columns in reader.reads.items():
        assert set(columns) <= columns_in(asset)


def test_every_digest_and_page_with_figures_is_listed_as_a_reader() -> None:
    assert {reader.name for reader in READERS if reader.kind == "digest"} == DIGESTS.keys()
    assert {reader.name for reader in READERS} == READING.keys() | ANALYSES.keys()


def test_every_mart_but_the_order_lines_and_their_sums_by_customer_is_on_the_page_of_its_analysis() -> None:
    assert {mart for dag in ANALYSES for mart in views_of(dag)} == MARTS.keys() - {"fact_sales", "customer_days"}


def test_a_mart_without_a_view_of_its_own_is_shown_with_all_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adventureworks.catalog.pages.VIEWS", {})
    assert views_of("currency_exchange_rates") == ("exchange_rates", "currency_sales")
    assert set(view_of("currency_sales").columns) == columns_in("currency_sales")


def test_dependants_are_everything_computed_from_a_table_and_its_readers() -> None:
    rates = dependants_of("Sales_CurrencyRate")
    assert {"exchange_rates", "currency_sales"} <= set(rates.marts)
    assert not {"fact_sales", "monthly_profit", "data_quality"} & set(rates.marts)
    assert [reader.name for reader in rates.readers] == ["currency_exchange_rates"]
    profit = dependants_of("monthly_profit")
    assert not {"monthly_profit", "fact_sales"} & set(profit.marts)
    assert [reader.name for reader in profit.readers] == ["monthly_report", "overview", "financial_reporting"]
    card = dependants_of("Sales_SalesOrderHeader")
    assert {"fact_sales", "monthly_profit", "forecast_accuracy"} <= set(card.marts)
    assert "data_quality" not in card.marts, "it reports on every table, and does not depend on one"
    assert "forecast" in {reader.name for reader in card.readers}


def test_dependants_of_a_dag_include_its_own_marts_and_those_of_the_ingestion_are_all() -> None:
    assert {"monthly_profit", "profit_bridge"} <= set(dependants_of("financial_reporting").marts)
    assert set(dependants_of(catalog.INGESTION).marts) == MARTS.keys() - {"data_quality"}
    assert dependants_of("airflow") == dependants_of("messages")
    assert dependants_of("airflow").marts == ()


def test_a_mart_follows_the_marts_that_it_reads() -> None:
    names = list(MARTS)
    for mart in MARTS.values():
        assert all(names.index(name) < names.index(mart.name) for name in mart.inputs if name in MARTS)


def test_freshness_follows_from_the_calendar_unless_an_entry_promises_something_else() -> None:
    assert catalog.fresh_within("daily_sales") == timedelta(minutes=30)
    assert catalog.fresh_within("territory_sales") == timedelta(hours=2)
    assert catalog.fresh_within("data_quality") == MARTS["data_quality"].fresh_within == timedelta(hours=2)
    assert catalog.fresh_within("Sales_Customer") == timedelta(hours=1)


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_a_mart_is_not_promised_sooner_than_the_marts_that_it_reads(mart: Mart) -> None:
    inputs = [catalog.fresh_within(name) for name in mart.inputs if name in MARTS]
    assert all(within <= catalog.fresh_within(mart.name) for within in inputs)


def test_another_promise_does_not_compute_a_mart_again() -> None:
    mart = MARTS["daily_sales"]
    assert repr(replace(mart, fresh_within=timedelta(minutes=5))) == repr(mart)


@pytest.mark.parametrize("known", [*SOURCE_TABLES.values(), *MARTS.values()], ids=lambda known: known.name)
def test_summary_without_an_import_is_that_of_the_contract(known: SourceTable | Mart) -> None:
    assert summary_of(known) == Summary(grain(known, language("en")), version_of(known))
