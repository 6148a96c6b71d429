"""Which tables an ingestion scans, if an earlier process has recorded their states with the marks of the source."""

from __future__ import annotations

import psycopg
import pytest

from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.errors import TableBlocked
from adventureworks.gate import detect, load, publish
from adventureworks.source import postgres as source
from adventureworks.source.postgres import PostgresSource
from tests.integration.pipeline import Pipeline

OFFER = "Sales_SpecialOffer"
CHANGED = """update "Sales"."SpecialOffer" set "ModifiedDate" = "ModifiedDate" + interval '1 day'"""


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The assets of the tables that were scanned."""
    found: list[str] = []
    scan = PostgresSource._state

    def scan_and_note(self, connection, table, columns):
        found.append(table.asset)
        return scan(self, connection, table, columns)

    monkeypatch.setattr(PostgresSource, "_state", scan_and_note)
    return found


def detected(pipeline: Pipeline, run: str, *, scan_all: bool = False) -> list[str]:
    """Return the changed tables that a new process detects."""
    source._scanned.clear()
    groups = detect.detect(pipeline.settings, f"ingest_source/{run}", scan_all=scan_all)
    return sorted(asset for group in groups for asset in group)


def change_unseen(postgres: EmbeddedPostgres, pipeline: Pipeline) -> None:
    """Change a table at the source without changing its counters."""
    database = pipeline.at_source("select current_database()::text")[0][0]
    with psycopg.connect(postgres.url(database, SUPERUSER)) as hiding:
        hiding.execute("set track_counts = off")
        hiding.execute(CHANGED)


def block(pipeline: Pipeline, asset: str) -> None:
    """Detect a changed table and block it for no fault of its own, so that its state is not known any more."""
    run = "ingest_source/disk is full"
    detect.detect(pipeline.settings, run)
    with pipeline.session() as session:
        load.mark_blocked(session.records, run, TableBlocked(asset, "can_be_loaded", "the disk is full"))
    publish.publish(pipeline.settings, run)


def test_a_run_scans_only_the_tables_that_were_written_since_their_recorded_state(
    pipeline: Pipeline, scanned: list[str]
) -> None:
    source._scanned.clear()
    pipeline.ingest()
    for attempt in range(20):
        pipeline.change(CHANGED)
        scanned.clear()
        assert detected(pipeline, f"first {attempt}") == [OFFER]
        # The server itself may be connected at any time (autovacuum), but not each time.
        if scanned == [OFFER]:
            break
    assert scanned == [OFFER]
    assert detected(pipeline, "next") == [OFFER], "its recorded state is still the one before"


def test_a_run_that_scans_everything_finds_what_was_hidden_from_the_counters(
    postgres: EmbeddedPostgres, pipeline: Pipeline
) -> None:
    source._scanned.clear()
    pipeline.ingest()
    change_unseen(postgres, pipeline)
    pipeline.change("""update "Sales"."Currency" set "ModifiedDate" = "ModifiedDate" + interval '1 day'""")
    assert detected(pipeline, "calendar", scan_all=True) == ["Sales_Currency", OFFER]


@pytest.mark.parametrize("is_one_unknown", [False, True])
def test_a_run_scans_everything_if_the_counters_show_no_change(
    postgres: EmbeddedPostgres, pipeline: Pipeline, is_one_unknown: bool
) -> None:
    source._scanned.clear()
    pipeline.ingest()
    if is_one_unknown:
        pipeline.change('update "Sales"."Currency" set "ModifiedDate" = now()')
        block(pipeline, "Sales_Currency")
    change_unseen(postgres, pipeline)
    assert OFFER in detected(pipeline, "watcher")


def test_a_table_that_must_be_read_again_for_no_change_of_its_own_is_detected(pipeline: Pipeline) -> None:
    source._scanned.clear()
    pipeline.change(CHANGED)
    block(pipeline, OFFER)
    assert detected(pipeline, "next") == [OFFER]
