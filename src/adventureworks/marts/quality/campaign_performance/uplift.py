"""Difference in differences: what treated products sold beyond expectation, judged by untreated products.

The groups differ in size, and resellers book on a few days only, so the differences are taken on a logarithmic scale:
treated products are expected to grow by the same factor as the others, and the number of booking days in the two
periods cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NORMAL_95 = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


@dataclass(frozen=True)
class Sold:
    """Units of one product in the period before the campaign, and during it."""

    before: int
    during: int


@dataclass(frozen=True)
class Baseline:
    """Units that the treated products would have sold without the campaign, and their variance (None: unknown)."""

    units: float
    variance: float | None


def baseline(treated: Sequence[Sold], untreated: Sequence[Sold]) -> Baseline | None:
    """Return the expected units of the treated products: those before, times the growth of the untreated ones.

    None if there is nothing to compare: no sales before, or no untreated sales in one of the periods. The variance is
    that of the two logarithmic growths, by a jackknife over products; it needs two products in each group.
    """
    before = sum(product.before for product in treated)
    growth = _growth(untreated)
    if not before or not growth:
        return None
    units = before * growth
    spread = [_variance_of_log_growth(group) for group in (treated, untreated)]
    known = [variance for variance in spread if variance is not None]
    return Baseline(units, units**2 * sum(known) if len(known) == 2 else None)


def _growth(products: Sequence[Sold]) -> float:
    """Return units during divided by units before; 0 if either is zero."""
    before, during = sum(p.before for p in products), sum(p.during for p in products)
    return during / before if before else 0.0


def _variance_of_log_growth(products: Sequence[Sold]) -> float | None:
    """Return the delete-one jackknife variance (Efron and Stein 1981).

    None with fewer than two products, or if one product makes up all sales of a period.
    """
    sold = [product for product in products if product.before or product.during]
    left_out = [_growth([*sold[:place], *sold[place + 1 :]]) for place in range(len(sold))]
    if len(sold) < 2 or not all(left_out):
        return None
    logs = [math.log(growth) for growth in left_out]
    mean = sum(logs) / len(logs)
    return (len(logs) - 1) / len(logs) * sum((value - mean) ** 2 for value in logs)
