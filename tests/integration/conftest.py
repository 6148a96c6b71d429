"""Fixtures of the suites on real processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks_sample import generate
from tests.conftest import WORKER, Once, create_database
from tests.integration.channels import inbox, webhook
from tests.integration.pipeline import Pipeline

__all__ = ["inbox", "webhook"]

Adventureworks = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def adventureworks(tmp_path: Path) -> Adventureworks:
    """A function that runs the command line on a separate home, as a user would."""

    def call(*arguments: str, home: Path = tmp_path / "home", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "adventureworks.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            env={**os.environ, "ADVENTUREWORKS_HOME": str(home)},
        )

    return call


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

    once("published", make)
    return names


@pytest.fixture
def pipeline(templates: dict[str, str], postgres: EmbeddedPostgres) -> Pipeline:
    """A platform in which everything is published and fresh."""
    copies = {role: create_database(postgres, role, name, f"{role}_{WORKER}") for role, name in templates.items()}
    urls = {role: postgres.url(copy, role) for role, copy in copies.items()}
    return Pipeline(
        Settings(source_url=SecretStr(urls["source"]), warehouse_url=SecretStr(urls["warehouse"])), urls["source"]
    )
