"""The accuracy of each model in a backtest, of the choice between the models, and of the published forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from adventureworks.marts.models import Read
from adventureworks.marts.sales.forecasting import PERCENTS, Backtest, Evaluation, evaluations, mase

_CELL = ("channel", "territory_id")


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per channel, territory and model."""
    actuals = read("actuals")
    found = evaluations(actuals)
    rows = [row for channel, evaluation in found.items() for row in _rows(channel, evaluation)]
    if not rows:
        return pl.DataFrame()
    last = {channel: evaluation.months.last for channel, evaluation in found.items()}
    return (
        pl.DataFrame(rows, infer_schema_length=None)
        .join(published(read("kept"), actuals, last), on=[*_CELL, "model"], how="left")
        .with_columns(pl.col("published_months").fill_null(0))
    )


def _rows(channel: str, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    months = evaluation.months
    for model, test in evaluation.backtests.items():
        total, covered = evaluation.totals[model], test.covered
        of_channel = {
            "channel_wape": test.wape,
            **{f"channel_coverage_{percent}": _share(total.covered[percent]) for percent in PERCENTS},
            "is_chosen": model == evaluation.chosen,
            "nested_wape": evaluation.nested.wape,
            "baseline_wape": evaluation.baseline.wape,
            "constant_wape": evaluation.constant.wape,
            "nested_total_ratio": evaluation.nested.predicted_over_actual,
            "nested_origins": evaluation.nested.origins,
            "trained_until": months.last,
        }
        for place, territory in enumerate(months.territories):
            own: Backtest = test.of(place)
            yield {
                "channel": channel,
                "territory_id": territory,
                "model": model,
                "wape": own.wape,
                "mase": mase(months, test, place),
                **{f"coverage_{percent}": _share(covered[percent][:, place]) for percent in PERCENTS},
                "origins": own.origins,
                **of_channel,
            }


def _share(inside: Any) -> float | None:
    """Return the mean of the values that are known; None if none is."""
    known = inside[~np.isnan(inside)]
    return float(known.mean()) if len(known) else None


def published(kept: pl.DataFrame, actuals: pl.DataFrame, last: Mapping[str, date]) -> pl.DataFrame:
    """Return the accuracy of the published forecasts, by cell and model, over the complete months since.

    `last`: the last complete month of each channel. `published_wape`: the sum of the absolute errors divided by the sum
    of the actuals; NULL if that is 0. `published_months`: the number of scored forecasts. A month without orders in the
    cell counts as zero.
    """
    over = pl.col("forecast").is_not_null() & (
        pl.col("month") <= pl.col("channel").replace_strict(last, default=None, return_dtype=pl.Date)
    )
    scored = kept.filter(over).join(actuals, on=["month", *_CELL], how="left")
    actual, forecast = pl.col("revenue").fill_null(0).cast(pl.Float64), pl.col("forecast").cast(pl.Float64)
    return scored.group_by(*_CELL, "model").agg(
        pl.when(actual.sum() > 0).then((actual - forecast).abs().sum() / actual.sum()).alias("published_wape"),
        pl.len().alias("published_months"),
    )
