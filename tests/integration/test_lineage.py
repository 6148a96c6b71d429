"""OpenLineage events of real runs, and builds with a failing transport."""

from __future__ import annotations

import inspect
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import attr
import psycopg
import pytest
from openlineage.client import facet_v2
from openlineage.client.generated import base

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, entry, marts_of, producer_of
from adventureworks.columns import columns_of
from adventureworks.marts import models
from adventureworks.marts.gate import MartRefused
from adventureworks.settings import settings
from tests.integration.collector import Collector, collector
from tests.integration.pipeline import Pipeline

__all__ = ["collector"]

BEGIN = datetime(2026, 3, 2, 12, tzinfo=UTC)
Event = dict[str, Any]


@pytest.fixture
def configured(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    """The platform's settings name the databases of the pipeline; no transport is configured yet."""
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    for name in [*os.environ]:
        if name.startswith(("OPENLINEAGE", "AIRFLOW__OPENLINEAGE")) or name in {"HTTP_PROXY", "http_proxy"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", pipeline.url)
    source_url = pipeline.settings.source_url
    assert source_url is not None
    monkeypatch.setenv("ADVENTUREWORKS_SOURCE_URL", source_url.get_secret_value())
    settings.cache_clear()
    yield pipeline
    settings.cache_clear()


@pytest.fixture
def sent(configured: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Event]]:
    """Return a function that reads the events sent so far from the client's file transport."""
    file = tmp_path / "events.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(file))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "company")
    return lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def task_of(run_id: str, task_id: str = "refresh") -> dict[str, Any]:
    """Return the context of a task, as far as lineage reads it."""
    dag, _, run = run_id.partition("/")
    dag_run = SimpleNamespace(dag_id=dag, run_id=run, logical_date=None, run_after=BEGIN, conf={}, clear_number=0)
    instance = SimpleNamespace(dag_id=dag, run_id=run, task_id=task_id, map_index=-1, dag_run=dag_run, start_date=BEGIN)
    instance.get_template_context = lambda: {"dag_run": dag_run}
    return {"ti": instance, "dag_run": dag_run}


@contextmanager
def inside(run_id: str) -> Iterator[None]:
    from airflow.sdk.execution_time.context import set_current_context

    with set_current_context(task_of(run_id)):  # type: ignore[arg-type]
        yield


def emit_all(pipeline: Pipeline) -> None:
    """Emit the events of the tasks in all runs that published something."""
    from adventureworks.orchestration import lineage

    for (run_id,) in pipeline.published("select distinct run_id from ops.publication"):
        with inside(run_id):
            if run_id.startswith("ingest_source/"):
                lineage.tables_published()
            else:
                lineage.build_started(run_id.partition("/")[0])
                lineage.marts_published()


def asset_of(dataset: Event) -> str:
    """Return the table or mart of a dataset, whose name is `<database>.<schema>.<table>`."""
    _, schema, table = dataset["name"].split(".")
    return table if schema in {"raw", "marts"} else f"{schema}_{table}"


def test_every_version_is_reported_with_the_lineage_of_each_column(
    configured: Pipeline, sent: Callable[[], list[Event]]
) -> None:
    emit_all(configured)
    events = sent()
    for event in events:
        assert_valid(event)
    ends = {asset_of(event["outputs"][0]): event for event in events if event["eventType"] == "COMPLETE"}
    starts = {asset_of(event["outputs"][0]): event for event in events if event["eventType"] == "START"}
    assert set(ends) == set(starts) == {*MARTS, *SOURCE_TABLES}
    assert len(events) == 2 * len(ends)
    for name, event in ends.items():
        dag = producer_of(name)
        assert event["job"]["namespace"] == "company"
        assert event["job"]["name"] == f"{dag}.{name}"
        assert event["run"]["runId"] == starts[name]["run"]["runId"]
        assert event["run"]["facets"]["parent"]["job"] == {"namespace": "company", "name": dag, "facets": {}}
        output = event["outputs"][0]
        columns = [column.name for column in columns_of(entry(name))]
        assert [field["name"] for field in output["facets"]["schema"]["fields"]] == columns
        assert output["facets"]["version"]["datasetVersion"] == "1"
        assert_every_column_has_an_origin(name, event)

    for name, mart in MARTS.items():
        inputs = {asset_of(dataset): dataset for dataset in ends[name]["inputs"]}
        assert set(inputs) == set(mart.inputs)
        assert {dataset["facets"]["version"]["datasetVersion"] for dataset in inputs.values()} == {"1"}
        tests = ends[name]["run"]["facets"]["test"]["tests"]
        rules = configured.published("select rule from ops.check_result where asset = %s", (name,))
        assert sorted(one["name"] for one in tests) == sorted(rule for (rule,) in rules)
    ((rows,),) = configured.published("select count(*) from marts.daily_sales")
    assert ends["daily_sales"]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == rows


def test_lineage_names_the_origins_of_columns_and_reveals_no_secrets(
    configured: Pipeline, sent: Callable[[], list[Event]]
) -> None:
    emit_all(configured)
    ends = {asset_of(event["outputs"][0]): event for event in sent() if event["eventType"] == "COMPLETE"}

    def origins(name: str, column: str) -> set[tuple[str, str, str]]:
        fields = ends[name]["outputs"][0]["facets"]["columnLineage"]["fields"][column]["inputFields"]
        return {(asset_of(one), one["field"], one["transformations"][0]["type"]) for one in fields}

    assert origins("daily_sales", "revenue") == {("fact_sales", "revenue", "DIRECT")}
    assert {kind for _, _, kind in origins("daily_sales", "orders")} == {"INDIRECT"}
    read_marts = {
        asset for column in columns_of(MARTS["data_quality"]) for asset, *_ in origins("data_quality", column.name)
    }
    assert "data_quality" not in read_marts, "a mart is not an origin of itself"
    [password] = ends["Person_Password"]["outputs"][0]["facets"]["columnLineage"]["fields"]["PasswordHash"][
        "inputFields"
    ]
    assert password["transformations"][0]["masking"] is True
    text = json.dumps(sent())
    for url in (configured.url, os.environ["ADVENTUREWORKS_SOURCE_URL"]):
        assert re.split("[:@]", url)[2] not in text, "no password from a URL"
    assert "***" not in text


def test_refused_tables_and_marts_fail_with_their_rule(configured: Pipeline, sent: Callable[[], list[Event]]) -> None:
    from adventureworks.orchestration import lineage

    configured.change('update "Sales"."Store" set "Name" = null')
    configured.change('update "Sales"."SalesTerritory" set "Name" = \'Far North\' where "TerritoryID" = 1')
    configured.ingest()
    ((ingestion,),) = configured.published("select run_id from ops.change order by detected_at desc limit 1")
    with inside(ingestion):
        lineage.tables_published()
    by_state = {(event["eventType"], asset_of(event["outputs"][0])): event for event in sent()}
    assert set(by_state) == {
        ("START", "Sales_Store"),
        ("FAIL", "Sales_Store"),
        ("START", "Sales_SalesTerritory"),
        ("COMPLETE", "Sales_SalesTerritory"),
    }
    refused = by_state["FAIL", "Sales_Store"]
    assert refused["run"]["facets"]["errorMessage"]["message"].startswith("few_rows_are_set_aside")
    assert "version" not in refused["outputs"][0]["facets"]

    with psycopg.connect(configured.url) as connection:
        connection.execute('update raw."Sales_SalesOrderHeader" set "SubTotal" = "SubTotal" + 5')
        connection.execute("update ops.publication set model = 'another' where asset = 'fact_sales'")
    with pytest.raises(MartRefused):
        configured.analyse()
    ((run_id,),) = configured.published("select run_id from ops.build where refused")
    lineage.task_failed({**task_of(run_id), "exception": ValueError("a secret")})
    [refused_mart, *others] = [event for event in sent() if event["job"]["name"].startswith("daily_sales_etl")]
    assert {event["eventType"] for event in (refused_mart, *others)} == {"FAIL"}
    assert "SubTotal" in refused_mart["run"]["facets"]["errorMessage"]["message"]
    assert {other["run"]["facets"]["errorMessage"]["message"] for other in others} == {
        "The task refresh (gate) failed: ValueError"
    }
    tests = refused_mart["run"]["facets"]["test"]["tests"]
    assert "error" in {one["severity"] for one in tests if one["status"] == "fail"}

    with inside("sales_territory_analysis/lost"):
        lineage.build_started("sales_territory_analysis")
    lineage.task_failed({**task_of("sales_territory_analysis/lost"), "exception": ValueError("a secret")})
    started, failed = sent()[-2:]
    assert [started["eventType"], failed["eventType"]] == ["START", "FAIL"]
    assert started["run"]["runId"] == failed["run"]["runId"]
    assert failed["run"]["facets"]["errorMessage"]["message"] == "The task refresh (build) failed: ValueError"
    for event in sent():
        assert_valid(event)


@pytest.mark.parametrize("failure", ["nothing listens", "it hangs", "invalid URL"])
def test_a_failing_transport_does_not_disturb_a_build(
    configured: Pipeline,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: str,
) -> None:
    from adventureworks.orchestration import lineage

    monkeypatch.setattr(lineage, "TIMEOUT_SECONDS", 1.0)
    collector.hangs = True
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        urls = {
            "nothing listens": f"http://127.0.0.1:{free.getsockname()[1]}",
            "it hangs": collector.endpoint,
            "invalid URL": "no address",
        }
        monkeypatch.setenv("OPENLINEAGE_URL", urls[failure])
        ((run_id,),) = configured.published("select distinct run_id from ops.publication where asset = 'daily_sales'")
        with inside(run_id):
            lineage.build_started("daily_sales_etl")
            lineage.marts_published()
    assert any("lineage transport" in record.message for record in caplog.records)
    assert "Traceback" not in caplog.text


def test_without_a_transport_nothing_is_sent_or_read(
    configured: Pipeline, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from adventureworks.orchestration import lineage

    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    settings.cache_clear()
    for dag in ANALYSES:
        with inside(f"{dag}/run"):
            lineage.marts_published()
        assert marts_of(dag)
    assert "eventType" not in capfd.readouterr().out, "without configuration, the client writes to the console"


def assert_every_column_has_an_origin(name: str, event: Event) -> None:
    lineage = event["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert set(lineage) == {column.name for column in columns_of(entry(name))}
    inputs = {(dataset["namespace"], dataset["name"]) for dataset in event["inputs"]}
    for column, origin in lineage.items():
        assert origin["inputFields"], f"{name}.{column}"
        for one in origin["inputFields"]:
            assert (one["namespace"], one["name"]) in inputs, f"{name}.{column}"
            assert one["field"] in {known.name for known in columns_of(entry(asset_of(one)))}, f"{name}.{column}"
    if name in MARTS and models.is_sql(MARTS[name]):
        kinds = {one["transformations"][0]["type"] for origin in lineage.values() for one in origin["inputFields"]}
        assert "DIRECT" in kinds


# The client ships classes generated from the specification's JSON schemas, but not the schemas themselves.


def assert_valid(event: Event) -> None:
    """Assert that the event has exactly the fields of the specification, and each facet those of its own schema."""
    assert_fits(event, base.RunEvent)
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert event["schemaURL"].startswith("https://openlineage.io/spec/2-")
    assert re.match(r"^[a-z]+:\S+$", event["producer"])
    assert UUID(event["run"]["runId"])
    assert event["job"]["namespace"]
    facets = [(event["run"]["facets"], base.RunFacet), (event["job"]["facets"], base.JobFacet)]
    for dataset in (*event["inputs"], *event["outputs"]):
        assert dataset["namespace"]
        assert dataset["name"]
        facets.append((dataset["facets"], base.DatasetFacet))
    facets += [(output["outputFacets"], base.OutputDatasetFacet) for output in event["outputs"]]
    for place, kind in facets:
        for name, facet in place.items():
            # These facets come from the provider and from the client itself.
            assert facet["_producer"] == event["producer"] or name in {"parent", "tags"}
            shape = FACETS[facet["_schemaURL"]]
            assert issubclass(shape, kind), f"{name} is not a {kind.__name__}"
            assert_fits(facet, shape)


def assert_fits(document: Event, shape: type) -> None:
    known = {field.name: field for field in attr.fields(shape)}
    required = {name for name, field in known.items() if field.default is attr.NOTHING}
    assert required <= set(document) <= set(known), shape


def _facets() -> dict[str, type]:
    """Return every facet class of the specification by the URL of its schema."""
    found = {}
    for module in facet_v2.__all__:
        if not hasattr(facet_v2, module) or not inspect.ismodule(getattr(facet_v2, module)):
            continue
        for shape in vars(import_module(f"openlineage.client.generated.{module}")).values():
            if inspect.isclass(shape) and issubclass(shape, base.BaseFacet):
                found[shape._get_schema()] = shape
    return found


FACETS = _facets()
