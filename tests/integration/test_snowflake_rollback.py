"""`adventureworks rollback` of a mart in Snowflake, which is replaced by a double behind the real connector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, SourceTable, upstream_of, upstream_tables
from adventureworks.cli import rollback as command
from adventureworks.columns import columns_of
from adventureworks.due import NothingToDo
from adventureworks.warehouse import layout
from adventureworks.warehouse.sql import names, published_schema
from tests.integration.pipeline import Pipeline
from tests.integration.snowflake_double import snowflake_double
from tests.integration.test_rollback import DAG, UNIT, publish, sell_more, versions
from tests.integration.test_rollback import roll_back as roll_back_to

READER, DAG_OF_READER = "territory_sales", "sales_territory_analysis"


@pytest.fixture
def in_snowflake(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A platform on Snowflake with the marts of an analysis, a mart that reads them, and everything upstream."""
    marts = {READER, *UNIT} | (upstream_of(READER) & MARTS.keys())
    tables = frozenset().union(*map(upstream_tables, marts))
    entries: list[SourceTable | Mart] = [*(SOURCE_TABLES[name] for name in tables), *(MARTS[name] for name in marts)]
    with pipeline.session() as session:
        copied = [session.data.frame(layout.published_rows(entry), {}) for entry in entries]
    pipeline.settings.warehouse = "snowflake"
    with snowflake_double(monkeypatch):
        with pipeline.session() as session:
            layout.prepare(session)
            for entry, frame in zip(entries, copied, strict=True):
                session.data.fill(published_schema(entry), entry.asset, frame)
        yield pipeline


def rows(pipeline: Pipeline, mart: str) -> list[tuple[Any, ...]]:
    """Return the rows of a mart without the ratios, which the double rounds in its own way."""
    ratios = {"margin", "revenue_share", "revenue_growth"}
    columns = names(column.name for column in columns_of(MARTS[mart]) if column.name not in ratios)
    with pipeline.session() as session:
        return sorted(session.data.execute(f'select {columns} from marts."{mart}"').fetchall(), key=repr)


def test_readers_see_an_earlier_version_its_readers_follow_and_the_release_brings_the_newest(
    in_snowflake: Pipeline,
) -> None:
    pipeline, marts = in_snowflake, (*UNIT, READER)
    first = {mart: rows(pipeline, mart) for mart in marts}
    publish(pipeline, sell_more)
    assert pipeline.settle(DAG_OF_READER) == [DAG_OF_READER]
    second = {mart: rows(pipeline, mart) for mart in marts}
    assert all(first[mart] != second[mart] for mart in marts)

    roll_back_to(pipeline, versions(pipeline)["fact_sales"] - 1)
    assert {mart: rows(pipeline, mart) for mart in UNIT} == {mart: first[mart] for mart in UNIT}
    assert isinstance(pipeline.analyse(DAG), NothingToDo)
    assert pipeline.settle(DAG_OF_READER) == [DAG_OF_READER]
    assert rows(pipeline, READER) == first[READER]

    command.release(pipeline.settings, "daily_sales", "corrected", "bob")
    assert pipeline.settle(DAG, DAG_OF_READER) == [DAG, DAG_OF_READER]
    assert {mart: rows(pipeline, mart) for mart in marts} == second
