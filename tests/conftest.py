"""What several suites share: a real PostgreSQL, fresh databases in it, and the real data where it is at hand."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling

from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres

NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
REPOSITORY = Path(__file__).resolve().parent.parent

# How long an example takes is measured in bench/; a slow machine is no fault of the code.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

ONE_PLATFORM = ("e2e", "acceptance", "production")
"""Suites whose tests share a platform that takes minutes to come up, the longest first."""

FreshDatabase = Callable[[str], str]
_numbers = count(1)


def _suite(path: str) -> str:
    return path.split("/")[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: no worker of several is then left alone with it at the end."""
    rank = {suite: place for place, suite in enumerate(ONE_PLATFORM)}
    items.sort(key=lambda item: rank.get(_suite(item.nodeid), len(rank)))


class BySuite(LoadScopeScheduling):
    """Gives tests that share a platform to one worker, others file by file."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return _suite(path) if _suite(path) in ONE_PLATFORM else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySuite:
    """How the tests are shared out where `make test` runs several at a time."""
    return BySuite(config, log)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of its own for the whole session, quick and not durable."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), tied=True, options=NOT_DURABLE)
    server.start()
    yield server
    server.stop(for_all=True)


@pytest.fixture
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[FreshDatabase]:
    """Makes an empty copy of the database `warehouse` or `source` and gives its owner's URL; dropped after the test."""
    made: list[str] = []

    def make(template: str) -> str:
        name = f"{template}_{next(_numbers)}"
        with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
            connection.execute(f"create database {name} template {template} owner {template} strategy file_copy")
        made.append(name)
        return postgres.url(name, template)

    yield make
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
        for name in made:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def warehouse_url(fresh_database: FreshDatabase) -> str:
    """The URL of an empty warehouse, as its owner."""
    return fresh_database("warehouse")


@pytest.fixture
def source_url(fresh_database: FreshDatabase) -> str:
    """The URL of an empty source database, as its owner."""
    return fresh_database("source")


@pytest.fixture
def source_reader_url(source_url: str, postgres: EmbeddedPostgres) -> str:
    """The URL of the database of `source_url` for the role that may only read it."""
    return postgres.url(source_url.rsplit("/", 1)[1], "source_reader")


def _test_data(kind: str, sign: str) -> Path:
    """The folder of a published data set; none of them is part of the repository."""
    shared = Path(os.environ.get("ADVENTUREWORKS_TEST_DATA", REPOSITORY.parent / "shared"))
    for folder in (shared, shared / kind):
        if (folder / sign).exists():
            return folder
    pytest.skip(f"no {kind} data in {shared} (set ADVENTUREWORKS_TEST_DATA)")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real AdventureWorks data."""
    return _test_data("adventureworks", "parquet")


@pytest.fixture(scope="session")
def cdnow() -> Path:
    """The folder with the purchases of CDNOW's customers, on which the customer value models were published."""
    return _test_data("cdnow", "CDNOW_sample.txt")
