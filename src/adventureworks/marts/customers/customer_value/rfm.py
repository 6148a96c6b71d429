"""Recency, frequency and monetary value of customers at a date: scores and segments."""

from __future__ import annotations

from datetime import date

import polars as pl


def snapshot(orders: pl.DataFrame, at: date) -> pl.DataFrame:
    """Return the customers as known at a date.

    `orders`: customer_id, order_date, revenue, margin, has_bike, one row per customer and day, sorted by customer and
    day. Returns customer_id, first_day, last_day, frequency (distinct order days), monetary, last_order_has_bike and
    recency_days, sorted by customer_id.
    """
    return (
        orders.filter(pl.col("order_date") <= at)
        .group_by("customer_id", maintain_order=True)
        .agg(
            first_day=pl.col("order_date").first(),
            last_day=pl.col("order_date").last(),
            frequency=pl.len().cast(pl.Int64),
            monetary=pl.col("revenue").sum(),
            last_order_has_bike=pl.col("has_bike").last(),
        )
        .with_columns(recency_days=(pl.lit(at) - pl.col("last_day")).dt.total_days())
    )


def scored(customers: pl.DataFrame, worth: str) -> pl.DataFrame:
    """Add the scores from 1 to 5 of the customers of one channel; `worth` is the column that m_score compares."""
    return customers.with_columns(
        r_score=_quintile(pl.col("recency_days")),
        f_score=pl.col("frequency").clip(1, 5),
        m_score=_quintile(-pl.col(worth).fill_null(0)),
    )


def _quintile(worse_when_larger: pl.Expr) -> pl.Expr:
    """Return 5 minus the number of full fifths of the customers that are strictly better; ties get the better score."""
    better = worse_when_larger.rank("min").cast(pl.Int64) - 1
    return 5 - (5 * better) // pl.len().cast(pl.Int64)


def segment() -> pl.Expr:
    """Return the first segment whose condition the scores meet."""
    r, f = pl.col("r_score"), pl.col("f_score")
    return (
        pl.when((r >= 4) & (f >= 4))
        .then(pl.lit("champions"))
        .when((r >= 3) & (f >= 3))
        .then(pl.lit("loyal"))
        .when((r <= 2) & (f >= 3))
        .then(pl.lit("at_risk"))
        .when((r == 5) & (f == 1))
        .then(pl.lit("new"))
        .when(r >= 3)
        .then(pl.lit("promising"))
        .otherwise(pl.lit("hibernating"))
    )
