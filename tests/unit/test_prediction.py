"""The rule by which predictions are published."""

import pytest

from adventureworks.marts.prediction import OutOfSample, why_withheld


@pytest.mark.parametrize(
    ("model", "baseline", "constant", "reason"),
    [
        (OutOfSample(error=8, predicted=100, actual=100), 9, 10, None),
        (OutOfSample(error=9, predicted=100, actual=100), 9, 10, "no_better_than_baseline"),
        (OutOfSample(error=10, predicted=100, actual=100), 11, 10, "no_better_than_constant"),
        (OutOfSample(error=8, predicted=49, actual=100), 9, 10, "total_is_off"),
        (OutOfSample(error=8, predicted=201, actual=100), 9, 10, "total_is_off"),
        (OutOfSample(error=0, predicted=0, actual=0), 9, 10, "nothing_to_compare"),
    ],
)
def test_predictions_are_published_only_if_they_were_better_than_guessing(
    model: OutOfSample, baseline: float, constant: float, reason: str | None
) -> None:
    assert why_withheld(model, baseline, constant) == reason
