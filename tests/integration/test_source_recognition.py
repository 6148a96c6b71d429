"""`adventureworks run` looks at the source before it starts anything."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, SOURCE_TABLES, is_tolerant, required_tables
from adventureworks.columns import source_columns_of
from adventureworks.errors import PlatformError
from adventureworks.source.files import FileSource
from adventureworks.source.postgres import PostgresSource
from adventureworks.source.recognition import require_tables
from tests.integration.conftest import Adventureworks


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([], "has no tables."),
        (['"SalesLT"."Customer"', '"SalesLT"."SalesOrderHeader"', 'dbo."ErrorLog"'], "is AdventureWorksLT"),
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
    assert require_tables(PostgresSource(SecretStr(source_url), batch_rows=1), allow_missing=True) == 2
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PlatformError, match="none of the 71"):
        require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True)
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(PlatformError, match=r"has no tables\. Add their files") as refused:
        require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True)
    assert "SELECT" not in str(refused.value.next_step)
    (tmp_path / "Sales_Currency.csv").touch()
    assert require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True) == 1


def test_only_tables_that_no_mart_needs_may_be_missing_without_being_asked_for(tmp_path: Path) -> None:
    for asset in SOURCE_TABLES.keys() - {"dbo_ErrorLog"}:
        (tmp_path / f"{asset}.csv").touch()
    source = FileSource(tmp_path, batch_rows=1)
    assert require_tables(source) == 70
    (tmp_path / "Sales_Store.csv").unlink()
    with pytest.raises(PlatformError, match=r"marts need: Sales_Store\. .* would stay empty: customer_demo") as refused:
        require_tables(source)
    assert refused.value.next_step.command == "adventureworks run --allow-missing"
    assert require_tables(source, allow_missing=True) == 69


@pytest.mark.parametrize(
    ("file", "database"),
    [
        ("FactInternetSales.csv", "AdventureWorksDW"),
        ("dbo_FactInternetSales.parquet", "AdventureWorksDW"),
        ("SalesLT_SalesOrderHeader.csv", "AdventureWorksLT"),
        ("SalesLT.SalesOrderHeader.csv.gz", "AdventureWorksLT"),
    ],
)
def test_the_files_of_other_databases_are_recognized(tmp_path: Path, file: str, database: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(PlatformError, match=f"is {database},"):
        require_tables(FileSource(tmp_path, batch_rows=1), allow_missing=True)


LT_COLUMNS = {
    "Person_Address": "AddressID AddressLine1 AddressLine2 City StateProvince CountryRegion PostalCode",
    "Person_BusinessEntityAddress": "CustomerID AddressID AddressType",
    "Production_Product": "ProductID Name ProductNumber Color StandardCost ListPrice Size Weight ProductCategoryID"
    " ProductModelID SellStartDate SellEndDate DiscontinuedDate ThumbNailPhoto ThumbnailPhotoFileName",
    "Production_ProductCategory": "ProductCategoryID ParentProductCategoryID Name",
    "Production_ProductDescription": "ProductDescriptionID Description",
    "Production_ProductModel": "ProductModelID Name CatalogDescription",
    "Production_ProductModelProductDescriptionCulture": "ProductModelID ProductDescriptionID Culture",
    "Sales_Customer": "CustomerID NameStyle Title FirstName MiddleName LastName Suffix CompanyName SalesPerson"
    " EmailAddress Phone PasswordHash PasswordSalt",
    "Sales_SalesOrderDetail": "SalesOrderID SalesOrderDetailID OrderQty ProductID UnitPrice UnitPriceDiscount"
    " LineTotal",
    "Sales_SalesOrderHeader": "SalesOrderID RevisionNumber OrderDate DueDate ShipDate Status OnlineOrderFlag"
    " SalesOrderNumber PurchaseOrderNumber AccountNumber CustomerID ShipToAddressID BillToAddressID ShipMethod"
    " CreditCardApprovalCode SubTotal TaxAmt Freight TotalDue Comment",
}
"""The columns of AdventureWorksLT's tables, by the table they correspond to; all have `rowguid` and `ModifiedDate`."""


def test_the_columns_of_adventureworks_lt_suffice_for_no_analysis() -> None:
    offered = {"dbo_ErrorLog"}
    for asset, names in LT_COLUMNS.items():
        required = {column.name for column in source_columns_of(SOURCE_TABLES[asset]) if column.computed is None}
        if required <= {*names.split(), "rowguid", "ModifiedDate"}:
            offered.add(asset)
    assert offered == {"Production_ProductCategory", "Production_ProductDescription", "dbo_ErrorLog"}
    assert [dag for dag in ANALYSES if not is_tolerant(dag) and required_tables(dag) <= offered] == []


def test_run_fails_at_once_and_starts_nothing(adventureworks: Adventureworks, source_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for source in (source_url, source_url.replace("127.0.0.1", "127.0.0.2"), str(tmp_path)):
        began = time.monotonic()
        ended = adventureworks("run", "--once", "--source", source, home=home, timeout=60)
        assert ended.returncode == 1
        assert time.monotonic() - began < 30, "a platform takes longer to start"
        assert not (home / "postgres").exists()
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
