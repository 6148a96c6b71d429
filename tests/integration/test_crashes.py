"""PostgreSQL crashes between any two statements from load to publish, without an effect on what is published."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks import pipeline as steps
from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.errors import ServiceUnavailable
from adventureworks.gate import detect, judge, load
from adventureworks.gate import publish as publishing
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks_sample import generate
from tests.conftest import NOT_DURABLE
from tests.integration.pipeline import Pipeline
from tests.interception import before_each_use, crash

DAGS = ("daily_sales_etl", "currency_exchange_rates")
RUN = "ingest_source/crashing"
ONE_REAL_CRASH_IN = 20
MOST_RETRIES = 1000

# A changed order, a row that breaks the contract, a row with a dangling reference, a deleted row, and a changed rate.
CHANGES = (
    """update "Sales"."SalesOrderHeader" set "Freight" = "Freight" + 1, "TotalDue" = "TotalDue" + 1, LATER
    where "SalesOrderID" = (select max("SalesOrderID") from "Sales"."SalesOrderHeader")""",
    """update "Sales"."Currency" set "Name" = '', LATER where "CurrencyCode" = 'FJD'""",
    """update "Sales"."SalesTerritory" set "CountryRegionCode" = 'XX', LATER where "TerritoryID" = 1""",
    """delete from "Sales"."ShoppingCartItem"
    where "ShoppingCartItemID" = (select max("ShoppingCartItemID") from "Sales"."ShoppingCartItem")""",
    """update "Sales"."CurrencyRate" set "EndOfDayRate" = "EndOfDayRate" * 1.01, LATER
    where "CurrencyRateID" = (select max("CurrencyRateID") from "Sales"."CurrencyRate")""",
)
LATER = """ "ModifiedDate" = "ModifiedDate" + interval '1 hour'"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server for this test alone, because it is killed repeatedly."""
    # Commits survive the end of a process, though not of the machine.
    options = {**NOT_DURABLE, "synchronous_commit": "on"}
    server = EmbeddedPostgres(tmp_path_factory.mktemp("crashing"), tied=True, options=options)
    server.start()
    url = SecretStr(server.url("source"))
    embedded.prepare(url)
    embedded.load_tables(url, generate(0.01, seed=11))
    pipeline = Pipeline(_settings(server, "source", "warehouse"), server.url("source"))
    assert len(pipeline.ingest().published) == len(SOURCE_TABLES)
    for dag in DAGS:
        pipeline.analyse(dag)
    for change in CHANGES:
        assert pipeline.change(change.replace("LATER", LATER)) == 1
    yield server
    server.stop(for_all=True)


def _settings(server: EmbeddedPostgres, source: str, warehouse: str) -> Settings:
    return Settings(
        source_url=SecretStr(server.url(source, "source")),
        warehouse_url=SecretStr(server.url(warehouse, "warehouse")),
        set_aside_limit=0.2,
    )


def _copied(server: EmbeddedPostgres, name: str) -> Pipeline:
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(f"create database {name} template warehouse owner warehouse strategy file_copy")
    return Pipeline(_settings(server, "source", name), server.url("source"))


class Killer:
    """Crashes PostgreSQL before a statement is sent or a connection opened, once for each place in the code."""

    def __init__(self, server: EmbeddedPostgres, database: str) -> None:
        self._server = server
        self._database = database
        self.killed: set[tuple[str, int]] = set()

    def before(self) -> None:
        place = _place()
        if place not in self.killed:
            self.killed.add(place)
            # A real crash takes about a second; simulating its effect on one database takes a few milliseconds.
            self.kill() if len(self.killed) % ONE_REAL_CRASH_IN == 0 else self.empty()

    def kill(self) -> None:
        crash(self._server)

    def empty(self) -> None:
        """End all sessions and empty all unlogged tables, as recovery does."""
        with psycopg.connect(self._server.url(self._database, SUPERUSER), autocommit=True) as connection:
            others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            connection.execute(f"select pg_terminate_backend(pid, 5000) {others}")
            unlogged = connection.execute(
                "select oid::regclass::text from pg_class where relpersistence = 'u' and relkind = 'r'"
                " and pg_relation_size(oid) > 0"
            ).fetchall()
            if unlogged:
                connection.execute(f"truncate {', '.join(name for (name,) in unlogged)}")


def _place() -> tuple[str, int]:
    """Return the line of the platform's code that is about to use the warehouse."""
    frame = sys._getframe(2)
    while "/adventureworks/" not in frame.f_code.co_filename or frame.f_code.co_filename.endswith("/postgres.py"):
        assert frame.f_back is not None
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


@pytest.fixture
def killer(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Killer:
    killer = Killer(server, "crashing")
    before_each_use(monkeypatch, killer.before)
    return killer


def retried(step: Callable[..., Any], *arguments: Any) -> Any:
    """Run a step, retrying it as Airflow does while the server is unavailable, and return its result."""
    for _ in range(MOST_RETRIES):
        with suppress(ServiceUnavailable):
            return step(*arguments)
    raise AssertionError(f"PostgreSQL is not available after {MOST_RETRIES} retries.")


def run(pipeline: Pipeline) -> None:
    """Run an ingestion and two analyses, retrying each task."""
    settings = pipeline.settings
    for group in retried(detect.detect, settings, RUN):
        retried(load.load, settings, RUN, group)
    for step in (judge.judge, publishing.publish, publishing.conclude):
        retried(step, settings, RUN)
    for dag in DAGS:
        retried(steps.analyse, settings, dag, f"{dag}/crashing")


def state(pipeline: Pipeline) -> dict[str, list[tuple[Any, ...]]]:
    """Return what readers and owners see: versions, rows, quarantine, incidents."""
    found = {
        "versions": "select asset, version, rows, changed_rows, months, inputs, verdict from ops.publication",
        "changes": "select asset, status, rows_read, set_aside, blocked_rule from ops.change",
        "quarantine": "select asset, row_key, rule, status from ops.quarantined_row",
        "incidents": "select asset, rule, status, code, parameters from ops.incident",
    }
    found |= {asset: f'select * from raw."{asset}"' for asset in SOURCE_TABLES}
    found |= {mart: f'select * from marts."{mart}"' for mart in MARTS}
    return {name: sorted(pipeline.published(query), key=repr) for name, query in found.items()}


def test_crashes_between_any_two_statements_do_not_affect_what_is_published(
    server: EmbeddedPostgres, killer: Killer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as quiet:
        quiet.setattr(killer, "kill", lambda: None)
        quiet.setattr(killer, "empty", lambda: None)
        clean = _copied(server, "clean")
        run(clean)
        places, killer.killed = killer.killed, set()
    expected = state(clean)
    versions = {row[0] for row in expected["versions"] if row[1] == 2}
    assert versions >= {"Sales_SalesOrderHeader", "Sales_ShoppingCartItem", "daily_sales", "exchange_rates"}
    assert len({row[2] for row in expected["quarantine"]}) == 2, "one broken rule, one dangling reference"
    crashing = _copied(server, "crashing")
    run(crashing)
    assert killer.killed >= places
    assert state(crashing) == expected
