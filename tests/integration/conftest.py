"""Fixtures of the suites on real processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlglot.dialects.postgres import Postgres

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks.warehouse import layout, open_warehouse
from adventureworks.warehouse import postgres as warehouse
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import table
from adventureworks_sample import generate
from tests import command_line
from tests.conftest import WORKER, FreshDatabase, Once, create_database
from tests.integration.channels import inbox, webhook
from tests.integration.pipeline import Pipeline

__all__ = ["inbox", "webhook"]

Adventureworks = Callable[..., subprocess.CompletedProcess[str]]


class _DataConnection:
    """A connection whose cursors are marked as those of a session's data side."""

    def __init__(self, connection: warehouse.WarehouseConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        cursor = self._connection.cursor(*arguments, **options)
        cursor.side = "data"
        return cursor

    def execute(self, query: str, parameters: Any = None) -> Any:
        return self.cursor().execute(query, parameters)


@lru_cache(maxsize=4096)
def _sides(statement: str) -> frozenset[str]:
    """Return the sides of a session that have the tables of a statement."""
    tokens = [token.text for token in Postgres().tokenize(statement)]
    named = {(schema, name) for schema, dot, name in zip(tokens, tokens[1:], tokens[2:], strict=False) if dot == "."}
    return frozenset(
        "records" if schema == "ops" and name != "quarantined_row" else "data"
        for schema, name in named
        if schema in SCHEMAS
    )


@pytest.fixture(scope="session", autouse=True)
def sides() -> Iterator[None]:
    """Refuse statements on the wrong side of a session. PostgreSQL would accept them, Snowflake would not."""
    sent = warehouse._InEnvironment._of_environment

    def of_environment(self: Any, query: Any) -> Any:
        text, side = warehouse.as_text(query), getattr(self, "side", "records")
        # Migrations also change the rows in quarantine, but only where they are in the records' database.
        assert _sides(text) <= {side} or "UPDATE ops.migration " in text, f"on the side with the {side}: {text}"
        return sent(self, query)

    def init(self: Any, connection: warehouse.WarehouseConnection) -> None:
        self._connection = _DataConnection(connection)

    sign_in = warehouse.PostgresWarehouse.signed_in

    @contextmanager
    def signed_in(self: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        with sign_in(self, *arguments, **options) as connection:
            yield _DataConnection(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warehouse._InEnvironment, "_of_environment", of_environment)
        patch.setattr(warehouse.PostgresData, "__init__", init)
        patch.setattr(warehouse.PostgresWarehouse, "signed_in", signed_in)
        yield


@pytest.fixture
def adventureworks(tmp_path: Path) -> Adventureworks:
    """A function that runs the command line on a separate home, as a user would."""

    def call(*arguments: str, home: Path = tmp_path / "home", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ADVENTUREWORKS_HOME": str(home)}
        return command_line.run(*arguments, environment=environment, timeout=timeout)

    return call


@pytest.fixture(scope="session")
def laid_out(postgres: EmbeddedPostgres, once: Once) -> str:
    """The name of a warehouse with all tables and no rows; tests get copies."""
    name = "laid_out_warehouse"

    def make() -> None:
        create_database(postgres, "warehouse", name=name)
        settings = Settings(warehouse_url=SecretStr(postgres.url(name, "warehouse")))
        with open_warehouse(settings).connect("test") as session:
            layout.prepare(session)

    once(name, make)
    return name


@pytest.fixture
def warehouse_url(fresh_database: FreshDatabase, laid_out: str) -> str:
    """The URL of a warehouse with all tables and no rows, as its owner."""
    return fresh_database("warehouse", laid_out)


@pytest.fixture(scope="session")
def templates(postgres: EmbeddedPostgres, once: Once) -> dict[str, str]:
    """The names of a source with generated data and of a warehouse that has published it, by role; tests get copies."""
    names = {"source": "published_source", "warehouse": "published_warehouse"}

    def make() -> None:
        for role, name in names.items():
            create_database(postgres, role, name=name)
        source = postgres.url(names["source"], "source")
        embedded.prepare(SecretStr(source))
        embedded.load_tables(SecretStr(source), generate(0.02, seed=7))
        warehouse = postgres.url(names["warehouse"], "warehouse")
        first = Pipeline(Settings(source_url=SecretStr(source), warehouse_url=SecretStr(warehouse)), source)
        assert len(first.ingest().published) == 71
        assert sorted(first.settle()) == sorted(ANALYSES), "each runs once"
        with first.session() as session:
            drop_staged_rows(session.data)

    once("published", make)
    return names


def drop_staged_rows(data: Data) -> None:
    """Drop what the last runs staged: half of the files of a copy. The next runs create their own."""
    entries: list[SourceTable | Mart] = [*SOURCE_TABLES.values(), *MARTS.values()]
    for entry in entries:
        layout.show_published(data, entry)
    found = data.execute(
        "select relname from pg_class where relnamespace = 'staging'::regnamespace and relpersistence = 'u'"
    ).fetchall()
    data.execute(f"drop table {', '.join(table('staging', name) for (name,) in found)}")


@pytest.fixture(scope="session")
def real_source(postgres: EmbeddedPostgres, once: Once, real_data: Path) -> str:
    """The name of a source database with the real data; tests get copies."""
    name = "real_source"

    def make() -> None:
        create_database(postgres, "source", name=name)
        url = SecretStr(postgres.url(name, "source"))
        embedded.prepare(url)
        assert embedded.is_empty(url)
        assert sum(embedded.load_folder(url, real_data / "parquet").values()) == 760_837

    once(name, make)
    return name


@pytest.fixture(scope="session")
def migrated_airflow(postgres: EmbeddedPostgres, once: Once, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the installed Airflow's own schema; tests get copies."""
    name = "migrated_airflow"

    def make() -> None:
        create_database(postgres, "airflow", name=name)
        variables = {
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(name, "airflow").replace("://", "+psycopg2://"),
        }
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **variables})

    once(name, make)
    return name


@pytest.fixture
def pipeline(templates: dict[str, str], postgres: EmbeddedPostgres) -> Pipeline:
    """A platform in which everything is published and fresh."""
    copies = {role: create_database(postgres, role, name, f"{role}_{WORKER}") for role, name in templates.items()}
    urls = {role: postgres.url(copy, role) for role, copy in copies.items()}
    return Pipeline(
        Settings(source_url=SecretStr(urls["source"]), warehouse_url=SecretStr(urls["warehouse"])), urls["source"]
    )
