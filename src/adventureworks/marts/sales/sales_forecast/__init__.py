"""The revenue forecast for the three booking months after a channel's last complete one, by channel and territory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from adventureworks.marts.models import Read
from adventureworks.marts.sales.forecasting import HORIZONS, Backtest, Evaluation, evaluations
from adventureworks.months import shifted


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return the forecasts from each channel's last complete month; earlier forecasts stay published."""
    found = evaluations(read("actuals"))
    rows = [row for channel, evaluation in found.items() for row in _rows(channel, evaluation)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _rows(channel: str, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    months, is_published = evaluation.months, evaluation.withheld is None
    territories = _figures(evaluation.backtests[evaluation.chosen], months.number)
    total = _figures(evaluation.totals[evaluation.chosen], months.number)
    for place, territory in enumerate(months.territories):
        for horizon in HORIZONS:
            own = {name: values[place, horizon - 1] for name, values in territories.items()}
            whole = {f"channel_{name}": values[0, horizon - 1] for name, values in total.items()}
            yield {
                "month": shifted(months.last, horizon),
                "channel": channel,
                "territory_id": territory,
                "horizon": horizon,
                **{
                    name: float(value) if is_published and not np.isnan(value) else None
                    for name, value in (own | whole).items()
                },
                "model": evaluation.chosen,
                "withheld_because": evaluation.withheld,
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
