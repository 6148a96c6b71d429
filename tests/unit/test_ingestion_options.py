"""The options of a run of the ingestion that is started by hand: their form in Airflow, and how they are read."""

import pytest
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import PlatformError
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
