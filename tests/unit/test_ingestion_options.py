import pytest

from adventureworks.errors import PlatformError
from adventureworks.orchestration.ingestion import options_of


def test_run_without_configuration_reads_changes_and_accepts_no_loss() -> None:
    assert options_of(None) == options_of({}) == {"everything": False, "accept": ()}


def test_single_table_need_not_be_a_list() -> None:
    assert options_of({"accept": "Sales_Store"}) == options_of({"accept": ["Sales_Store"]})


@pytest.mark.parametrize("mistyped", ["accepts", "accept_losses", "Everything"])
def test_unknown_option_is_rejected_by_name(mistyped: str) -> None:
    with pytest.raises(PlatformError, match=rf"configuration {mistyped}\.") as rejected:
        options_of({mistyped: ["Sales_Store"], "everything": True})
    assert "everything, accept" in str(rejected.value)
