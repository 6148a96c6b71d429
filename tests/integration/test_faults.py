"""Isolation of faults: any fault of one table, at any step, affects that table only."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adventureworks.catalog import SOURCE_TABLES, unit_of
from adventureworks.columns import columns_of, key_of
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.errors import ServiceUnavailable
from adventureworks.gate import checks, judge, load, proofs
from adventureworks.messaging.wording import words
from adventureworks.postgres_sql import quoted
from adventureworks.source.postgres import PostgresSnapshot, PostgresSource
from adventureworks.warehouse import open_warehouse, postgres, publication, quarantine
from adventureworks.warehouse.sql import table
from adventureworks.warehouse.staging import StagedTable
from tests.integration.pipeline import Pipeline

OTHERS = ("Production_ScrapReason", "Sales_Currency")


class Panic(BaseException):
    """An error like a panic of polars, which is not an Exception."""


def touch(pipeline: Pipeline, asset: str) -> None:
    """Make a legitimate change to one row."""
    entry = SOURCE_TABLES[asset]
    relation, modified = table(entry.schema, entry.name), f'"{entry.modified}"'
    changed = pipeline.change(
        f"update {relation} set {modified} = {modified} + interval '1 second'"
        f" where ctid = (select min(ctid) from {relation})"
    )
    assert changed == 1


def rows_of(pipeline: Pipeline, asset: str) -> tuple[list[Any], list[Any]]:
    """Return keys and modification dates of a table, at the source and as published."""
    entry = SOURCE_TABLES[asset]
    columns = {column.name: column for column in columns_of(entry)}
    listed = []
    for column in (columns[name] for name in (*key_of(entry), entry.modified)):
        shown = f"rtrim({quoted(column.name)})" if column.is_padded else quoted(column.name)
        # The root of a hierarchy is NULL in some sources.
        listed.append(f"coalesce({shown}, '')" if column.is_hierarchy else shown)
    query = f"select {', '.join(listed)} from {{}} order by {', '.join(listed)}"
    return (
        pipeline.at_source(query.format(table(entry.schema, entry.name))),
        pipeline.published(query.format(table("raw", asset))),
    )


Step = tuple[Any, str, Callable[..., str]]
STEPS: dict[str, Step] = {
    "state": (PostgresSource, "_state", lambda _self, _connection, entry, *_: entry.asset),
    "rows": (PostgresSnapshot, "_stream", lambda _self, entry, *_: entry.asset),
    "contract": (load, "validate", lambda entry, _batch, **_: entry.asset),
    "secrets": (load, "protected", lambda entry, _rows: entry.asset),
    "staging": (StagedTable, "settle", lambda staged, _connection, **_: staged.asset),
    "quarantine": (quarantine, "set_next_status", lambda _connection, entry, **_: entry.asset),
    "candidate": (StagedTable, "show_candidate", lambda staged, _connection: staged.asset),
    "change": (judge, "kept", lambda _session, staged, *_: staged.asset),
    "checks": (checks, "_check_table", lambda _source, _folder, declared, *_: declared[0].table),
    "references": (StagedTable, "set_aside", lambda staged, _connection, *_: staged.asset),
    "merge": (publication, "merge", lambda _connection, staged, _parent: staged.asset),
    "watermark": (publication, "newest_change", lambda _connection, entry, _latest: entry.asset),
}
"""Steps that work on one table: the function, and how to derive the table from its arguments."""
WAITING = ("state", "rows")
"""The steps that wait for the source."""


@contextmanager
def broken(name: str, asset: str, fail: Callable[[], None]) -> Iterator[None]:
    """Make one step fail for one table."""
    owner, function, asset_of = STEPS[name]
    original = getattr(owner, function)

    def step(*arguments: Any, **named: Any) -> Any:
        if asset_of(*arguments, **named) == asset:
            fail()
        return original(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, function, step)
        if name == "checks":
            # Otherwise the change may show that every rule of the table is kept.
            patch.setattr(proofs, "are_possible", lambda _session: False)
        yield


def raising(kind: type[BaseException]) -> Callable[[], None]:
    def fail() -> None:
        raise kind("a secret value")

    return fail


def hanging(released: threading.Event) -> None:
    released.wait(60)
    raise ServiceUnavailable("The source answers too late.")


FAULTS = st.one_of(
    st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from([ValueError, MemoryError, RecursionError, Panic])),
    st.tuples(st.sampled_from(WAITING), st.just(None)),
)


@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(sorted(SOURCE_TABLES)), FAULTS)
def test_a_fault_at_any_step_blocks_its_table_until_the_next_change(
    pipeline: Pipeline, asset: str, fault: tuple[str, type[BaseException] | None]
) -> None:
    step, kind = fault
    other = next(name for name in OTHERS if name != asset)
    touch(pipeline, asset)
    touch(pipeline, other)
    released = threading.Event()
    fail = raising(kind) if kind else partial(hanging, released)
    # Short only if the source hangs: a busy machine needs time.
    pipeline.settings.table_timeout_minutes = 1.0 if kind else 0.02
    with broken(step, asset, fail):
        faulty = pipeline.ingest()
    released.set()
    pipeline.settings.table_timeout_minutes = 1.0

    assert set(faulty.published) == {other}
    [incident] = faulty.conclusion.opened
    assert (incident.asset, incident.owner) == (asset, SOURCE_TABLES[asset].owner)
    assert asset in words(incident).summary
    assert "secret" not in words(incident).summary

    touch(pipeline, asset)
    repaired = pipeline.ingest()
    assert asset in repaired.published
    assert repaired.opened == {}
    assert repaired.resolved == {asset: incident.rule}
    for name in unit_of(asset) or {asset}:
        expected, found = rows_of(pipeline, name)
        assert found == expected


OFFER = "Sales_SpecialOffer"


def test_an_unreadable_column_is_named(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = PostgresSnapshot._stream

    def unreadable(self: PostgresSnapshot, entry: Any, *rest: Any) -> Iterator[pa.RecordBatch]:
        for batch in stream(self, entry, *rest):
            place = batch.schema.get_field_index("DiscountPct")
            if place < 0:
                yield batch
                continue
            spans = pa.array([pa.MonthDayNano([1, 2, 3])] * batch.num_rows)
            yield batch.set_column(place, "DiscountPct", spans)

    monkeypatch.setattr(PostgresSnapshot, "_stream", unreadable)
    for asset in (OFFER, "Sales_Currency"):
        touch(pipeline, asset)
    ingested = pipeline.ingest()
    assert set(ingested.published) == {"Sales_Currency"}
    [incident] = ingested.conclusion.opened
    assert (incident.asset, incident.rule) == (OFFER, "can_be_loaded")
    assert "column DiscountPct (month_day_nano_interval)" in words(incident).summary


def test_a_column_refused_by_the_warehouse_is_named(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    beyond = pl.lit(-(2**62)).cast(pl.Datetime("us")).alias("StartDate")
    protected = load.protected
    monkeypatch.setattr(
        load,
        "protected",
        lambda entry, rows: protected(entry, rows.with_columns(beyond) if entry.asset == OFFER else rows),
    )
    for asset in (OFFER, "Sales_Currency"):
        touch(pipeline, asset)
    ingested = pipeline.ingest()
    assert set(ingested.published) == {"Sales_Currency"}
    [incident] = ingested.conclusion.opened
    assert "refuses values of column StartDate." in words(incident).summary


@pytest.mark.parametrize("content", [b"checks for: [", b"\xff\xfe"])
def test_an_unreadable_check_file_blocks_its_table_until_it_is_fixed(
    pipeline: Pipeline, tmp_path: Path, content: bytes
) -> None:
    intact = pipeline.settings.checks_folder
    shutil.copytree(intact, tmp_path / "checks")
    pipeline.settings.checks_folder = tmp_path / "checks"
    (tmp_path / "checks" / "source" / f"{OFFER}.yml").write_bytes(content)
    for asset in (OFFER, "Sales_Currency"):
        touch(pipeline, asset)
    ingested = pipeline.ingest()
    assert set(ingested.published) == {"Sales_Currency"}
    assert ingested.opened == {OFFER: "checks_are_readable"}
    pipeline.settings.checks_folder = intact
    assert pipeline.ingest().resolved == {OFFER: "checks_are_readable"}


def test_a_table_that_repeatedly_breaks_the_connection_is_blocked(pipeline: Pipeline) -> None:
    from adventureworks.gate import detect

    def lose() -> None:
        raise ServiceUnavailable("The source does not answer: the connection was lost.")

    # They are in the same unit, so they are read in the same group.
    header, detail = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail"
    touch(pipeline, header)
    touch(pipeline, detail)
    run = "ingest_source/lost"
    status = "select asset, status from ops.change where run_id = %s order by asset"
    [group] = detect.detect(pipeline.settings, run)
    with broken("rows", header, lose):
        for _ in range(load.MOST_LOSSES):
            with pytest.raises(ServiceUnavailable, match="connection was lost"):
                load.load(pipeline.settings, run, group)
            assert pipeline.published(status, (run,)) == [(detail, "staged"), (header, "detected")]
        load.load(pipeline.settings, run, group)
    assert pipeline.published(status, (run,)) == [(detail, "staged"), (header, "blocked")]


def test_a_lock_at_the_source_blocks_only_its_table(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adventureworks.source.postgres._LOCK_TIMEOUT_MS", 50)
    touch(pipeline, "Sales_Currency")
    with psycopg.connect(pipeline._source_url) as other:
        other.execute('lock table "Sales"."SpecialOffer" in access exclusive mode')
        ingested = pipeline.ingest()
    assert set(ingested.published) == {"Sales_Currency"}
    assert ingested.opened == {OFFER: "table_answers"}
    touch(pipeline, OFFER)
    assert pipeline.ingest().resolved == {OFFER: "table_answers"}


def test_a_deadlock_in_a_check_does_not_block_the_table(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.session() as session:
        session.data.execute(
            "create function raw.fail() returns int language plpgsql as $$"
            " begin raise 'deadlock detected' using errcode = 'deadlock_detected'; end $$"
        )
    check = "  - failed rows:\n      name: a_b\n      fail query: select raw.fail()\n"
    (tmp_path / "Sales_Currency.yml").write_text(f'checks for "Sales_Currency":\n{check}')
    with pytest.raises(ServiceUnavailable, match="deadlock detected"):
        checks.run_checks(open_warehouse(pipeline.settings), tmp_path, ["Sales_Currency"], {})


def test_a_readers_lock_in_the_warehouse_blocks_only_its_table(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres._TIMEOUTS, "lock_timeout", "50")
    for asset in (OFFER, "Sales_Currency"):
        touch(pipeline, asset)
    with psycopg.connect(pipeline.url) as reader:
        reader.execute(f'lock table raw."{OFFER}" in access exclusive mode')
        ingested = pipeline.ingest()
    assert set(ingested.published) == {"Sales_Currency"}
    assert set(ingested.opened) == {OFFER}
    touch(pipeline, OFFER)
    assert set(pipeline.ingest().resolved) == {OFFER}


def test_timeouts_of_the_database_do_not_apply_to_snapshot_and_load(
    pipeline: Pipeline, request: pytest.FixtureRequest
) -> None:
    limits = ("idle_in_transaction_session_timeout", "transaction_timeout", "idle_session_timeout")
    urls = {pipeline._source_url, pipeline.url}
    server: EmbeddedPostgres = request.getfixturevalue("postgres")
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        for url in urls:
            for limit in limits:
                connection.execute(f"alter database {url.rsplit('/', 1)[1]} set {limit} = '1h'")
    settings_query = " || ' ' || ".join(f"current_setting('{limit}')" for limit in limits)
    with psycopg.connect(pipeline.url) as connection:
        assert connection.execute(f"select {settings_query}").fetchone() == ("1h 1h 1h",)
    with pipeline.session() as session:
        assert session.records.execute(f"select {settings_query}").fetchone() == ("0 0 0",)
    assert pipeline.settings.source_url is not None
    source = PostgresSource(pipeline.settings.source_url, batch_rows=10)
    with source.snapshot() as snapshot, snapshot._connection.cursor() as cursor:
        cursor.execute(f"select {settings_query}")
        assert cursor.fetchone() == ("0 0 0",)


def set_date(pipeline: Pipeline, asset: str, when: str, which: str = "") -> None:
    entry = SOURCE_TABLES[asset]
    relation = table(entry.schema, entry.name)
    pipeline.change(f"alter table {relation} disable trigger user")
    pipeline.change(f"update {relation} set \"{entry.modified}\" = timestamp '{when}' {which}")


def watermark(pipeline: Pipeline, asset: str) -> datetime:
    [(newest,)] = pipeline.published("select newest_change from ops.watermark where asset = %s", (asset,))
    return newest


def test_a_row_from_the_future_is_set_aside_and_does_not_block_correct_deliveries(pipeline: Pipeline) -> None:
    set_date(pipeline, OFFER, "2099-06-30", 'where "SpecialOfferID" = 1')
    strict = pipeline.settings.set_aside_limit
    pipeline.settings.set_aside_limit = 0.2
    ingested = pipeline.ingest()
    assert ingested.opened == {OFFER: "is_modified_by_tomorrow"}
    assert watermark(pipeline, OFFER) < datetime(2090, 1, 1)

    touch(pipeline, OFFER)
    pipeline.settings.set_aside_limit = strict
    set_date(pipeline, OFFER, "2014-07-01", 'where "SpecialOfferID" <= 2')
    repaired = pipeline.ingest()
    assert repaired.resolved == ingested.opened
    expected, found = rows_of(pipeline, OFFER)
    assert found == expected


def test_a_table_with_a_future_date_in_all_rows_is_blocked_with_the_cause(pipeline: Pipeline) -> None:
    set_date(pipeline, OFFER, "2099-06-30")
    [incident] = pipeline.ingest().conclusion.opened
    assert incident.rule == "few_rows_are_set_aside"
    assert "ModifiedDate is at most one day after the row was read" in words(incident).summary


def test_a_published_row_from_the_future_is_repaired_by_the_next_delivery(pipeline: Pipeline) -> None:
    """Releases before this rule could leave such a row published and its date as the watermark."""
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            f'update raw."{OFFER}" set "ModifiedDate" = timestamp \'2099-06-30\' where "SpecialOfferID" = 1'
        )
        connection.execute("update ops.watermark set newest_change = timestamp '2099-06-30' where asset = %s", (OFFER,))
    touch(pipeline, OFFER)
    assert set(pipeline.ingest().published) == {OFFER}
    expected, found = rows_of(pipeline, OFFER)
    assert found == expected
    assert watermark(pipeline, OFFER) < datetime(2090, 1, 1)


def test_an_order_from_the_future_does_not_move_the_business_date(pipeline: Pipeline) -> None:
    as_of = "select as_of from ops.publication where asset = 'Sales_SalesOrderHeader' order by version desc limit 1"
    before = pipeline.published(as_of)
    pipeline.change('alter table "Sales"."SalesOrderHeader" disable trigger user')
    pipeline.change(
        'update "Sales"."SalesOrderHeader" set "OrderDate" = \'2099-01-01\', "DueDate" = \'2099-01-02\','
        ' "ShipDate" = null, "Status" = 1, "ModifiedDate" = \'2099-01-01\''
        ' where "SalesOrderID" = (select min("SalesOrderID") from "Sales"."SalesOrderHeader")'
    )
    ingested = pipeline.ingest()
    assert ingested.opened == {"Sales_SalesOrderHeader": "is_modified_by_tomorrow"}
    assert pipeline.published(as_of) == before
