"""`adventureworks rollback` of source tables: readers see an earlier version until the source is read again."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from psycopg.errors import LockNotAvailable
from pydantic import SecretStr

from adventureworks import rollback
from adventureworks.catalog import INGESTION, SOURCE_TABLES
from adventureworks.cli import rollback as command
from adventureworks.cli.status import show
from adventureworks.columns import columns_of
from adventureworks.errors import PlatformError
from adventureworks.gate import approval, detect, judge, load
from adventureworks.gate import publish as publishing
from adventureworks.recovery import reconcile
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention, kept, layout, open_warehouse, publication
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.snowflake import SnowflakeData
from adventureworks.warehouse.sql import names
from adventureworks.warehouse.staging import SAME, StagedTable
from adventureworks.warehouse.state import asset_states
from tests.integration.pipeline import Pipeline
from tests.integration.snowflake_double import snowflake_double
from tests.integration.test_judge import HEADER, LINES
from tests.integration.test_pipeline import any_order, change_quantity
from tests.integration.test_rollback import rows as rows_of_mart
from tests.integration.test_rollback import versions

CURRENCY = "Sales_Currency"
UNIT = (LINES, HEADER)
DAG = "daily_sales_etl"
CODES = ["AAA", "BBB", "CCC", "DDD"]


def rows(pipeline: Pipeline, asset: str) -> list[tuple[Any, ...]]:
    columns = names(column.name for column in columns_of(SOURCE_TABLES[asset]))
    return sorted(pipeline.published(f'select {columns} from raw."{asset}"'), key=repr)


def rename_a_currency(pipeline: Pipeline) -> None:
    pipeline.change(
        'update "Sales"."Currency" set "Name" = \'New name\', "ModifiedDate" = now() where "CurrencyCode" = \'AED\''
    )


def roll_back(pipeline: Pipeline, asset: str, to: int) -> None:
    command.rollback(pipeline.settings, asset, to, "wrong quantities", "ann")


def release(pipeline: Pipeline, asset: str) -> None:
    command.release(pipeline.settings, asset, "corrected", "bob")


def assert_equal_to_the_source(pipeline: Pipeline) -> None:
    for asset, columns in (
        (LINES, '"SalesOrderID", "SalesOrderDetailID", "OrderQty", "LineTotal"'),
        (HEADER, '"SalesOrderID", "SubTotal", "Comment", "ModifiedDate"'),
    ):
        schema, _, name = asset.partition("_")
        at_source = pipeline.at_source(f'select {columns} from "{schema}"."{name}"')
        published = pipeline.published(f'select {columns} from raw."{asset}"')
        assert sorted(published, key=repr) == sorted(at_source, key=repr)


class Currencies:
    """The currencies in a warehouse without a source."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._warehouse = open_warehouse(self.settings)
        self._numbers = itertools.count()

    def session(self) -> AbstractContextManager[Session]:
        return self._warehouse.connect("test")

    def publish(self, names_by_code: dict[str, str], run: str = "", *, interrupted: bool = False) -> int:
        """Publish these currencies, as an ingestion does that reads the whole table; return the newest version.

        `run`: its run id, if it is to repeat an earlier one. `interrupted`: a process died that published them.
        """
        frame = pl.DataFrame(
            {"CurrencyCode": list(names_by_code), "Name": list(names_by_code.values())},
            schema={"CurrencyCode": pl.String, "Name": pl.String},
        ).with_columns(pl.lit(datetime(2014, 1, 1)).alias("ModifiedDate"), pl.lit(False).alias(SAME))
        entry, run = SOURCE_TABLES[CURRENCY], run or f"ingest_source/{next(self._numbers)}"
        staged = StagedTable(entry)
        with self.session() as session:
            session.records.execute("delete from ops.change where run_id = %s", (run,))
            session.records.execute(
                "insert into ops.change (run_id, asset, fingerprint, status, source, whole)"
                " values (%s, %s, '', 'staged', '', true)",
                (run, CURRENCY),
            )
            staged.start(session.data)
            session.data.fill("staging", staged.rows_table, frame)
            staged.settle(session.data, whole=True, find_gone=True)
            publishing._TablePublication(session, run, entry, self.settings.keep_versions).publish(
                {entry.asset}, interrupted=interrupted
            )
            return publication.newest_versions(session.records, [CURRENCY])[CURRENCY]

    def published(self) -> dict[str, str]:
        with self.session() as session:
            return dict(session.data.execute(f'select "CurrencyCode", "Name" from raw."{CURRENCY}"').fetchall())

    def oldest(self) -> int:
        """Return the oldest version that can be restored."""
        with self.session() as session:
            return kept.oldest(session.records, CURRENCY)

    def roll_back(self, to: int) -> int:
        """Return the version that the rollback gets."""
        return rollback.roll_back(self.settings, CURRENCY, to, "ann", "wrong")[CURRENCY].version


