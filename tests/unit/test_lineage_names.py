"""Names of tables in OpenLineage, for every kind of source: the same as in other tools, and without credentials."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.facet_v2 import parent_run

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.lineage import datasets
from adventureworks.lineage.datasets import Name, Names
from adventureworks.lineage.events import Reporter
from adventureworks.settings import Settings

STORE = SOURCE_TABLES["Sales_Store"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"source_url": "postgresql://u:s3cret@db/aw"}, Name("postgres://db:5432", "aw.Sales.Store")),
        ({"source_url": "postgres://db:5433/my%20db"}, Name("postgres://db:5433", "my db.Sales.Store")),
        ({"source_url": "postgresql://u:s3cret@a:5433,b/aw"}, Name("postgres://a:5433", "aw.Sales.Store")),
        (
            {"source_url": "postgresql:///aw?host=db&user=u&password=s3cret"},
            Name("postgres://db:5432", "aw.Sales.Store"),
        ),
        ({"source_url": "postgresql:///aw?host=/run/socket"}, Name("postgres://localhost:5432", "aw.Sales.Store")),
        ({"source_url": "mssql+pymssql://u:s3cret@host/AW"}, Name("mssql://host:1433", "AW.Sales.Store")),
        ({"source": "mssql://u:s3cret@host/AW"}, Name("mssql://host:1433", "AW.Sales.Store")),
        ({"source": "mssql://u:s3[cret@host/AW"}, Name("unknown", ".Sales.Store")),
        ({"source": "postgresql://u:s3cret@db/aw"}, Name("postgres://db:5432", "aw.Sales.Store")),
        ({"source": "airflow:mssql_default"}, Name("unknown", ".Sales.Store")),
        ({"source": "oracle://u:s3cret@db/aw"}, Name("unknown", ".Sales.Store")),
        ({"source": "/data/files"}, Name("file", "/data/files/Sales_Store")),
        ({"source": "file:///data/files"}, Name("file", "/data/files/Sales_Store")),
        ({"source_url": "s3://lake@bucket/aw/"}, Name("s3://bucket", "aw/Sales_Store")),
        ({"source": "https://host/aw.zip?token=s3cret"}, Name("https://host", "aw.zip/Sales_Store")),
        ({"source": "postgresql+psycopg2://u:s3cret@db/aw"}, Name("postgres://db:5432", "aw.Sales.Store")),
        ({"source": "files"}, Name("file", f"{Path.cwd()}/files/Sales_Store")),
    ],
)
def test_source_tables_are_named_after_their_server_or_folder(source: dict[str, str], name: Name) -> None:
    assert Names(Settings.model_validate(source)).in_source(STORE) == name


def test_published_tables_are_named_after_the_warehouse() -> None:
    names = Names(Settings.model_validate({"warehouse_url": "postgresql://u:s3cret@db:5/dw", "environment": "pr_4"}))
    assert names.in_warehouse(STORE) == Name("postgres://db:5", "dw.pr_4_raw.Sales_Store")
    assert names.in_warehouse(MARTS["daily_sales"]) == Name("postgres://db:5", "dw.pr_4_marts.daily_sales")
    assert names.column("revenue") == "revenue"


def test_snowflake_names_are_upper_case_and_the_account_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups: list[str] = []

    def account(settings: Settings) -> str:
        lookups.append(settings.snowflake_connection)
        return "xy12345"

    monkeypatch.setattr(datasets, "account_of", account)
    reporter = Reporter(Settings.model_validate({"warehouse": "snowflake"}), "prod", "daily_sales_etl/1")
    [event] = reporter.started(["daily_sales"], datetime(2026, 3, 2, tzinfo=UTC))
    output: Any = (event.outputs or [])[0]
    assert (output.namespace, output.name) == ("snowflake://xy12345.us-west-1.aws", "DBT_DB.MARTS.DAILY_SALES")
    assert "REVENUE" in {column.name for column in output.facets["schema"].fields}
    [origin] = output.facets["columnLineage"].fields["REVENUE"].inputFields
    assert (origin.namespace, origin.name, origin.field) == (output.namespace, "DBT_DB.MARTS.FACT_SALES", "REVENUE")
    assert lookups == ["snowflake_default"]


def test_run_ids_are_unique() -> None:
    def run_id(namespace: str, environment: str, repetition: str, run: str) -> str:
        parent = parent_run.ParentRunFacet(parent_run.Run(repetition), parent_run.Job(namespace, "daily_sales_etl"))
        reporter = Reporter(Settings.model_validate({"environment": environment}), namespace, run, parent)
        [event] = reporter.started(["daily_sales"], datetime(2026, 3, 2, tzinfo=UTC))
        return str(event.run.runId)

    cleared = "00000000-0000-4000-8000-000000000001"
    first = ("prod", "", "00000000-0000-4000-8000-000000000000", "daily_sales_etl/scheduled__1")
    others = [
        ("lab", *first[1:]),
        (first[0], "staging", *first[2:]),
        (*first[:2], cleared, first[3]),
        (*first[:3], "x/2"),
    ]
    assert run_id(*first) == run_id(*first), "all tasks of a run have the same run id"
    assert len({run_id(*run) for run in (first, *others)}) == 5
