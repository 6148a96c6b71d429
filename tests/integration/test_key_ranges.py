"""Keys that are compared by ranges: what is staged is what a comparison of all keys stages."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.gate import detect, load, publish
from adventureworks.source import postgres
from adventureworks.warehouse.staging import StagedTable
from tests.integration.pipeline import Pipeline

ROUNDS = 20
LINES, QUOTAS = "Sales_SalesOrderDetail", "Sales_SalesPersonQuotaHistory"
LATER = """ "ModifiedDate" = (select max("ModifiedDate") from "Sales"."{0}") + interval '1 hour' """
EARLIER = """ "ModifiedDate" = "ModifiedDate" - interval '{0} days' """
CHANGES = {
    "SalesOrderDetail": (
        """update {t} set "CarrierTrackingNumber" = '4911-403C-98', {later} where {some}""",
        """update {t} set "CarrierTrackingNumber" = '4911-403C-99', {earlier} where {some}""",
        """update {t} set "CarrierTrackingNumber" = '4911-403C-97' where {some}""",
        'update {t} set "SalesOrderDetailID" = "SalesOrderDetailID" + 1000000 where {some}',
    ),
    "SalesOrderHeaderSalesReason": ("update {t} set {later} where {some}", "delete from {t} where {some}"),
    "SalesPersonQuotaHistory": (
        """update {t} set "QuotaDate" = "QuotaDate" + interval '1 day' where {some}""",
        'update {t} set "SalesQuota" = -"SalesQuota", {earlier} where {some}',
        'update {t} set "SalesQuota" = -"SalesQuota", {earlier} where "SalesQuota" < 0',
        'delete from {t} where "SalesQuota" < 0',
    ),
}
"""By table of the source, all in the schema `Sales`."""


def change(pipeline: Pipeline, random: Random) -> None:
    """Change, delete or renumber a few random rows of a table."""
    name = random.choice([*CHANGES, "SalesPersonQuotaHistory"])
    # The order of the rows in the table is not the same in every run.
    order = f'md5({random.random()}::text || "{name}"::text)'
    some = f'ctid = any(array(select ctid from "Sales"."{name}" order by {order} limit 1))'
    pipeline.change(
        random.choice(CHANGES[name]).format(
            t=f'"Sales"."{name}"', some=some, later=LATER.format(name), earlier=EARLIER.format(random.randrange(1, 900))
        )
    )


def staged(pipeline: Pipeline, run: str, assets: list[str]) -> dict[str, Any]:
    """Load these tables, and return everything that is staged but the keys at the source."""
    load.load(pipeline.settings, run, assets)
    found: dict[str, Any] = {}
    for asset in assets:
        table = StagedTable(SOURCE_TABLES[asset])
        for name in (table.rows, table.gone):
            found[name] = sorted(map(str, pipeline.published(f"select * from {name}")))
        found[asset] = pipeline.published(
            "select status, compared_rows, rows_read from ops.change where run_id = %s and asset = %s", (run, asset)
        )
    found["quarantine"] = sorted(
        pipeline.published("select asset, row_key, rule, row_data, status, next_status from ops.quarantined_row"),
        key=str,
    )
    return found


def test_ranges_find_what_a_comparison_of_all_keys_finds(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    random, compare, fewer, gone = Random(7), StagedTable.ranges_query, 0, 0
    left: set[str | None] = set()
    for number in range(5 * ROUNDS):
        # Some changes are rare: go on until each kind was seen.
        if number >= ROUNDS and fewer and gone and {"repaired", "gone"} <= left:
            break
        for _ in range(random.randint(1, 3)):
            change(pipeline, random)
        postgres._scanned.clear()
        run = f"ingest_source/ranges {number}"
        assets = [asset for group in detect.detect(pipeline.settings, run) for asset in group]
        monkeypatch.setattr(StagedTable, "ranges_query", lambda *_: None)
        expected = staged(pipeline, run, assets)
        every = {asset: pipeline.published(f'select count(*) from staging."{asset}__keys"') for asset in assets}
        monkeypatch.setattr(StagedTable, "ranges_query", compare)
        assert staged(pipeline, run, assets) == expected
        for asset in assets:
            few = pipeline.published(f'select count(*) from staging."{asset}__keys"')
            fewer += 0 < few[0][0] < every[asset][0][0]
            gone += bool(expected[StagedTable(SOURCE_TABLES[asset]).gone])
        left |= {next_status for *_, next_status in expected["quarantine"]}
        publish.publish(pipeline.settings, run)
        publish.conclude(pipeline.settings, run)
    assert fewer
    assert gone
    assert {"repaired", "gone"} <= left, "rows leave quarantine"


def test_a_key_that_does_not_consist_of_integers_and_dates_is_not_compared_by_ranges() -> None:
    comparable = {
        asset for asset, entry in SOURCE_TABLES.items() if StagedTable(entry).ranges_query("2014-01-01") is not None
    }
    assert {LINES, QUOTAS} <= comparable
    assert not comparable & {"Sales_CountryRegionCurrency", "Production_ProductDocument"}
