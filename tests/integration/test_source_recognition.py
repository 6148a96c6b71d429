"""`adventureworks run` looks at the source before it starts anything."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import PlatformError
from adventureworks.source.files import FileSource
from adventureworks.source.postgres import PostgresSource
from adventureworks.source.recognition import require_tables
from tests.integration.conftest import Adventureworks


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([], "has no tables."),
        (["dbo.dimdate", "dbo.factinternetsales", "dbo.databaselog"], "is AdventureWorksDW"),
        (["public.one", "public.two"], "none of the 71 AdventureWorks tables. What it has: public.one, public.two."),
    ],
)
def test_a_database_without_the_tables_is_named(source_url: str, tables: list[str], expected: str) -> None:
    with psycopg.connect(source_url) as connection:
        for table in tables:
            connection.execute(f"create schema if not exists {table.partition('.')[0]}")
            connection.execute(f"create table {table} (id int)")
    with pytest.raises(PlatformError, match=r"^The source \(PostgreSQL database .* on ") as refused:
        require_tables(PostgresSource(SecretStr(source_url), batch_rows=1), allow_missing=True)
    assert expected in refused.value.cause
    assert refused.value.next_step


def test_tables_count_whatever_their_case_and_files_count_too(source_url: str, tmp_path: Path) -> None:
    with psycopg.connect(source_url) as connection:
        connection.execute("create schema sales create table salesorderheader (id int) create table currency (id int)")
    assert require_tables(PostgresSource(SecretStr(source_url), batch_rows=1), allow_missing=True).tables == 2
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PlatformError, match="none of the 71"):
        require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True)
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(PlatformError, match=r"has no tables\. Add their files") as refused:
        require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True)
    assert "SELECT" not in str(refused.value.next_step)
    (tmp_path / "Sales_Currency.csv").touch()
    assert require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True).tables == 1


def test_only_tables_that_no_mart_needs_may_be_missing_without_being_asked_for(tmp_path: Path) -> None:
    for asset in SOURCE_TABLES.keys() - {"dbo_ErrorLog"}:
        (tmp_path / f"{asset}.csv").touch()
    source = FileSource(tmp_path, batch_rows=1)
    assert require_tables(source).tables == 70
    (tmp_path / "Sales_Store.csv").unlink()
    with pytest.raises(PlatformError, match=r"marts need: Sales_Store\. .* would stay empty: customer_demo") as refused:
        require_tables(source)
    assert refused.value.next_step.command == "adventureworks run --allow-missing"
    assert require_tables(source, allow_missing=True).tables == 69


@pytest.mark.parametrize(
    ("file", "database"),
    [
        ("FactInternetSales.csv", "is AdventureWorksDW"),
        ("dbo_FactInternetSales.parquet", "is AdventureWorksDW"),
        ("SalesLT_SalesOrderHeader.csv", "files of AdventureWorksLT"),
        ("SalesLT.SalesOrderHeader.csv.gz", "files of AdventureWorksLT"),
    ],
)
def test_the_files_of_other_databases_are_recognized(tmp_path: Path, file: str, database: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(PlatformError, match=f"{database},"):
        require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True)


def test_run_fails_at_once_and_starts_nothing(adventureworks: Adventureworks, source_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for source in (source_url, source_url.replace("127.0.0.1", "127.0.0.2"), str(tmp_path)):
        began = time.monotonic()
        ended = adventureworks("run", "--once", "--source", source, home=home, timeout=60)
        assert ended.returncode == 1
        assert time.monotonic() - began < 30, "a platform takes longer to start"
        assert not (home / "postgres").exists()
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
