"""Shape checks on real deliveries: faults are found, harmless changes pass (all of them: `bench/change_alarms.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.gate import profiling, summaries
from adventureworks.gate.profile import Group, Groups
from adventureworks.settings import Settings
from adventureworks.warehouse import open_warehouse, publication
from adventureworks.warehouse.staging import StagedTable
from tests.conftest import create_database
from tests.integration import faults
from tests.integration.deliveries import Deliveries, typed
from tests.integration.faults import HEADER, PRODUCT, RATE, Frames
from tests.integration.snowflake_double import snowflake_double

DAY = datetime(2014, 5, 1)


@pytest.fixture(scope="module")
def published(real_data: Path, postgres: EmbeddedPostgres) -> Iterator[tuple[Deliveries, Frames]]:
    """Publish orders, rates and products without those of one day, which are yielded with the deliveries."""
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute("create database profiles template warehouse owner warehouse")
    tables = typed(real_data / "parquet", HEADER, RATE, PRODUCT)
    dated = {HEADER: "OrderDate", RATE: "CurrencyRateDate"}
    before = {asset: tables[asset].filter(pl.col(column) < DAY) for asset, column in dated.items()}
    day = {asset: tables[asset].filter(pl.col(column) == DAY) for asset, column in dated.items()}
    deliveries = Deliveries(Settings(warehouse_url=SecretStr(postgres.url("profiles", "warehouse"))))
    assert deliveries.accept({**before, PRODUCT: tables[PRODUCT]}, whole=True) == []
    yield deliveries, {**day, PRODUCT: tables[PRODUCT]}
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute("drop database profiles with (force)")


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("a day without sales persons", "columns_stay_filled"),
        ("a day with tax and freight swapped", "columns_are_not_swapped"),
        ("one rate a hundred times too high", "values_stay_in_range"),
        ("a day of orders duplicated", "rows_are_unique"),
        ("a day in one territory", "columns_stay_diverse"),
        ("colours are NULL", "columns_stay_filled"),
        ("cost and price swapped", "columns_are_not_swapped"),
        ("names cut to ten letters", "values_keep_their_format"),
        ("names shifted by one row", "columns_are_not_swapped"),
        ("weights in another unit", "values_stay_in_range"),
    ],
)
def test_a_fault_is_found(published: tuple[Deliveries, Frames], fault: str, rule: str) -> None:
    deliveries, tables = published
    change = (faults.ARRIVING | faults.REDELIVERED)[fault]
    assert rule in {outcome.rule for outcome in deliveries.deliver(change(tables))}


def test_the_unchanged_day_and_harmless_changes_pass(published: tuple[Deliveries, Frames]) -> None:
    deliveries, tables = published
    assert deliveries.deliver(tables) == []
    for name in ("prices rise by 5 %", "some prices are halved", "a new category"):
        assert deliveries.deliver(faults.HARMLESS[name](tables)) == [], name


def test_a_vanished_segment_is_a_warning(published: tuple[Deliveries, Frames]) -> None:
    deliveries, tables = published
    black, late = pl.col("Color") == "Black", pl.col("OrderDate") == datetime(2014, 4, 14)
    found = deliveries.deliver(faults.without(PRODUCT, black.fill_null(False))(tables), whole=True)
    assert [(one.rule, one.outcome, one.failed) for one in found] == [
        ("few_rows_are_deleted", "warn", 93),
        ("segments_keep_occurring", "warn", 93),
    ]
    with deliveries.warehouse.connect("test") as session:
        orders = pl.DataFrame(
            session.data.execute(f'select * from raw."{HEADER}"').fetchall(), tables[HEADER].schema, orient="row"
        )
    (one_day,) = deliveries.deliver({HEADER: orders.filter(~late)}, whole=True)
    assert (one_day.rule, one_day.outcome) == ("segments_keep_occurring", "warn")
    assert "published rows where OrderDate is 2014-04-14 are gone" in one_day.message


def test_renumbered_rows_of_a_table_are_not_duplicates(published: tuple[Deliveries, Frames]) -> None:
    deliveries, tables = published
    renumbered = {PRODUCT: tables[PRODUCT].with_columns(pl.col("ProductID") + 10_000)}
    assert "rows_are_unique" not in {outcome.rule for outcome in deliveries.deliver(renumbered, whole=True)}
    found = [one for one in deliveries.deliver(renumbered) if one.rule == "rows_are_unique"]
    assert [one.outcome for one in found] == ["fail"]


def test_a_change_that_cannot_be_measured_is_a_warning(
    published: tuple[Deliveries, Frames], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> None:
        raise ValueError("a value of a row")

    monkeypatch.setattr(profiling._Change, "findings", fail)
    deliveries, tables = published
    (found,) = deliveries.deliver({PRODUCT: tables[PRODUCT]})
    assert (found.rule, found.outcome) == ("change_can_be_compared", "warn")
    assert "a value of a row" not in found.message


def test_a_large_table_without_profiles_is_profiled_at_a_small_change(published: tuple[Deliveries, Frames]) -> None:
    deliveries, tables = published
    with deliveries.warehouse.connect("test") as session:
        session.records.execute("delete from ops.column_profile where asset = %s", (RATE,))
    deliveries.deliver({RATE: tables[RATE]})
    with deliveries.warehouse.connect("test") as session:
        row = session.records.execute("select count(*) from ops.column_profile where asset = %s", (RATE,)).fetchone()
    assert row is not None
    assert row[0] > 0


def test_both_engines_find_the_same_faults(
    real_data: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = typed(real_data / "parquet", HEADER, PRODUCT)
    orders = tables[HEADER].filter(pl.col("OrderDate") >= datetime(2013, 12, 1))
    before, day = (orders.filter(pl.col("OrderDate") < DAY), orders.filter(pl.col("OrderDate") == DAY))
    changes = [
        faults.ARRIVING["a day without sales persons"]({HEADER: day}),
        faults.ARRIVING["a day with tax and freight swapped"]({HEADER: day}),
        faults.ARRIVING["a day of orders duplicated"]({HEADER: day}),
        faults.ARRIVING["a day in one territory"]({HEADER: day}),
        faults.REDELIVERED["colours are NULL"]({PRODUCT: tables[PRODUCT]}),
        faults.REDELIVERED["names shifted by one row"]({PRODUCT: tables[PRODUCT]}),
    ]
    smaller = faults.without(PRODUCT, (pl.col("Color") == "Black").fill_null(False))({PRODUCT: tables[PRODUCT]})

    def found(engine: Literal["postgres", "snowflake"]) -> list[list[tuple[str, str, str, int | None]]]:
        url = SecretStr(postgres.url(create_database(postgres, "warehouse"), "warehouse"))
        deliveries = Deliveries(Settings(warehouse=engine, warehouse_url=url))
        assert deliveries.accept({HEADER: before, PRODUCT: tables[PRODUCT]}, whole=True) == []
        return [
            [(one.table, one.rule, one.outcome, one.failed) for one in deliveries.deliver(change, whole=whole)]
            for change, whole in [*((change, False) for change in changes), (smaller, True)]
        ]

    expected = found("postgres")
    assert all(expected), "every fault is found"
    with snowflake_double(monkeypatch):
        assert found("snowflake") == expected


def test_the_summary_of_a_large_table_stays_that_of_all_its_rows(published: tuple[Deliveries, Frames]) -> None:
    deliveries, tables = published

    def orders() -> pl.DataFrame:
        """Return the published orders, the smallest first."""
        with deliveries.warehouse.connect("test") as session:
            rows = session.data.execute(f'select * from raw."{HEADER}" order by "TotalDue"').fetchall()
        return pl.DataFrame(rows, tables[HEADER].schema, orient="row")

    def summaries_after(change: pl.DataFrame, *, whole: bool = False) -> tuple[Groups | None, Groups]:
        """Publish a change; return the stored summary of the version, and what a reading of all rows says."""
        deliveries.accept({HEADER: change}, whole=whole)
        with deliveries.warehouse.connect("test") as session:
            staged = StagedTable(SOURCE_TABLES[HEADER])
            table = profiling._Change(session, deliveries.settings.checks_folder / "source", staged, {}, 0.1)
            version = publication.newest_versions(session.records, [HEADER])[HEADER]
            stored = summaries.stored(session.records, HEADER, version, table._summarized())
            return stored, table._groups(staged.published)

    def usual() -> pl.DataFrame:
        """Return orders without the smallest or largest value of any segment."""
        return orders().filter(pl.col("OnlineOrderFlag") & (pl.col("RevisionNumber") == 8))[10_000:10_100]

    moved = usual().with_columns(pl.col("TerritoryID").reverse(), pl.col("Freight") * 2, ShipDate=pl.col("OrderDate"))
    for change in (tables[HEADER], moved):
        stored, measured = summaries_after(change)
        assert stored == measured
    without_largest = orders()[:-10]
    few = pl.int_range(pl.len()).is_between(15_000, 15_100)
    change = without_largest.with_columns(ShipDate=pl.when(few).then(None).otherwise("ShipDate"))
    stored, _ = summaries_after(change, whole=True)
    assert stored is None, "only the other rows show the next largest amount"
    for number in (1, 2):
        stored, measured = summaries_after(usual().with_columns(pl.col("SalesOrderID") + number * 100_000))
        assert stored == measured


def test_a_summary_belongs_to_the_version_that_follows_the_measured_one(warehouse_url: str) -> None:
    groups: Groups = {("", None): Group("", None, 20_000, {})}
    with open_warehouse(Settings(warehouse_url=SecretStr(warehouse_url))).connect("test") as session:

        def after(measured: int, *runs: str) -> Groups | None:
            """Return the summary of the newest version after these runs have published, the last one a measured one."""
            summaries.discard(session.records, [HEADER])
            summaries.store(session.records, HEADER, runs[-1], measured, "digest", groups)
            for run in runs:
                publication.record(
                    session.records,
                    asset=HEADER,
                    rows=1,
                    changed_rows=1,
                    months=(),
                    set_aside=0,
                    verdict="passed",
                    run_id=run,
                )
            summaries.publish(session.records, HEADER, runs[-1])
            newest = publication.newest_versions(session.records, [HEADER])[HEADER]
            return summaries.stored(session.records, HEADER, newest, "digest")

        assert after(0, "ingest/one") == groups
        assert after(1, "ingest/one") == groups, "the same run was started again"
        assert after(2, "forget/two", "ingest/three") is None, "the rows have changed since they were measured"
        session.rollback()
