"""What the tour does to its source: each step can be repeated, and is repaired after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli.tour import SCALE
from adventureworks.cli.tour_steps import ARCHIVE_RATES, BREAK_LINE, HEADERS, LINES, RATES, REPAIR, sell_one_more
from adventureworks.columns import key_of
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.errors import PlatformError
from adventureworks.source import embedded
from adventureworks.source.postgres_columns import relation
from adventureworks_sample import generate
from tests.conftest import FreshDatabase, create_database, drop_database

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
