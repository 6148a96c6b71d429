"""`adventureworks rollback`: readers see an earlier version until it is released, and what reads from it follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adventureworks import rollback as rolling_back
from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli import rollback as command
from adventureworks.cli.status import show
from adventureworks.columns import columns_of
from adventureworks.due import NothingToDo
from adventureworks.errors import PlatformError
from adventureworks.marts import build as building
from adventureworks.marts import publish as publishing
from adventureworks.marts.plan import decide_now
from adventureworks.orchestration import retention
from adventureworks.warehouse import intervention, kept, publication
from adventureworks.warehouse.sql import names
from adventureworks.warehouse.staging import StagedTable, count
from tests.integration.candidates import AS_OF
from tests.integration.pipeline import Pipeline
from tests.integration.test_judge import HEADER, LINES
from tests.integration.test_pipeline import any_order

DAG = "daily_sales_etl"
UNIT = ("fact_sales", "daily_sales", "customer_days")
History = dict[int, dict[str, list[tuple[Any, ...]]]]
"""Rows by version and mart."""


def rows(pipeline: Pipeline, mart: str) -> list[tuple[Any, ...]]:
    columns = names(column.name for column in columns_of(MARTS[mart]))
    return sorted(pipeline.published(f'select {columns} from marts."{mart}"'), key=repr)


def versions(pipeline: Pipeline) -> dict[str, int]:
    return dict(pipeline.published("select asset, max(version) from ops.publication group by asset"))


def change_orders(pipeline: Pipeline, order: int, *statements: str) -> None:
    """Change an order in the warehouse, as an ingestion does that publishes its header and its lines."""
    query = "select to_char(min(order_date), 'YYYY-MM') from marts.fact_sales where sales_order_id = %s"
    [(month,)] = pipeline.published(query, (order,))
    with pipeline.session() as session:
        for statement in statements:
            session.data.execute(statement, (order,))
        for asset in (HEADER, LINES):
            publication.record(
                session.records,
                asset=asset,
                rows=count(session.data, StagedTable(SOURCE_TABLES[asset]).published),
                changed_rows=1,
                months=[month],
                set_aside=0,
                verdict="passed",
                run_id="ingest_source/test",
                as_of=AS_OF if asset == HEADER else None,
            )


def sell_more(pipeline: Pipeline) -> None:
    """Double the quantities of the newest order."""
    order, _, _ = any_order(pipeline)
    change_orders(
        pipeline,
        order,
        f'update raw."{LINES}" set "OrderQty" = 2 * "OrderQty", "LineTotal" = 2 * "LineTotal"'
        ' where "SalesOrderID" = %s',
        f'update raw."{HEADER}" set "SubTotal" = "SubTotal" * 2 where "SalesOrderID" = %s',
    )


def delete_an_order(pipeline: Pipeline) -> None:
    """Delete the oldest order."""
    [(order,)] = pipeline.published("select min(sales_order_id) from marts.fact_sales")
    change_orders(pipeline, order, *(f'delete from raw."{name}" where "SalesOrderID" = %s' for name in (LINES, HEADER)))


def move_an_order(pipeline: Pipeline) -> None:
    """Give the newest order of a sales person to another one, two months earlier."""
    [(order, other)] = pipeline.published(
        "select sales_order_id, (select min(o.sales_person_id) from marts.fact_sales as o"
        " where o.sales_person_id <> f.sales_person_id) from marts.fact_sales as f"
        " where sales_person_id is not null order by order_date desc, sales_order_id limit 1"
    )
    change_orders(
        pipeline,
        order,
        f'update raw."{HEADER}" set "OrderDate" = "OrderDate" - interval \'2 months\', "SalesPersonID" = {other}'
        ' where "SalesOrderID" = %s',
    )


def publish(pipeline: Pipeline, change: Callable[[Pipeline], None]) -> None:
    change(pipeline)
    assert pipeline.settle(DAG) == [DAG]


@pytest.fixture
def history(pipeline: Pipeline) -> History:
    """The rows of the marts of an analysis by version of `fact_sales`: changed, deleted, and changed again."""
    found = {1: {mart: rows(pipeline, mart) for mart in UNIT}}
    for change in (sell_more, delete_an_order, sell_more):
        publish(pipeline, change)
        found[versions(pipeline)["fact_sales"]] = {mart: rows(pipeline, mart) for mart in UNIT}
    return found


def roll_back(pipeline: Pipeline, to: int, asset: str = "fact_sales") -> None:
    command.rollback(pipeline.settings, asset, to, "wrong quantities", "ann")


def test_a_version_from_before_one_of_the_marts_existed_cannot_return(pipeline: Pipeline) -> None:
    publish(pipeline, sell_more)
    with pipeline.session() as session:
        session.records.execute("delete from ops.publication where asset = 'customer_days' and version = 1")
    before = {mart: rows(pipeline, mart) for mart in UNIT}
    with pytest.raises(PlatformError, match="customer_days was first published after version 1 of fact_sales"):
        roll_back(pipeline, 1)
    assert {mart: rows(pipeline, mart) for mart in UNIT} == before


def test_readers_see_any_earlier_version_of_the_whole_analysis_and_readers_of_it_follow(
    pipeline: Pipeline, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline.settle("sales_territory_analysis") == ["sales_territory_analysis"]
    newest = versions(pipeline)
    assert [*history] == [1, 2, 3, 4]
    for target in [*sorted(history, reverse=True)[1:], max(history)]:
        roll_back(pipeline, target)
        assert {mart: rows(pipeline, mart) for mart in UNIT} == history[target], f"version {target}"
    roll_back(pipeline, 1)
    assert pipeline.settle(DAG, "sales_territory_analysis") == ["sales_territory_analysis"]
    assert all(versions(pipeline)[mart] > newest[mart] for mart in (*UNIT, "territory_sales"))
    total = "select sum(revenue) from marts.{}"
    assert pipeline.published(total.format("territory_sales")) == pipeline.published(total.format("fact_sales"))
    capsys.readouterr()
    show(pipeline.settings, "daily_sales", everything=False, as_json=False)
    assert "fact_sales was rolled back to version 1 by ann: wrong quantities" in capsys.readouterr().out


def test_sales_of_people_follow_the_restored_facts(pipeline: Pipeline) -> None:
    dag, marts = "sales_person_performance", ("sales_person_performance", "quota_pace")
    before = {mart: rows(pipeline, mart) for mart in marts}
    publish(pipeline, move_an_order)
    assert pipeline.settle(dag) == [dag]
    assert {mart: rows(pipeline, mart) for mart in marts} != before
    roll_back(pipeline, 1)
    assert pipeline.settle(DAG, dag) == [dag], "the header still has the other person and date"
    assert {mart: rows(pipeline, mart) for mart in marts} == before


def test_versions_of_other_business_dates_are_restored(pipeline: Pipeline) -> None:
    mart, dag = "customer_value", "customer_analytics"
    earlier = rows(pipeline, mart)
    next_day = Pipeline(pipeline.settings.model_copy(update={"as_of": AS_OF + timedelta(days=1)}))
    delete_an_order(next_day)
    assert set(next_day.settle(DAG, dag)) == {DAG, dag}
    later = rows(pipeline, mart)
    assert not {*earlier} & {*later}
    for target, expected in ((1, earlier), (2, later)):
        roll_back(next_day, target, mart)
        assert rows(pipeline, mart) == expected, f"version {target}"


def test_nothing_newer_is_published_until_the_release_and_then_everything_that_was_missed(
    pipeline: Pipeline, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    roll_back(pipeline, 1)
    sell_more(pipeline)
    step = pipeline.analyse(DAG)
    assert isinstance(step, NothingToDo)
    assert str(step.reason) == "rolled back to version 1 of fact_sales by ann: wrong quantities"
    with pipeline.session() as session:
        assert DAG not in decide_now(pipeline.settings, session).runnable
    assert rows(pipeline, "fact_sales") == history[1]["fact_sales"]

    command.release(pipeline.settings, "daily_sales", "corrected", "bob")
    show(pipeline.settings, "daily_sales", everything=False, as_json=False)
    assert "release by bob: corrected" in capsys.readouterr().out
    assert pipeline.settle(DAG) == [DAG]
    in_tables = f"""select sum("OrderQty"), min("SalesOrderID") from raw."{LINES}"
    where "SalesOrderDetailID" in (select sales_order_detail_id from marts.fact_sales)"""
    in_mart = "select sum(quantity), min(sales_order_id) from marts.fact_sales"
    assert pipeline.published(in_mart) == pipeline.published(in_tables)
    with pytest.raises(PlatformError, match="daily_sales is not rolled back"):
        command.release(pipeline.settings, "daily_sales", "", "bob")


def test_a_build_that_was_under_way_is_not_published_over_a_rollback(pipeline: Pipeline, history: History) -> None:
    sell_more(pipeline)
    run = f"{DAG}/slow"
    building.build(pipeline.settings, DAG, run)
    roll_back(pipeline, 1)
    assert isinstance(publishing.publish(pipeline.settings, DAG, run), NothingToDo)
    assert rows(pipeline, "fact_sales") == history[1]["fact_sales"]


def test_a_build_is_not_published_over_a_rollback_that_left_its_marts_as_they_were(pipeline: Pipeline) -> None:
    sell_more(pipeline)
    run = f"{DAG}/slow"
    building.build(pipeline.settings, DAG, run)
    before = versions(pipeline)
    with pipeline.session() as session:
        detail = {"versions": {"fact_sales": before["fact_sales"]}}
        intervention.record(session.records, "rollback", "fact_sales", "ann", "wrong", detail, in_force=True)
    assert isinstance(publishing.publish(pipeline.settings, DAG, run), NothingToDo)
    assert versions(pipeline) == before


def test_versions_without_their_kept_rows_cannot_be_restored(pipeline: Pipeline, history: History) -> None:
    with pipeline.session() as session:
        # As in a backup without the schema staging.
        session.data.execute("drop table staging.daily_sales__kept")
        session.records.execute("delete from ops.layout")
    with pytest.raises(PlatformError, match="No earlier version of daily_sales is kept"):
        roll_back(pipeline, 1)
    assert rows(pipeline, "fact_sales") == history[max(history)]["fact_sales"]


def test_a_rollback_that_fails_between_two_statements_changes_nothing(
    pipeline: Pipeline, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = max(history)
    original, calls = rolling_back._restore, 0

    def dies_after_the_first_mart(*arguments: Any) -> None:
        nonlocal calls
        original(*arguments)
        calls += 1
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr(rolling_back, "_restore", dies_after_the_first_mart)
        with pytest.raises(SystemExit):
            roll_back(pipeline, 1)
    assert calls == 1
    assert {mart: rows(pipeline, mart) for mart in UNIT} == history[newest]
    assert versions(pipeline)["fact_sales"] == newest
    roll_back(pipeline, 1)
    assert {mart: rows(pipeline, mart) for mart in UNIT} == history[1]


def test_versions_are_kept_in_bounded_number_and_time(pipeline: Pipeline, history: History) -> None:
    pipeline.settings.keep_versions = 2
    publish(pipeline, sell_more)
    newest = versions(pipeline)["fact_sales"]
    with pipeline.session() as session:
        assert kept.oldest(session.records, "fact_sales") == newest - 2
    with pytest.raises(PlatformError) as refused:
        roll_back(pipeline, 1)
    assert str(refused.value) == (
        f"Version 1 of fact_sales is not kept any more."
        f" Versions of fact_sales that are kept: {newest - 2} to {newest - 1}."
    )
    with pipeline.session() as session:
        # A release may remove or rename a mart.
        session.records.execute(
            "insert into ops.publication (asset, version, rows, changed_rows, verdict, run_id, kept)"
            " values ('sales_by_moon', 1, 1, 1, 'passed', 'test', true)"
        )
        intervention.record(
            session.records, "rollback", "sales_by_moon", "ann", "", {"versions": {"sales_by_moon": 1}}, in_force=True
        )
    retention.drop_records(pipeline.settings, datetime.now(UTC) + timedelta(days=15))
    assert pipeline.published("select count(*) from ops.publication where kept") == [(0,)]
    assert pipeline.settle(DAG) == []
    assert pipeline.published("select count(*) from staging.fact_sales__kept") == [(0,)]
    with pytest.raises(PlatformError, match="No earlier version of fact_sales is kept"):
        roll_back(pipeline, newest - 1)


def test_changes_are_kept_instead_of_whole_marts(pipeline: Pipeline, history: History) -> None:
    [(found,)] = pipeline.published("select count(*) from staging.fact_sales__kept")
    assert 0 < found < 100, "the lines of three orders"


def test_what_cannot_be_rolled_back_is_refused(pipeline: Pipeline) -> None:
    for asset, cause in (
        ("Sales_Currency", "Sales_Currency has version 1."),
        ("data_quality", "data_quality reports on the current state"),
        ("fact_sales", "fact_sales has version 1."),
        ("nothing", "There is no table or mart nothing."),
    ):
        with pytest.raises(PlatformError) as refused:
            roll_back(pipeline, 1, asset)
        assert refused.value.cause.startswith(cause)
    assert pipeline.published("select count(*) from ops.intervention") == [(0,)]
