"""Fixtures of several suites: a real PostgreSQL, fresh databases in it, and the real data where it is available."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling

from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.garbage import collect_rarely

NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",
}
REPOSITORY = Path(__file__).resolve().parent.parent

# Each worker imports most of the code.
collect_rarely()

MEMORY = Path("/dev/shm")
MIN_FREE_BYTES = 8_000_000_000
"""Three times what the tests store."""


def _memory_folder() -> str | None:
    """Return a folder in memory, or None without one, or with too little space in it.

    Tests copy databases of a thousand files each, and creating files on a disk takes four times as long.
    """
    if not MEMORY.is_dir() or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    return str(MEMORY) if shutil.disk_usage(MEMORY).free > MIN_FREE_BYTES else None


TEMPORARY = _memory_folder()
if TEMPORARY:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", TEMPORARY)

# The workers keep all processors busy, and most frames are small: validating them in two threads takes half as much
# processor time again.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

# Speed is measured in bench/: on a slow machine, a slow example is not a fault of the code.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

SECONDS = {
    "tests/e2e": 450,
    "tests/acceptance": 350,
    "tests/production": 150,
    "tests/integration/test_pipeline.py": 150,
    "tests/integration/test_forget.py": 90,
    "tests/chaos/test_chaos.py": 80,
    "tests/integration/test_dashboard.py": 70,
    "tests/integration/test_backup.py": 70,
    "tests/integration/test_crashes.py": 60,
    "tests/integration/test_recipes.py": 55,
    "tests/integration/test_watch.py": 50,
    "tests/integration/test_environments.py": 50,
    "tests/integration/test_embedded_platform.py": 45,
    "tests/integration/test_reports.py": 45,
    "tests/integration/test_first_load.py": 40,
    "tests/integration/test_load_memory.py": 40,
    "tests/integration/test_quarantine.py": 35,
    "tests/integration/test_judge.py": 30,
    "tests/integration/test_backfill.py": 30,
    "tests/integration/test_embedded_postgres.py": 30,
    "tests/integration/test_change_profiles.py": 30,
    "tests/integration/test_digests.py": 25,
    "tests/integration/test_simulate.py": 25,
    "tests/integration/test_outbox.py": 25,
    "tests/integration/test_approve.py": 25,
    "tests/integration/test_checks.py": 25,
    "tests/integration/test_faults.py": 25,
    "tests/integration/test_candidates.py": 17,
    "tests/integration/test_tour.py": 15,
    "tests/integration/test_file_source_real_data.py": 15,
    "tests/integration/test_bill_cycles.py": 15,
    "tests/integration/test_embedded_cli.py": 15,
}
"""Approximate processor time of the slowest. A folder's files share a platform, so one worker runs all of them."""
DEFAULT_SECONDS = 5

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_numbers = count(1)
_shared_server = pytest.StashKey[EmbeddedPostgres]()

FreshDatabase = Callable[..., str]
Once = Callable[[str, Callable[[], None]], None]


def _unit(nodeid: str) -> str:
    """Return what one worker runs as a unit: a file, or a folder whose files share a platform."""
    path = nodeid.partition("::")[0]
    return next((folder for folder in SECONDS if path.startswith(f"{folder}/")), path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the slowest tests first, so that the workers end at about the same time."""
    items.sort(key=lambda item: -SECONDS.get(_unit(item.nodeid), DEFAULT_SECONDS))


class LongestFirst(LoadScopeScheduling):
    """Scheduler that gives a free worker the longest remaining unit."""

    def _split_scope(self, nodeid: str) -> str:
        return _unit(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst:
    """Return the scheduler that distributes the tests when `make test` runs several at a time."""
    return LongestFirst(config, log)


def pytest_configure_node(node: Any) -> None:
    """Give all workers one PostgreSQL server, which ends with the process that distributes the tests."""
    config = node.config
    if _shared_server not in config.stash:
        home = Path(tempfile.mkdtemp(prefix="adventureworks-tests-", dir=TEMPORARY))
        server = EmbeddedPostgres(home, tied=True, options=NOT_DURABLE)
        server.start()
        config.stash[_shared_server] = server
        config.add_cleanup(lambda: shutil.rmtree(home))
        config.add_cleanup(lambda: server.stop(for_all=True))
    node.workerinput["postgres"] = str(config.stash[_shared_server].home.path)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server for the whole session and all its workers, fast but not durable."""
    shared = getattr(request.config, "workerinput", {}).get("postgres")
    home = Path(shared) if shared else tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(home, tied=True, options=NOT_DURABLE)
    server.start()
    yield server
    server.stop(for_all=not shared)


@pytest.fixture(scope="session")
def once(postgres: EmbeddedPostgres) -> Once:
    """A function that prepares a named resource once for all workers: the first caller does it, the others wait."""

    def prepare(name: str, make: Callable[[], None]) -> None:
        with postgres.home.locked(f"test.{name}"):
            if postgres.home.remembered(name) is None:
                make()
                postgres.home.remember(name, True)

    return prepare


def create_database(postgres: EmbeddedPostgres, owner: str, template: str = "", name: str = "") -> str:
    """Create a database for this worker from a template (default: the owner's empty database) and return its name."""
    name = name or f"{owner}_{WORKER}_{next(_numbers)}"
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(f"drop database if exists {name} with (force)")
        connection.execute(
            f"create database {name} template {template or owner} owner {owner} strategy file_copy".encode()
        )
    return name


def drop_database(postgres: EmbeddedPostgres, name: str) -> None:
    """Drop a database, even if sessions are connected to it."""
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[FreshDatabase]:
    """A function that creates a database of `warehouse` or `source` and returns its URL; dropped after the test.

    The database is empty, or a copy of the named template.
    """
    made: list[str] = []

    def make(owner: str, template: str = "") -> str:
        made.append(create_database(postgres, owner, template))
        return postgres.url(made[-1], owner)

    yield make
    for name in made:
        drop_database(postgres, name)


@pytest.fixture
def empty_warehouse_url(fresh_database: FreshDatabase) -> str:
    """The URL of a warehouse without any table, as its owner."""
    return fresh_database("warehouse")


@pytest.fixture
def source_url(fresh_database: FreshDatabase) -> str:
    """The URL of an empty source database, as its owner."""
    return fresh_database("source")


@pytest.fixture
def source_reader_url(source_url: str, postgres: EmbeddedPostgres) -> str:
    """The URL of the database of `source_url` for the role that may only read it."""
    return postgres.url(source_url.rsplit("/", 1)[1], "source_reader")


def _test_data(kind: str, marker_file: str) -> Path:
    """Return the folder of a published data set, or skip the test: the data sets are not part of the repository."""
    shared = Path(os.environ.get("ADVENTUREWORKS_TEST_DATA", REPOSITORY.parent / "shared"))
    for folder in (shared, shared / kind):
        if (folder / marker_file).exists():
            return folder
    pytest.skip(f"no {kind} data in {shared} (set ADVENTUREWORKS_TEST_DATA)")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real AdventureWorks data."""
    return _test_data("adventureworks", "parquet")


@pytest.fixture(scope="session")
def cdnow() -> Path:
    """The folder with the purchases of CDNOW's customers, with which the customer value models were published."""
    return _test_data("cdnow", "CDNOW_sample.txt")
