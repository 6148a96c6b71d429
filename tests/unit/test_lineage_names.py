"""What tables are called in OpenLineage, whatever the source: as other tools call them, and without logins."""

import pytest

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.lineage import datasets
from adventureworks.lineage.datasets import Name
from adventureworks.settings import Settings

STORE = SOURCE_TABLES["Sales_Store"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"source_url": "postgresql://u:s3cret@db/aw"}, Name("postgres://db:5432", "aw.Sales.Store")),
        ({"source_url": "postgres://db:5433/my%20db"}, Name("postgres://db:5433", "my db.Sales.Store")),
        ({"source_url": "mssql+pymssql://u:s3cret@host/AW"}, Name("mssql://host:1433", "AW.Sales.Store")),
        ({"source": "/data/files"}, Name("file", "/data/files/Sales_Store")),
    ],
)
def test_a_source_table_is_named_by_its_server_or_folder(source: dict[str, str], name: Name) -> None:
    assert datasets.in_source(Settings.model_validate(source), STORE) == name


def test_a_published_table_is_named_by_the_warehouse() -> None:
    settings = Settings.model_validate({"warehouse_url": "postgresql://u:s3cret@db:5/dw"})
    assert datasets.in_warehouse(settings, STORE) == Name("postgres://db:5", "dw.raw.Sales_Store")
    assert datasets.in_warehouse(settings, MARTS["daily_sales"]) == Name("postgres://db:5", "dw.marts.daily_sales")
