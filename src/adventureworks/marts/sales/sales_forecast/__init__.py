"""The revenue forecast for the three months after a channel's last complete one, by channel and territory."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from adventureworks.marts.models import Read
from adventureworks.marts.sales.forecasting import BANDS, HORIZONS, Cell, Evaluation, evaluations, forecasts
from adventureworks.months import shifted


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return the forecasts from each channel's last complete month; earlier forecasts stay published."""
    found, last = evaluations(read("actuals"))
    rows = [row for cell, evaluation in found.items() for row in _rows(cell, evaluation, last[cell[0]])]
    return pl.DataFrame(rows, infer_schema_length=None)


def _rows(cell: Cell, evaluation: Evaluation, last: date) -> list[dict[str, Any]]:
    test = evaluation.backtests[evaluation.chosen]
    ahead = forecasts(evaluation.chosen, evaluation.past)
    rows = []
    for horizon in HORIZONS:
        forecast = ahead[horizon - 1]
        bands = {percent: test.band(horizon, forecast, percent) for percent in BANDS}
        rows.append(
            {
                "month": shifted(last, horizon),
                "channel": cell[0],
                "territory_id": cell[1],
                "horizon": horizon,
                "forecast": forecast,
                **{f"lower_{percent}": band[0] if band else None for percent, band in bands.items()},
                **{f"upper_{percent}": band[1] if band else None for percent, band in bands.items()},
                "model": evaluation.chosen,
                "trained_until": last,
            }
        )
    return rows
