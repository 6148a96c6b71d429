"""Bills of materials on both engines: every path counts, and a product that contains itself is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import fakesnow
import psycopg
import pytest
import snowflake.connector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adventureworks.catalog import MARTS
from adventureworks.marts import models
from adventureworks.marts.gate import MartRefused
from adventureworks.warehouse.dialect import rewritten, types_of
from adventureworks.warehouse.postgres import rows_of
from tests.integration.pipeline import Pipeline
from tests.integration.snowflake_double import OWN_SCHEMAS
from tests.models import tables_read

MART = MARTS["bill_of_materials_cost"]
AS_OF = {"as_of": date(2014, 6, 30)}
COSTS = {1: 0, 2: 0, 3: 0, 4: 0, 7: "2.5", 8: 0, 9: "0.0101"}

Bill = list[tuple[int, int, str]]
Costs = dict[int, dict[str, Any]]
Compute = Callable[[Bill], Costs]

# Product 1 uses 3 × product 2 and 2 × product 3; product 2 uses 4 × 3; product 3 uses 5 × 7, 1 × 8 and 2.25 × 9.
SHARED: Bill = [(1, 2, "3"), (1, 3, "2"), (2, 3, "4"), (3, 7, "5"), (3, 8, "1"), (3, 9, "2.25")]


@pytest.fixture(scope="module")
def snowflake_database() -> Iterator[snowflake.connector.SnowflakeConnection]:
    with fakesnow.patch():
        connection = snowflake.connector.connect(database="BILLS", schema="PUBLIC")
        connection.cursor().execute('create schema "raw"')
        yield connection


@pytest.fixture(params=["postgres", "snowflake"])
def compute(
    request: pytest.FixtureRequest,
    warehouse_url: str,
    snowflake_database: snowflake.connector.SnowflakeConnection,
    tmp_path: Path,
) -> Iterator[Compute]:
    """A function that computes the mart from a bill (assembly, component, quantity) on one of the engines."""
    with psycopg.connect(warehouse_url) as connection:
        for product, cost in COSTS.items():
            connection.execute(
                'insert into raw."Production_Product" ("ProductID", "Name", "StandardCost") values (%s, %s, %s)',
                (product, f"Product {product}", cost),
            )

        def on_postgres(bill: Bill) -> Costs:
            fill(connection, bill)
            rows = rows_of(connection, models.rendered(MART, MART.name), AS_OF)
            return {row["product_id"]: row for row in rows.iter_rows(named=True)}

        def on_snowflake(bill: Bill) -> Costs:
            fill(connection, bill)
            cursor = snowflake_database.cursor()
            for schema, table in tables_read(MART, MART.name):
                file = tmp_path / f"{table}.parquet"
                rows_of(connection, f'select * from "{schema}"."{table}"', {}).write_parquet(file)
                cursor._duck_conn.execute(  # type: ignore[attr-defined]
                    f"""create or replace table "{schema}"."{table}" as from read_parquet('{file}')"""
                )
            statement = rewritten(models.rendered(MART, MART.name), OWN_SCHEMAS, types_of(AS_OF))
            cursor.execute(statement.sql, AS_OF)
            rows = [dict(zip(statement.columns, row, strict=True)) for row in cursor.fetchall()]
            return {row["product_id"]: row for row in rows}

        yield on_postgres if request.param == "postgres" else on_snowflake


def fill(connection: psycopg.Connection[Any], bill: Bill) -> None:
    connection.execute('delete from raw."Production_BillOfMaterials"')
    # One entry that ended, and one that is yet to begin: neither counts, and neither closes a cycle.
    rows: list[tuple[int, int, str, str, str | None]]
    rows = [(assembly, component, quantity, "2010-01-01", None) for assembly, component, quantity in bill]
    rows += [(7, 1, "1", "2010-01-01", "2014-06-29"), (9, 1, "1", "2014-07-01", None)]
    for number, row in enumerate(rows):
        connection.execute(
            'insert into raw."Production_BillOfMaterials" ("BillOfMaterialsID", "ProductAssemblyID", "ComponentID",'
            ' "PerAssemblyQty", "StartDate", "EndDate") values (%s, %s, %s, %s, %s, %s)',
            (number, *row),
        )


def test_quantities_multiply_down_every_path(compute: Compute) -> None:
    costs = compute(SHARED)
    one = Decimal("5") * Decimal("2.5") + Decimal("2.25") * Decimal("0.0101")
    exact = Decimal("0.0001")
    assert {product: Decimal(row["material_cost"]) for product, row in costs.items()} == {
        3: one.quantize(exact),
        2: (4 * one).quantize(exact),
        1: (14 * one).quantize(exact),
    }
    assert {(row["leaves"], row["leaves_with_cost"]) for row in costs.values()} == {(3, 2)}
    assert {product: row["levels"] for product, row in costs.items()} == {1: 3, 2: 2, 3: 1}
    assert {row["own_part_path"] for row in costs.values()} == {None}


@pytest.mark.parametrize(
    ("bill", "paths"),
    [
        ([*SHARED, (3, 2, "1")], {2: "/2/3/2/", 3: "/3/2/3/"}),
        ([*SHARED, (3, 1, "1")], {1: "/1/2/3/1/", 2: "/2/3/1/2/", 3: "/3/1/2/3/"}),
        ([*SHARED, (4, 4, "1")], {4: "/4/4/"}),
        ([(1, 2, "1"), (2, 1, "1")], {1: "/1/2/1/", 2: "/2/1/2/"}),
    ],
    ids=["below the top", "through the top", "of one product", "without a leaf"],
)
def test_a_cycle_ends_and_its_path_is_reported(compute: Compute, bill: Bill, paths: dict[int, str]) -> None:
    found = {product: row["own_part_path"] for product, row in compute(bill).items()}
    assert {product: path for product, path in found.items() if path} == paths


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.sampled_from([1, 2, 3, 4]), st.sampled_from([1, 2, 3, 4, 7, 8, 9])), st.integers(1, 9), min_size=1
    )
)
def test_any_bill_terminates_and_reports_exactly_its_cycles(
    compute: Compute, parts: dict[tuple[int, int], int]
) -> None:
    costs = compute([(assembly, component, str(quantity)) for (assembly, component), quantity in parts.items()])
    below = {assembly: {c for a, c in parts if a == assembly} for assembly in {a for a, _ in parts}}
    for product, components in below.items():
        reached: set[int] = set()
        pending = components
        while pending:
            reached |= pending
            pending = {part for component in pending for part in below.get(component, ())} - reached
        assert (costs[product]["own_part_path"] is not None) == (product in reached)
    assert costs.keys() == below.keys()


def test_both_gates_refuse_a_cycle_and_report_its_path(pipeline: Pipeline) -> None:
    published = "select count(*), sum(material_cost) from marts.bill_of_materials_cost"
    good = pipeline.published(published)
    [(assembly, component)] = pipeline.at_source(
        'select a."ProductAssemblyID", a."ComponentID" from "Production"."BillOfMaterials" as a'
        ' where a."EndDate" is null and a."ProductAssemblyID" is not null and exists (select 1 from'
        ' "Production"."BillOfMaterials" as b where b."ProductAssemblyID" = a."ComponentID" and b."EndDate" is null)'
        " order by 1, 2 limit 1"
    )
    back = (
        'insert into {} ("BillOfMaterialsID", "ProductAssemblyID", "ComponentID", "StartDate", "UnitMeasureCode",'
        ' "BOMLevel", "PerAssemblyQty", "ModifiedDate") select 999999, %s, %s, min("StartDate"),'
        ' min("UnitMeasureCode"), 1, 1, now() from {}'
    )
    pipeline.change(back.format(*['"Production"."BillOfMaterials"'] * 2), (component, assembly))
    assert pipeline.ingest().opened == {"Production_BillOfMaterials": "no_assembly_contains_itself"}

    with psycopg.connect(pipeline.url) as connection:
        # As if the cycle had passed the gate of the source.
        connection.execute(back.format(*['raw."Production_BillOfMaterials"'] * 2), (component, assembly))
        connection.execute("update ops.publication set model = 'another' where asset = 'bill_of_materials_cost'")
    with pytest.raises(MartRefused) as closed:
        pipeline.analyse("production_costs")
    refused = {incident.rule: incident for incident in closed.value.opened}["no_assembly_is_part_of_itself"]
    assert any(f"/{assembly}/{component}/{assembly}/" in example for example in refused.examples), refused.examples
    assert pipeline.published(published) == good
