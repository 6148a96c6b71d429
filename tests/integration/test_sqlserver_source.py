"""A SQL Server source over the network: login, TLS, queries, change detection, broken connections.

The server is a test double (`sqlserver_double.py`): it cannot prove which types a real server sends or how it tracks
changes. Types are tested separately in `tests/unit/test_sqlserver_types.py`.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import source_columns_of
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.gate import detect, judge, load, publish, quarantine
from adventureworks.settings import Settings
from adventureworks.source import open_source
from adventureworks.source.sqlserver import SqlServerSource
from adventureworks.source.sqlserver_examination import examine
from tests.integration.pipeline import Pipeline
from tests.integration.sqlserver import OFFERS, PASSWORD, SqlServer, Wire, serving

OFFER = SOURCE_TABLES["Sales_SpecialOffer"]
LOADED = "2013-05-01 00:00:00.000"


def offer(number, minimum=11, modified=LOADED):
    dates = ("2011-05-31 00:00:00.000", "2014-05-30 00:00:00.000")
    words = (f"offer {number}", "0.0200", "Volume Discount", "Reseller")
    return (number, *words, *dates, minimum, None, guid(number), modified)


def guid(number):
    return f"0290C4F5-191F-4337-AB6B-{number:012X}"


@pytest.fixture(scope="session")
def running(tmp_path_factory) -> Iterator[SqlServer]:
    server = SqlServer(tmp_path_factory.mktemp("sqlserver"))
    server.put(OFFER.asset, OFFERS, [offer(1)])
    with serving(server) as served:
        yield served


@pytest.fixture
def server(running: SqlServer) -> SqlServer:
    """Return the double with three offers and without change tracking."""
    running.tables.clear()
    running.tracked.clear()
    running.unreadable.clear()
    running.filtered.clear()
    running.masked.clear()
    running.snapshots = True
    running.is_read_only = running.admits_readers_only = running.lower_case = False
    running.made, running.group_id = "2014-07-08 00:00:00.000", ""
    running.put(OFFER.asset, OFFERS, [offer(1), offer(2), offer(3)])
    return running


@pytest.fixture
def wire(server: SqlServer) -> Iterator[Wire]:
    wire = Wire(server.port)
    yield wire
    wire.close()


def source_of(server, **options):
    return SqlServerSource(SecretStr(server.url(**options)), batch_rows=2)


def sent(wire):
    """Return the queries that passed the proxy; they may begin at an odd byte."""
    return wire.sent.decode("utf-16-le", errors="ignore") + wire.sent[1:].decode("utf-16-le", errors="ignore")


def numbers(batches):
    return sorted(value for batch in batches for value in batch["SpecialOfferID"].to_pylist())


def test_rows_arrive_in_batches_with_the_types_of_the_contract(server):
    with source_of(server).snapshot() as snapshot:
        batches = list(snapshot.rows(OFFER))
        assert [batch.num_rows for batch in batches] == [2, 1]
        first = batches[0].to_pylist()[0]
        assert first["DiscountPct"] == Decimal("0.0200")
        assert first["StartDate"] == datetime(2011, 5, 31)
        assert (first["MaxQty"], first["rowguid"]) == (None, guid(1).lower())
        assert numbers(snapshot.keys(OFFER)) == [1, 2, 3]


def test_tables_whose_names_differ_in_case_are_read_by_their_own_names(server, wire):
    server.lower_case = True
    server.put(OFFER.asset, OFFERS, [offer(1), offer(2), offer(3)])
    server.track(OFFER.asset, oldest=1, current=10)
    source = SqlServerSource(SecretStr(server.url(wire.port, tls="off", tls_ca="")), batch_rows=2)
    known = source.state(OFFER).fingerprint
    server.track(OFFER.asset, 1, 12, [(11, "U", 2), (12, "D", 7)])
    assert source.state(OFFER, known).fingerprint != known
    with source.snapshot() as snapshot:
        rows = list(snapshot.rows(OFFER))
        assert rows[0].schema.names == list(OFFERS)
        assert numbers(rows) == [1, 2, 3]
        changed = snapshot.changed_keys(OFFER, known, most=2)
        assert changed is not None
        assert (numbers([changed.present]), numbers([changed.deleted])) == ([2], [7])
        assert numbers(snapshot.rows_by_key(OFFER, changed.present)) == [2]
    assert "SpecialOffer]" not in sent(wire).replace("as [SpecialOfferID]", "")


def test_another_edition_fills_the_tables_of_the_contracts_with_its_own(server):
    number, name = ("int", 4, 10, 0, True), ("nvarchar", 100, 0, 0, True)
    dates = {"rowguid": OFFERS["rowguid"], "ModifiedDate": OFFERS["ModifiedDate"]}
    rows = [(1, None, "Bikes"), (2, None, "Parts"), (5, 1, "Mountain Bikes")]
    server.tables.clear()
    server.put("SalesLT.SalesOrderHeader", {"SalesOrderID": number}, [])
    server.put(
        "SalesLT.ProductCategory",
        {"ProductCategoryID": number, "ParentProductCategoryID": number, "Name": name, **dates},
        [(*row, guid(row[0]), LOADED) for row in rows],
    )
    address = {"CustomerID": number, "AddressID": number, "AddressType": name, **dates}
    server.put("SalesLT.CustomerAddress", address, [(7, 9, "Shipping", guid(1), LOADED)])
    server.track("SalesLT.ProductCategory", 1, 10, key=["ProductCategoryID"])
    server.track("SalesLT.CustomerAddress", 1, 10, key=["CustomerID", "AddressID"])
    source = source_of(server)
    assert source.identity().endswith(" as AdventureWorksLT")
    assets = ("Production_ProductCategory", "Production_ProductSubcategory", "Person_BusinessEntityAddress")
    categories, subcategories, addresses = (SOURCE_TABLES[asset] for asset in assets)
    states = source.states([categories, subcategories, addresses, OFFER])
    assert [states[asset].rows for asset in assets[:2]] == [2, 1]
    assert states[OFFER.asset].rule == "table_is_there"
    with source.snapshot() as snapshot:
        [found] = snapshot.rows(subcategories)
        wanted = {"ProductSubcategoryID": 5, "ProductCategoryID": 1, "Name": "Mountain Bikes"}
        assert found.to_pylist()[0].items() >= wanted.items()
        [found] = snapshot.rows(addresses)
        assert found.to_pylist()[0].items() >= {"BusinessEntityID": 7, "AddressID": 9}.items()
        assert snapshot.lacks(addresses) == {"AddressTypeID"}
        # A change of the hierarchy moves rows between two tables, which a tracked change of one row does not say.
        assert [snapshot.tracks(table) for table in (categories, subcategories, addresses)] == [False, False, True]
    examined = examine(SecretStr(server.url()), allow_missing=True)
    assert ": 4 of 16 tables, 1 with change tracking" in examined.summary
    assert "HumanResources" not in " ".join(examined.advice)
    assert "ALTER TABLE [SalesLT].[SalesOrderHeader] ENABLE" in examined.advice[0]
    assert "ProductCategory" not in examined.advice[0], "it cannot be tracked for two tables"


def test_rows_are_selected_by_date_and_by_key(server):
    server.put(OFFER.asset, OFFERS, [offer(1), offer(2, modified="2014-01-01 00:00:00.000"), offer(3, modified=None)])
    with source_of(server).snapshot() as snapshot:
        assert numbers(snapshot.rows(OFFER, since=datetime(2014, 1, 1))) == [2, 3]
        assert numbers(snapshot.rows(OFFER, since=datetime(2014, 1, 1, 0, 0, 1))) == [3]
        wanted = pa.table({"SpecialOfferID": pa.array([3, 1, 3, 99], pa.int32())})
        assert numbers(snapshot.rows_by_key(OFFER, wanted)) == [1, 3]
        assert numbers(snapshot.rows_by_key(OFFER, wanted.slice(0, 0))) == []


def test_the_snapshot_stays_usable_after_a_stream_is_closed_early(server):
    with source_of(server).snapshot() as snapshot:
        stream = snapshot.rows(OFFER)
        next(stream)
        stream.close()
        assert numbers(snapshot.rows(OFFER)) == [1, 2, 3]


def test_without_change_tracking_row_count_keys_and_dates_are_compared(server):
    source = source_of(server)
    before = source.state(OFFER)
    assert (before.rows, before.newest_change) == (3, datetime(2013, 5, 1))
    assert source.state(OFFER) == before
    fingerprints = {before.fingerprint}
    for rows in (
        [offer(1), offer(2), offer(3), offer(4)],
        [offer(1), offer(3)],
        [offer(1), offer(3, modified="2013-05-02 00:00:00.000")],
        [offer(1, modified="2013-05-02 00:00:00.000"), offer(3)],
        [],
    ):
        server.put(OFFER.asset, OFFERS, rows or [offer(9)])
        fingerprints.add(source.state(OFFER).fingerprint)
    server.put(OFFER.asset, OFFERS | {"MinQty": ("bigint", 8, 19, 0, False)}, [offer(9)])
    fingerprints.add(source.state(OFFER).fingerprint)
    assert len(fingerprints) == 7


def test_change_tracking_finds_changes_without_a_date_and_reads_no_unchanged_table(server, wire):
    server.track(OFFER.asset, oldest=10, current=40)
    source = SqlServerSource(SecretStr(server.url(wire.port, tls="off", tls_ca="")), batch_rows=2)
    known = source.state(OFFER).fingerprint
    server.track(OFFER.asset, oldest=10, current=50)
    wire.sent = b""
    assert source.state(OFFER, known).fingerprint == known, "only other tables changed"
    assert "changetable(changes [Sales].[SpecialOffer], 40)" in sent(wire)
    assert "count_big" not in sent(wire)

    server.track(OFFER.asset, 10, 60, [(39, "U", 1), (55, "U", 2), (58, "D", 7)])
    now = source.state(OFFER, known).fingerprint
    assert now != known
    assert source.state(OFFER, now).fingerprint == now
    with source.snapshot() as snapshot:
        assert snapshot.tracks(OFFER)
        changed = snapshot.changed_keys(OFFER, known, most=2)
        assert changed is not None
        assert (numbers([changed.present]), numbers([changed.deleted])) == ([2], [7])
        assert snapshot.changed_keys(OFFER, known, most=1) is None, "too many"


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ("tracked-5-1-{columns}", "cleaned up"),
        ("tracked-99-1-{columns}", "from before a restore"),
        ("tracked-40-0-{columns}", "from before tracking was switched off and on, or before a truncation"),
        ("tracked-40-1-0000000000000000", "of other columns"),
        ("3-2013-05-01-77-{columns}", "of a scan"),
    ],
)
def test_tables_with_unknown_changes_are_read_whole(server, known, reason):
    server.track(OFFER.asset, oldest=10, current=40)
    source = source_of(server)
    columns = source.state(OFFER).fingerprint.rpartition("-")[2]
    fingerprint = known.format(columns=columns)
    assert source.state(OFFER, fingerprint).fingerprint == f"tracked-40-1-{columns}", reason
    with source.snapshot() as snapshot:
        assert snapshot.changed_keys(OFFER, fingerprint, most=10) is None


def test_a_read_only_replica_is_scanned_because_it_does_not_answer_for_tracked_changes(server):
    server.track(OFFER.asset, oldest=10, current=40)
    known = source_of(server).state(OFFER).fingerprint
    server.is_read_only = True
    server.describe()
    source = source_of(server)
    scanned = source.state(OFFER, known)
    assert (scanned.rows, scanned.newest_change) == (3, datetime(2013, 5, 1))
    assert source.state(OFFER, scanned.fingerprint) == scanned
    with source.snapshot() as snapshot:
        assert not snapshot.tracks(OFFER)
        assert numbers(snapshot.keys(OFFER)) == [1, 2, 3]
    assert any("read-only replica" in advice for advice in examine(SecretStr(server.url())).advice)


def test_a_database_in_an_availability_group_is_the_same_source_on_every_replica(server, wire):
    alone = source_of(server).identity()
    server.made = "2015-01-01 00:00:00.000"
    server.describe()
    assert source_of(server).identity() != alone, "a database created again under the same name"

    server.group_id = "6F9619FF-8B86-D011-B42D-00C04FC964FF"
    server.describe()
    primary = source_of(server).identity()
    server.made = "2016-01-01 00:00:00.000"
    server.describe()
    assert SqlServerSource(SecretStr(server.url(wire.port)), 10).identity() == primary


def test_a_replica_for_readers_asks_for_an_option_of_the_url_and_accepts_it(server):
    server.admits_readers_only = True
    server.describe()
    with pytest.raises(PlatformError, match="intent=readonly") as refused:
        source_of(server).state(OFFER)
    assert not isinstance(refused.value, ServiceUnavailable), "a retry does not help"
    assert source_of(server, intent="readonly").state(OFFER).rows == 3


def test_states_distinguish_blocked_tables_from_readable_ones(server):
    without_date = {name: kind for name, kind in OFFERS.items() if name != "ModifiedDate"}
    server.put("Sales_SalesReason", without_date, [offer(1)[:-1]])
    server.put("Sales_Store", {"BusinessEntityID": OFFERS["MinQty"], "ModifiedDate": OFFERS["Type"]}, [(1, "x")])
    server.put("Sales_Currency", {"CurrencyCode": OFFERS["Type"], "ModifiedDate": OFFERS["EndDate"]}, [("EUR", LOADED)])
    server.unreadable.add("Sales_Currency")
    server.describe()
    wanted = ("Sales_SpecialOffer", "Sales_SalesReason", "Sales_Store", "Sales_Currency", "Sales_Customer")
    states = source_of(server).states([SOURCE_TABLES[asset] for asset in wanted])
    rules = {asset: state.rule for asset, state in states.items() if isinstance(state, TableBlocked)}
    assert rules == {
        "Sales_SalesReason": "columns_are_there",
        "Sales_Store": "column_types_are_kept",
        "Sales_Currency": "table_is_readable",
        "Sales_Customer": "table_is_there",
    }
    assert "GRANT SELECT ON [Sales].[Currency]" in states["Sales_Currency"].next_step.command


@pytest.mark.parametrize(
    ("hide", "cause"),
    [
        (lambda server: server.masked.add("Description"), "masks instead of the values of Description"),
        (lambda server: server.put(OFFER.asset, OFFERS, [offer(1), offer(2)]), "shows the login only 2 of 3 rows"),
    ],
    ids=["masked", "filtered"],
)
def test_a_table_that_the_login_sees_only_in_part_is_blocked(server, hide, cause):
    server.filtered.add(OFFER.asset)
    server.describe()
    assert source_of(server).state(OFFER).rows == 3, "the policy lets the login see everything"
    hide(server)
    server.describe()
    with pytest.raises(TableBlocked, match=cause) as error:
        source_of(server).state(OFFER)
    assert error.value.rule == "all_rows_are_visible"


def test_a_table_that_is_dropped_during_a_snapshot_is_blocked(server):
    with source_of(server).snapshot() as snapshot:
        (server.folder / "SpecialOffer.csv").unlink()
        with pytest.raises(TableBlocked) as error:
            list(snapshot.rows(OFFER))
    assert error.value.rule == "table_is_there"


def test_connection_errors_say_what_to_fix_without_the_password(server):
    failing = {
        server.url(password="wr0ng"): (PlatformError, "rejected the login"),
        server.url(1): (ServiceUnavailable, "connection refused"),
        server.url().replace("localhost", "no.such.host.invalid"): (ServiceUnavailable, "host name is unknown"),
        server.url(tls_ca=""): (ServiceUnavailable, "certificate is not trusted.*tls=encrypt"),
    }
    for url, (kind, words) in failing.items():
        source = SqlServerSource(SecretStr(url), 10)
        for attempt in (lambda source=source: source.state(OFFER), lambda source=source: source.snapshot().__enter__()):
            with pytest.raises(kind, match=words) as error:
                attempt()
            assert type(error.value) is kind
            assert not re.search("wr0ng|s3cr", f"{error.value} {error.value.__cause__} {source.description}")
            assert error.value.next_step


def test_the_password_may_come_from_a_setting_of_its_own(server):
    url = SecretStr(server.url(password="").replace("reader:@", "reader@"))
    settings = Settings(source_url=url, source_password=SecretStr(PASSWORD))
    assert open_source(settings).state(OFFER).rows == 3
    assert PASSWORD not in repr(settings)


def test_the_source_may_be_an_airflow_connection(server, monkeypatch):
    from adventureworks.orchestration.connections import with_source

    extra = {"tls": "verify", "tls_ca": str(server.folder / "certificate.pem")}
    address = {"conn_type": "mssql", "host": "localhost", "port": server.port, "schema": "AdventureWorks"}
    account = {"login": "reader", "password": PASSWORD, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_WORKS", json.dumps(address | account))
    settings = Settings(source="airflow:works", source_url=None)
    assert open_source(with_source(settings)).state(OFFER).rows == 3
    with pytest.raises(PlatformError, match="no Airflow connection missing"):
        with_source(Settings(source="airflow:missing", source_url=None))
    with pytest.raises(PlatformError, match="ADVENTUREWORKS_SOURCE_URL"):
        open_source(settings)


@pytest.mark.parametrize(("tls", "readable"), [("verify", False), ("encrypt", False), ("off", True)])
def test_queries_are_encrypted_unless_the_url_says_otherwise(server, wire, tls, readable):
    ca = str(server.folder / "certificate.pem") if tls == "verify" else ""
    source = SqlServerSource(SecretStr(server.url(wire.port, tls=tls, tls_ca=ca)), 10)
    assert source.state(OFFER).rows == 3
    assert ("SpecialOffer".encode("utf-16-le") in wire.sent) is readable
    assert PASSWORD.encode("utf-16-le") not in wire.sent


def test_a_certificate_of_another_host_is_not_trusted(server):
    wire = Wire(server.port, "127.0.0.2")
    url = server.url(wire.port).replace("localhost", "127.0.0.2")
    with pytest.raises(ServiceUnavailable, match="certificate is not trusted"):
        SqlServerSource(SecretStr(url), 10).state(OFFER)
    assert SqlServerSource(SecretStr(url.replace("tls=verify", "tls=encrypt")), 10).state(OFFER).rows == 3
    wire.close()


def test_examine_names_what_is_missing_and_the_statement_that_fixes_it(server):
    for table in SOURCE_TABLES.values():
        names = [column.name for column in source_columns_of(table)]
        server.tables[table.asset] = dict.fromkeys(names, OFFERS["Type"])
        server.tracked[table.asset] = (1, 1, 10)
    server.describe()
    good = examine(SecretStr(server.url()))
    assert "71 of 71 tables, 71 with change tracking, snapshots, encrypted" in good.summary
    assert (good.faults, good.advice) == ((), ())

    del server.tables["Sales_Store"], server.tables["Person_Address"]
    # A column that can be computed is not missed.
    del server.tables["Sales_Customer"]["AccountNumber"], server.tables["Sales_Customer"]["TerritoryID"]
    del server.tracked["Sales_Currency"]
    server.unreadable.add("HumanResources_Shift")
    server.snapshots = False
    server.describe()
    bad = examine(SecretStr(server.url()))
    findings = " ".join([*bad.faults, *bad.advice])
    for words in (
        "[Sales].[Store] is missing, or the login cannot see it. GRANT SELECT ON SCHEMA::[Sales] TO [reader];",
        "[Sales].[Customer]: the source table has no column TerritoryID.",
        "no permission to read [HumanResources].[Shift]. GRANT SELECT ON SCHEMA::[HumanResources] TO [reader];",
        "ALTER DATABASE [AdventureWorks] SET ALLOW_SNAPSHOT_ISOLATION ON;",
        "ALTER TABLE [Sales].[Currency] ENABLE CHANGE_TRACKING;",
    ):
        assert words in findings
    assert "[Person].[Address] is missing" in " ".join(bad.advice), "no mart needs it"
    server.tracked.clear()
    server.describe()
    assert "SET CHANGE_TRACKING = ON" in examine(SecretStr(server.url())).advice[0]


def test_doctor_reports_missing_tables_without_the_password(server, adventureworks, monkeypatch):
    monkeypatch.setenv("ADVENTUREWORKS_SOURCE_URL", server.url())
    result = adventureworks("doctor")
    line = next(line for line in result.stdout.splitlines() if "Source" in line)
    assert line.startswith("FAIL")
    assert "1 of 71 tables" in line
    assert "s3cr" not in result.stdout + result.stderr


def ingest(settings, run):
    groups = detect.detect(settings, run)
    loaded = [load.load(settings, run, group) for group in groups]
    judge.judge(settings, run)
    publish.publish(settings, run)
    return {asset: rows for group in loaded for asset, rows in group.items()}


def offers_in(pipeline):
    return pipeline.published('select "SpecialOfferID", "MinQty" from raw."Sales_SpecialOffer" order by 1')


def held_in(pipeline):
    return pipeline.published(
        "select row_key::jsonb ->> 'SpecialOfferID', status from ops.quarantined_row order by row_key"
    )


def test_only_tracked_changes_are_read_and_published(server, wire, warehouse_url):
    server.track(OFFER.asset, oldest=1, current=10)
    url = SecretStr(server.url(wire.port, tls="off", tls_ca=""))
    settings = Settings(source_url=url, warehouse_url=SecretStr(warehouse_url), batch_rows=2)
    pipeline = Pipeline(settings)
    assert ingest(settings, "ingest_source/first") == {OFFER.asset: 3}
    assert sent(wire).count("from [Sales].[SpecialOffer] as t") == 1

    # One row changes but keeps its date, one is deleted, one is inserted.
    server.put(OFFER.asset, OFFERS, [offer(1), offer(2, minimum=15), offer(4)])
    server.track(OFFER.asset, 1, 13, [(11, "U", 2), (12, "D", 3), (13, "I", 4)])
    wire.sent = b""
    assert ingest(settings, "ingest_source/second") == {OFFER.asset: 2}
    assert offers_in(pipeline) == [(1, 11), (2, 15), (4, 11)]
    read = re.findall(r"from \[Sales\]\.\[SpecialOffer\] as t( join \(values)?", sent(wire))
    assert read == [" join (values"], "neither the keys nor all rows of the table are read"
    assert detect.detect(settings, "ingest_source/third") == []

    # The changes are no longer known, so the whole table is read.
    server.put(OFFER.asset, OFFERS, [offer(1), offer(2, minimum=20), offer(4)])
    server.track(OFFER.asset, oldest=30, current=40)
    assert ingest(settings, "ingest_source/fourth") == {OFFER.asset: 3}
    assert offers_in(pipeline) == [(1, 11), (2, 20), (4, 11)]


def test_rows_of_a_tracked_table_leave_quarantine_when_they_are_repaired_or_deleted(server, warehouse_url):
    server.track(OFFER.asset, oldest=1, current=10)
    settings = Settings(source_url=SecretStr(server.url()), warehouse_url=SecretStr(warehouse_url), batch_rows=2)
    pipeline = Pipeline(settings)
    good = [offer(number) for number in range(1, 8)]
    server.put(OFFER.asset, OFFERS, good)
    ingest(settings, "ingest_source/first")

    # The last good version of a row stays, and a row without one is not published.
    server.put(OFFER.asset, OFFERS, [*good[:-1], offer(7, minimum=-1), offer(8, minimum=-1)])
    server.track(OFFER.asset, 1, 12, [(11, "U", 7), (12, "I", 8)])
    ingest(settings, "ingest_source/second")
    assert held_in(pipeline) == [("7", "open"), ("8", "open")]

    server.put(OFFER.asset, OFFERS, [*good[1:-1], offer(7, minimum=-1), offer(8, minimum=-1)])
    server.track(OFFER.asset, 1, 13, [(11, "U", 7), (12, "I", 8), (13, "D", 1)])
    ingest(settings, "ingest_source/third")
    assert held_in(pipeline) == [("7", "open"), ("8", "open")]
    assert offers_in(pipeline) == [(number, 11) for number in range(2, 8)]

    server.put(OFFER.asset, OFFERS, [*good[1:-1], offer(7, minimum=12)])
    server.track(OFFER.asset, 1, 15, [(13, "D", 1), (14, "U", 7), (15, "D", 8)])
    ingest(settings, "ingest_source/fourth")
    assert held_in(pipeline) == [("7", "repaired"), ("8", "gone")]
    assert offers_in(pipeline) == [*((number, 11) for number in range(2, 7)), (7, 12)]


def test_a_discarded_row_of_a_tracked_table_stays_discarded_when_another_row_changes(server, warehouse_url):
    server.track(OFFER.asset, oldest=1, current=10)
    settings = Settings(source_url=SecretStr(server.url()), warehouse_url=SecretStr(warehouse_url), batch_rows=2)
    pipeline = Pipeline(settings)
    good = [offer(number) for number in range(1, 8)]
    server.put(OFFER.asset, OFFERS, good)
    ingest(settings, "ingest_source/first")
    server.put(OFFER.asset, OFFERS, [*good, offer(8, minimum=-1)])
    server.track(OFFER.asset, 1, 11, [(11, "I", 8)])
    ingest(settings, "ingest_source/second")
    with pipeline.session() as session:
        quarantine.discard(session, OFFER.asset, key="8", rule="", by="ann", reason="test offer")
    ingest(settings, "ingest_source/third")
    assert held_in(pipeline) == [("8", "discarded")]

    server.put(OFFER.asset, OFFERS, [offer(1, minimum=12), *good[1:], offer(8, minimum=-1)])
    server.track(OFFER.asset, 1, 12, [(11, "I", 8), (12, "U", 1)])
    ingest(settings, "ingest_source/fourth")
    assert held_in(pipeline) == [("8", "discarded")]
    assert offers_in(pipeline) == [(1, 12), *((number, 11) for number in range(2, 8))]


def test_a_tracked_text_key_that_changes_its_case_is_compared_as_in_a_full_comparison(server, warehouse_url):
    server.tables.clear()
    kinds = {"CountryRegionCode": ("nvarchar", 6, 0, 0, False), "Name": ("nvarchar", 100, 0, 0, False)}
    kinds["ModifiedDate"] = OFFERS["ModifiedDate"]
    server.put("Person_CountryRegion", kinds, [(code, f"country {code}", LOADED) for code in ("DE", "FR", "US")])
    server.track("Person_CountryRegion", oldest=1, current=10)
    settings = Settings(source_url=SecretStr(server.url()), warehouse_url=SecretStr(warehouse_url))
    pipeline = Pipeline(settings)
    ingest(settings, "ingest_source/first")
    server.put("Person_CountryRegion", kinds, [(code, f"country {code}", LOADED) for code in ("DE", "FR", "us")])
    server.track("Person_CountryRegion", 1, 11, [(11, "U", "us")])
    ingest(settings, "ingest_source/second")
    codes = pipeline.published('select "CountryRegionCode" from raw."Person_CountryRegion" order by 1')
    assert codes == [("DE",), ("FR",)], "a code is in upper case"
    assert pipeline.published("select row_key::jsonb ->> 'CountryRegionCode' from ops.quarantined_row") == [("us",)]


def test_a_blocked_table_is_read_whole_once_it_passes_again(server, warehouse_url):
    server.track(OFFER.asset, oldest=1, current=10)
    settings = Settings(source_url=SecretStr(server.url()), warehouse_url=SecretStr(warehouse_url), batch_rows=2)
    pipeline = Pipeline(settings)
    ingest(settings, "ingest_source/first")
    server.put(OFFER.asset, OFFERS, [offer(1, minimum=12), offer(2, minimum=-1), offer(3, minimum=-1)])
    server.track(OFFER.asset, 1, 13, [(11, "U", 1), (12, "U", 2), (13, "U", 3)])
    ingest(settings, "ingest_source/second")
    assert offers_in(pipeline) == [(1, 11), (2, 11), (3, 11)], "too many bad rows: blocked"
    server.put(OFFER.asset, OFFERS, [offer(1, minimum=12), offer(2), offer(3)])
    server.track(OFFER.asset, 1, 15, [(11, "U", 1), (14, "U", 2), (15, "U", 3)])
    assert ingest(settings, "ingest_source/third") == {OFFER.asset: 3}
    assert offers_in(pipeline) == [(1, 12), (2, 11), (3, 11)]


def test_after_a_lost_connection_each_row_is_published_exactly_once(server, wire, warehouse_url):
    many = 4_000
    server.put(OFFER.asset, OFFERS, [offer(number) for number in range(1, many + 1)])
    settings = Settings(
        source_url=SecretStr(server.url(wire.port)), warehouse_url=SecretStr(warehouse_url), batch_rows=100
    )
    pipeline = Pipeline(settings)
    run = "ingest_source/broken"
    groups = detect.detect(settings, run)
    wire.answered, wire.cut_after = 0, 400_000
    with pytest.raises(ServiceUnavailable, match="connection was lost"):
        load.load(settings, run, groups[0])
    staged = pipeline.published('select count(*) from staging."Sales_SpecialOffer__rows"')[0][0]
    assert 0 < staged < many, "the connection broke in the middle"
    wire.cut_after = None
    load.load(settings, run, groups[0])
    judge.judge(settings, run)
    publish.publish(settings, run)
    assert pipeline.published('select count(*), count(distinct "SpecialOfferID") from raw."Sales_SpecialOffer"') == [
        (many, many)
    ]
    assert pipeline.published("select count(*) from ops.quarantined_row") == [(0,)]


def test_the_trusted_certificates_are_found():
    from adventureworks.source.sqlserver_connection import trusted_certificates

    assert "BEGIN CERTIFICATE" in Path(trusted_certificates()).read_text(encoding="utf-8")