@pytest.fixture
def currencies(warehouse_url: str) -> Currencies:
    return Currencies(Settings(warehouse_url=SecretStr(warehouse_url)))


@pytest.fixture
def in_snowflake(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Currencies]:
    currencies = Currencies(Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url)))
    with snowflake_double(monkeypatch):
        with currencies.session() as session:
            layout.prepare(session)
        yield currencies


class Killed(BaseException):
    """The process ends."""


@contextmanager
def killed_between_the_commits() -> Iterator[None]:
    """Kill the process after the commit of the data and before that of the records."""
    commit = SnowflakeData.commit

    def dies(data: SnowflakeData) -> None:
        commit(data)
        if data.statements:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SnowflakeData, "commit", dies)
        try:
            yield
        except Killed:
            return
        pytest.fail("nothing was committed")


@pytest.mark.parametrize("seed", range(6))
def test_any_kept_version_is_restored_exactly_whatever_changed_since(currencies: Currencies, seed: int) -> None:
    chance = random.Random(seed)
    currencies.settings.keep_versions = 5
    history: dict[int, dict[str, str]] = {}
    for _ in range(20):
        newest = max(history, default=0)
        if newest > 1 and chance.random() < 0.3:
            target = chance.randint(currencies.oldest(), newest - 1)
            assert currencies.roll_back(target) == newest + 1
            history[newest + 1] = history[target]
        else:
            codes = chance.sample(CODES, chance.randint(1, 4))
            wanted = {code: f"Name {chance.randint(1, 2)}" for code in codes}
            history[currencies.publish(wanted)] = wanted
        assert currencies.published() == history[max(history)]
    assert currencies.oldest() == max(history) - currencies.settings.keep_versions


@pytest.mark.parametrize("seed", range(2))
def test_any_kept_version_is_restored_exactly_although_processes_die_in_snowflake(
    in_snowflake: Currencies, seed: int
) -> None:
    currencies, chance = in_snowflake, random.Random(seed)
    currencies.settings.keep_versions = 5
    history: dict[int, dict[str, str]] = {}
    restored, interrupted = 0, False
    while len(history) < 16:
        newest, oldest = max(history, default=0), currencies.oldest()
        dies = chance.random() < 0.4
        with killed_between_the_commits() if dies else nullcontext():
            if oldest < newest and chance.random() < 0.5:
                target = chance.randint(oldest, newest - 1)
                assert currencies.roll_back(target) == newest + 1
                history[newest + 1] = history[target]
                restored += 1
            else:
                # Few changes, so that a dead process may be the only one that has changed a row.
                wanted = history.get(newest, {"AAA": "Name 1"}) | {chance.choice(CODES): f"Name {chance.randint(1, 3)}"}
                wanted = {code: wanted[code] for code in wanted if len(wanted) == 1 or chance.random() < 0.9}
                history[currencies.publish(wanted, interrupted=interrupted)] = wanted
        interrupted = dies
        if not dies:
            assert currencies.published() == history[max(history)]
    assert restored > 2
    with currencies.session() as session:
        twice = session.data.execute(
            f'select "__version", "CurrencyCode" from staging."{CURRENCY}__kept" group by 1, 2 having count(*) > 1'
        ).fetchall()
    assert twice == [], "it would be left to chance which of them is restored"
    assert currencies.oldest() == max(history) - currencies.settings.keep_versions


