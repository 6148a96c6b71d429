"""The rule for publishing predictions: only those that beat simple guesses on data not used to fit the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MIN_TOTAL, MAX_TOTAL = 0.5, 2.0
"""The total of the predictions, divided by the actual total, has to lie between these."""

Reason = Literal["nothing_to_compare", "no_better_than_baseline", "no_better_than_constant", "total_is_off"]


@dataclass(frozen=True)
class OutOfSample:
    """The error of predictions on data that was not used to fit their model, in any measure, and the two totals."""

    error: float
    predicted: float
    actual: float


def why_withheld(model: OutOfSample, baseline: float, constant: float) -> Reason | None:
    """Return why a model's predictions must not be published, or None if they may.

    `baseline`, `constant`: the errors, on the same data and in the same measure, of the best simple baseline and of the
    same prediction for all.
    """
    if not model.actual > 0:
        return "nothing_to_compare"
    if not model.error < baseline:
        return "no_better_than_baseline"
    if not model.error < constant:
        return "no_better_than_constant"
    if not MIN_TOTAL <= model.predicted / model.actual <= MAX_TOTAL:
        return "total_is_off"
    return None
