"""The tables that the platform creates in an empty warehouse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.dictionary import definitions
from adventureworks.settings import Settings
from adventureworks.texts import language
from adventureworks.warehouse import layout, open_warehouse
from adventureworks.warehouse.postgres import WarehouseConnection


@pytest.fixture
def connection(empty_warehouse_url: str) -> Iterator[WarehouseConnection]:
    """Yield a connection to a warehouse that was just laid out."""
    with open_warehouse(Settings(warehouse_url=SecretStr(empty_warehouse_url))).connect("test") as session:
        layout.prepare(session)
        yield session.records


def comments(connection: WarehouseConnection, table: str) -> dict[str, str]:
    """Return the comments on a table's columns, and that on the table itself under the key ''."""
    rows = connection.execute(
        "select coalesce(a.attname, ''), d.description from pg_description as d"
        " left join pg_attribute as a on a.attrelid = d.objoid and a.attnum = d.objsubid and a.attnum > 0"
        " where d.objoid = cast(%s as regclass)",
        (table,),
    )
    return dict(rows.fetchall())


def test_comments_explain_each_mart_and_each_of_its_columns_with_its_unit(connection: WarehouseConnection) -> None:
    english = language("en")
    found = comments(connection, "marts.exchange_rates")
    assert found.pop("") == "One currency and day: the price of one USD in the currency."
    assert found["end_of_day_rate"] == "Rate at the end of the day (local currency per USD)"
    assert found == {name: one.meaning for name, one in definitions(MARTS["exchange_rates"], english).items()}


def test_comments_explain_the_described_columns_of_a_source_table(connection: WarehouseConnection) -> None:
    found = comments(connection, 'raw."HumanResources_EmployeePayHistory"')
    assert found["Rate"] == "USD per hour"
    assert found.keys() - {""} == definitions(SOURCE_TABLES["HumanResources_EmployeePayHistory"], language("en")).keys()
