"""The real AdventureWorks data from its files: known figures, and broken files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.due import NothingToDo
from tests.integration.pipeline import Ingested, Pipeline


def test_the_original_data_passes_completely(first_load: tuple[Pipeline, Ingested], real_data: Path) -> None:
    _, ingested = first_load
    assert set(ingested.published) == set(SOURCE_TABLES)
    assert {version.set_aside for version in ingested.published.values()} == {0}
    assert ingested.opened == {}
    files = {path.stem: pq.read_metadata(path).num_rows for path in (real_data / "parquet").glob("*.parquet")}
    assert {asset: version.rows for asset, version in ingested.published.items()} == files


def test_the_known_figures_are_reproduced(platform: Pipeline) -> None:
    assert platform.published(
        "select sum(revenue), count(*), count(distinct sales_order_id) from marts.fact_sales"
    ) == [(Decimal("109846381.399888"), 121_317, 31_465)]
    assert platform.published(
        "select channel, round(sum(revenue), 2), round(sum(cogs), 2) from marts.fact_sales group by channel order by 1"
    ) == [
        ("online", Decimal("29358677.22"), Decimal("17277793.58")),
        ("reseller", Decimal("80487704.18"), Decimal("80010807.23")),
    ]
    assert platform.published(
        "select count(*), round(sum(revenue), 2), min(channel) from marts.fact_sales where cost_source = 'fallback'"
    ) == [(64, Decimal("37107.22"), "reseller")]
    assert platform.published("select sum(orders), sum(revenue), sum(total_due) from marts.daily_sales") == [
        (31_465, Decimal("109846381.399888"), Decimal("123216786.1159"))
    ]
    assert platform.published('select sum("SubTotal") from raw."Sales_SalesOrderHeader"') == [
        (Decimal("109846381.4039"),)
    ]


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def without_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(0, 0), path)


def without_a_column(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["ModifiedDate"]), path)


def with_text_for_numbers(path: Path) -> None:
    table = pq.read_table(path)
    name = table.column_names[0]
    pq.write_table(table.set_column(0, name, table[name].cast("string")), path)


@pytest.mark.parametrize(
    ("asset", "damage", "rule"),
    [
        ("Sales_CurrencyRate", cut_in_half, "file_is_whole"),
        ("Person_PhoneNumberType", empty, "file_is_not_empty"),
        ("Sales_SalesReason", Path.unlink, "file_is_there"),
        ("Production_ScrapReason", without_rows, "referenced_rows_are_there"),
        ("Production_ProductReview", without_rows, "keeps_most_of_its_rows"),
        ("Production_Culture", without_a_column, "columns_are_there"),
        ("Purchasing_ShipMethod", with_text_for_numbers, "column_types_are_kept"),
    ],
)
def test_a_broken_file_blocks_its_table_until_it_is_repaired(
    copied: Pipeline,
    folder: Path,
    real_data: Path,
    asset: str,
    damage: Callable[[Path], None],
    rule: str,
) -> None:
    path = folder / f"{asset}.parquet"
    before = copied.published(f'select count(*) from raw."{asset}"')
    damage(path)
    ingested = copied.ingest()
    assert ingested.opened == {asset: rule}
    assert ingested.published == {}
    assert copied.published(f'select count(*) from raw."{asset}"') == before
    assert isinstance(copied.analyse(), NothingToDo)

    shutil.copyfile(real_data / "parquet" / path.name, path)
    repaired = copied.ingest()
    assert repaired.resolved == {asset: rule}
    assert repaired.published == {}, "the repaired table equals the published one"
