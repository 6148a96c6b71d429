"""The share of customers in a band of silence who ordered again, and the test of such shares on a later year."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from adventureworks.marts.prediction import OutOfSample, Reason, why_withheld

YEAR = timedelta(weeks=52)
BAND = "silence_band"
SHARE = "observed_share"
_Z_95 = 1.959963984540054
_FIGURES = ("error_model", "error_baseline", "error_constant", "predicted_over_actual")


@dataclass(frozen=True)
class Trial:
    """The result of the test of a channel's shares."""

    withheld: Reason | None
    """Why they must not be published."""
    customers: int = 0
    """The number of customers for whom they were tested."""
    figures: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(_FIGURES))
    """The mean squared errors of the shares, of the baseline and of a constant, and the ratio of the totals."""


def outcomes(days: pl.DataFrame, customers: pl.DataFrame, day: date) -> pl.DataFrame:
    """Add who ordered within the 52 weeks up to a day (`ordered_before`) and after it (`ordered_after`)."""
    placed = pl.col("order_date")
    ordered = days.group_by("customer_id").agg(
        ordered_before=placed.is_between(day - YEAR, day, closed="right").any(),
        ordered_after=placed.is_between(day, day + YEAR, closed="right").any(),
    )
    return customers.join(ordered, on="customer_id")


def shares(customers: pl.DataFrame) -> pl.DataFrame:
    """Return the share of each band's customers who ordered afterwards, and the number of its customers."""
    return (
        customers.drop_nulls(BAND)
        .group_by(BAND)
        .agg(pl.col("ordered_after").mean().alias(SHARE), pl.len().cast(pl.Int64).alias("observed_customers"))
    )


def evaluated(earlier: pl.DataFrame, later: pl.DataFrame) -> Trial:
    """Test the shares of an earlier origin on the customers of a later one, at which their year was over.

    The error is the mean of (prediction − outcome)². The baseline predicts that everyone does what they did in the
    year before; the constant is the share of all customers of the earlier origin. Customers in a band that was empty
    at the earlier origin have no prediction and do not count.
    """
    scored = later.join(shares(earlier), on=BAND)
    if scored.is_empty():
        return Trial("nothing_to_compare")
    came = pl.col("ordered_after").cast(pl.Float64)
    of_all = float(earlier.drop_nulls(BAND).select(came.mean()).item())
    predictions = (pl.col(SHARE), pl.col("ordered_before").cast(pl.Float64), pl.lit(of_all))
    errors = scored.select(((one - came) ** 2).mean().alias(str(place)) for place, one in enumerate(predictions)).row(0)
    predicted, actual = scored.select(pl.col(SHARE).sum(), came.sum()).row(0)
    figures = (*errors, predicted / actual if actual else None)
    return Trial(
        why_withheld(OutOfSample(errors[0], predicted, actual), errors[1], errors[2]),
        scored.height,
        dict(zip(_FIGURES, figures, strict=True)),
    )


def interval(share: pl.Expr, number: pl.Expr) -> dict[str, pl.Expr]:
    """Return the bounds of the 95 % interval of a share that was observed in a number of cases (Wilson 1927)."""
    square = _Z_95**2
    centre = (share + square / (2 * number)) / (1 + square / number)
    half = _Z_95 / (1 + square / number) * (share * (1 - share) / number + square / (4 * number**2)).sqrt()
    return {
        # Rounding must not move a share of 0 or 1 out of its interval.
        "reorder_lower_95": pl.min_horizontal(centre - half, share).clip(0),
        "reorder_upper_95": pl.max_horizontal(centre + half, share).clip(upper_bound=1),
    }
