"""First loads from files that are not all good: what is missing holds up what depends on it, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from adventureworks.gate import detect
from adventureworks.marts.plan import NothingToDo, Plan
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks.source.sample import generate
from tests.integration.pipeline import Pipeline


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated tables as Parquet files."""
    folder = tmp_path_factory.mktemp("generated")
    for asset, table in generate(0.01, seed=5):
        pq.write_table(table, folder / f"{asset}.parquet")
    return folder


@pytest.fixture
def folder(generated: Path, tmp_path: Path) -> Path:
    """A copy of these files that a test may break."""
    return shutil.copytree(generated, tmp_path / "files")


def test_a_missing_parent_is_the_only_one_to_blame_and_all_follow_when_it_comes(
    folder: Path, warehouse_url: str
) -> None:
    pipeline = Pipeline(Settings(source=str(folder), warehouse_url=SecretStr(warehouse_url)))
    product = folder / "Production_Product.parquet"
    product.rename(folder / "kept")
    first = pipeline.ingest()
    assert first.opened == {"Production_Product": "file_is_there"}
    assert "Sales_Currency" in first.published
    assert "Sales_SalesOrderDetail" not in first.published
    [incident] = first.conclusion.opened
    stock = pq.read_metadata(folder / "Production_ProductInventory.parquet").num_rows
    assert f"{stock:,} of Production_ProductInventory" in incident.summary, "it says what waits for it"
    assert pipeline.published("select count(*) from ops.quarantined_row") == [(0,)]
    assert isinstance(pipeline.analyse(), NothingToDo)

    (folder / "kept").rename(product)
    second = pipeline.ingest()
    assert second.resolved == {"Production_Product": "file_is_there"}
    assert len({*first.published, *second.published}) == 71
    assert isinstance(pipeline.analyse(), Plan)


def test_one_odd_value_holds_up_one_row(folder: Path, warehouse_url: str) -> None:
    path = folder / "Sales_Currency.parquet"
    table = pq.read_table(path)
    names = table["Name"].to_pylist()
    names[-1] = "Nothing\x00ness"
    place = table.column_names.index("Name")
    pq.write_table(table.set_column(place, "Name", pa.array(names)), path)
    pipeline = Pipeline(Settings(source=str(folder), warehouse_url=SecretStr(warehouse_url), set_aside_limit=0.02))
    ingested = pipeline.ingest()
    assert "Sales_Currency" in ingested.published
    assert ingested.opened["Sales_Currency"] == "Name_is_text"
    assert pipeline.published('select "Name" from quarantine."Sales_Currency"') == [("Nothing\ufffdness",)]


def test_a_column_that_may_not_be_read_holds_up_its_table_alone_and_until_it_may(
    generated: Path, source_url: str, source_reader_url: str, warehouse_url: str
) -> None:
    embedded.prepare(SecretStr(source_url))
    embedded.load_folder(SecretStr(source_url), generated)
    with psycopg.connect(source_url) as owner:
        owner.execute('revoke select on "Sales"."SpecialOffer" from source_reader')
        owner.execute('grant select ("SpecialOfferID", "ModifiedDate") on "Sales"."SpecialOffer" to source_reader')
    settings = Settings(source_url=SecretStr(source_reader_url), warehouse_url=SecretStr(warehouse_url))
    pipeline = Pipeline(settings, source_url)
    first = pipeline.ingest()
    assert first.opened["Sales_SpecialOffer"] == "table_is_readable"
    assert "Sales_Currency" in first.published, "what was to be read after it is read all the same"
    with psycopg.connect(source_url) as owner:
        owner.execute('grant select on "Sales"."SpecialOffer" to source_reader')
    assert detect.difference(settings) is not None, "nothing changed at the source, and still it is read again"
    second = pipeline.ingest()
    assert "Sales_SpecialOffer" in second.published
    assert len({*first.published, *second.published}) == 71
    assert detect.difference(settings) is None
