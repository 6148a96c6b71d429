import pytest

from adventureworks.errors import PlatformError
from adventureworks.orchestration.ingestion import options_of


def test_a_run_without_a_configuration_reads_what_changed_and_accepts_no_loss() -> None:
    assert options_of(None) == options_of({}) == {"everything": False, "accept": ()}


def test_one_table_need_not_be_a_list() -> None:
    assert options_of({"accept": "Sales_Store"}) == options_of({"accept": ["Sales_Store"]})


@pytest.mark.parametrize("mistyped", ["accepts", "accept_losses", "Everything"])
def test_an_option_that_does_not_exist_is_refused_by_name(mistyped: str) -> None:
    with pytest.raises(PlatformError, match=rf"configuration {mistyped}\.") as refused:
        options_of({mistyped: ["Sales_Store"], "everything": True})
    assert "everything, accept" in str(refused.value)
