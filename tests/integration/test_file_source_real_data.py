"""The real AdventureWorks data is the same from installer files, Parquet files and the embedded database."""

import random

import polars as pl
import pytest
from pyarrow.parquet import read_metadata
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import key_of
from adventureworks.errors import TableBlocked
from adventureworks.gate.contract import validate
from adventureworks.source import TableState
from adventureworks.source.files import FileSource
from adventureworks.source.postgres import PostgresSource

BATCH_ROWS = 50_000
ONLY_IN_PARQUET = {
    "dbo_DatabaseLog",
    "dbo_ErrorLog",
    "Person_Password",
    "Person_Person",
    "Production_ProductPhoto",
    "Production_TransactionHistory",
    "Production_TransactionHistoryArchive",
    "Production_WorkOrder",
    "Production_WorkOrderRouting",
    "Sales_SalesOrderDetail",
    "Sales_SalesOrderHeader",
}
EDITIONS_DIFFER = {
    # The chief executive's level in the hierarchy: 0 in the installer's file, NULL in the other edition.
    ("HumanResources_Employee", "OrganizationLevel"): 1,
    # Line ends (LF or CRLF), and blanks before them.
    ("Production_ProductReview", "Comments"): 4,
}
"""The number of values of a column that differ between the two editions of the data."""


def typed(snapshot, table):
    """Return the whole table in its contract's types, sorted by key; every row must satisfy the contract."""
    frames = []
    for batch in snapshot.rows(table):
        verdict = validate(table, batch)
        assert not verdict.rejections, verdict.rejections[0]
        frames.append(verdict.good)
    return pl.concat(frames).sort(key_of(table)) if frames else None


def differences(left, right):
    """Return the number of values that differ, by column."""
    counts = {name: int(left[name].ne_missing(right[name]).sum()) for name in left.columns}
    return {name: count for name, count in counts.items() if count}


@pytest.fixture
def parquet(real_data):
    return FileSource(real_data / "parquet", BATCH_ROWS)


@pytest.fixture
def installer(real_data):
    return FileSource(real_data / "official", BATCH_ROWS)


def test_the_installer_files_equal_the_parquet_files(parquet, installer):
    states = installer.states(SOURCE_TABLES.values())
    missing = {asset for asset, state in states.items() if isinstance(state, TableBlocked)}
    assert missing == ONLY_IN_PARQUET
    found = {}
    with parquet.snapshot() as typed_files, installer.snapshot() as text_files:
        for asset in SOURCE_TABLES.keys() - missing:
            table = SOURCE_TABLES[asset]
            for column, count in differences(typed(typed_files, table), typed(text_files, table)).items():
                found[asset, column] = count
    assert found == EDITIONS_DIFFER


def test_the_embedded_database_returns_exactly_what_was_loaded(
    parquet, real_data, real_source, fresh_database, postgres
):
    name = fresh_database("source", real_source).rsplit("/", 1)[1]
    database = PostgresSource(SecretStr(postgres.url(name, "source_reader")), BATCH_ROWS)
    expected_rows = {file.stem: read_metadata(file).num_rows for file in (real_data / "parquet").glob("*.parquet")}
    assert sum(expected_rows.values()) == 760_837
    states = database.states(SOURCE_TABLES.values())
    assert {asset: state.rows for asset, state in states.items() if isinstance(state, TableState)} == expected_rows
    with parquet.snapshot() as files, database.snapshot() as stored:
        for table in SOURCE_TABLES.values():
            expected, found = typed(files, table), typed(stored, table)
            if expected is None or found is None:
                assert expected_rows[table.asset] == 0
            else:
                assert differences(expected, found) == {}, table.asset


@pytest.mark.parametrize("name", ["official/Store.csv", "official/Address.csv", "parquet/Sales_Store.parquet"])
def test_a_truncated_real_file_never_yields_wrong_values(real_data, tmp_path, name):
    table = SOURCE_TABLES["Person_Address" if "Address" in name else "Sales_Store"]
    original = real_data / name
    content = original.read_bytes()
    with FileSource(original.parent, BATCH_ROWS).snapshot() as snapshot:
        complete = pl.concat(pl.DataFrame(batch) for batch in snapshot.rows(table))
    generator = random.Random(11)
    for _ in range(12):
        (tmp_path / original.name).write_bytes(content[: generator.randrange(len(content))])
        with FileSource(tmp_path, BATCH_ROWS).snapshot() as snapshot:
            try:
                remaining = pl.concat(pl.DataFrame(batch) for batch in snapshot.rows(table))
            except TableBlocked:
                continue
        assert remaining.equals(complete.head(remaining.height))
