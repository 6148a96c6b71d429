"""Simulated business in a real PostgreSQL database: consistent, counted, repeatable, and safe to interrupt."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import key_of
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.errors import PlatformError
from adventureworks.gate.checks import run_checks
from adventureworks.gate.contract import validate
from adventureworks.postgres_sql import quoted
from adventureworks.settings import PROJECT_ROOT
from adventureworks.source import embedded
from adventureworks.source.postgres import PostgresSource
from adventureworks.source.postgres_columns import relation
from adventureworks.warehouse.postgres import PostgresWarehouse, Records
from adventureworks_sample import generate, simulate
from adventureworks_sample.business import market
from tests.conftest import FreshDatabase, create_database, drop_database

LAST_ORDER = date(2014, 6, 30)

Contents = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture(scope="module")
def small_company(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Return the name of a source database with a small company, as a template for copies."""
    name = create_database(postgres, "source")
    url = SecretStr(postgres.url(name, "source"))
    embedded.prepare(url)
    embedded.load_tables(url, generate(0.03))
    yield name
    drop_database(postgres, name)


@pytest.fixture
def company(fresh_database: FreshDatabase, small_company: str) -> str:
    """Return the URL of a source database with a small company."""
    return fresh_database("source", small_company)


def contents(url: str) -> Contents:
    """Return every row of every table, by key."""
    found: Contents = {}
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        for asset, table in SOURCE_TABLES.items():
            rows = connection.execute(f"select * from {relation(table)}".encode()).fetchall()
            found[asset] = {tuple(row[name] for name in key_of(table)): row for row in rows}
    return found


def value(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def newest_order(url: str) -> date:
    day: date = value(url, 'select max("OrderDate")::date from "Sales"."SalesOrderHeader"')
    return day


def problems(source_url: str, warehouse_url: str) -> list[str]:
    """Return the broken contract rules and the table checks that do not pass, including warnings."""
    found = []
    engine = PostgresWarehouse(Records(SecretStr(warehouse_url)))
    with PostgresSource(SecretStr(source_url), 100_000).snapshot() as snapshot, engine.bulk_loader() as append:
        for asset, entry in SOURCE_TABLES.items():
            for batch in snapshot.rows(entry):
                verdict = validate(entry, batch)
                found += [f"{asset}: {broken.rule}" for broken in verdict.rejections]
                # As in the gate: the root of the documents has no node.
                append("raw", asset, verdict.good.with_columns(pl.col("^DocumentNode$").fill_null("")))
    given = {"as_of": newest_order(source_url).isoformat()}
    for asset in SOURCE_TABLES:
        given |= {f"least_rows_{asset}": "0", f"stale_before_{asset}": "0001-01-01 00:00:00"}
    outcomes = run_checks(engine, PROJECT_ROOT / "checks" / "source", tuple(SOURCE_TABLES), given)
    return found + [f"{o.table}: {o.rule} ({o.outcome}, {o.failed})" for o in outcomes if o.outcome != "pass"]


def test_simulated_days_are_consistent_and_all_changes_are_counted(company: str, warehouse_url: str) -> None:
    before = contents(company)
    counted = simulate(company, days=34)
    after = contents(company)
    assert newest_order(company) == LAST_ORDER + timedelta(days=34)

    different = {}
    for asset, rows in after.items():
        old = before[asset]
        changed = {key for key in rows.keys() | old.keys() if rows.get(key) != old.get(key)}
        if changed:
            different[asset] = len(changed)
        for key in changed & rows.keys():
            stamp = rows[key][SOURCE_TABLES[asset].modified]
            assert datetime(2014, 7, 1) < stamp < datetime(2014, 8, 4), (asset, key)
    assert counted == different
    assert problems(company, warehouse_url) == []
    _assert_all_kinds_of_business(before, after)


def _assert_all_kinds_of_business(before: Contents, after: Contents) -> None:
    new = [row for key, row in after["Sales_SalesOrderHeader"].items() if key not in before["Sales_SalesOrderHeader"]]
    assert {row["OnlineOrderFlag"] for row in new} == {True, False}
    assert {1, 5} <= {row["Status"] for row in new}
    at_month_end = [row for row in new if row["OrderDate"] == datetime(2014, 7, 31) and not row["OnlineOrderFlag"]]
    assert len(at_month_end) >= 3
    assert any(row["CurrencyRateID"] for row in new)
    assert after["Sales_Customer"].keys() > before["Sales_Customer"].keys()
    assert after["Production_ProductListPriceHistory"].keys() > before["Production_ProductListPriceHistory"].keys()
    assert before["Sales_ShoppingCartItem"].keys() - after["Sales_ShoppingCartItem"].keys()
    archived = (
        after["Production_TransactionHistoryArchive"].keys() - before["Production_TransactionHistoryArchive"].keys()
    )
    assert archived <= before["Production_TransactionHistory"].keys()
    assert archived
    assert any(row["EndDate"] is None for row in after["Production_WorkOrder"].values())
    finished = [
        row
        for key, row in after["Production_WorkOrder"].items()
        if key not in before["Production_WorkOrder"] and row["EndDate"]
    ]
    assert finished
    days_with_rates = {row["CurrencyRateDate"].date() for row in after["Sales_CurrencyRate"].values()}
    assert {LAST_ORDER + timedelta(days=ahead) for ahead in range(1, 35)} <= days_with_rates


def test_same_state_and_seed_produce_the_same_days(fresh_database: FreshDatabase, small_company: str) -> None:
    one, same, other = (fresh_database("source", small_company) for _ in range(3))
    simulate(one, days=2, seed=5)
    simulate(one, days=2, seed=5)
    simulate(same, days=4, seed=5)
    simulate(other, days=4, seed=6)
    assert contents(one) == contents(same)
    assert contents(one) != contents(other)


def test_an_interruption_leaves_complete_days(company: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_after_two(day: date, _rows: int) -> None:
        if day == LAST_ORDER + timedelta(days=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(company, days=5, progress=stop_after_two)
    complete_days = contents(company)
    assert newest_order(company) == LAST_ORDER + timedelta(days=2)

    def stop(_journal: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(market, "archive", stop)
        with pytest.raises(KeyboardInterrupt):
            simulate(company, days=5)
    assert contents(company) == complete_days
    simulate(company, days=1)
    assert newest_order(company) == LAST_ORDER + timedelta(days=3)


def test_the_error_for_an_empty_source_says_how_to_fill_it(source_url: str) -> None:
    embedded.prepare(SecretStr(source_url))
    with pytest.raises(PlatformError, match=r"no orders.*adventureworks source generate"):
        simulate(source_url, days=1)


def test_real_data_can_be_simulated_too(fresh_database: FreshDatabase, real_source: str, warehouse_url: str) -> None:
    source_url = fresh_database("source", real_source)
    counted = simulate(source_url, days=3)
    assert {"Sales_SalesOrderHeader", "Sales_SalesOrderDetail", "Production_TransactionHistory"} <= counted.keys()
    assert newest_order(source_url) == LAST_ORDER + timedelta(days=3)
    modified = quoted(SOURCE_TABLES["Sales_SalesOrderHeader"].modified)
    assert value(source_url, f'select max({modified}) from "Sales"."SalesOrderHeader"') > datetime(2014, 7, 3)
    assert problems(source_url, warehouse_url) == []
