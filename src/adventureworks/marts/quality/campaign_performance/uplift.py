"""Difference in differences: what treated products sold more than they would have, judged by products left alone.

Sales of the groups differ in size, and resellers book on a few days only, so the differences are taken on the
logarithmic scale: treated products are expected to have grown by the same factor as the others, and the number of
booking days in the two periods cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NORMAL_95 = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


@dataclass(frozen=True)
class Sold:
    """Units of one product in the period before, and in that of the campaign."""

    before: int
    during: int


@dataclass(frozen=True)
class Baseline:
    """Units that the treated products would have sold without the campaign, and its variance (None: unknown)."""

    units: float
    variance: float | None


def baseline(treated: Sequence[Sold], untreated: Sequence[Sold]) -> Baseline | None:
    """The expected units of the treated products: those before, times the growth of the untreated ones.

    None where there is nothing to compare: no sales before, or no untreated sales in both periods. The variance is that
    of the two logarithmic growths by a jackknife over products; it takes two products in each group.
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
    """Units during over units before; 0 where one of them is none."""
    before, during = sum(p.before for p in products), sum(p.during for p in products)
    return during / before if before else 0.0


def _variance_of_log_growth(products: Sequence[Sold]) -> float | None:
    """Delete-one jackknife (Efron and Stein 1981); None with fewer than two products, or where one is everything."""
    sold = [product for product in products if product.before or product.during]
    left_out = [_growth([*sold[:place], *sold[place + 1 :]]) for place in range(len(sold))]
    if len(sold) < 2 or not all(left_out):
        return None
    logs = [math.log(growth) for growth in left_out]
    mean = sum(logs) / len(logs)
    return (len(logs) - 1) / len(logs) * sum((value - mean) ** 2 for value in logs)
