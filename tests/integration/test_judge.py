"""Verdicts on whole tables and between tables: which rows may vanish, and which ones are set aside."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.gate import load
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.wording import words
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks.source.postgres import PostgresSource
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.state import asset_states, summary_of_marts
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import any_order

HEADER, LINES = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail"
UNIT = [LINES, HEADER, "Sales_SalesOrderHeaderSalesReason"]


def delete_orders(pipeline: Pipeline, condition: str) -> int:
    """Delete whole orders at the source, and return their number."""
    chosen = f'"SalesOrderID" in (select "SalesOrderID" from "Sales"."SalesOrderHeader" where {condition})'
    for name in ("SalesOrderDetail", "SalesOrderHeaderSalesReason", "SalesOrderHeader"):
        deleted = pipeline.change(f'delete from "Sales"."{name}" where {chosen}')
    return deleted


def use_another_address(pipeline: Pipeline) -> None:
    """Make the source look like one that was never read."""
    pipeline.change("comment on schema dbo is null")


def test_vanished_orders_are_refused_from_any_source_address_until_accepted(
    pipeline: Pipeline,
) -> None:
    [(before,)] = pipeline.published(f'select count(*) from raw."{HEADER}"')
    use_another_address(pipeline)
    deleted = delete_orders(pipeline, '"SalesOrderID" % 3 = 0')
    refused = pipeline.ingest()
    assert refused.published == {}
    assert {*refused.opened} <= {*UNIT}
    assert set(refused.opened.values()) == {"keeps_most_of_its_rows"}
    incident = next(one for one in refused.conclusion.opened if one.asset == HEADER)
    assert f"{before - deleted:,} rows instead of {before:,}" in words(incident).summary
    assert incident.failed == deleted
    assert len(incident.examples) == 3
    assert f"adventureworks approve {HEADER}" in words(incident).next_step
    assert pipeline.published(f'select count(*) from raw."{HEADER}"') == [(before,)]
    with pipeline.session() as session:
        decided = decide_now(pipeline.settings, session)
        states = {state.asset: state for state in asset_states(session.records, decided)}
    assert HEADER in states["daily_sales"].reads_blocked
    assert states["daily_sales"].fresh
    assert f"{HEADER} (since 2" in summary_of_marts(list(states.values()))

    with pytest.raises(PlatformError, match="not source tables: Sales_Orders"):
        pipeline.ingest(accept=["Sales_Orders"])
    accepted = pipeline.ingest(accept=[HEADER])
    assert {*UNIT} <= {*accepted.published}
    assert accepted.resolved == refused.opened
    assert pipeline.published(f'select count(*) from raw."{HEADER}"') == [(before - deleted,)]


def test_vanished_orders_are_reported_although_their_lines_cannot_be_read(pipeline: Pipeline) -> None:
    delete_orders(pipeline, '"SalesOrderID" % 3 = 0')
    pipeline.change('alter table "Sales"."SalesOrderDetail" rename column "UnitPrice" to "Price"')
    refused = pipeline.ingest()
    assert refused.published == {}
    assert refused.opened[HEADER] == "keeps_most_of_its_rows"
    assert refused.opened[LINES] != "unit_is_whole"


def test_a_vanished_month_is_refused_with_its_row_count(pipeline: Pipeline) -> None:
    [(month, orders)] = pipeline.published(
        f"""select to_char("OrderDate", 'YYYY-MM'), count(*) from raw."{HEADER}" group by 1 having count(*) > 2
        order by count(*), 1 limit 1"""
    )
    assert delete_orders(pipeline, f"to_char(\"OrderDate\", 'YYYY-MM') = '{month}'") == orders
    refused = pipeline.ingest()
    assert refused.published == {}
    assert refused.opened[HEADER] == "keeps_its_months"
    incident = next(one for one in refused.conclusion.opened if one.asset == HEADER)
    assert f"{month} ({orders:,} rows)" in words(incident).summary


@pytest.mark.parametrize("fault", ["one row remains", "every row moves to another month"])
def test_a_nearly_vanished_month_is_refused(pipeline: Pipeline, fault: str) -> None:
    [(month, rows)] = pipeline.published(
        """select to_char("TransactionDate", 'YYYY-MM'), count(*) from raw."Production_TransactionHistory" group by 1
        having count(*) > 30 order by 2, 1 limit 1"""
    )
    table, of_month = '"Production"."TransactionHistory"', f"to_char(\"TransactionDate\", 'YYYY-MM') = '{month}'"
    pipeline.change(
        f'delete from {table} where {of_month} and "TransactionID" > (select min("TransactionID") from {table}'
        f" where {of_month})"
        if fault == "one row remains"
        else f'update {table} set "TransactionDate" = "TransactionDate" + interval \'70 days\' where {of_month}'
    )
    refused = pipeline.ingest()
    assert refused.opened["Production_TransactionHistory"] == "keeps_its_months"
    [incident] = [one for one in refused.conclusion.opened if one.rule == "keeps_its_months"]
    assert f"{month} ({rows - (fault == 'one row remains'):,} rows)" in words(incident).summary


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_rows_that_move_to_the_archive_are_not_lost(pipeline: Pipeline, share: float) -> None:
    table = '"Production"."TransactionHistory"'
    [(rows,)] = pipeline.at_source(f"select cast({share} * count(*) as integer) from {table}")
    chosen = f'"TransactionID" in (select "TransactionID" from {table} order by "TransactionDate", 1 limit {rows})'
    pipeline.change(f'insert into "Production"."TransactionHistoryArchive" select * from {table} where {chosen}')
    assert pipeline.change(f"delete from {table} where {chosen}") == rows
    done = pipeline.ingest()
    assert not done.opened
    assert {"Production_TransactionHistory", "Production_TransactionHistoryArchive"} <= {*done.published}


def test_an_older_state_under_another_address_is_stale(pipeline: Pipeline) -> None:
    table = '"Sales"."SalesTerritory"'
    use_another_address(pipeline)
    pipeline.change(f"alter table {table} disable trigger user")
    pipeline.change(f'update {table} set "ModifiedDate" = "ModifiedDate" - interval \'60 days\'')
    assert pipeline.ingest().opened == {"Sales_SalesTerritory": "is_fresh"}


def test_an_order_with_vanished_lines_is_not_published(pipeline: Pipeline) -> None:
    order, line, _ = any_order(pipeline)
    pipeline.change(
        'create table kept as select * from "Sales"."SalesOrderDetail" where "SalesOrderDetailID" = %s', (line,)
    )
    pipeline.change('delete from "Sales"."SalesOrderDetail" where "SalesOrderDetailID" = %s', (line,))
    refused = pipeline.ingest()
    assert refused.loaded == [LINES]
    assert refused.published == {}
    assert refused.opened == {LINES: "subtotal_is_the_sum_of_the_lines"}
    [incident] = refused.conclusion.opened
    assert HEADER in words(incident).summary
    assert str(order) in incident.examples[0]

    pipeline.change('insert into "Sales"."SalesOrderDetail" select * from kept')
    assert pipeline.ingest().resolved == refused.opened


@pytest.mark.parametrize(("bad", "blocked"), [(1, False), (3, True)])
def test_a_few_bad_rows_of_a_small_table_are_set_aside(pipeline: Pipeline, bad: int, blocked: bool) -> None:
    table = '"Production"."ProductReview"'
    [(rows,)] = pipeline.at_source(f"select count(*) from {table}")
    assert rows == 4
    pipeline.change(
        f'update {table} set "Rating" = 9 where "ProductReviewID" in'
        f' (select "ProductReviewID" from {table} order by 1 limit {bad})'
    )
    done = pipeline.ingest()
    assert ("Production_ProductReview" not in done.published) is blocked
    if blocked:
        assert f"{bad} of {rows} rows break a rule" in words(done.conclusion.opened[0]).summary


MEASURE = SOURCE_TABLES["Production_UnitMeasure"]


@pytest.fixture
def measures(tmp_path: Path, warehouse_url: str) -> Settings:
    """Return settings with an empty warehouse, and a source folder for the units of measure."""
    prepared = Settings(source=str(tmp_path), warehouse_url=SecretStr(warehouse_url), file_rest_seconds=0)
    with open_warehouse(prepared).connect() as session:
        session.records.execute(
            "insert into ops.change (run_id, asset, fingerprint, status, source, whole)"
            " values ('r', %s, '', 'detected', '', true)",
            (MEASURE.asset,),
        )
    return prepared


def stage(measures: Settings, lines: list[str]) -> None:
    """Stage these lines as the units of measure."""
    text = "".join(f"{line}\n" for line in ["UnitMeasureCode,Name,ModifiedDate", *lines])
    Path(measures.source, f"{MEASURE.asset}.csv").write_text(text)
    assert load.load(measures, "r", [MEASURE.asset]) == {MEASURE.asset: len(lines)}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.sampled_from(["A", "a", "A ", "B", "C"]), st.booleans()), min_size=1, max_size=8),
    batch=st.integers(1, 8),
)
def test_all_rows_of_a_duplicate_key_are_set_aside_for_any_batch_size(
    measures: Settings, rows: list[tuple[str, bool]], batch: int
) -> None:
    keys = [code.strip().lower() for code, _ in rows]
    unique = {key for key, (_, good) in zip(keys, rows, strict=True) if good and keys.count(key) == 1}
    lines = [f'"{code}",{"Piece" if good else ""},2013-01-{day:02}' for day, (code, good) in enumerate(rows, start=1)]
    stage(measures.model_copy(update={"batch_rows": batch}), lines)
    with open_warehouse(measures).connect() as session:
        kept = session.data.execute(f'select "UnitMeasureCode" from staging."{MEASURE.asset}__rows"').fetchall()
        aside = session.data.execute("select count(*) from ops.quarantined_row where status = 'staged'").fetchall()
    assert sorted(code.strip().lower() for (code,) in kept) == sorted(unique)
    assert aside == [(len(rows) - len(unique),)]


def test_missing_keys_are_reported_as_missing_not_as_duplicates(measures: Settings) -> None:
    stage(measures, [f",Piece {number},2013-01-01" for number in range(3)])
    load.load(measures, "r", [MEASURE.asset])
    with open_warehouse(measures).connect() as session:
        rejections = session.data.execute("select distinct rule, message from ops.quarantined_row").fetchall()
    assert rejections == [("UnitMeasureCode_is_given", "UnitMeasureCode is never NULL")]


def test_a_table_with_rows_hidden_by_a_policy_is_refused(source_url: str, source_reader_url: str) -> None:
    embedded.prepare(SecretStr(source_url))
    territory = SOURCE_TABLES["Sales_SalesTerritory"]
    source = PostgresSource(SecretStr(source_reader_url), batch_rows=100)
    with psycopg.connect(source_url, autocommit=True) as owner:
        owner.execute('alter table "Sales"."SalesTerritory" enable row level security')
        owner.execute('create policy some_rows on "Sales"."SalesTerritory" using ("TerritoryID" < 5)')
        state = source.states([territory])[territory.asset]
        assert isinstance(state, TableBlocked)
        assert state.rule == "all_rows_are_visible"
        assert "ALTER ROLE source_reader BYPASSRLS" in state.detail
        with source.snapshot() as snapshot, pytest.raises(TableBlocked) as error:
            list(snapshot.rows(territory))
        assert error.value.rule == "all_rows_are_visible"
        owner.execute('alter table "Sales"."SalesTerritory" disable row level security')
        assert source.state(territory).rows == 0
