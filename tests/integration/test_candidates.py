"""Detection of candidates that differ from what the run staged, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest
from pydantic import SecretStr

from adventureworks import warehouse as engines
from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.columns import columns_of, key_of
from adventureworks.errors import CandidateLost
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse import candidate, layout, open_warehouse, publication
from adventureworks.warehouse.migrations import migrate
from adventureworks.warehouse.postgres import column_type
from adventureworks.warehouse.sql import table
from adventureworks.warehouse.staging import SAME
from tests.integration.snowflake_double import snowflake_double

MART, TABLE = MARTS["territory_sales"], SOURCE_TABLES["Sales_Currency"]
MART_ROWS, TABLE_ROWS = table("staging", "territory_sales__rows"), table("staging", "Sales_Currency__rows")
TABLE_GONE = table("staging", "Sales_Currency__gone")


@pytest.fixture(params=["postgres", "snowflake"])
def warehouse(
    request: pytest.FixtureRequest, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[engines.Warehouse]:
    """Yield a warehouse with one staged mart of two months and one staged table of two currencies."""
    warehouse = open_warehouse(Settings(warehouse=request.param, warehouse_url=SecretStr(warehouse_url)))
    with snowflake_double(monkeypatch) if request.param == "snowflake" else nullcontext():
        _stage(warehouse)
        yield warehouse


def _stage(warehouse: engines.Warehouse) -> None:
    with warehouse.connect() as session:
        session.data.make_schemas(["staging"])
        session.records.make_schemas(["ops"])
        migrate(session.records)
        kinds = [f"{quoted(c.name)} {column_type(c.dtype)}" for c in columns_of(MART)]
        session.data.execute(f"create table {MART_ROWS} ({', '.join(kinds)})")
        kinds = [f"{quoted(c.name)} {column_type(c.dtype)}" for c in columns_of(TABLE)]
        session.data.execute(f"create table {TABLE_ROWS} ({', '.join([*kinds, quoted(SAME) + ' boolean'])})")
        keys = ", ".join(f"{quoted(name)} varchar" for name in key_of(TABLE))
        session.data.execute(f"create table {TABLE_GONE} ({keys})")
        for month, revenue in (("2014-06-01", "1.25"), ("2014-06-01", "2.5"), ("2014-07-01", "3")):
            session.data.execute(f"insert into {MART_ROWS} (month, revenue) values (date '{month}', {revenue})")
        for code in ("EUR", "USD"):
            session.data.execute(f'insert into {TABLE_ROWS} ("CurrencyCode", "__same") values (\'{code}\', false)')
        attempt = candidate.begin(session.records, "first", [MART.asset, TABLE.asset])
        candidate.record(session, attempt, MART)
        candidate.record(session, attempt, TABLE)


def test_what_the_run_staged_is_found(warehouse: engines.Warehouse) -> None:
    with warehouse.connect() as session:
        assert candidate.lost(session, "first", [MART]) + candidate.lost(session, "first", [TABLE]) == ()


FAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "emptied": (f"delete from {MART_ROWS}", (MART.asset,)),
    "a changed value": (f"update {MART_ROWS} set revenue = 2.6 where revenue = 2.5", (MART.asset,)),
    "moved between months": (f"update {MART_ROWS} set month = date '2014-07-01'", (MART.asset,)),
    "a lost row of the table": (f"delete from {TABLE_ROWS} where \"CurrencyCode\" = 'EUR'", (TABLE.asset,)),
    "an extra key to delete": (
        f"insert into {TABLE_GONE} values ('CHF')",
        (TABLE.asset,),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_differences_from_what_the_run_staged_are_found(warehouse: engines.Warehouse, fault: str) -> None:
    statement, lost = FAULTS[fault]
    with warehouse.connect() as session:
        session.data.execute(statement)
        assert candidate.lost(session, "first", [MART]) + candidate.lost(session, "first", [TABLE]) == lost


def test_a_candidate_of_another_run_counts_as_lost(warehouse: engines.Warehouse) -> None:
    with warehouse.connect() as session:
        candidate.record(session, candidate.begin(session.records, "second", [MART.asset]), MART)
        assert candidate.lost(session, "first", [MART]) == (MART.asset,)
        assert candidate.lost(session, "second", [MART]) == ()


def test_rows_set_aside_by_the_gate_are_not_lost_but_further_missing_rows_are(warehouse: engines.Warehouse) -> None:
    with warehouse.connect() as session:
        session.data.execute(f"delete from {TABLE_ROWS} where \"CurrencyCode\" = 'EUR'")
        attempt = candidate.hold(session.records, "first", [TABLE.asset])
        candidate.shrink(session, attempt, TABLE, 1)
        assert candidate.lost(session, "first", [TABLE]) == ()
        session.data.execute(f"delete from {TABLE_ROWS}")
        with pytest.raises(CandidateLost):
            candidate.shrink(session, attempt, TABLE, 2)


def test_candidates_from_before_a_new_layout_count_as_lost(warehouse: engines.Warehouse) -> None:
    with warehouse.connect() as session:
        session.records.execute("delete from ops.layout")
        layout.prepare(session)
        assert candidate.lost(session, "first", [MART]) + candidate.lost(session, "first", [TABLE]) == (
            MART.asset,
            TABLE.asset,
        )


def test_a_part_of_an_input_counts_for_the_run_and_the_version_that_read_it(warehouse: engines.Warehouse) -> None:
    mart = MARTS["sales_forecast"]
    assert mart.part
    run: publication.Provenance = {
        "set_aside": 0,
        "verdict": "passed",
        "inputs": {"territory_sales": 3},
        "model": "a model",
        "as_of": date(2014, 6, 30),
        "checks": {},
    }
    with warehouse.connect() as session:
        session.records.execute("delete from ops.layout")
        layout.prepare(session)
        for month, is_partial in (("2014-05-01", "false"), ("2014-06-01", "true")):
            session.data.execute(
                "insert into marts.territory_sales (month, territory_id, channel, revenue, is_partial)"
                f" values (date '{month}', 1, 'online', 5, {is_partial})"
            )
        read = candidate.contents_of(session.data, mart.part)
        assert read[0] == 1, "only the complete month is part of it"
        session.data.execute("update marts.territory_sales set revenue = 6 where is_partial")
        assert candidate.contents_of(session.data, mart.part) == read
        session.data.execute("update marts.territory_sales set revenue = 6")
        changed = candidate.contents_of(session.data, mart.part)
        assert changed != read

        records = session.records
        publication.record(records, asset=mart.name, rows=1, changed_rows=1, months=None, run_id="first", **run)
        candidate.record_part(records, "first", mart, 3, read)
        assert candidate.is_part_published(records, mart, 3, read)
        assert not candidate.is_part_published(records, mart, 3, changed)
        assert not candidate.is_part_published(records, mart, 4, read), "a run may be repeated with newer inputs"
        candidate.record_part(records, "second", mart, 3, read)
        assert not candidate.is_part_published(records, mart, 3, read), "that run has not published the mart"
        publication.confirm(records, mart.name, "second", **run)
        assert candidate.is_part_published(records, mart, 3, read)
        candidate.forget_part(records, mart)
        assert not candidate.is_part_published(records, mart, 3, read)


def test_staged_rows_have_exactly_the_values_that_were_computed(warehouse: engines.Warehouse) -> None:
    values = {
        "text": ["", None, 'a "quoted", listed\nand broken text', "\\N", "first\n\\.\nlast", " spaced "],
        "amount": [Decimal("-0.0000000001"), None, Decimal(f"{10**27}.0123456789"), *[Decimal(1)] * 3],
        "count": [-(2**62), None, 2**62, 0, 1, 2],
        "day": [date(2008, 2, 29), None, *[date(1999, 12, 31)] * 4],
        "moment": [datetime(2014, 6, 30, 23, 59, 59, 123456), *[datetime(2001, 1, 1)] * 5],
        "flag": [True, None, False, True, False, True],
    }
    frame = pl.DataFrame(values, schema_overrides={"amount": pl.Decimal(38, 10)})
    kinds = [f"{quoted(name)} {column_type(kind)}" for name, kind in frame.schema.items()]
    with warehouse.connect() as session:
        session.data.execute(f"create table {table('staging', 'filled')} ({', '.join(kinds)})")
        session.data.fill("staging", "filled", frame)
        query = f"select * from {table('staging', 'filled')} -- all"
        found = session.data.frame(query, {})
        parts = list(session.data.frames(query, frame.schema, 4))
        assert session.data.frame(f"{query[:-7]} where false", {}).schema == found.schema
    assert sorted(found.rows(), key=repr) == sorted(frame.rows(), key=repr)
    assert [part.height for part in parts] == [4, 2]
    assert sorted(pl.concat(parts).rows(), key=repr) == sorted(frame.rows(), key=repr)
