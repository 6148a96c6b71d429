"""The gate of the customer value model: does it foresee a year better than the mean of the customer's RFM cell?

Both are judged on the last 52 weeks. The model sees what came before them; the cell means are those of the 52 weeks
before that, so neither has looked at what it is judged by.
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
"""10 % a year: what 1.10 USD in a year are worth today is 1 USD."""
LEAST_CUSTOMERS = 100

_FORESEEN = ("share_that_ordered", "expected_orders", "expected_margin")
_MEANS = [
    (pl.col("later_orders") > 0).mean().alias("share_that_ordered"),
    pl.col("later_orders").mean().alias("expected_orders"),
    pl.col("later_margin").mean().alias("expected_margin"),
]


@dataclass(frozen=True)
class Score:
    """Errors of foreseen orders, and the rank correlation with those that came (None: all foresights were equal)."""

    rmse: float
    rank: float | None


@dataclass(frozen=True)
class Verdict:
    """Which of the two is published, and why."""

    publishes_model: bool
    reason: str
    customers: int = 0
    model: Score | None = None
    cell: Score | None = None


def history(customers: pl.DataFrame, at: date) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat order days, weeks from first to last, and weeks since the first, of a snapshot's customers."""
    first, last = pl.col("first_day"), pl.col("last_day")
    frame = customers.select(
        (pl.col("frequency") - 1).cast(pl.Float64),
        ((last - first).dt.total_days() / 7).alias("recency"),
        ((pl.lit(at) - first).dt.total_days() / 7).alias("age"),
    )
    x, t_x, age = frame.to_numpy().T
    return x, t_x, age


def outcomes(orders: pl.DataFrame, customers: pl.DataFrame, at: date) -> pl.DataFrame:
    """What each customer of a snapshot did in the year after it: order days, and margin discounted to its date."""
    days = (pl.col("order_date") - pl.lit(at)).dt.total_days()
    after = (
        orders.filter((pl.col("order_date") > at) & (pl.col("order_date") <= at + YEAR))
        .with_columns(worth=pl.col("margin").cast(pl.Float64) * DISCOUNT ** (-days / 365))
        .group_by("customer_id")
        .agg(later_orders=pl.col("order_date").n_unique().cast(pl.Float64), later_margin=pl.col("worth").sum())
    )
    joined = customers.join(after, on="customer_id", how="left").sort("customer_id")
    return joined.with_columns(pl.col("later_orders", "later_margin").fill_null(0.0))


def cell_means(learnt: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """The customers with the mean outcome of their cell; if nobody was in it, of recency and frequency, or of all."""
    found = customers
    for level, keys in enumerate((CELL, CELL[:2])):
        cells = learnt.group_by(*keys).agg(_MEANS).rename({name: f"{name}_{level}" for name in _FORESEEN})
        found = found.join(cells, on=keys, how="left")
    everybody = learnt.select(_MEANS).row(0, named=True)
    return found.select(
        *customers.columns,
        *(pl.coalesce(f"{name}_0", f"{name}_1").fill_null(everybody[name]).alias(name) for name in _FORESEEN),
    ).sort("customer_id")


def judge(orders: pl.DataFrame, as_of: date) -> Verdict:
    """Compares the two on the last 52 weeks of a channel's orders."""
    split, earlier = as_of - YEAR, as_of - 2 * YEAR
    known, before = snapshot(orders, split), snapshot(orders, earlier)
    if min(known.height, before.height) < LEAST_CUSTOMERS:
        return Verdict(False, "too few customers two years ago to compare")
    actual = outcomes(orders, known, split)["later_orders"].to_numpy()
    cells = cell_means(outcomes(orders, before, earlier), known)["expected_orders"].to_numpy()
    fitted = bg_nbd.fit(*history(known, split))
    cell = _score(cells, actual)
    foreseen = bg_nbd.expected_purchases(fitted, YEAR.days / 7, *history(known, split))
    model = _score(foreseen, actual) if np.isfinite(foreseen).all() else None
    if model is None or fitted.is_degenerate:
        return Verdict(False, f"the model degenerates ({_parameters(fitted)})", known.height, model, cell)
    wins = model.rmse < cell.rmse and (model.rank or 0) > (cell.rank or 0)
    reason = "the model foresees orders better" if wins else "the model does not foresee orders better"
    return Verdict(wins, reason, known.height, model, cell)


def _score(foreseen: np.ndarray, actual: np.ndarray) -> Score:
    rmse = float(np.sqrt(np.mean((foreseen - actual) ** 2)))
    varies = len(np.unique(foreseen)) > 1 and len(np.unique(actual)) > 1
    return Score(rmse, float(spearmanr(foreseen, actual).statistic) if varies else None)


def _parameters(fitted: Fit) -> str:
    named = zip(("r", "alpha", "a", "b"), fitted.parameters, strict=True)
    return ", ".join(f"{name} = {value:.4g}" for name, value in named)
