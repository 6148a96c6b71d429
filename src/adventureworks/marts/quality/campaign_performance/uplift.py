"""Difference in differences: what treated products sold beyond expectation, judged by untreated products.

The groups differ in size, and resellers order on a few days only, so growth is compared as a factor: treated products
are expected to grow by the same factor as the others, and the number of order days in the two periods cancels out.

Products of one model (colours, sizes) rise and fall together. They are one observation of how much growth varies, so
the variance is that between models, and the interval has the t-quantile of their effective number (Kish 1965): a model
that dominates the sales counts for more than the others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.stats import t

MIN_CONTROLS = 3
"""With fewer untreated products there is nothing to compare with."""
_UPPER_95 = 0.975


@dataclass(frozen=True)
class Sold:
    """Units of one product in the period before the campaign, and during it; products of one model vary together."""

    model: int
    before: int
    during: int


@dataclass(frozen=True)
class Baseline:
    """Units that the treated products would have sold without the campaign.

    `error` is their standard error divided by them, `freedom` its degrees of freedom; None if the untreated products
    are of one model only, since then the error is unknown.
    """

    units: float
    error: float | None
    freedom: float | None


def baseline(treated: Sequence[Sold], untreated: Sequence[Sold]) -> Baseline | None:
    """Return the expected units of the treated products: those before, times the growth of the untreated ones.

    None if there is nothing to compare: no sales before, or too few untreated products. The error assumes that the
    growth of any model, treated or not, varies as that of the untreated models does.
    """
    before = sum(product.before for product in treated)
    if not before or len(untreated) < MIN_CONTROLS:
        return None
    models = _models(untreated)
    growth = sum(during for _, during in models) / sum(past for past, _ in models)
    if len(models) < 2:
        return Baseline(before * growth, None, None)
    variance = sum((during / past / growth - 1) ** 2 for past, during in models) / (len(models) - 1)
    concentration = _concentration(models)
    error = math.sqrt(variance * (_concentration(_models(treated)) + concentration))
    return Baseline(before * growth, error, max(1.0, 1 / concentration - 1))


def half_width(errors: Iterable[tuple[float, float]]) -> float:
    """Return half of the 95 % interval of a sum of independent figures, from their errors and degrees of freedom.

    The degrees of freedom of the sum are those of Satterthwaite (1946).
    """
    variances = [(error**2, freedom) for error, freedom in errors]
    total = sum(variance for variance, _ in variances)
    if not total:
        return 0.0
    freedom = total**2 / sum(variance**2 / own for variance, own in variances)
    return float(t.ppf(_UPPER_95, freedom)) * math.sqrt(total)


def _models(products: Sequence[Sold]) -> list[tuple[int, int]]:
    """Return the units of each model before and during."""
    sums: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for product in products:
        before, during = sums[product.model]
        sums[product.model] = (before + product.before, during + product.during)
    return list(sums.values())


def _concentration(models: Sequence[tuple[int, int]]) -> float:
    """Return the sum of the squared shares of the models in the units before."""
    before = [past for past, _ in models]
    return sum(past**2 for past in before) / sum(before) ** 2
