"""AdventureWorksLT: its twelve tables are loaded, and what it lacks is not offered."""

from __future__ import annotations

import json
from decimal import Decimal

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, SOURCE_TABLES, is_tolerant
from adventureworks.cli.run import Outcome
from adventureworks.errors import PlatformError
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.source.postgres import PostgresSource
from adventureworks.source.recognition import require_tables
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.state import AssetState, asset_states
from contracts.editions import EDITIONS
from tests.integration.lt_source import ROWS, SCHEMA
from tests.integration.pipeline import Pipeline

[LT] = EDITIONS


@pytest.fixture
def lt(source_url: str, warehouse_url: str) -> Pipeline:
    """A warehouse to be filled from AdventureWorksLT."""
    with psycopg.connect(source_url) as connection:
        connection.execute((SCHEMA + ROWS).encode())
    settings = Settings(
        source_url=SecretStr(source_url), warehouse_url=SecretStr(warehouse_url), allow_missing=True
    )
    return Pipeline(settings, source_url)


def states_of(pipeline: Pipeline) -> dict[str, AssetState]:
    with open_warehouse(pipeline.settings).connect("test") as session:
        return {one.asset: one for one in asset_states(session.records, decide_now(pipeline.settings, session).behind)}


def test_the_tables_are_loaded_and_what_is_lacking_is_not_offered(lt: Pipeline) -> None:
    first = lt.ingest()
    assert first.opened == {}
    assert first.published.keys() == LT.feeds.keys()
    states = states_of(lt)
    assert {state.verdict for asset, state in states.items() if asset in SOURCE_TABLES.keys() - LT.feeds.keys()} == {
        "not offered"
    }
    assert lt.published("select count(*) from ops.quarantined_row") == [(0,)]
