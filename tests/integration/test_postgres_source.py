"""A PostgreSQL database as the source, and the embedded source database."""

from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.embedded.postgres import SUPERUSER
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.gate import detect, judge, load, publish
from adventureworks.settings import Settings
from adventureworks.source import TableState, embedded, postgres
from adventureworks.source.postgres import PostgresSource
from tests.integration.pipeline import Pipeline
from tests.integration.tls import self_signed, tls_front

OFFER = SOURCE_TABLES["Sales_SpecialOffer"]
PRODUCT_OF_OFFER = SOURCE_TABLES["Sales_SpecialOfferProduct"]
DOCUMENT = SOURCE_TABLES["Production_Document"]
DEPARTMENT_HISTORY = SOURCE_TABLES["HumanResources_EmployeeDepartmentHistory"]
LOADED = datetime(2013, 5, 1)
GUID = "0290c4f5-191f-4337-ab6b-0a2dde03cbf9"


def offer(number, **values):
    row = {
        "SpecialOfferID": number,
        "Description": f"offer {number}",
        "DiscountPct": Decimal("0.0200"),
        "Type": "Volume Discount",
        "Category": "Reseller",
        "StartDate": datetime(2011, 5, 31),
        "EndDate": datetime(2014, 5, 30),
        "MinQty": 11,
        "MaxQty": None,
        "rowguid": GUID,
        "ModifiedDate": LOADED,
    }
    return row | values


@pytest.fixture
def database(source_url):
    """Return the owner's connection to a prepared source with three offers."""
    embedded.prepare(SecretStr(source_url))
    embedded.load_tables(SecretStr(source_url), [(OFFER.asset, pa.Table.from_pylist([offer(n) for n in (1, 2, 3)]))])
    with psycopg.connect(source_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def source(database, source_reader_url):
    """Return the same database as a source, with the platform's read-only login."""
    return PostgresSource(SecretStr(source_reader_url), batch_rows=2)


def terminate_reader_sessions(postgres, url):
    """Terminate the reader's sessions in this database only: other tests use other databases."""
    with psycopg.connect(postgres.url(url.rsplit("/", 1)[1], SUPERUSER), autocommit=True) as server:
        server.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'source_reader' and datname = current_database()"
        )


def rows(snapshot, table=OFFER, **options):
    return [row for batch in snapshot.rows(table, **options) for row in batch.to_pylist()]


def keys_of(batches, column="SpecialOfferID"):
    return sorted(value for batch in batches for value in batch[column].to_pylist())


def test_rows_arrive_unchanged_in_batches(source):
    with source.snapshot() as snapshot:
        batches = list(snapshot.rows(OFFER))
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert batches[0].schema.field("DiscountPct").type == pa.decimal128(10, 4)
    assert [row for batch in batches for row in batch.to_pylist()] == [offer(1), offer(2), offer(3)]


def test_rows_since_a_date_include_rows_without_a_date(database, source):
    database.execute("""update "Sales"."SpecialOffer" set "ModifiedDate" = '2014-01-01' where "SpecialOfferID" = 2""")
    database.execute("""update "Sales"."SpecialOffer" set "ModifiedDate" = null where "SpecialOfferID" = 3""")
    with source.snapshot() as snapshot:
        assert keys_of(snapshot.rows(OFFER, since=datetime(2014, 1, 1))) == [2, 3]
        assert keys_of(snapshot.rows(OFFER, since=datetime(2014, 1, 1, 0, 0, 0, 1))) == [3]
        assert keys_of(snapshot.keys(OFFER)) == [1, 2, 3]


def test_rows_by_key_are_returned_once_each(source):
    wanted = pa.table({"SpecialOfferID": pa.array([3, 1, 3, 99], pa.int32())})
    with source.snapshot() as snapshot:
        assert keys_of(snapshot.rows_by_key(OFFER, wanted)) == [1, 3]
        assert keys_of(snapshot.rows_by_key(OFFER, wanted.slice(0, 0))) == []


