"""What the gate of an analysis compares with the last version of a mart."""

from datetime import date

import pytest

from adventureworks.catalog import MARTS
from adventureworks.due import Months
from adventureworks.marts.build import Build
from adventureworks.marts.gate import least_rows, must_be_checked
from adventureworks.settings import PROJECT_ROOT
from adventureworks.warehouse.candidate import Attempt
from adventureworks.warehouse.publication import Publication


@pytest.mark.parametrize(
    ("model", "as_of", "least"),
    [
        ("a", date(2014, 6, 30), 50),
        ("a", date(2014, 7, 1), 50),
        # An earlier business date has fewer orders.
        ("a", date(2014, 6, 29), 0),
        # A new definition may have fewer rows.
        ("b", date(2014, 6, 30), 0),
    ],
)
def test_a_mart_must_keep_most_rows_of_a_comparable_version(model: str, as_of: date, least: int) -> None:
    last = Publication("fact_sales", 3, 101, 1, None, 0, "passed", as_of=date(2014, 6, 30), model="a")
    assert least_rows(last, model, as_of, 0.5) == least


def test_a_first_version_may_have_any_number_of_rows() -> None:
    assert least_rows(None, "a", date(2014, 6, 30), 0.5) == 0


@pytest.mark.parametrize(
    ("accuracy", "forecast", "is_checked"), [((), (), False), (None, (), True), ((), ("2014-05",), False)]
)
def test_a_mart_that_is_carried_over_is_checked_if_its_rules_read_one_that_is_not(
    accuracy: Months, forecast: Months, is_checked: bool
) -> None:
    changed: dict[str, Months] = {"sales_forecast": forecast, "forecast_accuracy": accuracy}
    months: dict[str, Months] = {"sales_forecast": (), "forecast_accuracy": accuracy}
    attempt = Attempt("run", dict.fromkeys(months, 1))
    built = Build({}, months, changed, {}, {}, date(2014, 6, 30), {}, passed=False, attempt=attempt)
    assert must_be_checked(MARTS["sales_forecast"], built, PROJECT_ROOT / "checks" / "marts") is is_checked
