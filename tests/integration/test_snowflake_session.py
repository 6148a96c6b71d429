"""Sessions with Snowflake: their parameters, and how many statements they send."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.gate.soda import checked_schema, scan_table
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse
from adventureworks.warehouse.staging import StagedTable, count
from tests.integration.snowflake_double import recorded_statements, snowflake_double

CHECKS = 'checks for "Sales_Currency":\n  - row_count = 0:\n      name: is_empty\n'


def test_statements_of_soda_are_counted(warehouse_url: str) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url))
    with pytest.MonkeyPatch.context() as patch, snowflake_double(patch):
        warehouse = open_warehouse(settings)
        with warehouse.connect("prepare") as session:
            layout.prepare(session)
        with recorded_statements() as sent, checked_schema(warehouse, "raw") as source:
            assert scan_table(source, CHECKS).checks["is_empty"].outcome == "pass"
        with warehouse.connect("test") as session:
            counted = session.records.execute(
                "select sum(statements) from ops.warehouse_use where purpose = 'check'"
            ).fetchone()
    queries = [statement for statement in sent if statement != "login"]
    assert len(queries) > 1
    assert counted == (len(queries),)


def test_what_is_replaced_in_snowflake_takes_one_statement(warehouse_url: str) -> None:
    """What a small batch costs there is the number of statements."""
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url))
    staged = StagedTable(SOURCE_TABLES["Sales_Currency"])
    with (
        pytest.MonkeyPatch.context() as patch,
        snowflake_double(patch),
        open_warehouse(settings).connect("prepare") as session,
        recorded_statements() as sent,
    ):
        layout.prepare(session)
        staged.start(session.data)
        session.data.execute(f"insert into {staged.gone} values ('EUR')")
        staged.start(session.data)
        assert count(session.data, staged.gone) == 0
    retired = [f'DROP VIEW IF EXISTS "STAGING"."{name.upper()}"' for name in layout.RETIRED_VIEWS]
    assert [statement for statement in sent if statement.upper().startswith("DROP")] == retired


def test_a_session_does_not_depend_on_the_defaults_of_the_account(
    warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url))
    with snowflake_double(monkeypatch):
        import snowflake.connector

        connect, requested = snowflake.connector.connect, dict[str, Any]()

        def recording(**options: Any) -> Any:
            requested.update(options["session_parameters"])
            return connect(**options)

        monkeypatch.setattr(snowflake.connector, "connect", recording)
        with open_warehouse(settings).signed_in("raw", "test"):
            pass
    assert requested["TIMEZONE"] == "UTC"
    assert requested["DEFAULT_NULL_ORDERING"] == "LAST"
    assert requested["TIMESTAMP_NTZ_OUTPUT_FORMAT"] == "YYYY-MM-DD HH24:MI:SS"
