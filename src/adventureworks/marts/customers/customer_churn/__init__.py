"""How long each customer has been silent, and the share of equally silent customers who reordered within 52 weeks."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from adventureworks.marts.customers.customer_churn.reorder import (
    BAND,
    SHARE,
    Trial,
    evaluated,
    interval,
    outcomes,
    shares,
)
from adventureworks.marts.customers.customer_churn.silence import Origin, silences, since_previous
from adventureworks.marts.models import Read
from adventureworks.months import shifted

LAPSED_CYCLES = 2
LIKELY, UNLIKELY = 0.5, 0.2


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per customer with an order up to the business date."""
    days = _in_one_channel(read("days"))
    whole = {channel: (month, delay) for channel, month, delay in read("months").iter_rows()}
    channels = [_channel(of, str(channel), whole.get(channel), as_of) for (channel,), of in days.group_by("channel")]
    return pl.concat(channels, how="diagonal_relaxed") if channels else pl.DataFrame()


def _in_one_channel(days: pl.DataFrame) -> pl.DataFrame:
    """Return the days and booking months of orders, all of a customer's in the channel of the last order."""
    last = days.sort("order_date", "last_order_id").group_by("customer_id").agg(pl.col("channel").last())
    return days.select("customer_id", "order_date", "booking_month").unique().join(last, on="customer_id")


def _channel(days: pl.DataFrame, channel: str, whole: tuple[date, int] | None, as_of: date) -> pl.DataFrame:
    """Return the rows of a channel.

    `whole`: its last complete booking month, and the days of the next month that belong to it; None if there is none.
    """
    now = Origin(as_of, whole[0] if whole else None)
    origins = [_origin(*whole, years) for years in (1, 2)] if whole else []
    found = [outcomes(days, silences(days, channel, origin), origin.day) for origin in origins]
    test = evaluated(found[1], found[0]) if found else Trial("nothing_to_compare")
    customers = silences(days, channel, now).with_columns(threshold_days=_threshold(days))
    observed = shares(found[0]) if found else shares(outcomes(days, customers.clear(), as_of))
    return (
        customers.join(observed, on=BAND, how="left")
        .with_columns(
            pl.col("observed_customers").fill_null(0),
            withheld_because=pl.lit(test.withheld, dtype=pl.String).fill_null(
                pl.when(pl.col(SHARE).is_null()).then(pl.lit("nothing_to_compare"))
            ),
        )
        .with_columns(
            pl.when(pl.col("withheld_because").is_null()).then(expression).alias(name)
            for name, expression in (
                ("reorder_probability_52w", pl.col(SHARE)),
                *interval(pl.col(SHARE), pl.col("observed_customers")).items(),
            )
        )
        .with_columns(
            **{name: pl.lit(value, dtype=pl.Float64) for name, value in test.figures.items()},
            channel=pl.lit(channel),
            status=_status(),
            tested_customers=pl.lit(test.customers, dtype=pl.Int64),
            as_of=pl.lit(as_of),
        )
    )


def _origin(last_month: date, delay_days: int, years: int) -> Origin:
    """Return the end of the month that is some years before the last complete one."""
    month = shifted(last_month, -12 * years)
    return Origin(shifted(month, 1) + timedelta(days=delay_days - 1), month)


def _threshold(days: pl.DataFrame) -> pl.Expr:
    """Return the 90th percentile of the gaps between consecutive order days of a customer, linearly interpolated."""
    gap = since_previous(pl.col("order_date")).dt.total_days()
    ordered = days.select("customer_id", "order_date").unique().sort("customer_id", "order_date")
    return pl.lit(ordered.select(gap.quantile(0.9, "linear")).item(), dtype=pl.Float64)


def _status() -> pl.Expr:
    probability = pl.col("reorder_probability_52w")
    return (
        pl.when(pl.col("missed_cycles") >= LAPSED_CYCLES)
        .then(pl.lit("lapsed"))
        .when(probability >= LIKELY)
        .then(pl.lit("likely"))
        .when(probability < UNLIKELY)
        .then(pl.lit("unlikely"))
        .when(probability.is_not_null())
        .then(pl.lit("open"))
    )
