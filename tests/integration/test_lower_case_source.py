"""A PostgreSQL source as ported by the community: lower-case names, no computed columns, paths for hierarchyids."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.cli import doctor
from adventureworks.columns import Column, source_columns_of
from adventureworks.postgres_sql import quoted
from adventureworks.source import embedded
from contracts import hierarchyid
from tests.integration.pipeline import Pipeline

SUMS = """
    select (select sum("LineTotal") from raw."Sales_SalesOrderDetail"),
        (select sum("TotalDue") from raw."Sales_SalesOrderHeader"),
        (select sum("StockedQty") from raw."Production_WorkOrder"),
        (select min("AccountNumber") || max("AccountNumber") from raw."Sales_Customer")
"""
MONEY_PLACES, LONGEST_NAME = 4, 50
OTHERWISE_KEPT = {"HumanResources_Employee", "Production_Document", "Production_ProductDocument"}
"""The tables of which the port, as it is made here, has other rows: their hierarchyids are changed."""


def as_the_port_has_it() -> Iterator[str]:
    """Yield the statements that turn the original schema into the port's."""
    # The trigger of the embedded source names its column as the original does.
    yield 'drop function dbo."touch_ModifiedDate"() cascade'
    yield 'create domain public."Name" varchar(50) null'
    yield 'create domain public."Flag" boolean not null'
    for table in SOURCE_TABLES.values():
        name = f"{quoted(table.schema)}.{quoted(table.name)}"
        changes = []
        for column in source_columns_of(table):
            if column.computed is not None:
                changes.append(f"drop column {quoted(column.name)} cascade")
            elif kind := _type_in_the_port(column):
                changes.append(f"alter column {quoted(column.name)} type {kind}")
        if changes:
            yield f"alter table {name} {', '.join(changes)}"
        for column in source_columns_of(table):
            if column.computed is None and column.name != column.name.lower():
                yield f"alter table {name} rename column {quoted(column.name)} to {quoted(column.name.lower())}"
        if table.name != table.name.lower():
            yield f"alter table {name} rename to {quoted(table.name.lower())}"
    for schema in sorted({table.schema for table in SOURCE_TABLES.values()} - {"dbo"}):
        yield f"alter schema {quoted(schema)} rename to {schema.lower()}"
    yield "drop table dbo.errorlog, dbo.databaselog, dbo.awbuildversion"
    # It is another source, which never had these tables.
    yield "comment on schema dbo is null"
    yield "create schema hr create view employee as select * from humanresources.employee"
    yield "update humanresources.employee set organizationnode = '/' || businessentityid || '/1/', modifieddate = now()"
    yield (
        "with numbered as (select documentnode, '/' || row_number() over (order by documentnode) || '/' as path"
        " from production.document), moved as (update production.productdocument as p set documentnode = n.path,"
        " modifieddate = now() from numbered as n where p.documentnode = n.documentnode)"
        " update production.document as d set documentnode = n.path, modifieddate = now() from numbered as n"
        " where d.documentnode = n.documentnode"
    )


def _type_in_the_port(column: Column) -> str:
    """Return the column's type in the port, with the conversion; empty if the embedded source has the same."""
    name = quoted(column.name)
    # XML stays text: the tests' server is built without libxml.
    if column.is_hex and not column.is_hierarchy:
        return f"bytea using decode({name}, 'hex')"
    if column.dtype == pl.Boolean:
        return 'public."Flag"'
    if column.is_padded and column.longest:
        return f"char({column.longest})"
    if isinstance(column.dtype, pl.Decimal) and column.dtype.scale == MONEY_PLACES:
        return "numeric"
    return 'public."Name"' if column.dtype == pl.String and column.longest == LONGEST_NAME else ""


def _contents(pipeline: Pipeline, tables: list[SourceTable]) -> dict[str, tuple[object, ...]]:
    """Return the number of published rows of each table and a digest of them, by asset."""
    digest = "md5(string_agg(t::text, chr(10) order by t::text))"
    queries = (f"select '{t.asset}', count(*), {digest} from raw.{quoted(t.asset)} as t" for t in tables)
    return {asset: tuple(found) for asset, *found in pipeline.published(" union all ".join(queries))}


