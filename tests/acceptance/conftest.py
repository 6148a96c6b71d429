"""The real data twice: in DuckDB as files, and through the whole platform into PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, MARTS
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.settings import Settings
from adventureworks.warehouse.postgres import rows_of
from tests.acceptance.report import Report
from tests.conftest import create_database
from tests.integration.pipeline import Pipeline

REFERENCES = Path(__file__).parent / "references"


@pytest.fixture(scope="session")
def platform(real_data: Path, postgres: EmbeddedPostgres) -> Pipeline:
    """Everything ingested and analysed once, from empty."""
    url = postgres.url(create_database(postgres, "warehouse"), "warehouse")
    settings = Settings(source=str(real_data / "parquet"), warehouse_url=SecretStr(url))
    pipeline = Pipeline(settings)
    assert pipeline.ingest().opened == {}
    assert sorted(pipeline.settle()) == sorted(ANALYSES)
    return pipeline


@pytest.fixture(scope="session")
def duck(
    real_data: Path, platform: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The files as views, named as their tables; the marts to compare with as tables `mart_<name>`."""
    [(as_of,)] = platform.published("select max(order_date) from marts.fact_sales")
    folder = tmp_path_factory.mktemp("marts")
    connection = duckdb.connect()
    connection.execute("set variable as_of = ?", [as_of])
    for file in sorted((real_data / "parquet").glob("*.parquet")):
        connection.execute(f"create view {file.stem} as from '{file}'")
    connection.execute((REFERENCES / "_views.sql").read_text())
    with psycopg.connect(platform.url) as warehouse:
        for mart in MARTS:
            file = folder / f"{mart}.parquet"
            rows_of(warehouse, f"select * from marts.{mart}", {}).write_parquet(file)
            connection.execute(f"create table mart_{mart} as from '{file}'")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """What came of the comparisons; written to docs/validation.md at the end where that is asked for."""
    kept = Report()
    yield kept
    kept.write_if_asked()
