"""Every SELECT of the models, as it is sent to Snowflake, returns the same rows as on PostgreSQL.

Snowflake is replaced by fakesnow, which runs its SQL on DuckDB behind the real connector's interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import fakesnow
import psycopg
import pytest
import snowflake.connector
from psycopg.rows import TupleRow

from adventureworks.catalog import MARTS
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.marts import models
from adventureworks.warehouse.dialect import rewritten, types_of
from adventureworks.warehouse.postgres import rows_of
from tests.conftest import create_database
from tests.integration.snowflake_double import OWN_SCHEMAS, divided_as_snowflake
from tests.models import tables_read

QUERIES = [(mart, name) for mart in MARTS.values() for name in models.queries_of(mart)]
READ = sorted({reference for mart, name in QUERIES for reference in tables_read(mart, name)})
MONTHS = ("2013-06", "2014-05")
PARAMETERS = {"as_of": date(2014, 6, 30), "run_id": "data_quality_control/compared"}
EMPTY = {"product_affinity"}
"""Marts without rows on the sample, which has too few orders. The acceptance tests compare them on real data."""
ROUNDING = Decimal("0.0000000001")
"""Snowflake divides to twelve places and PostgreSQL to sixteen digits, before both round to ten."""

Postgres = psycopg.Connection[TupleRow]


@pytest.fixture(scope="module")
def published(templates: dict[str, str], postgres: EmbeddedPostgres) -> Iterator[Postgres]:
    """A warehouse with everything published."""
    copy = create_database(postgres, "warehouse", templates["warehouse"])
    with psycopg.connect(postgres.url(copy, "warehouse")) as connection:
        # Not committed: gives the SELECTs that read the quarantine a row to read.
        connection.execute(
            "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id) values"
            " ('Sales_Store', '{\"BusinessEntityID\": \"7\"}', 'a_rule', 'a message', '{}', 'ingest_source/compared')"
        )
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def snowflake_copy(
    published: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[snowflake.connector.SnowflakeConnection]:
    """The tables and views that models read, with the same rows."""
    folder = tmp_path_factory.mktemp("snowflake")
    with fakesnow.patch(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakesnow.transforms, "numeric_agg_implicit_cast", divided_as_snowflake)
        connection = snowflake.connector.connect(database="DBT_DB", schema="PUBLIC")
        cursor = connection.cursor()
        for schema in sorted({schema for schema, _ in READ}):
            cursor.execute(f'create schema "{schema}"')
        for schema, table in READ:
            file = folder / f"{schema}.{table}.parquet"
            rows_of(published, f'select * from "{schema}"."{table}"', {}).write_parquet(file)
            # Bypasses fakesnow, which reads Parquet only from a stage.
            cursor._duck_conn.execute(  # type: ignore[attr-defined]
                f"""create table "{schema}"."{table}" as from read_parquet('{file}')"""
            )
        yield connection


@pytest.mark.parametrize(
    ("mart", "name", "months"),
    [(mart, name, months) for mart, name in QUERIES for months in (None, MONTHS) if mart.incremental or not months],
    ids=lambda value: getattr(value, "name", value if isinstance(value, str) else "months" if value else "whole"),
)
def test_a_select_returns_the_same_rows_on_both_engines(
    published: Postgres,
    snowflake_copy: snowflake.connector.SnowflakeConnection,
    mart: Any,
    name: str,
    months: tuple[str, ...] | None,
) -> None:
    select = models.rendered(mart, name, months=months)
    expected = rows_of(published, select, PARAMETERS)
    statement = rewritten(select, OWN_SCHEMAS, types_of(PARAMETERS))
    cursor = snowflake_copy.cursor().execute(statement.sql, PARAMETERS)
    assert cursor is not None
    assert list(statement.columns) == expected.columns
    found = sorted((_row(row) for row in cursor.fetchall()), key=repr)
    wanted = sorted((_row(row) for row in expected.rows()), key=repr)
    assert len(found) == len(wanted)
    assert wanted or mart.name in EMPTY, "there must be rows to compare"
    unequal = [(one, other) for one, other in zip(found, wanted, strict=True) if not _agree(one, other)]
    assert unequal[:3] == []


def _row(row: Any) -> tuple[Any, ...]:
    return tuple(Decimal(value).normalize() if type(value) in (int, Decimal) else value for value in row)


def _agree(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(
        a == b or (isinstance(a, Decimal) and isinstance(b, Decimal) and abs(a - b) <= ROUNDING)
        for a, b in zip(one, other, strict=True)
    )
