"""The revenue forecast for the three booking months after a channel's last complete one, by channel and territory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from adventureworks.marts.models import Read
from adventureworks.marts.sales.forecasting import HORIZONS, Backtest, Evaluation, Trial, evaluations
from adventureworks.months import shifted


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return the forecasts from each channel's last complete month; earlier forecasts stay published."""
    found = evaluations(read("actuals"))
    rows = [row for channel, evaluation in found.items() for row in _rows(channel, evaluation)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _rows(channel: str, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    months = evaluation.months
    territories = _figures(evaluation.backtests[evaluation.chosen], months.number)
    total = _figures(evaluation.totals[evaluation.chosen], months.number)
    for place, territory in enumerate(months.territories):
        for horizon in HORIZONS:
            own = _published(territories, place, horizon, evaluation.trials[place])
            whole = _published(total, 0, horizon, evaluation.total_trial)
            yield {
                "month": shifted(months.last, horizon),
                "channel": channel,
                "territory_id": territory,
                "horizon": horizon,
                **own,
                **{f"channel_{name}": value for name, value in whole.items()},
                "model": evaluation.chosen,
                "trained_until": months.last,
            }


def _figures(test: Backtest, origin: int) -> dict[str, Any]:
    """Return the forecasts of an origin and their intervals, each series × horizon."""
    ends = {
        f"{name}_{percent}": values
        for percent, band in test.bands(origin).items()
        for name, values in zip(("lower", "upper"), band, strict=True)
    }
    return {"forecast": test.forecasts[origin], **ends}


def _published(figures: dict[str, Any], place: int, horizon: int, trial: Trial) -> dict[str, Any]:
    """Return a forecast and its intervals, unless they are withheld, and the test that decides."""
    values = {name: float(found[place, horizon - 1]) for name, found in figures.items()}
    return {
        **{name: None if trial.withheld or np.isnan(value) else value for name, value in values.items()},
        "error_model": trial.error,
        "error_baseline": trial.baseline,
        "error_constant": trial.constant,
        "predicted_over_actual": trial.predicted_over_actual,
        "withheld_because": trial.withheld,
    }