def test_the_ports_tables_are_read_like_the_original_ones(pipeline: Pipeline) -> None:
    sums = pipeline.published(SUMS)
    kept = [table for table in SOURCE_TABLES.values() if table.asset not in OTHERWISE_KEPT]
    contents = _contents(pipeline, kept)
    pipeline.change("; ".join(as_the_port_has_it()))
    with psycopg.connect(pipeline.url) as connection:
        # A warehouse that was always filled from the port has never published these tables.
        for records in ("publication", "watermark", "change"):
            connection.execute(f"delete from ops.{records} where asset like 'dbo\\_%'".encode())
    read = pipeline.ingest()
    assert read.opened == {}
    assert pipeline.published("select asset from ops.change where status = 'not offered' order by 1") == [
        ("dbo_AWBuildVersion",),
        ("dbo_DatabaseLog",),
        ("dbo_ErrorLog",),
    ]
    assert pipeline.published(SUMS) == sums
    assert _contents(pipeline, kept) == contents
    assert doctor._postgresql(pipeline.settings, SecretStr(pipeline._source_url)) == (
        "a database in which 68 tables can be read; it does not offer dbo_AWBuildVersion, dbo_DatabaseLog, dbo_ErrorLog"
    )
    assert (
        pipeline.published("select asset, rule, message, row_key from ops.quarantined_row where status = 'open'") == []
    )
    assert set(read.published) >= {"HumanResources_Employee", "Production_Document"}
    employees = pipeline.published(
        'select "BusinessEntityID", "OrganizationNode", "OrganizationLevel" from raw."HumanResources_Employee"'
    )
    assert employees == [(number, hierarchyid.encoded(f"/{number}/1/"), 2) for number, _, _ in employees]

    pipeline.change(
        "update sales.salesorderheader set freight = freight + 1, modifieddate = now()"
        " where salesorderid = (select min(salesorderid) from sales.salesorderheader)"
    )
    pipeline.change("update production.document set title = 'Revised', modifieddate = now() where documentnode = '/1/'")
    gone = pipeline.change(
        "delete from production.productdocument"
        " where productid = (select min(productid) from production.productdocument)"
    )
    sold = pipeline.change(
        "delete from sales.shoppingcartitem"
        " where shoppingcartitemid = (select min(shoppingcartitemid) from sales.shoppingcartitem)"
    )
    changed = pipeline.ingest().published
    assert pipeline.published(
        'select "Title", "DocumentLevel" from raw."Production_Document" where "DocumentNode" = \'58\''
    ) == [("Revised", 1)]
    assert changed["Production_Document"].changed_rows == 1
    assert changed["Production_ProductDocument"].changed_rows == gone > 0
    assert changed["Sales_ShoppingCartItem"].changed_rows == sold > 0
    [(lines, due, *_)] = sums
    assert pipeline.published(SUMS)[0][:2] == (lines, due + 1)


def test_a_file_without_computed_columns_fills_the_embedded_source(source_url: str, tmp_path: Path) -> None:
    (tmp_path / "Sales_Customer.csv").write_text(
        "CustomerID,PersonID,StoreID,TerritoryID,rowguid,ModifiedDate\n"
        "42,7,,1,6f9619ff-8b86-d011-b42d-00c04fc964ff,2014-05-01 00:00:00\n"
    )
    (tmp_path / "HumanResources_Employee.csv").write_text(
        "BusinessEntityID,NationalIDNumber,LoginID,OrganizationNode,JobTitle,BirthDate,MaritalStatus,Gender,HireDate,"
        "SalariedFlag,VacationHours,SickLeaveHours,CurrentFlag,rowguid,ModifiedDate\n"
        "1,1,a,/1/2/,Buyer,1980-01-01,M,F,2010-01-01,1,0,0,1,6f9619ff-8b86-d011-b42d-00c04fc964ff,2014-05-01 00:00:00\n"
        "2,2,b,,Chief,1980-01-01,M,F,2010-01-01,1,0,0,1,6f9619ff-8b86-d011-b42d-00c04fc964fe,2014-05-01 00:00:00\n"
    )
    (tmp_path / "Purchasing_PurchaseOrderDetail.csv").write_text(
        "PurchaseOrderID,PurchaseOrderDetailID,DueDate,OrderQty,ProductID,UnitPrice,ReceivedQty,RejectedQty,ModifiedDate\n"
        "1,1,2014-05-01 00:00:00,3,4,1.2345,3.00,1.00,2014-05-01 00:00:00\n"
    )
    embedded.prepare(SecretStr(source_url))
    embedded.load_folder(SecretStr(source_url), tmp_path, allow_missing=True)
    with psycopg.connect(source_url) as connection:
        assert connection.execute('select "AccountNumber" from "Sales"."Customer"').fetchall() == [("AW00000042",)]
        levels = connection.execute('select "OrganizationLevel" from "HumanResources"."Employee" order by 1').fetchall()
        ordered = connection.execute(
            'select "LineTotal", "StockedQty" from "Purchasing"."PurchaseOrderDetail"'
        ).fetchall()
    assert levels == [(2,), (None,)]
    assert ordered == [(Decimal("3.7035"), 2)]
