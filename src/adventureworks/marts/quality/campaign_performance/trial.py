"""The test of a campaign's baseline: what its rule predicts for the same products in earlier periods without offers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from adventureworks.marts.prediction import OutOfSample, Reason, why_withheld
from adventureworks.marts.quality.campaign_performance.periods import Periods, compared, sold
from adventureworks.marts.quality.campaign_performance.uplift import baseline
from adventureworks.months import shifted_day


@dataclass(frozen=True)
class Predicted:
    """The units of a campaign's products of one subcategory in an earlier period, as predicted and as sold."""

    day: date
    """The first day of the period."""
    model: float
    """The units before, times the growth of the controls, as for the campaign itself."""
    repetition: float
    """The baseline: as many units a day as in the period before."""
    mean: float
    """The constant: as many units a day as from the products' first sale to the end of the period before."""
    actual: int


@dataclass(frozen=True)
class Trial:
    """The result of the test. Errors are sums of absolute errors divided by the units sold; None if there are none."""

    tested_periods: int
    error_model: float | None
    error_baseline: float | None
    error_constant: float | None
    predicted_over_actual: float | None
    withheld_because: Reason | None


def evaluated(parts: Sequence[Sequence[Predicted]]) -> Trial:
    """Compare what was predicted for earlier periods of each part of a campaign with what was sold.

    There is nothing to compare if a part could not be tested, because the effect is that of all parts.
    """
    predicted = [one for part in parts for one in part]
    actual, periods = sum(one.actual for one in predicted), len({one.day for one in predicted})
    if not actual or not all(parts):
        return Trial(periods, None, None, None, None, "nothing_to_compare")
    error, to_beat, mean = (
        sum(abs(getattr(one, rule) - one.actual) for one in predicted) / actual
        for rule in ("model", "repetition", "mean")
    )
    ratio = sum(one.model for one in predicted) / actual
    return Trial(periods, error, to_beat, mean, ratio, why_withheld(OutOfSample(error, ratio, 1), to_beat, mean))


def predictions(
    sales: pl.DataFrame, product_ids: Collection[int], channel: str, delay_days: int, first: date, last: date
) -> Iterator[Predicted]:
    """Yield what would have been predicted for each earlier period that can be compared, the latest first.

    The periods are that of the campaign, moved back by whole months so far that it ends before the campaign. One can be
    compared if the products were in no offer during it and before it, and three others can be controls.

    `sales`: of one channel and subcategory, with `is_promoted`. `product_ids`: the products sold under the offer.
    `first`, `last`: the days of the campaign.
    """
    is_treated = pl.col("product_id").is_in(list(product_ids))
    begin, back = sales.select(pl.col("order_date").min()).item(), 1
    while (periods := Periods.of(channel, delay_days, shifted_day(first, -back), shifted_day(last, -back))).before[
        0
    ] >= begin:
        back += 1
        if periods.during[1] >= first:
            continue
        products = compared(sales, periods)
        treated = products.filter(is_treated)
        found = baseline(sold(treated), sold(products.filter(~is_treated, "is_control")))
        if found is None or treated["is_promoted"].any():
            continue
        so_far = sales.filter(is_treated, pl.col("order_date") <= periods.before[1])
        since, units = so_far.select(pl.col("order_date").min(), pl.col("units").sum()).row(0)
        before, during = treated.select(pl.col("units_before", "units_during").sum()).row(0)
        days = _days(*periods.during)
        yield Predicted(
            periods.during[0],
            found.units,
            before * days / _days(*periods.before),
            units * days / _days(since, periods.before[1]),
            during,
        )


def _days(first: date, last: date) -> int:
    return (last - first).days + 1
