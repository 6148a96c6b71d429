"""First loads from partly invalid files: a missing table delays only the tables that depend on it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, marts_of
from adventureworks.cli.run import Outcome
from adventureworks.due import NothingToDo, Plan
from adventureworks.gate import approval, detect
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.wording import words
from adventureworks.reports import month
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.state import asset_states, summary_of_missing_tables
from adventureworks_sample import generate
from tests.integration.pipeline import Pipeline


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of generated tables as Parquet files."""
    folder = tmp_path_factory.mktemp("generated")
    for asset, table in generate(0.01, seed=5):
        pq.write_table(table, folder / f"{asset}.parquet")
    return folder


@pytest.fixture
def folder(generated: Path, tmp_path: Path) -> Path:
    """Return a copy of these files that a test may modify."""
    return shutil.copytree(generated, tmp_path / "files")


def test_a_damaged_parent_is_the_only_incident_and_its_dependents_follow_once_it_is_approved(
    folder: Path, warehouse_url: str
) -> None:
    pipeline = Pipeline(Settings(source=str(folder), warehouse_url=SecretStr(warehouse_url)))
    file = folder / "Person_Address.parquet"
    damaged = pl.when(pl.col("AddressID") % 20 == 0).then("BergstraÃŸe " + pl.col("AddressID").cast(pl.String))
    # Only the first of the rules that a row breaks is counted, and so named by the approval.
    twice = [damaged.otherwise(pl.col(name)).alias(name) for name in ("AddressLine1", "City")]
    pl.read_parquet(file).with_columns(twice).write_parquet(file)
    first = pipeline.ingest()
    assert first.opened == {"Person_Address": "few_rows_are_set_aside"}
    [incident] = first.conclusion.opened
    orders = pq.read_metadata(folder / "Sales_SalesOrderHeader.parquet").num_rows
    assert f"Sales_SalesOrderHeader ({orders:,})" in words(incident).summary, "the summary names what waits for it"
    approval.approve(pipeline.settings, "Person_Address", "ann", "the source has it so")
    second = pipeline.ingest()
    assert second.opened == {}
    assert second.resolved == first.opened
    assert first.published.keys() | second.published.keys() == SOURCE_TABLES.keys()
    held = "select asset, rule from ops.quarantined_row where status = 'open'"
    assert pipeline.published(held) == []
    # A changed file is read whole.
    moved = pl.when(pl.col("AddressID") == 1).then(pl.lit("Oslo")).otherwise("City").alias("City")
    pl.read_parquet(file).with_columns(moved).write_parquet(file)
    third = pipeline.ingest()
    assert (third.opened, third.published["Person_Address"].verdict) == ({}, "passed")
    assert pipeline.published(held) == []


def test_a_missing_parent_is_the_only_incident_and_its_dependents_follow_once_it_arrives(
    folder: Path, warehouse_url: str
) -> None:
    pipeline = Pipeline(Settings(source=str(folder), warehouse_url=SecretStr(warehouse_url)))
    product = folder / "Production_Product.parquet"
    product.rename(folder / "hidden")
    first = pipeline.ingest()
    assert first.opened == {"Production_Product": "file_is_there"}
    assert "Sales_Currency" in first.published
    assert "Sales_SalesOrderDetail" not in first.published
    [incident] = first.conclusion.opened
    stock = pq.read_metadata(folder / "Production_ProductInventory.parquet").num_rows
    assert f"Production_ProductInventory ({stock:,})" in words(incident).summary, "the summary names what waits for it"
    assert pipeline.published("select count(*) from ops.quarantined_row") == [(0,)]
    assert isinstance(pipeline.analyse(), NothingToDo)

    (folder / "hidden").rename(product)
    second = pipeline.ingest()
    assert second.resolved == {"Production_Product": "file_is_there"}
    assert len({*first.published, *second.published}) == 71
    assert isinstance(pipeline.analyse(), Plan)