def test_rows_by_key_work_for_several_types_and_null(database, source):
    started = date(2009, 1, 14)
    database.execute(
        'insert into "HumanResources"."EmployeeDepartmentHistory" ("BusinessEntityID", "DepartmentID", "ShiftID",'
        ' "StartDate") values (1, 16, 1, %s), (2, 1, 1, %s)',
        (started, started),
    )
    database.execute(
        """insert into "Production"."Document" ("DocumentNode", "Title") values (null, 'root'), ('5A''"\\C0', 'leaf')"""
    )
    with source.snapshot() as snapshot:
        (history,) = snapshot.keys(DEPARTMENT_HISTORY)
        wanted = pa.Table.from_batches([history.slice(1)])
        assert keys_of(snapshot.rows_by_key(DEPARTMENT_HISTORY, wanted), "BusinessEntityID") == [2]
        documents = pa.Table.from_batches(snapshot.keys(DOCUMENT))
        assert keys_of(snapshot.rows_by_key(DOCUMENT, documents), "Title") == ["leaf", "root"]


def test_a_snapshot_does_not_see_concurrent_writes(database, source):
    with source.snapshot() as snapshot:
        stream = snapshot.rows(OFFER)
        next(stream)
        database.execute('delete from "Sales"."SpecialOffer"')
        database.execute('insert into "Sales"."SpecialOfferProduct" values (1, 680)')
        assert sum(batch.num_rows for batch in stream) == 1
        assert rows(snapshot) == [offer(1), offer(2), offer(3)]
        assert rows(snapshot, PRODUCT_OF_OFFER) == []


def test_the_snapshot_stays_usable_after_a_stream_is_closed_early(source):
    with source.snapshot() as snapshot:
        stream = snapshot.rows(OFFER)
        next(stream)
        stream.close()
        assert len(rows(snapshot)) == 3


