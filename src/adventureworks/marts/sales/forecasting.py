"""Forecasts of monthly revenue: the candidate models, their backtests, and the choice between them.

All models are evaluated on rolling origins: at each past month a model sees the months up to it and nothing later, and
forecasts the next three. Errors, intervals and coverage come from these forecasts alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from adventureworks.warehouse.memo import memoized

HORIZONS = (1, 2, 3)
SEASON = 12
FIRST_ORIGIN = 12
"""Months of history at the first origin; the seasonal naive model needs a year."""
MIN_ERRORS = 8
"""The minimum number of scored forecasts of a horizon for an interval, and of origins for any but the naive model."""
MIN_WEIGHT = 0.0001
"""The minimum weight of the newest month: with zero, only the first month would count."""
BANDS = {80: (0.1, 0.9), 95: (0.025, 0.975)}

Series = tuple[float, ...]
"""Revenue of consecutive months, USD."""
Cell = tuple[str, int]
"""Channel and territory."""
Band = tuple[float, float]
"""Lower and upper end of an interval, USD."""


def naive(past: Series) -> list[float]:
    """Forecast the last month again."""
    return [past[-1]] * len(HORIZONS)


def mean_3(past: Series) -> list[float]:
    """Forecast the mean of the last three months."""
    return [float(np.mean(past[-3:]))] * len(HORIZONS)


def seasonal_naive(past: Series) -> list[float]:
    """Forecast the same month a year before, or the last month if the history is shorter than a year."""
    return [past[h - 1 - SEASON] if len(past) >= SEASON else past[-1] for h in HORIZONS]


def ses(past: Series) -> list[float]:
    """Forecast the last level of simple exponential smoothing."""
    return [_smoothed(past)[1]] * len(HORIZONS)


def theta(past: Series) -> list[float]:
    """Forecast by Theta (Assimakopoulos and Nikolopoulos 2000): smoothing, and half the drift of the linear trend.

    In the form of Hyndman and Billah (2003).
    """
    if len(set(past)) == 1:
        return naive(past)
    weight, level = _smoothed(past)
    months = np.arange(len(past)) - (len(past) - 1) / 2
    drift = float(months @ past / (months @ months))
    # The level lags behind the trend by this many months.
    lag = (1 - (1 - weight) ** len(past)) / weight
    return [level + drift / 2 * (h - 1 + lag) for h in HORIZONS]


def _smoothed(past: Series) -> tuple[float, float]:
    """Return the smoothing weight with the least squared errors one month ahead, to eight digits, and the last level.

    The first level is the first month. The sum of squares is smooth in the weight, so a grid that is refined around
    the best weight finds the minimum.
    """
    low, high = MIN_WEIGHT, 1.0
    for _ in range(5):
        weights = np.linspace(low, high, 101)
        levels, squares = np.full_like(weights, past[0]), np.zeros_like(weights)
        for value in past:
            errors = value - levels
            squares += errors**2
            levels += weights * errors
        best = int(squares.argmin())
        low, high = weights[max(best - 1, 0)], weights[min(best + 1, len(weights) - 1)]
    return float(weights[best]), float(levels[best])


MODELS: dict[str, Callable[[Series], list[float]]] = {
    "naive": naive,
    "mean_3": mean_3,
    "seasonal_naive": seasonal_naive,
    "ses": ses,
    "theta": theta,
}
"""The candidates, simplest first: of two models that do equally well, the simpler one is chosen."""


# When one month changes, the forecasts from the history before it are reused.
@memoized("numpy")
def forecasts(model: str, past: Series) -> tuple[float, ...]:
    """Return the forecast revenue of the next three months, never below zero."""
    return tuple(max(0.0, value) for value in MODELS[model](past))


@dataclass(frozen=True)
class Scored:
    """A past forecast and the actual value; `origin` is the number of months that the model had seen."""

    origin: int
    horizon: int
    forecast: float
    actual: float


@dataclass(frozen=True)
class Backtest:
    """The performance of a model on past data of a series."""

    scored: tuple[Scored, ...]
    scale: float
    """Mean absolute change from one month to the next, USD; the unit in which MASE measures errors."""

    @property
    def origins(self) -> int:
        """The number of past months from which the model forecast."""
        return len({one.origin for one in self.scored})

    @property
    def wape(self) -> float | None:
        """The sum of the absolute errors divided by the sum of the actuals; None if that is zero."""
        actual = sum(one.actual for one in self.scored)
        return sum(abs(one.actual - one.forecast) for one in self.scored) / actual if actual else None

    @property
    def mase(self) -> float | None:
        """The mean absolute error divided by `scale` (Hyndman and Koehler 2006); None if the series never changed."""
        if not self.scored or not self.scale:
            return None
        return float(np.mean([abs(one.actual - one.forecast) for one in self.scored])) / self.scale

    def band(self, horizon: int, forecast: float, percent: int, origin: int | None = None) -> Band | None:
        """Return the interval around a forecast, from the relative errors of its horizon that were known at `origin`.

        None with too few errors, or for a forecast of zero, to which no error is relative.
        """
        ratios = [
            one.actual / one.forecast
            for one in self.scored
            if one.horizon == horizon and one.forecast and (origin is None or one.origin + one.horizon <= origin)
        ]
        if len(ratios) < MIN_ERRORS or not forecast:
            return None
        low, high = (float(value) for value in np.quantile(ratios, BANDS[percent]))
        # The forecast itself is always possible.
        return forecast * min(low, 1.0), forecast * max(high, 1.0)

    @property
    def coverage_80(self) -> float | None:
        """The share of actuals inside the 80 % interval known at the time of the forecast; None if there was none."""
        inside = [
            band[0] <= one.actual <= band[1]
            for one in self.scored
            if (band := self.band(one.horizon, one.forecast, 80, one.origin))
        ]
        return sum(inside) / len(inside) if inside else None


@dataclass(frozen=True)
class Evaluation:
    """A series, the backtests of all models, and the chosen model."""

    past: Series
    backtests: dict[str, Backtest] = field(hash=False)
    chosen: str


def backtest(model: str, series: Series) -> Backtest:
    """Return the forecasts from every origin that leaves at least one month to score."""
    scored = []
    for origin in range(FIRST_ORIGIN, len(series)):
        ahead = forecasts(model, series[:origin])
        scored += [
            Scored(origin, h, ahead[h - 1], series[origin + h - 1]) for h in HORIZONS if origin + h <= len(series)
        ]
    changes = np.abs(np.diff(series))
    return Backtest(tuple(scored), float(changes.mean()) if len(changes) else 0.0)


def evaluate(series: Series) -> Evaluation:
    """Backtest all models and choose the one with the lowest WAPE, or the naive one with fewer than 8 origins."""
    backtests = {model: backtest(model, series) for model in MODELS}
    scores = {
        model: test.wape
        for model, test in backtests.items()
        if test.wape is not None and (test.origins >= MIN_ERRORS or model == "naive")
    }
    return Evaluation(series, backtests, min(scores, key=scores.__getitem__) if scores else "naive")


def evaluations(actuals: pl.DataFrame) -> tuple[dict[Cell, Evaluation], dict[str, date]]:
    """Return every cell's evaluation, and the last complete month of each channel.

    `actuals`: month, channel, territory_id, revenue; complete booking months with orders. Months without orders in
    between count as zero; a series begins with its first order and ends with the channel's last complete month.
    """
    rows = actuals.select("channel", "territory_id", "month", pl.col("revenue").cast(pl.Float64)).sort(
        "channel", "territory_id", "month"
    )
    cells: dict[Cell, dict[date, float]] = {}
    last: dict[str, date] = {}
    for channel, territory, month, revenue in rows.iter_rows():
        cells.setdefault((channel, territory), {})[month] = revenue
        last[channel] = max(month, last.get(channel, month))
    found = {}
    for cell, revenues in cells.items():
        months = pl.date_range(min(revenues), last[cell[0]], "1mo", eager=True).to_list()
        found[cell] = evaluate(tuple(revenues.get(month, 0.0) for month in months))
    return found, last