def test_a_table_that_the_source_never_had_is_not_offered_until_it_appears(folder: Path, warehouse_url: str) -> None:
    pipeline = Pipeline(Settings(source=str(folder), warehouse_url=SecretStr(warehouse_url)))
    for asset in ("dbo_ErrorLog", "Sales_Currency"):
        (folder / f"{asset}.parquet").rename(folder / asset)
    first = pipeline.ingest()
    assert first.opened == {}
    assert len(first.published) == 69
    assert verdicts(pipeline)["Sales_Currency"] == "not offered"
    skipped = "select asset, message from ops.check_result where outcome = 'skipped' and asset = 'Sales_CurrencyRate'"
    assert pipeline.published(skipped), "its references cannot be checked"
    assert pipeline.published("select count(*) from ops.quarantined_row") == [(0,)]
    assert detect.difference(pipeline.settings) is None

    for asset in ("dbo_ErrorLog", "Sales_Currency"):
        (folder / f"{asset}.parquet").write_bytes(b"PAR1 half")
    assert pipeline.ingest().opened == dict.fromkeys(("dbo_ErrorLog", "Sales_Currency"), "file_is_whole")
    (folder / "dbo_ErrorLog.parquet").unlink()
    (folder / "Sales_Currency").rename(folder / "Sales_Currency.parquet")
    second = pipeline.ingest()
    assert second.opened == {}
    assert verdicts(pipeline)["dbo_ErrorLog"] == "not offered", "it was never readable"
    assert {*second.published} == {"Sales_Currency"}
    assert "Sales_CurrencyRate" in second.loaded, "its references are checked now"
    assert verdicts(pipeline)["Sales_Currency"] == "passed"

    (folder / "Sales_Currency.parquet").rename(folder / "Sales_Currency")
    assert pipeline.ingest().opened == {"Sales_Currency": "file_is_there"}, "it may be a rename or a lost grant"
    assert pipeline.ingest().published == {}
    assert verdicts(pipeline)["Sales_Currency"] == "blocked"

    moved = folder.rename(folder.with_name("moved"))
    detect.detect(Settings(source=str(moved), warehouse_url=SecretStr(warehouse_url)), "moved")
    found = "select asset from ops.change where run_id = 'moved' and status = 'blocked'"
    assert pipeline.published(found) == [("Sales_Currency",)], "readers have it, whatever the source is"


def test_marts_that_need_a_table_that_is_not_offered_say_so_and_the_others_are_computed(
    folder: Path, warehouse_url: str
) -> None:
    settings = Settings(source=str(folder), warehouse_url=SecretStr(warehouse_url), allow_missing=True)
    pipeline = Pipeline(settings)
    (folder / "Sales_SpecialOffer.parquet").unlink()
    assert pipeline.ingest().opened == {}
    assert {*ANALYSES} - {*pipeline.settle()} == {"marketing_campaigns"}
    step = pipeline.analyse("marketing_campaigns")
    assert isinstance(step, NothingToDo)
    assert str(step.reason) == "the source does not offer Sales_SpecialOffer"
    with open_warehouse(settings).connect("test") as session:
        states = asset_states(session.records, decide_now(settings, session))
    assert Outcome(states, [], []).succeeded
    empty = ", ".join(mart.name for mart in marts_of("marketing_campaigns"))
    assert summary_of_missing_tables(states) == (
        "The source does not offer 1 table: Sales_SpecialOffer. Marts that can be computed: fact_sales, daily_sales,"
        " customer_days, territory_sales, sales_person_performance, quota_pace, exchange_rates, currency_sales"
        f" and {len(MARTS) - 9} more. The others need what is not offered:\n  {empty}: Sales_SpecialOffer"
    )


def verdicts(pipeline: Pipeline) -> dict[str, str]:
    with open_warehouse(pipeline.settings).connect("test") as session:
        return {state.asset: state.verdict for state in asset_states(session.records)}


def test_one_invalid_value_sets_only_its_row_aside(generated: Path, tmp_path: Path, warehouse_url: str) -> None:
    path = tmp_path / "Sales_Currency.parquet"
    table = pq.read_table(generated / path.name)
    names = table["Name"].to_pylist()
    names[-1] = "Nothing\x00ness"
    index = table.column_names.index("Name")
    pq.write_table(table.set_column(index, "Name", pa.array(names)), path)
    pipeline = Pipeline(Settings(source=str(tmp_path), warehouse_url=SecretStr(warehouse_url), set_aside_limit=0.02))
    ingested = pipeline.ingest()
    assert {*ingested.published} == {"Sales_Currency"}
    assert ingested.opened["Sales_Currency"] == "Name_is_text"
    assert pipeline.published('select "Name" from quarantine."Sales_Currency"') == [("Nothing\ufffdness",)]


