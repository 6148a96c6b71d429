"""The test of what online customers are expected to bring, on the last 52 weeks, which no method has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from adventureworks.marts.customers.customer_value.expected import YEAR, Expect, constant, outcomes
from adventureworks.marts.customers.customer_value.rfm import snapshot
from adventureworks.marts.prediction import OutOfSample, Reason, why_withheld

MIN_CUSTOMERS = 100


@dataclass(frozen=True)
class Trial:
    """The result of a test: root mean square errors of the margin in USD, and its totals."""

    customers: int = 0
    """The number of customers for whom it was tested; 0 if there were too few."""
    methods: Mapping[str, OutOfSample] = field(default_factory=dict)
    """By method, without those that had no expectations."""
    baseline: float | None = None
    constant: float | None = None

    def ranking(self) -> list[str]:
        """Return the methods, the one with the smallest error first."""
        return sorted(self.methods, key=lambda name: self.methods[name].error)

    def error(self, method: str) -> float | None:
        """Return the error of a method, or None if it was not tested."""
        return self.methods[method].error if method in self.methods else None

    def ratio(self, method: str) -> float | None:
        """Return the predicted total of a method divided by the actual one; None if unknown."""
        unseen = self.methods.get(method)
        return unseen.predicted / unseen.actual if unseen and unseen.actual else None

    def why_withheld(self, method: str) -> Reason | None:
        """Return why the expectations of a method must not be published, or None if they may."""
        if method not in self.methods or self.baseline is None or self.constant is None:
            return "nothing_to_compare"
        return why_withheld(self.methods[method], self.baseline, self.constant)


def evaluated(orders: pl.DataFrame, as_of: date, methods: Mapping[str, Expect]) -> Trial:
    """Test methods on the margin of the last 52 weeks of a channel's orders.

    The baseline is that all customers order the same again as in the 52 weeks before. The constant is one margin for
    all, learned like the means of cells.
    """
    origin = as_of - YEAR
    known = snapshot(orders, origin)
    of_all = constant(orders, origin)
    if of_all is None or known.height < MIN_CUSTOMERS:
        return Trial()
    actual = _margin(orders, known, origin)
    expected = {name: method(orders, origin) for name, method in methods.items()}
    return Trial(
        known.height,
        {
            name: OutOfSample(
                _rmse(found["clv_52w"].to_numpy(), actual), float(found["clv_52w"].sum()), float(actual.sum())
            )
            for name, found in expected.items()
            if found is not None
        },
        _rmse(_margin(orders, known, origin - YEAR), actual),
        _rmse(of_all["clv_52w"].to_numpy(), actual),
    )


def _margin(orders: pl.DataFrame, customers: pl.DataFrame, at: date) -> np.ndarray:
    """Return the discounted margin of each customer in the 52 weeks after a date."""
    return outcomes(orders, customers, at, YEAR)["later_margin"].to_numpy()


def _rmse(predicted: np.ndarray, actual: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - actual) ** 2)))
