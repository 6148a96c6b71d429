"""`adventureworks rollback` of source tables: readers see an earlier version until the source is read again."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from adventureworks import rollback
from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli import rollback as command
from adventureworks.cli.status import show
from adventureworks.columns import columns_of
from adventureworks.errors import PlatformError
from adventureworks.gate import approval, detect, judge, load
from adventureworks.gate import publish as publishing
from adventureworks.settings import Settings
from adventureworks.warehouse import kept, open_warehouse, publication
from adventureworks.warehouse.sql import names
from adventureworks.warehouse.staging import SAME, StagedTable
from tests.integration.pipeline import Pipeline
from tests.integration.test_judge import HEADER, LINES
from tests.integration.test_pipeline import any_order, change_quantity
from tests.integration.test_rollback import rows as rows_of_mart
from tests.integration.test_rollback import versions

CURRENCY = "Sales_Currency"
UNIT = (LINES, HEADER)
DAG = "daily_sales_etl"


def rows(pipeline: Pipeline, asset: str) -> list[tuple[Any, ...]]:
    columns = names(column.name for column in columns_of(SOURCE_TABLES[asset]))
    return sorted(pipeline.published(f'select {columns} from raw."{asset}"'), key=repr)


def rename_a_currency(pipeline: Pipeline) -> None:
    pipeline.change(
        'update "Sales"."Currency" set "Name" = \'New name\', "ModifiedDate" = now() where "CurrencyCode" = \'AED\''
    )


def roll_back(pipeline: Pipeline, asset: str, to: int) -> None:
    command.rollback(pipeline.settings, asset, to, "wrong quantities", "ann")


def release(pipeline: Pipeline, asset: str) -> None:
    command.release(pipeline.settings, asset, "corrected", "bob")


def assert_equal_to_the_source(pipeline: Pipeline) -> None:
    for asset, columns in (
        (LINES, '"SalesOrderID", "SalesOrderDetailID", "OrderQty", "LineTotal"'),
        (HEADER, '"SalesOrderID", "SubTotal", "Comment", "ModifiedDate"'),
    ):
        schema, _, name = asset.partition("_")
        at_source = pipeline.at_source(f'select {columns} from "{schema}"."{name}"')
        published = pipeline.published(f'select {columns} from raw."{asset}"')
        assert sorted(published, key=repr) == sorted(at_source, key=repr)


@pytest.mark.parametrize("seed", range(6))
def test_any_kept_version_is_restored_exactly_whatever_changed_since(warehouse_url: str, seed: int) -> None:
    chance = random.Random(seed)
    settings = Settings(warehouse_url=SecretStr(warehouse_url), source_url=SecretStr("postgresql://nobody@nowhere/x"))
    entry, warehouse = SOURCE_TABLES[CURRENCY], open_warehouse(settings)
    staged = StagedTable(entry)
    settings.keep_versions = 5

    def publish(wanted: dict[str, str]) -> None:
        """Publish these rows, as an ingestion does that reads the whole table."""
        frame = pl.DataFrame(
            {"CurrencyCode": list(wanted), "Name": list(wanted.values())},
            schema={"CurrencyCode": pl.String, "Name": pl.String},
        ).with_columns(pl.lit(datetime(2014, 1, 1)).alias("ModifiedDate"), pl.lit(False).alias(SAME))
        run = f"ingest_source/{seed}_{random.random()}"
        with warehouse.connect("test") as session:
            session.records.execute(
                "insert into ops.change (run_id, asset, fingerprint, status, source, whole)"
                " values (%s, %s, '', 'staged', '', true)",
                (run, CURRENCY),
            )
            staged.start(session.data)
            session.data.fill("staging", staged.rows_table, frame)
            staged.settle(session.data, whole=True, find_gone=True)
            publishing._TablePublication(session, run, entry, settings.keep_versions).publish(interrupted=False)

    def published() -> dict[str, str]:
        with warehouse.connect("test") as session:
            return dict(session.data.execute(f'select "CurrencyCode", "Name" from {staged.published}').fetchall())

    history: dict[int, dict[str, str]] = {}
    current: dict[str, str] = {}
    for _ in range(20):
        newest = max(history, default=0)
        if newest > 1 and chance.random() < 0.3:
            with warehouse.connect("test") as session:
                target = chance.randint(kept.oldest(session.records, CURRENCY), newest - 1)
            restored = rollback.roll_back(settings, CURRENCY, target, "ann", "wrong")
            assert published() == history[target], f"version {target} of {newest}"
            assert restored[CURRENCY].rows == len(history[target])
            history[newest + 1] = current = history[target]
            continue
        codes = ["AAA", "BBB", "CCC", "DDD"]
        current = {code: f"Name {chance.randint(1, 2)}" for code in chance.sample(codes, chance.randint(1, 4))}
        publish(current)
        with warehouse.connect("test") as session:
            history[publication.newest_versions(session.records, [CURRENCY])[CURRENCY]] = published()
        assert published() == current
    with warehouse.connect("test") as session:
        assert kept.oldest(session.records, CURRENCY) == max(history) - settings.keep_versions


def test_dependents_follow_changes_wait_and_the_release_brings_the_state_of_the_source(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed, added and deleted rows, one of them without a newer date, wait together with their whole unit."""
    first = {asset: rows(pipeline, asset) for asset in UNIT}
    first_mart = rows_of_mart(pipeline, "fact_sales")
    order, line, month = any_order(pipeline)
    change_quantity(pipeline, order, line, 1)
    pipeline.ingest()
    pipeline.settle(DAG)
    assert rows_of_mart(pipeline, "fact_sales") != first_mart
    before = versions(pipeline)

    roll_back(pipeline, LINES, before[LINES] - 1)
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    assert pipeline.settle(DAG) == [DAG]
    assert rows_of_mart(pipeline, "fact_sales") == first_mart
    with pipeline.session() as session:
        assert [one.months for one in publication.since(session.records, LINES, before[LINES])] == [(month,)]

    [(gone,)] = pipeline.at_source('select min("SalesOrderID") from "Sales"."SalesOrderHeader"')
    for name in ("SalesOrderDetail", "SalesOrderHeaderSalesReason", "SalesOrderHeader"):
        pipeline.change(f'delete from "Sales"."{name}" where "SalesOrderID" = %s', (gone,))
    pipeline.change('alter table "Sales"."SalesOrderHeader" disable trigger user')
    pipeline.change(
        'update "Sales"."SalesOrderHeader" set "Comment" = \'later\' where "SalesOrderID" = %s', (order - 1,)
    )
    rename_a_currency(pipeline)
    held = pipeline.ingest()
    assert (held.opened, held.resolved) == ({}, {})
    assert CURRENCY in held.loaded
    assert not {*UNIT} & {*held.loaded}
    assert {asset: versions(pipeline)[asset] for asset in UNIT} == {asset: before[asset] + 1 for asset in UNIT}
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    assert detect.difference(pipeline.settings) is None, "no further ingestion starts until the release"
    capsys.readouterr()
    show(pipeline.settings, HEADER, everything=False, as_json=False)
    told = " ".join(capsys.readouterr().out.split())
    assert f"{LINES} was rolled back to version {before[LINES] - 1} by ann: wrong quantities" in told
    assert "is published after the release" in told
    with pytest.raises(PlatformError, match="is rolled back to an earlier version"):
        approval.approve(pipeline.settings, HEADER, "ann", "fine")

    release(pipeline, HEADER)
    assert detect.difference(pipeline.settings) is not None, "the watcher starts an ingestion"
    assert pipeline.ingest().published.keys() >= {*UNIT}
    assert_equal_to_the_source(pipeline)
    assert pipeline.settle(DAG) == [DAG]
    in_tables = f'select sum("OrderQty"), min("SalesOrderID") from raw."{LINES}"'
    assert pipeline.published("select sum(quantity), min(sales_order_id) from marts.fact_sales") == pipeline.published(
        in_tables
    )

    roll_back(pipeline, HEADER, versions(pipeline)[HEADER] - 1)
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    release(pipeline, HEADER)
    pipeline.ingest()
    assert_equal_to_the_source(pipeline)


