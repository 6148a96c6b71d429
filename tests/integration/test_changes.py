"""Marts that are computed from their published rows and what has changed since: the rows are those of all data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from adventureworks.catalog import MARTS, Mart, entry
from adventureworks.columns import columns_of, key_of
from adventureworks.gate.checks import run_checks
from adventureworks.marts import changes, models
from adventureworks.marts.build import computed_by
from adventureworks.marts.changes import Changes, changes_since, differing
from adventureworks.settings import PROJECT_ROOT
from adventureworks.warehouse import kept, open_warehouse, publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import names, published
from tests.integration.candidates import Warehouse
from tests.integration.pipeline import Pipeline

ROUNDS = 40
CAMPAIGNS, QUALITY = MARTS["campaign_performance"], MARTS["data_quality"]
ALTERED = {
    "Sales_SalesOrderHeader": (
        """ "OrderDate" = "OrderDate" + interval '9 days' """,
        """ "OrderDate" = "OrderDate" - interval '900 days' """,
        """ "Status" = 4 """,
        """ "TerritoryID" = 11 - "TerritoryID" """,
        """ "CreditCardID" = null """,
    ),
    "Sales_SalesOrderDetail": (
        """ "UnitPriceDiscount" = 0.02 - "UnitPriceDiscount" """,
        """ "SpecialOfferID" = 2, "OrderQty" = 12 """,
        """ "ProductID" = (select min("ProductID") from raw."Production_Product" where "SellEndDate" is not null) """,
    ),
    "Production_TransactionHistory": (
        """ "ReferenceOrderID" = "ReferenceOrderID" + 1 """,
        """ "TransactionDate" = "TransactionDate" - interval '400 days' """,
        """ "TransactionType" = case "TransactionType" when 'S' then 'W' else 'S' end """,
    ),
    "fact_sales": (
        "special_offer_id = 17 - special_offer_id",
        "order_date = order_date - 300",
        "quantity = quantity + 1, revenue = revenue + 0.000001, cogs = cogs + 0.0001",
    ),
}
"""By table or mart: changes of its rows that rules or figures depend on."""


def alter(session: Session, asset: str, chance: Random) -> None:
    """Change, delete and add a few random rows, as a new version that keeps what it changes."""
    found, key = entry(asset), names(key_of(entry(asset)))
    own = key_of(found)[-1]
    session.data.execute("drop table if exists pg_temp.picked, pg_temp.altered")
    session.data.execute(
        f"create temp table picked as select * from {published(found)} order by md5({chance.randrange(10**6)}::text ||"
        f" concat({key})) limit {chance.randint(1, 4)}"
    )
    kind = chance.choice(("change", "change", "delete", "add"))
    session.data.execute(f"create temp table altered as select * from picked where {kind != 'delete'}")
    if kind == "change":
        session.data.execute(f"update altered set {chance.choice(ALTERED[asset])}")
    if kind == "add":
        session.data.execute(f'update altered set "{own}" = "{own}" + (select max("{own}") from {published(found)})')
    replaced = f"({key}) in (select {key} from picked)" if kind != "add" else "false"
    last = publication.newest(session.records, asset)
    assert last
    kept.keep(session, found, last.version + 1, "altered", replaced)
    session.data.execute(f"delete from {published(found)} as p where {replaced}")
    session.data.execute(f"insert into {published(found)} select * from altered")
    record(session, asset)


def record(session: Session, asset: str, *, is_kept: bool = True) -> None:
    """Record a new version of a table or mart."""
    publication.record(
        session.records,
        asset=asset,
        rows=1,
        changed_rows=1,
        months=None,
        set_aside=0,
        verdict="passed",
        run_id="ingest_source/altered",
        is_kept=is_kept,
    )


def since(session: Session, mart: Mart) -> Changes:
    last = publication.newest(session.records, mart.name)
    found = changes_since(session, mart, last)
    assert found
    return found


def in_contract_types(mart: Mart, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(c.name).cast(c.dtype) for c in columns_of(mart)).sort(key_of(mart))


@contextmanager
def undone(pipeline: Pipeline) -> Iterator[Session]:
    """Yield a session whose changes are rolled back."""
    with pipeline.session() as session:
        yield session
        session.rollback()


def test_what_is_computed_from_changes_is_what_is_computed_from_all_rows(pipeline: Pipeline) -> None:
    chance, updated = Random(5), dict.fromkeys((CAMPAIGNS.name, QUALITY.name), 0)
    for _ in range(ROUNDS):
        with undone(pipeline) as session:
            for asset in chance.choices([*ALTERED], k=chance.randint(1, 4)):
                alter(session, asset, chance)
            if chance.random() < 0.1:
                session.data.execute(
                    "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id) values"
                    " ('Sales_SalesOrderDetail', '{}', 'a_rule', 'a message', '{}', 'ingest_source/altered')"
                )
            for mart in (CAMPAIGNS, QUALITY):
                found = since(session, mart)
                as_of = found.as_of + timedelta(days=chance.choice((0, 0, 1, 1, 8, -30)))
                read = models.reader(session, mart, {"as_of": as_of, "run_id": "data_quality_control/altered"})
                rows = models.updated(mart, read, found, as_of)
                if rows is not None:
                    updated[mart.name] += 1
                    whole = in_contract_types(mart, models.compute(mart, read, as_of))
                    assert_frame_equal(in_contract_types(mart, rows), whole, check_exact=True)
    assert min(updated.values()) > ROUNDS / 3, updated


def test_most_rules_about_orders_are_counted_on_from_the_previous_run(pipeline: Pipeline) -> None:
    """A new version of orders neither reads their lines and movements again nor the persons."""
    with undone(pipeline) as session:
        alter(session, "Sales_SalesOrderDetail", Random(2))
        found, read_whole = since(session, QUALITY), set[str]()
        read = models.reader(session, QUALITY, {"as_of": found.as_of, "run_id": "data_quality_control/altered"})

        def noted(name: str) -> pl.DataFrame:
            read_whole.add(name)
            return read(name)

        assert models.updated(QUALITY, noted, found, found.as_of) is not None
    counted_on = {"movements", "sales_defects", "volumes", "numbers"}
    assert not read_whole & {*counted_on, "product_defects", "person_defects", "persons"}


def test_lines_from_before_the_first_movement_are_not_counted(pipeline: Pipeline) -> None:
    with undone(pipeline) as session:
        for asset in ("Production_TransactionHistory", "Production_TransactionHistoryArchive"):
            session.data.execute(
                f'delete from raw."{asset}" where "ProductID" % 2 = 0 or "TransactionDate" < (select'
                ' percentile_disc(0.5) within group (order by "OrderDate") from raw."Sales_SalesOrderHeader")'
            )
        as_of = since(session, QUALITY).as_of
        read = models.reader(session, QUALITY, {"as_of": as_of, "run_id": "data_quality_control/before"})
        before = in_contract_types(QUALITY, models.compute(QUALITY, read, as_of))
        session.data.fill("marts", QUALITY.name, before)
        for seed in range(3):
            alter(session, "Sales_SalesOrderDetail", Random(seed))
        read = models.reader(session, QUALITY, {"as_of": as_of, "run_id": "data_quality_control/altered"})
        rows = models.updated(QUALITY, read, since(session, QUALITY), as_of)
        assert rows is not None
        whole = in_contract_types(QUALITY, models.compute(QUALITY, read, as_of))
        assert_frame_equal(in_contract_types(QUALITY, rows), whole, check_exact=True)


def test_orders_are_not_counted_on_if_a_version_does_not_keep_what_it_changed(pipeline: Pipeline) -> None:
    with undone(pipeline) as session:
        alter(session, "fact_sales", Random(1))
        assert since(session, CAMPAIGNS).of_orders("sales", since(session, CAMPAIGNS).as_of)
        # As the erasure of a person does.
        record(session, "fact_sales")
        assert since(session, CAMPAIGNS).of_orders("sales", since(session, CAMPAIGNS).as_of) is None
        record(session, "fact_sales", is_kept=False)
        assert since(session, CAMPAIGNS).of_orders("sales", since(session, CAMPAIGNS).as_of) is None


def test_many_changed_orders_are_not_looked_up(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    with undone(pipeline) as session:
        alter(session, "fact_sales", Random(1))
        monkeypatch.setattr(changes, "MOST_ORDERS", 0)
        assert since(session, CAMPAIGNS).of_orders("sales", since(session, CAMPAIGNS).as_of) is None


def test_everything_is_computed_for_another_model(pipeline: Pipeline) -> None:
    with undone(pipeline) as session:
        published = publication.newest_of(session.records, [CAMPAIGNS.name])
        comparable = computed_by({CAMPAIGNS.name: "another digest"}, published)
        assert changes_since(session, CAMPAIGNS, comparable.get(CAMPAIGNS.name)) is None


def test_rules_by_value_find_a_row_that_differs_from_the_published_one(pipeline: Pipeline) -> None:
    warehouse, assets = Warehouse(pipeline.url), [CAMPAIGNS.name]
    columns = warehouse.columns(
        CAMPAIGNS.name, tested_periods="cast(case special_offer_id when 1 then 3 end as bigint)"
    )
    with warehouse.candidate(CAMPAIGNS.name, f"select {columns} from marts.{CAMPAIGNS.name}"):
        with pipeline.session() as session:
            found = differing(session.data, CAMPAIGNS, "special_offer_id")
            as_of = since(session, CAMPAIGNS).as_of
        assert 1 in found

        def broken(values: set[int] | None) -> set[str]:
            given = {"as_of": as_of.isoformat(), "least_rows_campaign_performance": "0"}
            given["stale_before_campaign_performance"] = "0001-01-01 00:00:00"
            restricted = None if values is None else {CAMPAIGNS.name: values}
            outcomes = run_checks(
                open_warehouse(pipeline.settings), PROJECT_ROOT / "checks" / "marts", assets, given, values=restricted
            )
            return {one.rule for one in outcomes if one.outcome != "pass"}

        assert broken(found) == broken(None) == {"baselines_were_tested_on_earlier_periods"}
        assert broken(set()) == set()
