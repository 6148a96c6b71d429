"""How long customers have been silent at a moment: online in days, resellers in missed cycles of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

_BANDS = {"0-91": 91, "92-182": 182, "183-365": 365, "366-702": 702}
"""The longest silence of each band of online customers, in days, but for the last band."""
_LONGEST_BAND = "703+"
_CYCLES = ("0", "1", "2", "3+")


@dataclass(frozen=True)
class Origin:
    """A moment from which one looks back at the orders."""

    day: date
    """The last day whose orders are known."""
    month: date | None
    """The last booking month that is complete; None if there is none."""


def silences(days: pl.DataFrame, channel: str, origin: Origin) -> pl.DataFrame:
    """Return the silence of each customer with an order up to an origin.

    `days`: one row per customer, day and booking month with orders, all of one channel. The result has one row per
    customer: `last_order_date`, `days_silent`, `cycle_months` and `missed_cycles` (NULL online), and `silence_band`
    (NULL if unknown).
    """
    known = days.filter(pl.col("order_date") <= origin.day)
    last = known.group_by("customer_id").agg(
        pl.col("order_date").max().alias("last_order_date"), pl.col("booking_month").max()
    )
    silent = last.with_columns(days_silent=(pl.lit(origin.day) - pl.col("last_order_date")).dt.total_days())
    if channel == "online":
        return silent.drop("booking_month").with_columns(
            cycle_months=pl.lit(None, dtype=pl.Float64),
            missed_cycles=pl.lit(None, dtype=pl.Int64),
            silence_band=band_of_days(pl.col("days_silent")),
        )
    months = _number(pl.lit(origin.month, dtype=pl.Date)) - _number(pl.col("booking_month"))
    # An order of a month that is not over lies after the origin's month.
    missed = (months.clip(0) / pl.col("cycle_months")).floor().cast(pl.Int64)
    return (
        silent.join(cycles(known), on="customer_id")
        .with_columns(missed_cycles=missed)
        .with_columns(
            silence_band=pl.col("missed_cycles").clip(0, 3).replace_strict(dict(enumerate(_CYCLES)), default=None)
        )
        .drop("booking_month")
    )


def band_of_days(days: pl.Expr) -> pl.Expr:
    """Return the band of a number of days without an order."""
    return pl.coalesce(
        *(pl.when(days <= longest).then(pl.lit(band)) for band, longest in _BANDS.items()), pl.lit(_LONGEST_BAND)
    )


def cycles(days: pl.DataFrame) -> pl.DataFrame:
    """Return each customer's usual number of months between booking months with orders.

    It is the median of the customer's own gaps; with only one booking month, that of all gaps of the channel; NULL if
    there are none.
    """
    gaps = (
        days.select("customer_id", "booking_month")
        .unique()
        .sort("customer_id", "booking_month")
        .with_columns(gap=since_previous(_number(pl.col("booking_month"))))
    )
    own = gaps.group_by("customer_id").agg(cycle_months=pl.col("gap").median())
    return own.with_columns(pl.col("cycle_months").fill_null(pl.lit(gaps["gap"].median(), dtype=pl.Float64)))


def since_previous(value: pl.Expr) -> pl.Expr:
    """Return the difference to the customer's previous row, in rows sorted by customer; NULL in the first one."""
    # A window over each of thousands of customers takes much longer.
    return pl.when(pl.col("customer_id") == pl.col("customer_id").shift()).then(value - value.shift())


def _number(month: pl.Expr) -> pl.Expr:
    return month.dt.year().cast(pl.Int64) * 12 + month.dt.month().cast(pl.Int64)
