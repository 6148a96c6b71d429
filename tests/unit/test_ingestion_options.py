"""The options of a run of the ingestion: the form in Airflow, how they are read, and what follows from the start."""

from types import SimpleNamespace

import pytest
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.types import DagRunType

from adventureworks.catalog import INGESTION, SOURCE_TABLES
from adventureworks.errors import PlatformError
from adventureworks.gate import detect as detection
from adventureworks.gate import publish
from adventureworks.gate.publish import Conclusion
from adventureworks.orchestration import connections, ingestion, notify
from adventureworks.orchestration.ingestion import Options, form, options_of


def test_run_without_configuration_reads_changes_and_accepts_no_loss() -> None:
    assert options_of(None) == options_of({}) == {"everything": False, "accept": ()}


def test_the_form_offers_every_option_and_table_and_by_default_changes_nothing() -> None:
    fields = form()
    assert fields.keys() == Options.__annotations__.keys()
    offered = {name: field.resolve() for name, field in fields.items()}
    assert options_of(offered) == {"everything": False, "accept": ()}
    accept = fields["accept"].serialize()
    assert set(accept["schema"]["examples"]) == SOURCE_TABLES.keys()
    assert options_of({"accept": fields["accept"].resolve(["Sales_Store"])})["accept"] == ["Sales_Store"]
    assert options_of({"accept": fields["accept"].resolve(None)})["accept"] == (), "a form that was emptied"


@pytest.mark.parametrize(
    ("field", "value"), [("accept", ["Sales_Stores"]), ("accept", "Sales_Store"), ("everything", "no")]
)
def test_airflow_refuses_what_does_not_fit_the_form(field: str, value: object) -> None:
    given: Param = form()[field]
    with pytest.raises(ParamValidationError):
        given.resolve(value)


@pytest.mark.parametrize("mistyped", ["accepts", "accept_losses", "Everything"])
def test_unknown_option_is_rejected_by_name(mistyped: str) -> None:
    with pytest.raises(PlatformError, match=rf"configuration {mistyped}\.") as rejected:
        options_of({mistyped: ["Sales_Store"], "everything": True})
    assert "everything, accept" in str(rejected.value)


@pytest.mark.parametrize(
    ("run_type", "scan_all"), [("asset_triggered", False), ("scheduled", True), ("manual", True), ("backfill", True)]
)
def test_only_a_run_that_the_watcher_starts_relies_on_the_counters_of_the_source(
    monkeypatch: pytest.MonkeyPatch, run_type: str, scan_all: bool
) -> None:
    asked = {}
    context = {"dag_run": SimpleNamespace(conf=None, run_type=DagRunType(run_type), run_id="run", dag_id=INGESTION)}
    monkeypatch.setattr(ingestion, "get_current_context", lambda: context)
    monkeypatch.setattr(ingestion, "current_run_id", lambda: "ingest_source/run")
    monkeypatch.setattr(publish, "conclude_earlier", lambda *_: Conclusion((), (), {}))
    monkeypatch.setattr(notify, "notify_owners", lambda *_: None)
    monkeypatch.setattr(notify, "send_pending", lambda: None)
    monkeypatch.setattr(connections, "with_source", lambda stated: stated)
    monkeypatch.setattr(detection, "detect", lambda *_, **options: asked.update(options))
    assert ingestion.detect.__wrapped__() == [[]]
    assert asked["scan_all"] is scan_all