@pytest.mark.parametrize("days", [3, 75])
def test_a_shop_in_its_first_months_has_empty_marts_but_no_failures(
    folder: Path, warehouse_url: str, days: int
) -> None:
    orders = pl.read_parquet(folder / "Sales_SalesOrderHeader.parquet")
    end = pl.col("OrderDate").min() + timedelta(days=days)
    kept = orders.filter(pl.col("OrderDate") < end)
    for asset in ("Sales_SalesOrderHeader", "Sales_SalesOrderDetail", "Sales_SalesOrderHeaderSalesReason"):
        file = folder / f"{asset}.parquet"
        table = pq.read_table(file)
        chosen = pc.is_in(
            table["SalesOrderID"], pa.array(kept["SalesOrderID"], table.schema.field("SalesOrderID").type)
        )
        pq.write_table(table.filter(chosen), file)
    pipeline = Pipeline(Settings(source=str(folder), warehouse_url=SecretStr(warehouse_url)))
    assert pipeline.ingest().opened == {}
    assert sorted(pipeline.settle()) == sorted(ANALYSES)
    rows = dict(pipeline.published("select asset, rows from ops.publication where asset = any(%s)", ([*MARTS],)))
    assert rows.keys() == MARTS.keys()
    assert rows["daily_sales"] > 0
    if days == 3:
        assert rows["sales_forecast"] == rows["forecast_accuracy"] == 0, "no month is complete yet"
    [(newest,)] = pipeline.published("select to_char(max(order_date), 'YYYY-MM') from marts.daily_sales")
    with pipeline.session() as session:
        assert month.figures(session, newest).key == newest


def test_a_column_without_select_permission_blocks_only_its_table_until_it_is_granted(
    generated: Path, source_url: str, source_reader_url: str, warehouse_url: str
) -> None:
    embedded.prepare(SecretStr(source_url))
    embedded.load_folder(SecretStr(source_url), generated)
    with psycopg.connect(source_url) as owner:
        owner.execute('revoke select on "Sales"."SpecialOffer" from source_reader')
        owner.execute('grant select ("SpecialOfferID", "ModifiedDate") on "Sales"."SpecialOffer" to source_reader')
    settings = Settings(source_url=SecretStr(source_reader_url), warehouse_url=SecretStr(warehouse_url))
    pipeline = Pipeline(settings, source_url)
    first = pipeline.ingest()
    assert first.opened["Sales_SpecialOffer"] == "table_is_readable"
    assert "Sales_Currency" in first.published, "the tables after it are still read"
    with psycopg.connect(source_url) as owner:
        owner.execute('grant select on "Sales"."SpecialOffer" to source_reader')
    assert detect.difference(settings) is not None, "it is read again although nothing changed in the source"
    second = pipeline.ingest()
    assert "Sales_SpecialOffer" in second.published
    assert len({*first.published, *second.published}) == 71
    assert detect.difference(settings) is None


def test_references_to_a_table_that_arrives_are_checked_even_if_the_first_reading_with_it_fails(
    pipeline: Pipeline,
) -> None:
    pipeline.settings = pipeline.settings.model_copy(update={"allow_missing": True})
    with psycopg.connect(pipeline.url) as connection:
        # A source that never offered the table.
        for records in ("publication", "watermark", "change"):
            connection.execute(f"delete from ops.{records} where asset = 'Sales_Currency'".encode())
        connection.execute('delete from raw."Sales_Currency"')
    pipeline.change('alter table "Sales"."Currency" rename to hidden')
    pipeline.change(
        'update "Sales"."CurrencyRate" set "ToCurrencyCode" = \'QQQ\''
        ' where "CurrencyRateID" = (select min("CurrencyRateID") from "Sales"."CurrencyRate")'
    )
    assert "Sales_CurrencyRate" in pipeline.ingest().published, "the reference cannot be checked"

    pipeline.change('alter table "Sales".hidden rename to "Currency"')
    pipeline.change('alter table "Sales"."CurrencyRate" rename column "AverageRate" to hidden')
    arrived = pipeline.ingest()
    assert "Sales_Currency" in arrived.published
    assert arrived.opened == {"Sales_CurrencyRate": "columns_are_there"}

    pipeline.change('alter table "Sales"."CurrencyRate" rename column hidden to "AverageRate"')
    pipeline.ingest()
    assert pipeline.published("select asset, rule from ops.quarantined_row") == [
        ("Sales_CurrencyRate", "to_currency_exists")
    ]
