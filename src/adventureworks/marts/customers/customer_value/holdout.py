"""The gate of the customer value model: does it predict a year better than the mean of the customer's RFM cell?

Both are evaluated on the last 52 weeks. The model is fitted to the data before them, and the cell means come from the
52 weeks before them, so neither has seen the data on which it is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from adventureworks.marts.customers.customer_value import bg_nbd
from adventureworks.marts.customers.customer_value.likelihood import Fit
from adventureworks.marts.customers.customer_value.rfm import CELL, snapshot

YEAR = timedelta(weeks=52)
DISCOUNT = 1.10
"""10 % a year: 1.10 USD in a year is worth 1 USD today."""
MIN_CUSTOMERS = 100

_PREDICTIONS = ("share_that_ordered", "expected_orders", "expected_margin")
_MEANS = [
    (pl.col("later_orders") > 0).mean().alias("share_that_ordered"),
    pl.col("later_orders").mean().alias("expected_orders"),
    pl.col("later_margin").mean().alias("expected_margin"),
]


@dataclass(frozen=True)
class Score:
    """Error of the predicted orders, and their rank correlation with the actual ones (None if either is constant)."""

    rmse: float
    rank: float | None


@dataclass(frozen=True)
class Verdict:
    """Which of the two methods is published, and why."""

    publishes_model: bool
    reason: str
    customers: int = 0
    model: Score | None = None
    cell: Score | None = None


def history(customers: pl.DataFrame, at: date) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return repeat order days, weeks from first to last order, and weeks since the first, for a snapshot."""
    first, last = pl.col("first_day"), pl.col("last_day")
    frame = customers.select(
        (pl.col("frequency") - 1).cast(pl.Float64),
        ((last - first).dt.total_days() / 7).alias("recency"),
        ((pl.lit(at) - first).dt.total_days() / 7).alias("age"),
    )
    x, t_x, age = frame.to_numpy().T
    return x, t_x, age


def outcomes(orders: pl.DataFrame, customers: pl.DataFrame, at: date) -> pl.DataFrame:
    """Return each customer's order days in the year after a snapshot, and the margin discounted to its date."""
    days = (pl.col("order_date") - pl.lit(at)).dt.total_days()
    after = (
        orders.filter((pl.col("order_date") > at) & (pl.col("order_date") <= at + YEAR))
        .with_columns(worth=pl.col("margin").cast(pl.Float64) * DISCOUNT ** (-days / 365))
        .group_by("customer_id")
        .agg(later_orders=pl.col("order_date").n_unique().cast(pl.Float64), later_margin=pl.col("worth").sum())
    )
    joined = customers.join(after, on="customer_id", how="left").sort("customer_id")
    return joined.with_columns(pl.col("later_orders", "later_margin").fill_null(0.0))


def cell_means(training: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """Return the customers with the mean outcome of their cell.

    For an empty cell, the mean over customers with the same recency and frequency scores, or else over all customers.
    """
    found = customers
    for level, keys in enumerate((CELL, CELL[:2])):
        cells = training.group_by(*keys).agg(_MEANS).rename({name: f"{name}_{level}" for name in _PREDICTIONS})
        found = found.join(cells, on=keys, how="left")
    overall = training.select(_MEANS).row(0, named=True)
    return found.select(
        *customers.columns,
        *(pl.coalesce(f"{name}_0", f"{name}_1").fill_null(overall[name]).alias(name) for name in _PREDICTIONS),
    ).sort("customer_id")


def compare(orders: pl.DataFrame, as_of: date) -> Verdict:
    """Compare the two methods on the last 52 weeks of a channel's orders."""
    split, earlier = as_of - YEAR, as_of - 2 * YEAR
    known, before = snapshot(orders, split), snapshot(orders, earlier)
    if min(known.height, before.height) < MIN_CUSTOMERS:
        return Verdict(False, "too few customers two years ago to compare")
    actual = outcomes(orders, known, split)["later_orders"].to_numpy()
    cells = cell_means(outcomes(orders, before, earlier), known)["expected_orders"].to_numpy()
    fitted = bg_nbd.fit(*history(known, split))
    cell = _score(cells, actual)
    predicted = bg_nbd.expected_purchases(fitted, YEAR.days / 7, *history(known, split))
    model = _score(predicted, actual) if np.isfinite(predicted).all() else None
    if model is None or fitted.is_degenerate:
        return Verdict(False, f"the model degenerates ({_parameters(fitted)})", known.height, model, cell)
    wins = model.rmse < cell.rmse and (model.rank or 0) > (cell.rank or 0)
    reason = "the model predicts orders better" if wins else "the model does not predict orders better"
    return Verdict(wins, reason, known.height, model, cell)


def _score(predicted: np.ndarray, actual: np.ndarray) -> Score:
    rmse = float(np.sqrt(np.mean((predicted - actual) ** 2)))
    varies = len(np.unique(predicted)) > 1 and len(np.unique(actual)) > 1
    return Score(rmse, float(spearmanr(predicted, actual).statistic) if varies else None)


def _parameters(fitted: Fit) -> str:
    named = zip(("r", "alpha", "a", "b"), fitted.parameters, strict=True)
    return ", ".join(f"{name} = {value:.4g}" for name, value in named)
