"""Customer value: the scores and segment of each customer, and the orders and margin expected in the next 52 weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from adventureworks.marts.customers.customer_value import bg_nbd, gamma_gamma, holdout
from adventureworks.marts.customers.customer_value.rfm import segment, snapshot
from adventureworks.marts.models import Read

WEEKS = 52
_EXPECTED = ("probability_alive", "expected_orders_52w", "clv_52w")


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per customer with an order up to the business date."""
    orders = _in_one_channel(read("orders"))
    channels = [
        _online(orders.filter(channel="online"), as_of),
        _resellers(orders.filter(channel="reseller"), as_of),
    ]
    return pl.concat([rows for rows in channels if rows.height], how="diagonal_relaxed").with_columns(
        segment=segment(), as_of=pl.lit(as_of)
    )


def _in_one_channel(orders: pl.DataFrame) -> pl.DataFrame:
    """Return the orders, with all orders of a customer in the channel of the last one."""
    last = orders.sort("order_date", "channel").group_by("customer_id").agg(pl.col("channel").last())
    return orders.drop("channel").join(last, on="customer_id")


def _online(orders: pl.DataFrame, as_of: date) -> pl.DataFrame:
    customers = snapshot(orders, as_of)
    verdict = holdout.compare(orders, as_of)
    if verdict.publishes_model:
        fitted = bg_nbd.fit(*holdout.history(customers, as_of))
        if fitted.is_degenerate:
            verdict = replace(verdict, publishes_model=False, reason="the model degenerates on all data")
    expected = _by_model(orders, customers, as_of) if verdict.publishes_model else _by_cell(orders, customers, as_of)
    model, cell = verdict.model, verdict.cell
    return expected.with_columns(
        channel=pl.lit("online"),
        method=pl.lit("bg_nbd" if verdict.publishes_model else "rfm_cell"),
        method_reason=pl.lit(verdict.reason),
        holdout_customers=pl.lit(verdict.customers, dtype=pl.Int64),
        holdout_rmse_model=pl.lit(model.rmse if model else None, dtype=pl.Float64),
        holdout_rmse_cell=pl.lit(cell.rmse if cell else None, dtype=pl.Float64),
        holdout_rank_model=pl.lit(model.rank if model else None, dtype=pl.Float64),
        holdout_rank_cell=pl.lit(cell.rank if cell else None, dtype=pl.Float64),
    )


def _by_cell(orders: pl.DataFrame, customers: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return the expectations from the last 52 weeks of customers who were in the same cell before that period."""
    before = snapshot(orders, as_of - holdout.YEAR)
    if before.is_empty():
        return customers.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in _EXPECTED)
    training = holdout.outcomes(orders, before, as_of - holdout.YEAR)
    return holdout.cell_means(training, customers).rename(
        {
            "share_that_ordered": "probability_alive",
            "expected_orders": "expected_orders_52w",
            "expected_margin": "clv_52w",
        }
    )


def _by_model(orders: pl.DataFrame, customers: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return the expectations from BG/NBD for orders, Gamma-Gamma for their revenue, and the channel's margin."""
    history = holdout.history(customers, as_of)
    fitted = bg_nbd.fit(*history)
    revenue, margin = (float(orders[name].sum()) for name in ("revenue", "margin"))
    by_week = [bg_nbd.expected_purchases(fitted, week, *history) for week in range(WEEKS + 1)]
    discounts = [holdout.DISCOUNT ** (-(week + 0.5) * 7 / 365) for week in range(WEEKS)]
    discounted = sum(np.diff(by_week, axis=0)[week] * discounts[week] for week in range(WEEKS))
    worth = _value_of_an_order(orders, customers) * (margin / revenue if revenue else 0.0)
    return customers.with_columns(
        probability_alive=pl.Series(bg_nbd.probability_alive(fitted, *history)),
        expected_orders_52w=pl.Series(by_week[-1]),
        clv_52w=pl.Series(discounted * worth),
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
    joined = customers.join(repeated, on="customer_id", how="left").sort("customer_id")
    x = (joined["frequency"] - 1).cast(pl.Float64).to_numpy()
    mean = joined["mean"].fill_null(0.0).to_numpy()
    fitted = gamma_gamma.fit(x[mean > 0], mean[mean > 0]) if (mean > 0).sum() > 1 else None
    if fitted is None or fitted.is_degenerate or fitted.parameters[1] <= 1:
        return np.full(len(x), float(orders["revenue"].sum()) / orders.height)
    return gamma_gamma.expected_value(fitted, np.where(mean > 0, x, 0), mean)


def _resellers(orders: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return the expectations for resellers: the same orders and margin as in the trailing four quarters."""
    trailing = (
        orders.filter(pl.col("order_date") > pl.lit(as_of).dt.offset_by("-12mo"))
        .group_by("customer_id")
        .agg(expected_orders_52w=pl.col("order_date").n_unique(), clv_52w=pl.col("margin").sum())
    )
    customers = snapshot(orders, as_of).join(trailing, on="customer_id", how="left")
    return customers.with_columns(
        pl.col("expected_orders_52w").fill_null(0).cast(pl.Float64),
        pl.col("clv_52w").fill_null(0).cast(pl.Float64),
        channel=pl.lit("reseller"),
        method=pl.lit("trailing_margin"),
        method_reason=pl.lit("resellers are valued by their trailing four quarters"),
    ).with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in {
            "probability_alive": pl.Float64,
            "holdout_customers": pl.Int64,
            "holdout_rmse_model": pl.Float64,
            "holdout_rmse_cell": pl.Float64,
            "holdout_rank_model": pl.Float64,
            "holdout_rank_cell": pl.Float64,
        }.items()
    )
