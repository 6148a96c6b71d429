"""What customers of the online channel are expected to order and to bring in the 52 weeks after a date.

Each method sees only the orders up to that date. It returns one row per customer known by then, sorted by customer_id:
customer_id, probability_alive, expected_orders_52w and clv_52w (the margin, discounted to the date).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from adventureworks.marts.customers.customer_churn.silence import band_of_days
from adventureworks.marts.customers.customer_value import bg_nbd, gamma_gamma
from adventureworks.marts.customers.customer_value.rfm import snapshot

HALF_YEAR = timedelta(weeks=26)
YEAR = 2 * HALF_YEAR
DISCOUNT = 1.10
"""10 % a year: 1.10 USD in a year is worth 1 USD today."""
EXPECTED = ("probability_alive", "expected_orders_52w", "clv_52w")
CELL = ("recency_band", "last_order_has_bike", "is_repeat", "revenue_band")
_WIDER = CELL[:2]
_HISTORY = ("repeats", "recency", "age")
"""What the model knows of a customer: repeat order days, weeks from first to last order, and weeks since the first."""

Expect = Callable[[pl.DataFrame, date], pl.DataFrame | None]
"""A method: from orders and a date to its expectations, or None if it has none."""


def by_cell(orders: pl.DataFrame, at: date) -> pl.DataFrame | None:
    """Return twice what customers of the same cell did in the last 26 weeks.

    For a cell that was empty 26 weeks ago: customers with the same recency and kind of last order, or else all.
    """
    return _means(orders, at, (CELL, _WIDER))


def constant(orders: pl.DataFrame, at: date) -> pl.DataFrame | None:
    """Return the same expectations for all customers: twice what all did in the last 26 weeks."""
    return _means(orders, at, ())


def by_model(orders: pl.DataFrame, at: date) -> pl.DataFrame | None:
    """Return the expectations from BG/NBD for orders, Gamma-Gamma for their revenue, and the channel's margin.

    None if the model degenerates.
    """
    known = orders.filter(pl.col("order_date") <= at)
    customers = _with_history(snapshot(known, at), at)
    # Everything but the value of an order is equal for customers with equal histories. Sorted, because the last digits
    # of a fit depend on the order of its terms.
    histories = customers.group_by(_HISTORY).agg(number=pl.len()).sort(_HISTORY)
    x, t_x, age, number = histories.to_numpy().T
    history = (x, t_x, age)
    fitted = bg_nbd.fit(*history, number)
    if fitted.is_degenerate:
        return None
    weeks = YEAR.days // 7
    by_week = np.array([bg_nbd.expected_purchases(fitted, week, *history) for week in range(weeks + 1)])
    if not np.isfinite(by_week).all():
        return None
    revenue, margin = (float(known[name].sum()) for name in ("revenue", "margin"))
    discounts = DISCOUNT ** (-(np.arange(weeks) + 0.5) * 7 / 365)
    worth = _value_of_an_order(known, customers) * (margin / revenue if revenue else 0.0)
    of_histories = histories.select(
        *_HISTORY,
        probability_alive=pl.Series(bg_nbd.probability_alive(fitted, *history)),
        expected_orders_52w=pl.Series(by_week[-1]),
        clv_52w=pl.Series(discounts @ np.diff(by_week, axis=0)),
    )
    return (
        customers.with_columns(worth=pl.Series(worth))
        .join(of_histories, on=_HISTORY, how="left", maintain_order="left")
        .select("customer_id", "probability_alive", "expected_orders_52w", pl.col("clv_52w") * pl.col("worth"))
    )


def outcomes(orders: pl.DataFrame, customers: pl.DataFrame, at: date, period: timedelta) -> pl.DataFrame:
    """Add each customer's order days in the period after a date, and the margin discounted to the date."""
    days = (pl.col("order_date") - pl.lit(at)).dt.total_days()
    after = (
        orders.filter(pl.col("order_date").is_between(at, at + period, closed="right"))
        .with_columns(worth=pl.col("margin").cast(pl.Float64) * DISCOUNT ** (-days / 365))
        .group_by("customer_id")
        .agg(later_orders=pl.len().cast(pl.Float64), later_margin=pl.col("worth").sum())
    )
    joined = customers.join(after, on="customer_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("later_orders", "later_margin").fill_null(0.0))


def _means(orders: pl.DataFrame, at: date, levels: Sequence[Sequence[str]]) -> pl.DataFrame | None:
    """Return the mean of the last 26 weeks over customers of the same cell, extended to 52 weeks.

    `levels`: the columns of the cells, the finest first; a customer without any cell gets the mean over all customers.
    The second half-year is expected to be like the first: its margin is worth half a year's discount less, and it is
    independent of the first whether a customer orders in it.
    """
    start = at - HALF_YEAR
    before = _placed(snapshot(orders, start))
    if before.is_empty():
        return None
    seen = outcomes(orders, before, start, HALF_YEAR)
    share, number, margin = (pl.col("later_orders") > 0).mean(), pl.col("later_orders").mean(), pl.col("later_margin")
    extended = (
        1 - (1 - share) ** 2,
        2 * number,
        margin.mean() * (1 + DISCOUNT ** (-HALF_YEAR.days / 365)),
    )
    found = _placed(snapshot(orders, at))
    for level, keys in enumerate(levels):
        named = [value.alias(f"{name}_{level}") for name, value in zip(EXPECTED, extended, strict=True)]
        found = found.join(seen.group_by(keys).agg(named), on=keys, how="left", maintain_order="left")
    overall = seen.select(value.alias(name) for name, value in zip(EXPECTED, extended, strict=True)).row(0, named=True)
    return found.select(
        "customer_id",
        *(
            pl.coalesce(*(f"{name}_{level}" for level in range(len(levels))), pl.lit(overall[name])).alias(name)
            for name in EXPECTED
        ),
    )


def _placed(customers: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of the cell: the bands are absolute, so they mean the same at every date."""
    revenue = pl.col("monetary")
    return customers.with_columns(
        recency_band=band_of_days(pl.col("recency_days")),
        is_repeat=pl.col("frequency") > 1,
        revenue_band=pl.when(revenue < 50).then(0).when(revenue <= 1000).then(1).otherwise(2),
    )


def _with_history(customers: pl.DataFrame, at: date) -> pl.DataFrame:
    """Add what the model of orders knows of each customer of a snapshot."""
    first, last = pl.col("first_day"), pl.col("last_day")
    return customers.with_columns(
        repeats=(pl.col("frequency") - 1).cast(pl.Float64),
        recency=(last - first).dt.total_days() / 7,
        age=(pl.lit(at) - first).dt.total_days() / 7,
    )


def _value_of_an_order(orders: pl.DataFrame, customers: pl.DataFrame) -> np.ndarray:
    """Return the expected revenue of an order day of each customer; the overall mean if the model has no maximum."""
    first = customers.select("customer_id", "first_day")
    repeated = (
        orders.join(first, on="customer_id")
        .filter(pl.col("order_date") > pl.col("first_day"))
        .group_by("customer_id")
        .agg(mean=pl.col("revenue").cast(pl.Float64).mean())
    )
    joined = customers.join(repeated, on="customer_id", how="left", maintain_order="left")
    x = (joined["frequency"] - 1).cast(pl.Float64).to_numpy()
    mean = joined["mean"].fill_null(0.0).to_numpy()
    fitted = gamma_gamma.fit(x[mean > 0], mean[mean > 0]) if (mean > 0).sum() > 1 else None
    if fitted is None or fitted.is_degenerate or fitted.parameters[1] <= 1:
        return np.full(len(x), float(orders["revenue"].sum()) / orders.height)
    return gamma_gamma.expected_value(fitted, np.where(mean > 0, x, 0), mean)