def test_a_run_in_progress_does_not_publish_what_it_staged_over_a_rollback(pipeline: Pipeline) -> None:
    first = {asset: rows(pipeline, asset) for asset in UNIT}
    order, line, _ = any_order(pipeline)
    change_quantity(pipeline, order, line, 1)
    pipeline.ingest()
    change_quantity(pipeline, order, line, 1)
    rename_a_currency(pipeline)
    run = "ingest_source/slow"
    for group in detect.detect(pipeline.settings, run):
        load.load(pipeline.settings, run, group)
    judge.judge(pipeline.settings, run)
    roll_back(pipeline, HEADER, versions(pipeline)[HEADER] - 1)
    published = {one.asset for one in publishing.publish(pipeline.settings, run)}
    publishing.conclude(pipeline.settings, run)
    assert CURRENCY in published
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    for asset in UNIT:
        with pipeline.session() as session:
            staged = StagedTable(SOURCE_TABLES[asset])
            same = session.data.execute(
                f"select count(*) from (select * from {staged.candidate} except select * from {staged.published}) as d"
            )
            assert same.fetchall() == [(0,)], "checks of other tables read what readers see"

    release(pipeline, LINES)
    pipeline.ingest()
    assert pipeline.published(f'select "OrderQty" from raw."{LINES}" where "SalesOrderDetailID" = %s', (line,)) == (
        pipeline.at_source('select "OrderQty" from "Sales"."SalesOrderDetail" where "SalesOrderDetailID" = %s', (line,))
    )
