"""What the tour does to its source: each step can be repeated, and is repaired after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli.tour import SCALE
from adventureworks.cli.tour_steps import (
    ARCHIVE_RATES,
    BREAK_LINE,
    HEADERS,
    LINES,
    RATES,
    REPAIR,
    STEPS,
    Step,
    reported_month,
    sell_one_more,
)
from adventureworks.columns import key_of
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.errors import PlatformError
from adventureworks.marts.plan import decide_now
from adventureworks.source import embedded
from adventureworks.source.postgres_columns import relation
from adventureworks.warehouse import decisions
from adventureworks.warehouse.state import AssetState, asset_states
from adventureworks_sample import generate
from tests.conftest import FreshDatabase, create_database, drop_database
from tests.integration.pipeline import Pipeline

BROKEN_LINES = 'select count(*) from "Sales"."SalesOrderDetail" where "OrderQty" = 0'
ARCHIVED_RATES = "select count(*) from tour.currency_rate"


@pytest.fixture(scope="module")
def company(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a source database with the tour's data, as a template for copies."""
    name = create_database(postgres, "source")
    url = SecretStr(postgres.url(name, "source"))
    embedded.prepare(url)
    embedded.load_tables(url, generate(SCALE, seed=1))
    yield name
    drop_database(postgres, name)


@pytest.fixture
def source(fresh_database: FreshDatabase, company: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a source database with the tour's data."""
    with psycopg.connect(fresh_database("source", company), autocommit=True) as connection:
        yield connection


def contents(source: psycopg.Connection[Any], asset: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table by key, without the modification dates, which each update sets."""
    table = SOURCE_TABLES[asset]
    keys = ", ".join(f'"{name}"' for name in key_of(table))
    query = f"select to_jsonb(t) - 'ModifiedDate' from {relation(table)} as t order by {keys}"
    return source.execute(query.encode()).fetchall()


def change(source: psycopg.Connection[Any], *statements: str) -> None:
    for statement in statements:
        source.execute(statement.encode())


@pytest.mark.parametrize(
    ("asset", "breaking", "broken_rows"),
    [(LINES, (BREAK_LINE,), BROKEN_LINES), (RATES, ARCHIVE_RATES, ARCHIVED_RATES)],
)
def test_an_interrupted_step_is_repaired_and_can_be_repeated(
    source: psycopg.Connection[Any], asset: str, breaking: tuple[str, ...], broken_rows: str
) -> None:
    before = contents(source, asset)
    for _ in range(2):
        change(source, *breaking)
        assert source.execute(broken_rows.encode()).fetchall() > [(0,)]
        assert contents(source, asset) != before
        change(source, *REPAIR)
        assert contents(source, asset) == before
    change(source, *REPAIR)
    assert contents(source, asset) == before, "a repair of what is not broken changes nothing"


def look(pipeline: Pipeline) -> tuple[dict[str, AssetState], int]:
    """Return the state of each table and mart, and the number of corrections in force."""
    with pipeline.session() as session:
        states = asset_states(session.records, decide_now(pipeline.settings, session))
        corrections = sum(one.rows for one in decisions.in_force(session.records))
    return {state.asset: state for state in states}, corrections


def rows(states: dict[str, AssetState]) -> dict[str, int | None]:
    """Return the number of rows of each table and mart, except the mart that has a row per failed rule."""
    return {asset: state.rows for asset, state in states.items() if asset != "data_quality"}


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    ("step", "asset", "breaking"), [(STEPS[1], LINES, (BREAK_LINE,)), (STEPS[2], RATES, ARCHIVE_RATES)]
)
def test_the_platform_recovers_from_a_tour_that_was_interrupted_after_some_parts(
    pipeline: Pipeline, tmp_path: Path, step: Step, asset: str, breaking: tuple[str, ...], parts: int
) -> None:
    before, _ = look(pipeline)
    for statement in breaking:
        pipeline.change(statement)
    pipeline.ingest()
    broken, _ = look(pipeline)
    assert broken[asset].set_aside == (asset == LINES)
    assert (broken[asset].verdict == "blocked") == (asset == RATES)
    if parts == 2:
        step.parts[1].act(pipeline.settings.model_copy(update={"home": tmp_path}))
        pipeline.ingest()
        pipeline.settle()
        answered, corrections = look(pipeline)
        assert (answered[asset].set_aside, answered[asset].verdict == "blocked") == (0, False)
        assert corrections == (asset == LINES)
    for statement in REPAIR:
        pipeline.change(statement)
    pipeline.ingest()
    pipeline.settle()
    after, corrections = look(pipeline)
    assert [name for name, state in after.items() if state.set_aside or not state.fresh] == []
    assert corrections == 0
    assert rows(after) == rows(before)


def test_the_month_to_restate_is_the_newest_whose_report_is_out(warehouse_url: str) -> None:
    reports = (
        ("2014-03", "new", False, True),
        ("2014-04", "restated", False, False),  # by an earlier tour; without a mail server it stays unannounced
        ("2014-05", "new", False, False),
        ("2014-06", "new", True, True),
    )
    with psycopg.connect(warehouse_url) as warehouse:
        with pytest.raises(PlatformError, match="See why: adventureworks status monthly_profit"):
            reported_month(warehouse)
        for report in reports:
            warehouse.execute(
                "insert into ops.monthly_report"
                " (month, status, is_partial, announced, revision, digest, figures, changes, mart_version, run_id)"
                " values (%s, %s, %s, %s, 1, '', '{}', '[]', 1, 'r')",
                report,
            )
        assert reported_month(warehouse) == "2014-04"


def test_an_order_grows_by_one_piece_at_a_time_until_none_can(source: psycopg.Connection[Any]) -> None:
    pieces = 'select sum("OrderQty") from "Sales"."SalesOrderDetail"'
    totals = """
        select count(*) from "Sales"."SalesOrderHeader" as h
        where abs("SubTotal" - (
            select sum("LineTotal") from "Sales"."SalesOrderDetail" as l where l."SalesOrderID" = h."SalesOrderID"
        )) > 0.01 or "TotalDue" <> "SubTotal" + "TaxAmt" + "Freight"
    """
    [(before,)] = source.execute(pieces).fetchall()
    headers = contents(source, HEADERS)
    for _ in range(2):
        sell_one_more(source, "2014-04")
    assert source.execute(pieces).fetchall() == [(before + 2,)]
    assert source.execute(totals).fetchall() == [(0,)]
    assert sum(old != new for old, new in zip(headers, contents(source, HEADERS), strict=True)) == 1
    source.execute('update "Sales"."SalesOrderDetail" set "OrderQty" = 9')
    with pytest.raises(PlatformError, match="Delete the folder of the tour"):
        sell_one_more(source, "2014-04")
