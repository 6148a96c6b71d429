"""The accuracy of each model in a backtest of each series, and of the published forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from adventureworks.marts.models import Read
from adventureworks.marts.sales.forecasting import evaluations

_CELL = ("channel", "territory_id")


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per channel, territory and model."""
    actuals = read("actuals")
    found, last = evaluations(actuals)
    rows = [
        {
            "channel": channel,
            "territory_id": territory,
            "model": model,
            "wape": test.wape,
            "mase": test.mase,
            "coverage_80": test.coverage_80,
            "origins": test.origins,
            "is_chosen": model == evaluation.chosen,
            "trained_until": last[channel],
        }
        for (channel, territory), evaluation in found.items()
        for model, test in evaluation.backtests.items()
    ]
    if not rows:
        return pl.DataFrame()
    return (
        pl.DataFrame(rows, infer_schema_length=None)
        .join(published(read("kept"), actuals, last), on=[*_CELL, "model"], how="left")
        .with_columns(pl.col("published_months").fill_null(0))
    )


def published(kept: pl.DataFrame, actuals: pl.DataFrame, last: Mapping[str, date]) -> pl.DataFrame:
    """Return the accuracy of the published forecasts, by cell and model, over the complete months since.

    `last`: the last complete month of each channel. `published_wape`: the sum of the absolute errors divided by the sum
    of the actuals; NULL if that is 0. `published_months`: the number of scored forecasts. A month without orders in the
    cell counts as zero.
    """
    over = pl.col("month") <= pl.col("channel").replace_strict(last, default=None, return_dtype=pl.Date)
    scored = kept.filter(over).join(actuals, on=["month", *_CELL], how="left")
    actual, forecast = pl.col("revenue").fill_null(0).cast(pl.Float64), pl.col("forecast").cast(pl.Float64)
    return scored.group_by(*_CELL, "model").agg(
        pl.when(actual.sum() > 0).then((actual - forecast).abs().sum() / actual.sum()).alias("published_wape"),
        pl.len().alias("published_months"),
    )
