"""Customer value: the scores and segment of each customer, and what each is expected to bring in the next 52 weeks."""

from __future__ import annotations

from datetime import date

import polars as pl

from adventureworks.marts.customers.customer_value import holdout
from adventureworks.marts.customers.customer_value.expected import EXPECTED, YEAR, by_cell, by_model
from adventureworks.marts.customers.customer_value.rfm import scored, segment, snapshot
from adventureworks.marts.models import Read

METHODS = {"bg_nbd": by_model, "rfm_cell": by_cell}


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per customer with an order up to the business date."""
    orders = _in_one_channel(read("orders"))
    channels = [
        _online(orders.filter(channel="online"), as_of),
        _resellers(orders.filter(channel="reseller"), read("trailing"), as_of),
    ]
    return pl.concat(channels, how="diagonal_relaxed").with_columns(segment=segment(), as_of=pl.lit(as_of))


def _in_one_channel(orders: pl.DataFrame) -> pl.DataFrame:
    """Return one row per customer and day, sorted, with all orders of a customer in the channel of the last one."""
    last = orders.sort("order_date", "channel").group_by("customer_id").agg(pl.col("channel").last())
    days = orders.group_by("customer_id", "order_date").agg(pl.col("revenue", "margin").sum(), pl.col("has_bike").any())
    return days.join(last, on="customer_id").sort("customer_id", "order_date")


def _online(orders: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return the customers with the expectations of the better method, or without any if it fails the test."""
    trial = holdout.evaluated(orders, as_of, METHODS)
    # The year that judges the method must not choose it, or its error would look too small.
    ranking = holdout.evaluated(orders, as_of - YEAR, METHODS).ranking()
    candidates = (*(name for name in ranking if name in trial.methods), "rfm_cell")
    found = ((name, METHODS[name](orders, as_of)) for name in candidates)
    # The model may degenerate on all data although it did not in the tests.
    method, expected = next(((name, rows) for name, rows in found if rows is not None), ("rfm_cell", None))
    withheld = trial.why_withheld(method)
    customers = scored(snapshot(orders, as_of), "monetary")
    if withheld is None and expected is not None:
        customers = customers.join(expected, on="customer_id")
    return customers.with_columns(
        pl.lit(value, dtype=dtype).alias(name)
        for name, value, dtype in (
            *((name, None, pl.Float64) for name in EXPECTED if name not in customers.columns),
            ("channel", "online", pl.String),
            ("method", method, pl.String),
            ("withheld_because", withheld, pl.String),
            ("holdout_customers", trial.customers, pl.Int64),
            ("holdout_rmse_model", trial.error("bg_nbd"), pl.Float64),
            ("holdout_rmse_cell", trial.error("rfm_cell"), pl.Float64),
            ("holdout_rmse_baseline", trial.baseline, pl.Float64),
            ("holdout_rmse_constant", trial.constant, pl.Float64),
            ("predicted_over_actual", trial.ratio(method), pl.Float64),
        )
    )


def _resellers(orders: pl.DataFrame, trailing: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return the resellers with the orders and margin of the last twelve complete booking months, which are facts."""
    last = trailing.select(
        "customer_id",
        expected_orders_52w=pl.col("order_days").cast(pl.Float64),
        clv_52w=pl.col("margin").cast(pl.Float64),
    )
    return scored(snapshot(orders, as_of).join(last, on="customer_id", how="left"), "clv_52w").with_columns(
        pl.when(pl.col("clv_52w").is_null()).then(pl.lit("no_complete_month")).alias("withheld_because"),
        *(
            pl.lit(value, dtype=dtype).alias(name)
            for name, value, dtype in (
                ("channel", "reseller", pl.String),
                ("method", "trailing_margin", pl.String),
                ("probability_alive", None, pl.Float64),
                ("holdout_customers", 0, pl.Int64),
                ("holdout_rmse_model", None, pl.Float64),
                ("holdout_rmse_cell", None, pl.Float64),
                ("holdout_rmse_baseline", None, pl.Float64),
                ("holdout_rmse_constant", None, pl.Float64),
                ("predicted_over_actual", None, pl.Float64),
            )
        ),
    )
