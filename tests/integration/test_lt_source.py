"""AdventureWorksLT: its twelve tables are loaded, and what it lacks is not offered."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, is_tolerant, marts_of
from adventureworks.cli import doctor
from adventureworks.cli.run import Outcome
from adventureworks.due import NothingToDo
from adventureworks.errors import PlatformError, Step
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.source.postgres import PostgresSource
from adventureworks.source.recognition import require_tables
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.state import AssetState, asset_states, summary_of_missing_tables
from contracts.editions import EDITIONS
from tests.integration.lt_source import ROWS, SCHEMA
from tests.integration.pipeline import Pipeline

[LT] = EDITIONS
HEADER = "Sales_SalesOrderHeader"
TOLERANT = {mart.name for dag in ANALYSES if is_tolerant(dag) for mart in marts_of(dag)}


@pytest.fixture
def lt(source_url: str, warehouse_url: str) -> Pipeline:
    """A warehouse to be filled from AdventureWorksLT."""
    with psycopg.connect(source_url) as connection:
        connection.execute((SCHEMA + ROWS).encode())
    settings = Settings(source_url=SecretStr(source_url), warehouse_url=SecretStr(warehouse_url), allow_missing=True)
    return Pipeline(settings, source_url)


def states_of(pipeline: Pipeline) -> dict[str, AssetState]:
    with open_warehouse(pipeline.settings).connect("test") as session:
        return {one.asset: one for one in asset_states(session.records, decide_now(pipeline.settings, session))}


def test_the_refusal_names_the_option_to_load_what_there_is(lt: Pipeline) -> None:
    source = PostgresSource(SecretStr(lt._source_url), batch_rows=1)
    with pytest.raises(
        PlatformError, match="is AdventureWorksLT, whose tables fill 16 of the platform's 71"
    ) as refused:
        require_tables(source, named="URL")
    assert isinstance(refused.value.next_step, Step)
    assert refused.value.next_step.command == "adventureworks run --source URL --allow-missing"
    offer = require_tables(source, allow_missing=True)
    assert offer.tables == len(LT.feeds)
    assert offer.lacks.endswith(f"{', '.join(name for name in MARTS if name not in TOLERANT)}.")
    assert doctor._postgresql(lt.settings, SecretStr(lt._source_url)).startswith(
        "a database in which 16 tables can be read; it does not offer HumanResources_Department, "
    )
    # A full database is never read as this edition, whatever else is in it.
    lt.change('create schema "Sales" create table "SalesOrderHeader" (id int)')
    assert require_tables(source, allow_missing=True).tables == 2
    assert not source.identity().endswith(LT.name)


def test_the_tables_are_loaded_and_what_they_lack_is_not_offered(lt: Pipeline) -> None:
    first = lt.ingest()
    assert first.opened == {}
    assert first.published.keys() == LT.feeds.keys()
    assert lt.published("select count(*) from ops.quarantined_row") == [(0,)]
    assert lt.settle() == ["data_quality_control"]

    states = states_of(lt)
    offered = {*LT.feeds, *TOLERANT}
    assert {asset for asset, state in states.items() if state.verdict == "not offered"} == states.keys() - offered
    assert {asset: state.broken_rules for asset, state in states.items() if "passed" not in state.verdict} == (
        dict.fromkeys(states.keys() - offered, ())
    )
    assert states[HEADER].verdict == "passed with warnings", "its subtotals are not the sums of the lines"
    assert set(states[HEADER].absent_columns) == LT.lacks(HEADER)
    assert states["fact_sales"].lacks == (
        "Production_ProductCostHistory",
        "Sales_SalesOrderDetail.SpecialOfferID",
        "Sales_SalesOrderHeader.SalesPersonID",
        "Sales_SalesOrderHeader.TerritoryID",
    )
    summary = summary_of_missing_tables([*states.values()])
    assert summary.startswith(f"The source does not offer {len(SOURCE_TABLES) - len(LT.feeds)} tables: ")
    assert "\n  fact_sales, daily_sales, customer_days: Production_ProductCostHistory, Sales_SalesOrder" in summary
    assert Outcome([*states.values()], [], []).succeeded
    step = lt.analyse("customer_retention")
    assert isinstance(step, NothingToDo)
    assert "the source does not offer Production_ProductCostHistory, " in str(step.reason)

    # Rules that read what is not offered were not checked; the defects that it would cause are not reported.
    skipped = lt.published(
        "select message from ops.check_result where asset = 'Person_Address' and outcome = 'skipped'"
    )
    assert ("Not checked: the source does not offer Person_Address.StateProvinceID.",) in skipped
    defects = "select rule, checked, failed from marts.data_quality where rule = any(%s) order by rule"
    rules = ["has_an_inventory_row", "finished_product_has_a_cost", "customer_answered_the_survey", "has_a_telephone"]
    assert lt.published(defects, [rules]) == [
        ("customer_answered_the_survey", 0, 0),
        ("finished_product_has_a_cost", 0, 0),
        ("has_a_telephone", 2, 1),
        ("has_an_inventory_row", 0, 0),
    ]


def test_values_are_those_of_the_source_computed_exactly_or_null(lt: Pipeline) -> None:
    lt.ingest()
    assert lt.published(
        'select "SalesOrderNumber", "TotalDue", "TerritoryID", "ShipMethodID" from raw."Sales_SalesOrderHeader"'
        ' order by "SalesOrderID"'
    ) == [("SO71774", Decimal("3592.4366"), None, None), ("SO71776", Decimal("724.0251"), None, None)]
    assert lt.published('select "LineTotal", "SpecialOfferID" from raw."Sales_SalesOrderDetail" order by 1') == [
        (Decimal("678.106200"), None),
        (Decimal("715.750000"), None),
        (Decimal("2039.994000"), None),
    ]
    assert lt.published('select "ProductCategoryID", "Name" from raw."Production_ProductCategory" order by 1') == [
        (1, "Bikes"),
        (2, "Components"),
    ]
    assert lt.published(
        'select s."Name", c."Name" from raw."Production_Product" as p'
        ' join raw."Production_ProductSubcategory" as s using ("ProductSubcategoryID")'
        ' join raw."Production_ProductCategory" as c using ("ProductCategoryID") order by "ProductID"'
    ) == [("Road Frames", "Components"), ("Mountain Bikes", "Bikes")]
    assert lt.published(
        'select c."AccountNumber", p."FirstName", p."PersonType", e."EmailAddress", t."PhoneNumber",'
        ' (select count(*) from raw."Person_BusinessEntityAddress" as a where a."BusinessEntityID" = c."PersonID")'
        ' from raw."Sales_Customer" as c join raw."Person_Person" as p on p."BusinessEntityID" = c."PersonID"'
        ' left join raw."Person_EmailAddress" as e using ("BusinessEntityID")'
        ' left join raw."Person_PersonPhone" as t using ("BusinessEntityID") order by 1'
    ) == [
        ("AW00000001", "Orlando", None, "orlando0@shop.example", "245-555-0173", 2),
        ("AW00000002", "Keith", None, "keith0@shop.example", None, 0),
    ]
    assert lt.published('select "CultureID" from raw."Production_ProductModelProductDescriptionCulture"') == [
        ("en",),
        ("fr",),
    ]
    [version] = lt.published('select "Database Version" from raw."dbo_AWBuildVersion"')
    assert version == ("10.00.80404.00",)


def test_changes_arrive_and_bad_rows_are_set_aside(lt: Pipeline) -> None:
    lt.ingest()
    assert lt.ingest().loaded == []
    lt.change(
        'update "SalesLT"."SalesOrderHeader" set "Freight" = "Freight" + 1, "ModifiedDate" = now()'
        ' where "SalesOrderID" = 71776'
    )
    lt.change('update "SalesLT"."Customer" set "EmailAddress" = null, "ModifiedDate" = now() where "CustomerID" = 1')
    lt.change('delete from "SalesLT"."CustomerAddress" where "AddressID" = 11')
    lt.change('update "SalesLT"."ProductCategory" set "ParentProductCategoryID" = 1 where "ProductCategoryID" = 18')
    lt.change('update "SalesLT"."ProductCategory" set "ModifiedDate" = now() where "ProductCategoryID" = 18')
    lt.change('update "SalesLT"."Product" set "ListPrice" = -1, "ModifiedDate" = now() where "ProductID" = 771')
    changed = lt.ingest().published
    assert {asset: version.changed_rows for asset, version in changed.items() if version.changed_rows} == {
        HEADER: 1,
        "Person_EmailAddress": 1,
        "Person_Person": 1,
        "Sales_Customer": 1,
        "Person_PersonPhone": 1,
        "Person_BusinessEntityAddress": 1,
        "Production_ProductSubcategory": 1,
    }
    assert lt.published("select asset, rule from ops.quarantined_row where status = 'open'") == [
        ("Production_Product", "ListPrice_greater_than_or_equal_to")
    ]


def test_a_switch_to_the_full_database_and_back_reads_tables_whole(lt: Pipeline) -> None:
    address = 'select "AddressID", "StateProvinceID" from raw."Person_Address" order by 1'
    lt.ingest()
    assert lt.published(address) == [(9, None), (11, None)]
    # Keys and modification dates are the same, so that only the identity of the source tells the two apart.
    lt.change('create schema "Person"; create schema "Sales" create table "SalesOrderHeader" (id int)')
    lt.change(
        'create table "Person"."Address" as select "AddressID", "AddressLine1", "AddressLine2", "City",'
        ' 79 as "StateProvinceID", "PostalCode", null::text as "SpatialLocation", rowguid, "ModifiedDate"'
        ' from "SalesLT"."Address"'
    )
    full = lt.ingest()
    assert [version.changed_rows for version in full.published.values()] == [2]
    assert lt.published(address) == [(9, 79), (11, 79)]
    states = states_of(lt)
    assert states["Person_Address"].absent_columns == ()
    assert states[HEADER].verdict == "blocked", "its table has other columns"

    lt.change('drop table "Person"."Address", "Sales"."SalesOrderHeader"')
    assert "Person_Address" in lt.ingest().published
    assert lt.published(address) == [(9, None), (11, None)]
    states = states_of(lt)
    assert set(states["Person_Address"].absent_columns) == LT.lacks("Person_Address")
    assert states[HEADER].verdict == "passed with warnings"
