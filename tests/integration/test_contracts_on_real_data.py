"""All 71 tables of the real data satisfy their contracts, and the contracts match the source's own schema."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import source_columns_of
from adventureworks.gate.contract import validate
from adventureworks.source.files import FileSource

RELAXED = {("Production_Document", "DocumentNode"), ("Production_Document", "FileExtension")}
"""NOT NULL in the schema but missing in the data: the root's hierarchyid and the extensions of folders."""

COMPUTED_AND_NULLABLE = {("HumanResources_Employee", "OrganizationLevel"), ("Production_Document", "DocumentLevel")}
"""Levels computed from a hierarchyid that may be NULL."""

TYPES = {
    "int": pl.Int32(),
    "smallint": pl.Int16(),
    "tinyint": pl.UInt8(),
    "bit": pl.Boolean(),
    "money": pl.Decimal(19, 4),
    "smallmoney": pl.Decimal(10, 4),
    "datetime": pl.Datetime("us"),
    "date": pl.Date(),
    "time": pl.Time(),
}


@pytest.fixture(scope="module")
def real_data() -> Path:
    default = Path(__file__).resolve().parents[2].parent / "shared"
    folder = Path(os.environ.get("ADVENTUREWORKS_TEST_DATA", default)) / "adventureworks"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set ADVENTUREWORKS_TEST_DATA to the folder that holds adventureworks/")
    return folder


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_all_real_rows_satisfy_the_contracts(real_data: Path, asset: str) -> None:
    with FileSource(real_data / "parquet", batch_rows=1_000_000).snapshot() as snapshot:
        for batch in snapshot.rows(SOURCE_TABLES[asset]):
            assert validate(SOURCE_TABLES[asset], batch).rejections == ()


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_columns_types_nullability_and_keys_match_the_schema(real_data: Path, asset: str) -> None:
    table = json.loads((real_data / "schema.json").read_text())[asset.replace("_", ".", 1)]
    schema = SOURCE_TABLES[asset].contract.to_schema()
    assert [column.name for column in source_columns_of(SOURCE_TABLES[asset])] == [
        column["name"] for column in table["columns"]
    ]
    assert schema.unique == table["primary_key"]
    for column in table["columns"]:
        name, declared = column["name"], schema.columns[column["name"]]
        if column["type"] == "COMPUTED":
            assert declared.nullable is ((asset, name) in COMPUTED_AND_NULLABLE)
            continue
        assert declared.nullable is (column["nullable"] or (asset, name) in RELAXED), name
        assert declared.dtype.type == polars_type(column["type"]), name


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_columns_that_sql_server_computes_are_computed_alike_if_the_source_lacks_them(
    real_data: Path, asset: str
) -> None:
    entry = SOURCE_TABLES[asset]
    table = json.loads((real_data / "schema.json").read_text())[asset.replace("_", ".", 1)]
    computed = [column["name"] for column in table["columns"] if column["type"] == "COMPUTED"]
    assert [column.name for column in source_columns_of(entry) if column.computed is not None] == computed
    if not computed:
        return
    with FileSource(real_data / "parquet", batch_rows=1_000_000).snapshot() as snapshot:
        for batch in snapshot.rows(entry):
            whole, without = validate(entry, batch), validate(entry, batch.drop_columns(computed))
            assert without.rejections == ()
            if asset == "Production_Document":
                # The position of its root is NULL in the real data, and yet the root has level 0.
                below_root = pl.col("DocumentNode") != ""
                assert without.good.filter(below_root).equals(whole.good.filter(below_root))
            else:
                assert without.good.equals(whole.good)


def polars_type(sql_type: str) -> Any:
    decimal = re.fullmatch(r"decimal\((\d+),(\d+)\)", sql_type)
    if decimal:
        return pl.Decimal(int(decimal[1]), int(decimal[2]))
    return TYPES.get(sql_type, pl.String())