CHANGES = {
    "insert": """insert into "Sales"."SpecialOffer" ("SpecialOfferID", "ModifiedDate") values (4, '2013-05-01')""",
    "update": """update "Sales"."SpecialOffer" set "MinQty" = 12 where "SpecialOfferID" = 1""",
    "delete": """delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 2""",
    "delete and insert": """with gone as (delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 2)
        insert into "Sales"."SpecialOffer" ("SpecialOfferID", "ModifiedDate") values (5, '2013-05-01')""",
    "swap dates": """update "Sales"."SpecialOffer" set "ModifiedDate" = timestamp '2013-05-01'
        + case "SpecialOfferID" when 1 then interval '1 day' when 2 then interval '-1 day' else interval '0' end""",
    "date to null": """update "Sales"."SpecialOffer" set "ModifiedDate" = null where "SpecialOfferID" = 1""",
    "truncate": """truncate "Sales"."SpecialOffer" """,
    "drop column": """alter table "Sales"."SpecialOffer" drop column "Category" """,
    "add column": """alter table "Sales"."SpecialOffer" add column "New" integer""",
    "change type": """alter table "Sales"."SpecialOffer" alter column "MinQty" type bigint""",
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_changes_with_the_table(database, source, change):
    before = source.state(OFFER)
    assert source.state(OFFER) == before
    database.execute(CHANGES[change])
    assert source.state(OFFER).fingerprint != before.fingerprint


def test_the_fingerprint_is_independent_of_row_and_column_order(database, source):
    before = source.state(OFFER)
    database.execute(
        """create temporary table kept as table "Sales"."SpecialOffer";
           delete from "Sales"."SpecialOffer";
           insert into "Sales"."SpecialOffer" select * from kept order by "SpecialOfferID" desc;
           alter table "Sales"."SpecialOffer" drop column "MinQty";
           alter table "Sales"."SpecialOffer" add column "MinQty" integer"""
    )
    assert source.state(OFFER) == before


def test_state_of_empty_tables_and_of_infinite_dates(database, source):
    assert (source.state(DOCUMENT).rows, source.state(DOCUMENT).newest_change) == (0, None)
    database.execute("""update "Sales"."SpecialOffer" set "ModifiedDate" = 'infinity' where "SpecialOfferID" = 1""")
    assert (source.state(OFFER).rows, source.state(OFFER).newest_change) == (3, LOADED)


@pytest.fixture
def scanned(source, monkeypatch):
    """The assets of the tables that were scanned."""
    found, scan = [], PostgresSource._state

    def scan_and_note(self, connection, table, columns):
        found.append(table.asset)
        return scan(self, connection, table, columns)

    monkeypatch.setattr(PostgresSource, "_state", scan_and_note)
    return found


def is_scanned_each_time(source, scanned, before=lambda: None):
    """Return whether no query for the state is spared; the server itself may write at any time (autovacuum)."""
    for _ in range(20):
        before()
        scanned.clear()
        source.states([OFFER])
        if not scanned:
            return False
    return True


def test_a_table_is_not_scanned_again_unless_something_was_written(database, source, source_url, scanned):
    with psycopg.connect(source_url) as writing:
        writing.execute('insert into "Sales"."SpecialOffer" ("SpecialOfferID", "ModifiedDate") values (4, now())')
        before = source.state(OFFER)
        assert not is_scanned_each_time(source, scanned)
        assert source.state(OFFER) == before
    assert source.state(OFFER).rows == before.rows + 1, "committed after the scan, but begun before it"
    database.execute('delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 4')
    assert source.state(OFFER).rows == before.rows


def test_writes_in_another_database_of_the_server_cause_no_scan(database, source, source_url, warehouse_url, scanned):
    database.close()
    before = source.state(OFFER)
    with psycopg.connect(warehouse_url, autocommit=True) as other:
        other.execute("create temporary table written (number integer)")
        assert not is_scanned_each_time(source, scanned, lambda: other.execute("insert into written values (1)"))
        with psycopg.connect(source_url) as writing:
            writing.execute('delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 3')
        assert source.state(OFFER).rows == before.rows - 1
        with psycopg.connect(source_url) as writing:
            writing.execute('truncate "Sales"."SpecialOffer"')
        assert source.state(OFFER).rows == 0


def test_only_the_tables_that_changed_are_scanned_again(database, source, source_url, scanned):
    database.close()
    for _ in range(20):
        source.states([OFFER, DOCUMENT])
        with psycopg.connect(source_url) as writing:
            writing.execute('create temporary table copied on commit drop as select * from "Sales"."SpecialOffer"')
            writing.execute(
                'insert into "Production"."Document" ("DocumentNode")'
                ' select count(*)::text from "Production"."Document"'
            )
        scanned.clear()
        source.states([OFFER, DOCUMENT])
        # The server itself may be connected at any time (autovacuum), but not each time.
        if OFFER.asset not in scanned:
            break
    assert scanned == [DOCUMENT.asset]


WRITES = [
    """insert into "Sales"."SpecialOffer" ("SpecialOfferID", "ModifiedDate")
        select coalesce(max("SpecialOfferID"), 0) + 1, clock_timestamp() from "Sales"."SpecialOffer" """,
    'update "Sales"."SpecialOffer" set "ModifiedDate" = clock_timestamp() where "SpecialOfferID" % 2 = 0',
    'delete from "Sales"."SpecialOffer" where "SpecialOfferID" % 3 = 0',
    'truncate "Sales"."SpecialOffer"',
    'insert into "Sales"."SpecialOfferProduct" select 1, count(*) from "Sales"."SpecialOfferProduct"',
    'delete from "Sales"."SpecialOfferProduct"',
    'alter table "Sales"."SpecialOffer" drop column if exists "Category"',
    'alter table "Sales"."SpecialOffer" add column if not exists "Category" varchar',
    'revoke select on "Sales"."SpecialOffer" from source_reader',
    'grant select on "Sales"."SpecialOffer" to source_reader',
    'revoke select ("MinQty") on "Sales"."SpecialOffer" from source_reader',
    'revoke usage on schema "Sales" from source_reader',
    'grant usage on schema "Sales" to source_reader',
    'analyze "Sales"."SpecialOffer"',
    'create table if not exists "Sales".special () inherits ("Sales"."SpecialOffer")',
    'insert into "Sales".special ("SpecialOfferID", "ModifiedDate") values (99, clock_timestamp())',
    'drop table if exists "Sales".special',
    "select pg_stat_reset()",
    """select pg_stat_reset_single_table_counters('"Sales"."SpecialOffer"'::regclass)""",
]


def states_of_a_new_process(source, tables, known=None, marks=None):
    kept = dict(postgres._scanned)
    postgres._scanned.clear()
    found = source.states(tables, known, marks)
    postgres._scanned.clear()
    postgres._scanned.update(kept)
    return found


def states_since(source, recorded):
    """Return the states that a new process finds, given those that an earlier one has recorded."""
    known = {asset: state.fingerprint for asset, state in recorded.items() if isinstance(state, TableState)}
    marks = {asset: recorded[asset].mark for asset in known if recorded[asset].mark}
    return states_of_a_new_process(source, [SOURCE_TABLES[asset] for asset in recorded], known, marks)


def fingerprints(states):
    return {asset: getattr(state, "fingerprint", str(state)) for asset, state in states.items()}


def test_no_write_is_missed_where_scans_of_single_tables_are_spared(request, database, source, source_url, scanned):
    database.close()
    server, name = request.getfixturevalue("postgres"), source_url.rsplit("/", 1)[1]
    random, tables, spared, spared_later = Random(1), [OFFER, PRODUCT_OF_OFFER], 0, 0
    recordings, recorded = Random(2), states_of_a_new_process(source, tables)
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as other:
        connected = "select count(*) from pg_stat_activity where datname = %s"
        for _ in range(100):
            with psycopg.connect(server.url(name, SUPERUSER), autocommit=True) as writing:
                for write in random.sample(WRITES, random.randrange(3)):
                    # Some writes fail after others, such as one of a table that was dropped.
                    with suppress(psycopg.Error), writing.transaction(force_rollback=random.random() < 0.2):
                        writing.execute(write)
            while other.execute(connected, (name,)).fetchall() != [(0,)]:
                pass
            scanned.clear()
            found = {asset: str(state) for asset, state in source.states(tables).items()}
            spared += scanned == [PRODUCT_OF_OFFER.asset]
            scanned.clear()
            later = states_since(source, recorded)
            spared_later += scanned == [PRODUCT_OF_OFFER.asset]
            whole = states_of_a_new_process(source, tables)
            assert found == {asset: str(state) for asset, state in whole.items()}
            assert fingerprints(later) == fingerprints(whole)
            recorded = recordings.choice((recorded, later, whole))
    assert spared
    assert spared_later


def test_a_new_process_scans_a_table_again_after_the_server_was_started_again(postgres, database, source, source_url):
    """The server may have been restored from a copy of its files, with the counters of the copy."""
    database.close()
    with psycopg.connect(postgres.url(source_url.rsplit("/", 1)[1], SUPERUSER), autocommit=True) as server:
        server.execute("alter function pg_catalog.pg_postmaster_start_time() rename to pg_postmaster_real_start_time")
        started = (
            "create or replace function pg_catalog.pg_postmaster_start_time() returns timestamptz stable language sql"
            " as $$select timestamptz '2026-01-01 {}'$$"
        )
        server.execute(started.format("08:00"))
    recorded = states_since(source, source.states([OFFER]))
    assert recorded[OFFER.asset].mark
    with psycopg.connect(postgres.url(source_url.rsplit("/", 1)[1], SUPERUSER), autocommit=True) as server:
        server.execute(started.format("09:00"))
        server.execute("set track_counts = off")
        server.execute('delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 3')
    assert states_since(source, recorded)[OFFER.asset].fingerprint != recorded[OFFER.asset].fingerprint


def test_sessions_of_the_platform_do_not_make_counters_uncertain(database, source, source_url, scanned):
    database.close()
    with source.snapshot() as reading:
        rows(reading)
        assert not is_scanned_each_time(source, scanned)
    with psycopg.connect(source_url, application_name=postgres._READER.upper()):
        assert all(state.mark is None for state in states_of_a_new_process(source, [OFFER]).values())


def test_the_source_tells_of_a_write_once_the_writer_has_left(database, source, source_url, warehouse_url):
    database.close()
    assert source.awaits_write(0, 0) is None, "there is no scan to compare with"

    def is_quiet():
        """Return whether nothing was written since a scan; the server itself may write at any time."""
        for _ in range(20):
            source.state(OFFER)
            if not source.awaits_write(0, 0):
                return True
        return False

    assert is_quiet()
    with psycopg.connect(warehouse_url) as other:
        other.execute("create table written ()")
    assert not source.awaits_write(0, 0), "it was written in another database"
    before = source.state(OFFER)
    with psycopg.connect(source_url) as writing:
        writing.execute('delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 3')
        assert not source.awaits_write(0, 0)
    assert source.awaits_write(0, 60)
    assert not source.awaits_write(3600, 0), "the last scan is more recent than that"
    assert source.state(OFFER).rows == before.rows - 1
    assert is_quiet()


def test_a_change_between_the_queries_for_a_moment_is_seen(database, source, source_url, warehouse_url, monkeypatch):
    database.close()
    before = source.state(OFFER)
    snapshot = postgres._SNAPSHOT

    class Interrupted:
        """Another session writes right after the snapshot is read, and ends before the counters are."""

        def __init__(self, connection):
            self.connection, self.info = connection, connection.info

        def execute(self, query):
            found = self.connection.execute(query)
            if query == snapshot:
                with psycopg.connect(source_url) as writing:
                    writing.execute('delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 3')
            return found

    moment: Any = postgres._moment
    monkeypatch.setattr(postgres, "_moment", lambda connection: moment(Interrupted(connection)))
    source.state(OFFER)
    monkeypatch.setattr(postgres, "_moment", moment)
    with psycopg.connect(warehouse_url) as other:
        other.execute("create table written ()")
    assert source.state(OFFER).rows == before.rows - 1


def test_a_database_that_replaces_another_of_the_same_name_is_scanned(postgres, database, source, source_url):
    database.close()
    name = source_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as server:
        server.execute(f"alter database {name} rename to {name}_origin")
        server.execute(f"create database {name} template {name}_origin owner source strategy file_copy")
        before = source.state(OFFER)
        with psycopg.connect(f"{source_url}_origin") as writing:
            writing.execute('delete from "Sales"."SpecialOffer" where "SpecialOfferID" = 3')
        server.execute(f"drop database {name}")
        # Nothing is written in it, so its counters are the same as the old one's.
        server.execute(f"create database {name} template {name}_origin owner source strategy file_copy")
        assert source.state(OFFER).rows == before.rows - 1
        server.execute(f"drop database {name}_origin")


def test_a_view_is_scanned_each_time(database, source, scanned):
    database.execute('alter table "Sales"."SpecialOffer" rename to offers')
    database.execute('create view "Sales"."SpecialOffer" as select * from "Sales".offers')
    database.execute('grant select on "Sales"."SpecialOffer" to source_reader')
    assert is_scanned_each_time(source, scanned), "it may show rows of another database"


def test_a_standby_is_scanned_each_time(postgres, database, source, source_url, scanned):
    """Its counters stay the same whatever its primary writes."""
    database.close()
    with psycopg.connect(postgres.url(source_url.rsplit("/", 1)[1], SUPERUSER), autocommit=True) as server:
        server.execute(
            "create or replace function pg_catalog.pg_is_in_recovery() returns boolean stable language sql"
            " as 'select true'"
        )
    assert is_scanned_each_time(source, scanned)
    assert not source.awaits_write(0, 0)


def test_states_distinguish_blocked_tables_from_readable_ones(database, source):
    database.execute('drop table "Sales"."SpecialOffer"')
    database.execute('alter table "Production"."Document" drop column "ModifiedDate"')
    database.execute('alter table "Sales"."Store" alter column "ModifiedDate" type text')
    database.execute('revoke select on "Sales"."SpecialOfferProduct" from source_reader')
    states = source.states(SOURCE_TABLES.values())
    rules = {asset: state.rule for asset, state in states.items() if isinstance(state, TableBlocked)}
    assert rules == {
        OFFER.asset: "table_is_there",
        DOCUMENT.asset: "columns_are_there",
        "Sales_Store": "column_types_are_kept",
        PRODUCT_OF_OFFER.asset: "table_is_readable",
    }
    assert sum(isinstance(state, TableState) for state in states.values()) == len(SOURCE_TABLES) - 4
    with source.snapshot() as snapshot, pytest.raises(TableBlocked) as error:
        rows(snapshot)
    assert error.value.rule == "table_is_there"


def test_a_dropped_column_is_named_and_a_new_one_ignored(database, source):
    database.execute('alter table "Sales"."SpecialOffer" add column "New" integer')
    with source.snapshot() as snapshot:
        assert rows(snapshot) == [offer(1), offer(2), offer(3)]
    database.execute('alter table "Sales"."SpecialOffer" drop column "MinQty", drop column "Category"')
    with source.snapshot() as snapshot, pytest.raises(TableBlocked, match="Category, MinQty"):
        rows(snapshot)


def test_lower_case_names_are_read_and_exact_names_take_precedence(database, source):
    before = source.state(OFFER)
    for name in offer(1):
        if name != name.lower():
            database.execute(f'alter table "Sales"."SpecialOffer" rename column "{name}" to "{name.lower()}"')
    database.execute('alter table "Sales"."SpecialOffer" rename to specialoffer')
    database.execute('alter schema "Sales" rename to sales')
    assert (source.state(OFFER).rows, source.state(OFFER).newest_change) == (before.rows, before.newest_change)
    with source.snapshot() as snapshot:
        assert rows(snapshot) == [offer(1), offer(2), offer(3)]
        assert rows(snapshot, since=LOADED) == [offer(1), offer(2), offer(3)]
        key = pa.table({"SpecialOfferID": pa.array([2], pa.int32())})
        assert [row for batch in snapshot.rows_by_key(OFFER, key) for row in batch.to_pylist()] == [offer(2)]

    database.execute('alter table sales.specialoffer add column "MINQTY" integer')
    with source.snapshot() as snapshot, pytest.raises(TableBlocked, match="columns minqty and MINQTY for MinQty"):
        rows(snapshot)
    database.execute('alter table sales.specialoffer rename column "MINQTY" to "MinQty"')
    with source.snapshot() as snapshot:
        assert rows(snapshot) == [offer(n, MinQty=None) for n in (1, 2, 3)]

    database.execute('create table sales."SPECIALOFFER" (like sales.specialoffer)')
    state = source.states([OFFER])[OFFER.asset]
    assert isinstance(state, TableBlocked)
    assert (state.rule, str(state.next_step)) == ("table_is_unambiguous", "Drop or rename all but one.")
    assert "sales.SPECIALOFFER" in state.cause
    assert "sales.specialoffer" in state.cause
    database.execute('alter table sales."SPECIALOFFER" rename to "SpecialOffer"')
    database.execute('alter schema sales rename to "Sales"')
    assert source.state(OFFER).rows == 0, "the exact name takes precedence"


def test_types_of_other_databases_are_converted(database, source):
    """Domains, enums, bytes, padded text and numbers without precision, all created after a first read."""
    with source.snapshot() as snapshot:
        assert len(rows(snapshot)) == 3
    database.execute("""
        create domain "Sales".discount as numeric(10, 4);
        create type "Sales".category as enum ('Reseller');
        alter table "Sales"."SpecialOffer"
            alter column "DiscountPct" type "Sales".discount,
            alter column "Category" type "Sales".category using 'Reseller',
            alter column "Type" type char(20),
            alter column "Description" type bytea using '\\x00ff',
            alter column "MinQty" type numeric using 11.250
    """)
    with source.snapshot() as snapshot:
        (first, *_) = rows(snapshot)
    assert first == offer(1, Type="Volume Discount     ", Description="00FF", MinQty=Decimal("11.250"))


def test_dates_outside_the_calendar_are_clamped_to_its_limits(database, source):
    database.execute("""update "Sales"."SpecialOffer" set "EndDate" = 'infinity' where "SpecialOfferID" = 3""")
    database.execute("""update "Sales"."SpecialOffer" set "EndDate" = '4712-01-01 BC' where "SpecialOfferID" = 2""")
    with source.snapshot() as snapshot:
        ends = {row["SpecialOfferID"]: row["EndDate"].year for row in rows(snapshot)}
    assert (ends[1], ends[2]) == (2014, 1)
    # The driver does not distinguish infinity from -infinity.
    assert ends[3] in {1, 9999}


def test_nan_blocks_the_table(database, source):
    database.execute("""update "Sales"."SpecialOffer" set "DiscountPct" = 'NaN' where "SpecialOfferID" = 3""")
    with source.snapshot() as snapshot, pytest.raises(TableBlocked) as error:
        rows(snapshot)
    assert error.value.rule == "numbers_are_finite"


def test_connection_errors_say_what_to_fix_without_the_password(source_reader_url):
    password = source_reader_url.split(":")[2].split("@")[0]
    port = source_reader_url.rsplit(":", 1)[1].split("/")[0]
    failing = {
        source_reader_url.replace(password, "s3cret"): (PlatformError, "rejected the user name or password"),
        source_reader_url.rsplit("/", 1)[0] + "/nowhere": (PlatformError, "has no database of this name"),
        source_reader_url.replace(port, "1"): (ServiceUnavailable, "connection refused"),
    }
    for url, (kind, words) in failing.items():
        source = PostgresSource(SecretStr(url), 10)
        for attempt in (lambda source=source: source.state(OFFER), lambda source=source: source.snapshot().__enter__()):
            with pytest.raises(kind, match=words) as error:
                attempt()
            assert type(error.value) is kind
            assert password not in str(error.value)
            assert "s3cret" not in str(error.value)
            assert error.value.next_step
    with pytest.raises(PlatformError) as malformed:
        PostgresSource(SecretStr("me and s3cret"), 10)
    assert "s3cret" not in str(malformed.value)
    assert "s3cret" not in repr(source) + source.description


def test_a_lost_connection_raises_a_retryable_error(postgres, source_url, source):
    with source.snapshot() as snapshot:
        terminate_reader_sessions(postgres, source_url)
        with pytest.raises(ServiceUnavailable):
            rows(snapshot)


def test_a_manual_change_gets_the_current_modification_date(database, source):
    database.execute("""update "Sales"."SpecialOffer" set "MinQty" = 12 where "SpecialOfferID" = 1""")
    database.execute("""update "Sales"."SpecialOffer" set "ModifiedDate" = '2013-06-01' where "SpecialOfferID" = 2""")
    database.execute("""insert into "Sales"."SpecialOffer" ("SpecialOfferID") values (4)""")
    dates = dict(database.execute('select "SpecialOfferID", "ModifiedDate" from "Sales"."SpecialOffer"').fetchall())
    assert (dates[2], dates[3]) == (datetime(2013, 6, 1), LOADED)
    assert min(dates[1], dates[4]) > datetime(2020, 1, 1)


def test_prepared_tables_accept_invalid_rows_but_no_duplicate_keys(database, source):
    database.execute('insert into "Sales"."SpecialOfferProduct" ("SpecialOfferID", "ProductID") values (-1, 0)')
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute('insert into "Sales"."SpecialOffer" ("SpecialOfferID") values (1)')


def test_loading_is_atomic_and_locates_the_error(database, source_url, tmp_path):
    url = SecretStr(source_url)
    embedded.prepare(url)
    assert not embedded.is_empty(url)

    text = pl.DataFrame([offer(1), offer(7, Description='tab\t "quote" \\N\nnew line', Category="")])
    text = text.with_columns(pl.all().cast(pl.String))
    text.write_csv(tmp_path / "Sales_SpecialOffer.csv", quote_style="non_numeric")
    with pytest.raises(PlatformError, match="no file for 70 tables"):
        embedded.load_folder(url, tmp_path)
    progress = []
    loaded = embedded.load_folder(url, tmp_path, lambda *step: progress.append(step), allow_missing=True)
    assert loaded == {OFFER.asset: 2}
    assert progress == [(OFFER.asset, 2)]
    stored = database.execute('select * from "Sales"."SpecialOffer" order by 1').fetchall()
    assert [str(value) for value in stored[1]][:2] == ["7", 'tab\t "quote" \\N\nnew line']
    assert stored[1][4] == ""

    (tmp_path / "Sales_SpecialOfferProduct.csv").write_text(
        'SpecialOfferID,ProductID,rowguid,ModifiedDate\n1,"68\n0",,\n1,abc,,\n'
    )
    text.head(0).write_csv(tmp_path / "Sales_SpecialOffer.csv")
    with pytest.raises(PlatformError, match=r"Sales_SpecialOfferProduct\.csv, row 1, column ProductID"):
        embedded.load_folder(url, tmp_path, allow_missing=True)
    assert database.execute('select * from "Sales"."SpecialOffer" order by 1').fetchall() == stored


def test_loading_does_not_affect_open_snapshots_and_restores_dropped_columns(database, source, source_url):
    database.execute('alter table "Sales"."SpecialOffer" drop column "MinQty"')
    with source.snapshot() as snapshot:
        assert len(rows(snapshot, PRODUCT_OF_OFFER)) == 0
        products = pa.table({"SpecialOfferID": [1], "ProductID": [680], "rowguid": [GUID], "ModifiedDate": [LOADED]})
        embedded.load_tables(SecretStr(source_url), [(PRODUCT_OF_OFFER.asset, products)])
        assert len(rows(snapshot, PRODUCT_OF_OFFER)) == 0
    embedded.load_tables(SecretStr(source_url), [(OFFER.asset, pa.Table.from_pylist([offer(1)]))])
    with source.snapshot() as snapshot:
        assert rows(snapshot) == [offer(1)]
        assert len(rows(snapshot, PRODUCT_OF_OFFER)) == 1


HOSTILE = """
    create schema evil;
    grant usage on schema evil to source_reader;
    create table evil."SpecialOffer" (like "Sales"."SpecialOffer");
    grant select on evil."SpecialOffer" to source_reader;
    create function evil.encode(bytea, text) returns text language sql as $$ select 'forged' $$;
    create function evil.upper(text) returns text language sql as $$ select 'forged' $$;
    create function evil.hash_record_extended(record, bigint) returns bigint language plpgsql as 'begin return 6; end';
    create function evil.lie(numeric, numeric) returns boolean language sql as 'select true';
    create operator evil.= (leftarg = numeric, rightarg = numeric, function = evil.lie);
    create domain evil.text as pg_catalog.varchar(1);
    alter table "Sales"."SpecialOffer" alter column "Description" type bytea using '\\x00ff';
"""


def test_a_hostile_search_path_does_not_change_what_is_read(postgres, database, source, source_reader_url):
    database.execute(HOSTILE)
    before, identity = source.state(OFFER), source.identity()
    name = source_reader_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as server:
        statement = f'alter role source_reader in database {name} set search_path to evil, "Sales", pg_catalog'
        server.execute(statement)
    with psycopg.connect(source_reader_url) as reader:
        hijacked = reader.execute("select count(*), upper('x') from \"SpecialOffer\"").fetchone()
        assert hijacked == (0, "forged"), "the hostile search path works"
    for url in (source_reader_url, f"{source_reader_url}?options=-csearch_path%3Devil,pg_catalog"):
        hostile = PostgresSource(SecretStr(url), batch_rows=10)
        assert (hostile.state(OFFER), hostile.identity()) == (before, identity)
        with hostile.snapshot() as snapshot:
            assert [row["Description"] for row in rows(snapshot)] == ["00FF"] * 3
            (keys,) = snapshot.keys(OFFER)
            assert keys_of(snapshot.rows_by_key(OFFER, pa.Table.from_batches([keys.slice(2)]))) == [3]


def test_the_encryption_required_by_the_url_is_enforced(database, source_reader_url, tmp_path):
    certificate = self_signed(tmp_path, "localhost")
    plain = source_reader_url.replace("127.0.0.1", "localhost")
    port = plain.rsplit(":", 1)[1].split("/")[0]
    with tls_front(int(port), certificate) as front:
        encrypted = plain.replace(f":{port}/", f":{front.port}/")
        good = PostgresSource(SecretStr(f"{encrypted}?sslmode=verify-full&sslrootcert={certificate}"), 10)
        assert good.state(OFFER).rows == 3
        assert front.handshakes == 1
        with good.snapshot() as snapshot:
            assert len(rows(snapshot)) == 3
        assert front.handshakes > 1, "the other driver uses TLS too"
        other = self_signed(tmp_path, "elsewhere")
        other_host = encrypted.replace("localhost", "127.0.0.1")
        refused = {
            f"{encrypted}?sslmode=verify-full&sslrootcert={other}": "certificate that is not trusted",
            f"{other_host}?sslmode=verify-full&sslrootcert={certificate}": "another host",
            f"{plain}?sslmode=require": "does not support the encryption",
        }
        for url, words in refused.items():
            source = PostgresSource(SecretStr(url), 10)
            for attempt in (source.identity, lambda source=source: source.snapshot().__enter__()):
                with pytest.raises(PlatformError, match=words) as error:
                    attempt()
                assert type(error.value) is PlatformError, "retrying does not help"


def test_after_a_lost_connection_each_row_is_published_exactly_once(
    postgres, database, source_reader_url, warehouse_url, monkeypatch
):
    many = 40_000
    database.execute('truncate "Sales"."SpecialOffer"')
    database.execute(
        """insert into "Sales"."SpecialOffer" select n, repeat('x', 200), 0.02, 'Volume', 'Reseller', '2011-05-31',
           '2014-05-30', 11, null, gen_random_uuid(), '2013-05-01' from generate_series(1, %s) as n""",
        (many,),
    )
    settings = Settings(
        source_url=SecretStr(source_reader_url), warehouse_url=SecretStr(warehouse_url), batch_rows=1_000
    )
    pipeline = Pipeline(settings)
    run = "ingest_source/broken"
    (group,) = [group for group in detect.detect(settings, run) if OFFER.asset in group]
    held = load.validate
    batches = count(1)

    def cut(entry, batch, **options):
        if next(batches) == 3:
            terminate_reader_sessions(postgres, source_reader_url)
        return held(entry, batch, **options)

    monkeypatch.setattr(load, "validate", cut)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        load.load(settings, run, [OFFER.asset])
    staged = pipeline.published('select count(*) from staging."Sales_SpecialOffer__rows"')[0][0]
    assert 0 < staged < many, "the connection broke in the middle"
    load.load(settings, run, group)
    judge.judge(settings, run)
    publish.publish(settings, run)
    assert pipeline.published('select count(*), count(distinct "SpecialOfferID") from raw."Sales_SpecialOffer"') == [
        (many, many)
    ]