def test_an_interrupted_rollback_in_snowflake_is_told_and_its_release_asks_for_a_new_version(
    in_snowflake: Currencies,
) -> None:
    for number in range(1, 4):
        in_snowflake.publish({"AAA": f"Name {number}"})
    with killed_between_the_commits():
        in_snowflake.roll_back(1)
    assert in_snowflake.published() == {"AAA": "Name 1"}
    with in_snowflake.session() as session:
        [state] = [one for one in asset_states(session.records) if one.asset == CURRENCY]
        assert state.rolled_back
        assert (state.rolled_back.version, state.version, state.fresh) == (1, 3, False)
    rollback.release(in_snowflake.settings, CURRENCY, "ann", "corrected")
    with in_snowflake.session() as session:
        assert publication.interrupted(session.records) == {CURRENCY}


def test_a_version_that_is_given_up_during_a_rollback_in_snowflake_is_not_restored_in_part(
    in_snowflake: Currencies, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        in_snowflake.publish({"AAA": f"Name {number}", f"AA{number}": "Other"})
    before, record = in_snowflake.published(), intervention.record

    def give_up(records: WarehouseConnection, *arguments: Any, **options: Any) -> None:
        record(records, *arguments, **options)
        kept.give_up(records, [CURRENCY], 3)

    monkeypatch.setattr(intervention, "record", give_up)
    with pytest.raises(PlatformError, match="Version 1 of Sales_Currency is not kept any more"):
        in_snowflake.roll_back(1)
    assert in_snowflake.published() == before


def test_versions_are_not_given_up_while_a_rollback_may_restore_them(currencies: Currencies) -> None:
    for number in range(1, 4):
        currencies.publish({"AAA": f"Name {number}"})
    with currencies.session() as rolling_back, currencies.session() as session:
        publication.lock(rolling_back.records, INGESTION)
        session.records.execute("set local lock_timeout = '10ms'")
        with pytest.raises(LockNotAvailable):
            rollback.clear(session, datetime.now(UTC))
        session.rollback()
        assert kept.oldest(rolling_back.records, CURRENCY) == 1


def test_rows_that_are_kept_in_snowflake_for_lost_records_are_not_restored(in_snowflake: Currencies) -> None:
    """The records are restored from a backup that is older than the data."""
    for number in range(1, 6):
        in_snowflake.publish({"AAA": f"Name {number}", f"AA{number}": "Other"})
    with in_snowflake.session() as session:
        session.records.execute("delete from ops.publication where version > 3")
        reconcile(session.records, data_elsewhere=True)
    history = {}
    for number in range(6, 9):
        history[number - 2] = {"AAA": f"Name {number}", "BBB": "Other"}
        assert in_snowflake.publish(history[number - 2], interrupted=number == 6) == number - 2
    with pytest.raises(PlatformError, match="Version 3 of Sales_Currency is not kept any more"):
        in_snowflake.roll_back(3)
    for target in (5, 4):
        in_snowflake.roll_back(target)
        assert in_snowflake.published() == history[target]


def test_a_version_of_a_run_that_was_repeated_is_restored(currencies: Currencies) -> None:
    """Airflow repeats a run under its id, so that several versions have the same."""
    for number in range(1, 4):
        currencies.publish({"AAA": f"Name {number}"}, run="ingest_source/repeated")
    assert currencies.roll_back(2) == 4
    assert currencies.published() == {"AAA": "Name 2"}


def test_versions_from_before_a_change_of_the_columns_cannot_be_restored(currencies: Currencies) -> None:
    """The version that was the newest at the upgrade can."""
    for number in range(1, 4):
        assert currencies.publish({"AAA": f"Name {number}"}) == number
    with currencies.session() as session:
        session.data.execute(f'alter table staging."{CURRENCY}__kept" drop column "Name"')
        session.records.execute("delete from ops.layout")
    with pytest.raises(PlatformError, match="No earlier version of Sales_Currency is kept"):
        currencies.roll_back(2)
    currencies.publish({"BBB": "Name 4"})
    currencies.roll_back(3)
    assert currencies.published() == {"AAA": "Name 3"}


def test_versions_are_given_up_before_their_columns_change_in_snowflake(in_snowflake: Currencies) -> None:
    for number in range(1, 4):
        in_snowflake.publish({"AAA": f"Name {number}"})
    with in_snowflake.session() as session:
        session.data.execute(f'alter table staging."{CURRENCY}__kept" drop column "Name"')
        session.records.execute("delete from ops.layout")
    with killed_between_the_commits(), in_snowflake.session() as session:
        layout.prepare(session)
    with pytest.raises(PlatformError, match="No earlier version of Sales_Currency is kept"):
        in_snowflake.roll_back(2)


def test_only_a_change_at_the_source_is_told_as_withheld(currencies: Currencies) -> None:
    """A table may be recorded as held without one, for example if rows in quarantine are to be read again."""
    for number in range(1, 3):
        currencies.publish({"AAA": f"Name {number}"})
    currencies.roll_back(1)
    for fingerprint, is_told in (("", False), ("changed", True)):
        with currencies.session() as session:
            session.records.execute(
                "insert into ops.change (run_id, asset, fingerprint, status, source, whole)"
                " values ('held', %s, %s, %s, '', false)"
                " on conflict (run_id, asset) do update set fingerprint = excluded.fingerprint",
                (CURRENCY, fingerprint, publication.HELD),
            )
            [state] = [one for one in asset_states(session.records) if one.asset == CURRENCY]
        assert (state.withheld_since is not None) == is_told


def test_dependents_follow_changes_wait_and_the_release_brings_the_state_of_the_source(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed, added and deleted rows, one of them without a newer date, wait together with their whole unit."""
    first = {asset: rows(pipeline, asset) for asset in UNIT}
    first_mart = rows_of_mart(pipeline, "fact_sales")
    order, line, month = any_order(pipeline)
    change_quantity(pipeline, order, line, 1)
    pipeline.ingest()
    pipeline.settle(DAG)
    assert rows_of_mart(pipeline, "fact_sales") != first_mart
    before = versions(pipeline)

    profiled = "select max(version) from ops.column_profile where asset = %s"
    assert pipeline.published(profiled, (HEADER,)) == [(before[HEADER],)]

    roll_back(pipeline, LINES, before[LINES] - 1)
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    assert pipeline.published(profiled, (HEADER,)) == [(before[HEADER] - 1,)], "a later version shows nothing usual"
    assert pipeline.settle(DAG) == [DAG]
    assert rows_of_mart(pipeline, "fact_sales") == first_mart
    with pipeline.session() as session:
        assert [one.months for one in publication.since(session.records, LINES, before[LINES])] == [(month,)]

    [(gone,)] = pipeline.at_source('select min("SalesOrderID") from "Sales"."SalesOrderHeader"')
    for name in ("SalesOrderDetail", "SalesOrderHeaderSalesReason", "SalesOrderHeader"):
        pipeline.change(f'delete from "Sales"."{name}" where "SalesOrderID" = %s', (gone,))
    pipeline.change('alter table "Sales"."SalesOrderHeader" disable trigger user')
    pipeline.change(
        'update "Sales"."SalesOrderHeader" set "Comment" = \'later\' where "SalesOrderID" = %s', (order - 1,)
    )
    rename_a_currency(pipeline)
    held = pipeline.ingest()
    assert (held.opened, held.resolved) == ({}, {})
    assert CURRENCY in held.loaded
    assert not {*UNIT} & {*held.loaded}
    assert {asset: versions(pipeline)[asset] for asset in UNIT} == {asset: before[asset] + 1 for asset in UNIT}
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    assert detect.difference(pipeline.settings) is None, "no further ingestion starts until the release"
    capsys.readouterr()
    show(pipeline.settings, HEADER, everything=False, as_json=False)
    told = " ".join(capsys.readouterr().out.split())
    assert f"{LINES} was rolled back to version {before[LINES] - 1} by ann: wrong quantities" in told
    assert "is published after the release" in told
    with pytest.raises(PlatformError, match="is rolled back to an earlier version"):
        approval.approve(pipeline.settings, HEADER, "ann", "fine")

    release(pipeline, HEADER)
    assert detect.difference(pipeline.settings) is not None, "the watcher starts an ingestion"
    assert pipeline.ingest().published.keys() >= {*UNIT}
    assert_equal_to_the_source(pipeline)
    assert pipeline.settle(DAG) == [DAG]
    in_tables = f'select sum("OrderQty"), min("SalesOrderID") from raw."{LINES}"'
    assert pipeline.published("select sum(quantity), min(sales_order_id) from marts.fact_sales") == pipeline.published(
        in_tables
    )

    roll_back(pipeline, HEADER, versions(pipeline)[HEADER] - 1)
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    release(pipeline, HEADER)
    pipeline.ingest()
    assert_equal_to_the_source(pipeline)


def test_a_change_of_rolled_back_tables_alone_starts_one_ingestion(pipeline: Pipeline) -> None:
    rename_a_currency(pipeline)
    pipeline.ingest()
    roll_back(pipeline, CURRENCY, 1)
    rename_a_currency(pipeline)
    assert detect.difference(pipeline.settings) is not None
    assert pipeline.ingest().loaded == []
    assert detect.difference(pipeline.settings) is None


def test_a_run_in_progress_does_not_publish_what_it_staged_over_a_rollback(pipeline: Pipeline) -> None:
    first = {asset: rows(pipeline, asset) for asset in UNIT}
    order, line, _ = any_order(pipeline)
    change_quantity(pipeline, order, line, 1)
    pipeline.ingest()
    change_quantity(pipeline, order, line, 1)
    rename_a_currency(pipeline)
    run = "ingest_source/slow"
    for group in detect.detect(pipeline.settings, run):
        load.load(pipeline.settings, run, group)
    judge.judge(pipeline.settings, run)
    roll_back(pipeline, HEADER, versions(pipeline)[HEADER] - 1)
    published = {one.asset for one in publishing.publish(pipeline.settings, run)}
    publishing.conclude(pipeline.settings, run)
    assert CURRENCY in published
    assert {asset: rows(pipeline, asset) for asset in UNIT} == first
    for asset in UNIT:
        with pipeline.session() as session:
            staged = StagedTable(SOURCE_TABLES[asset])
            same = session.data.execute(
                f"select count(*) from (select * from {staged.candidate} except select * from {staged.published}) as d"
            )
            assert same.fetchall() == [(0,)], "checks of other tables read what readers see"

    release(pipeline, LINES)
    pipeline.ingest()
    assert pipeline.published(f'select "OrderQty" from raw."{LINES}" where "SalesOrderDetailID" = %s', (line,)) == (
        pipeline.at_source('select "OrderQty" from "Sales"."SalesOrderDetail" where "SalesOrderDetailID" = %s', (line,))
    )


def test_rows_of_another_table_that_a_run_is_about_to_publish_wait_for_rows_that_a_rollback_removes(
    pipeline: Pipeline,
) -> None:
    pipeline.change('insert into "Sales"."Currency" ("CurrencyCode", "Name") values (\'ZZZ\', \'New\')')
    pipeline.ingest()
    pipeline.change(
        'insert into "Sales"."CountryRegionCurrency" ("CountryRegionCode", "CurrencyCode") values (\'US\', \'ZZZ\')'
    )
    run = "ingest_source/slow"
    for group in detect.detect(pipeline.settings, run):
        load.load(pipeline.settings, run, group)
    judge.judge(pipeline.settings, run)
    roll_back(pipeline, CURRENCY, 1)
    publishing.publish(pipeline.settings, run)
    publishing.conclude(pipeline.settings, run)
    used = 'select count(*) from raw."Sales_CountryRegionCurrency" where "CurrencyCode" = \'ZZZ\''
    assert pipeline.published(used) == [(0,)]
    release(pipeline, CURRENCY)
    pipeline.ingest()
    assert pipeline.published(used) == [(1,)]
