"""The real data in two forms: as files in DuckDB, and processed by the whole platform into PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, MARTS
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.settings import Settings
from adventureworks.warehouse.postgres import rows_of
from tests.acceptance import forecasts
from tests.acceptance.reference import REFERENCES, business_rules
from tests.acceptance.report import Report
from tests.conftest import WORKER, create_database, drop_database
from tests.integration.pipeline import Ingested, Pipeline

PLATFORM = f"real_warehouse_{WORKER}"


@pytest.fixture(scope="session")
def folder(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real files, which a test may break and must restore."""
    copy = tmp_path_factory.mktemp("files") / "parquet"
    return shutil.copytree(real_data / "parquet", copy, copy_function=shutil.copyfile)


@pytest.fixture(scope="session")
def first_load(folder: Path, postgres: EmbeddedPostgres) -> tuple[Pipeline, Ingested]:
    """A platform with everything ingested and analysed once, starting empty, and the result of the ingestion."""
    url = postgres.url(create_database(postgres, "warehouse", name=PLATFORM), "warehouse")
    pipeline = Pipeline(Settings(source=str(folder), warehouse_url=SecretStr(url)))
    ingested = pipeline.ingest()
    assert ingested.opened == {}
    assert sorted(pipeline.settle()) == sorted(ANALYSES)
    return pipeline, ingested


@pytest.fixture(scope="session")
def platform(first_load: tuple[Pipeline, Ingested]) -> Pipeline:
    """The platform of that load. Tests must not change it."""
    return first_load[0]


@pytest.fixture(scope="module")
def copied(platform: Pipeline, postgres: EmbeddedPostgres) -> Iterator[Pipeline]:
    """A copy of that platform, which a test may change."""
    name = create_database(postgres, "warehouse", template=PLATFORM)
    url = SecretStr(postgres.url(name, "warehouse"))
    yield Pipeline(platform.settings.model_copy(update={"warehouse_url": url}))
    drop_database(postgres, name)


@pytest.fixture(scope="session")
def mart_rows(platform: Pipeline) -> dict[str, pl.DataFrame]:
    """The rows of every mart."""
    with psycopg.connect(platform.url) as warehouse:
        return {mart: rows_of(warehouse, f"select * from marts.{mart}", {}) for mart in MARTS}


@pytest.fixture(scope="session")
def files(real_data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the files as views named like their tables, and the views of the second computations."""
    connection = duckdb.connect()
    for file in sorted((real_data / "parquet").glob("*.parquet")):
        connection.execute(f"create view {file.stem} as from '{file}'")
    connection.execute("set variable as_of = (select max(OrderDate)::date from Sales_SalesOrderHeader)")
    connection.execute((REFERENCES / "_views.sql").read_text())
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def duck(
    files: duckdb.DuckDBPyConnection, platform: Pipeline, mart_rows: dict[str, pl.DataFrame]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same files, with the platform's marts as tables `mart_<name>`."""
    connection = files.cursor()
    [(as_of,)] = platform.published("select max(order_date) from marts.fact_sales")
    connection.execute("set variable as_of = ?", [as_of])
    for mart, rows in mart_rows.items():
        connection.register("rows", rows)
        connection.execute(f"create table mart_{mart} as from rows")
    for name, rows in {**forecasts.tables(connection), "business_rule": business_rules()}.items():
        connection.register("rows", rows)
        connection.execute(f"create table {name} as from rows")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """The results of the comparisons, written to docs/validation.md at the end if requested."""
    kept = Report()
    yield kept
    kept.write_if_asked()
