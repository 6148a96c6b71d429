"""Forecasts of monthly revenue: candidates, how they would have done, and which one to trust.

Everything is judged by rolling origins: at each month of the past a model sees the months up to it and nothing later,
and forecasts the next three. Errors, intervals and coverage come from these forecasts alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from adventureworks.warehouse.memo import remembered

HORIZONS = (1, 2, 3)
SEASON = 12
FIRST_ORIGIN = 12
"""Months of history that a model has at the first origin; the seasonal naive model needs a year."""
LEAST_ERRORS = 8
"""So many forecasts of a horizon have to be scored for an interval, so many origins for another model than naive."""
BANDS = {80: (0.1, 0.9), 95: (0.025, 0.975)}

Series = tuple[float, ...]
"""Revenue of consecutive months, USD."""
Cell = tuple[str, int]
"""Channel and territory."""
Band = tuple[float, float]
"""Lower and upper end of an interval, USD."""


def naive(past: Series) -> list[float]:
    """The last month again."""
    return [past[-1]] * len(HORIZONS)


def mean_3(past: Series) -> list[float]:
    """The mean of the last three months."""
    return [float(np.mean(past[-3:]))] * len(HORIZONS)


def seasonal_naive(past: Series) -> list[float]:
    """The same month a year before; the last month where there is none."""
    return [past[h - 1 - SEASON] if len(past) >= SEASON else past[-1] for h in HORIZONS]


def ses(past: Series) -> list[float]:
    """Simple exponential smoothing: the last smoothed level."""
    return [_smoothed(past)[1]] * len(HORIZONS)


def theta(past: Series) -> list[float]:
    """Theta (Assimakopoulos and Nikolopoulos 2000): smoothing, and half the drift of the linear trend."""
    from statsmodels.tsa.forecasting.theta import ThetaModel

    if len(set(past)) == 1:
        return naive(past)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = ThetaModel(np.array(past), period=SEASON, deseasonalize=False).fit(use_mle=False)
        return [float(value) for value in fitted.forecast(len(HORIZONS))]


def _smoothed(past: Series) -> tuple[float, float]:
    """Smoothing parameter and last level."""
    from statsmodels.tsa.holtwinters import SimpleExpSmoothing

    if len(set(past)) == 1:
        return 1.0, past[-1]
    with warnings.catch_warnings():
        # A level that hits a bound is an answer, too.
        warnings.simplefilter("ignore")
        fitted = SimpleExpSmoothing(np.array(past), initialization_method="legacy-heuristic").fit()
    return float(fitted.params["smoothing_level"]), float(fitted.forecast(1)[0])


MODELS: dict[str, Callable[[Series], list[float]]] = {
    "naive": naive,
    "mean_3": mean_3,
    "seasonal_naive": seasonal_naive,
    "ses": ses,
    "theta": theta,
}
"""The candidates, simplest first: of two that do equally well the simpler one is chosen."""


# A change of one month leaves the history before it, and what models make of it, as they were.
@remembered("numpy", "scipy", "statsmodels")
def forecasts(model: str, past: Series) -> tuple[float, ...]:
    """Revenue of the next three months, never below zero."""
    return tuple(max(0.0, value) for value in MODELS[model](past))


@dataclass(frozen=True)
class Scored:
    """A forecast of the past and what came of it; `origin` counts the months that the model had seen."""

    origin: int
    horizon: int
    forecast: float
    actual: float


@dataclass(frozen=True)
class Backtest:
    """How a model would have done on a series."""

    scored: tuple[Scored, ...]
    scale: float
    """Mean absolute change from one month to the next, USD: what MASE measures errors in."""

    @property
    def origins(self) -> int:
        """Months of the past from which it forecast."""
        return len({one.origin for one in self.scored})

    @property
    def wape(self) -> float | None:
        """Sum of the absolute errors over the sum of the actuals; None without actuals."""
        actual = sum(one.actual for one in self.scored)
        return sum(abs(one.actual - one.forecast) for one in self.scored) / actual if actual else None

    @property
    def mase(self) -> float | None:
        """Mean absolute error over `scale` (Hyndman and Koehler 2006); None where the series never changed."""
        if not self.scored or not self.scale:
            return None
        return float(np.mean([abs(one.actual - one.forecast) for one in self.scored])) / self.scale

    def band(
        self, horizon: int, forecast: float, percent: int, origin: int | None = None
    ) -> tuple[float, float] | None:
        """The interval around a forecast from the relative errors of the same horizon that were known at `origin`.

        None with too few errors, or where nothing is relative to a forecast of zero.
        """
        ratios = [
            one.actual / one.forecast
            for one in self.scored
            if one.horizon == horizon and one.forecast and (origin is None or one.origin + one.horizon <= origin)
        ]
        if len(ratios) < LEAST_ERRORS or not forecast:
            return None
        low, high = (float(value) for value in np.quantile(ratios, BANDS[percent]))
        # The forecast itself is always possible.
        return forecast * min(low, 1.0), forecast * max(high, 1.0)

    @property
    def coverage_80(self) -> float | None:
        """Share of actuals inside the 80 % interval that was known when the forecast was made; None: none was."""
        inside = [
            band[0] <= one.actual <= band[1]
            for one in self.scored
            if (band := self.band(one.horizon, one.forecast, 80, one.origin))
        ]
        return sum(inside) / len(inside) if inside else None


@dataclass(frozen=True)
class Evaluation:
    """A series, all models' backtests, and the model to trust."""

    past: Series
    backtests: dict[str, Backtest] = field(hash=False)
    chosen: str


def backtest(model: str, series: Series) -> Backtest:
    """Forecasts from every origin that leaves at least one month to score."""
    scored = []
    for origin in range(FIRST_ORIGIN, len(series)):
        ahead = forecasts(model, series[:origin])
        scored += [
            Scored(origin, h, ahead[h - 1], series[origin + h - 1]) for h in HORIZONS if origin + h <= len(series)
        ]
    changes = np.abs(np.diff(series))
    return Backtest(tuple(scored), float(changes.mean()) if len(changes) else 0.0)


def evaluate(series: Series) -> Evaluation:
    """Chooses the model with the least WAPE; with fewer than 8 origins too little is known, and the naive one stays."""
    backtests = {model: backtest(model, series) for model in MODELS}
    scores = {
        model: test.wape
        for model, test in backtests.items()
        if test.wape is not None and (test.origins >= LEAST_ERRORS or model == "naive")
    }
    return Evaluation(series, backtests, min(scores, key=scores.__getitem__) if scores else "naive")


def evaluations(actuals: pl.DataFrame) -> tuple[dict[Cell, Evaluation], date | None]:
    """Every cell's evaluation, and the last whole month (None: there is none).

    `actuals`: month, channel, territory_id, revenue; whole months with orders. Months in between without orders count
    as zero; a series begins with its first order.
    """
    if actuals.is_empty():
        return {}, None
    rows = actuals.select("channel", "territory_id", "month", pl.col("revenue").cast(pl.Float64)).sort(
        "channel", "territory_id", "month"
    )
    cells: dict[Cell, dict[date, float]] = {}
    for channel, territory, month, revenue in rows.iter_rows():
        cells.setdefault((channel, territory), {})[month] = revenue
    last = max(month for revenues in cells.values() for month in revenues)
    found = {}
    for cell, revenues in cells.items():
        months = pl.date_range(min(revenues), last, "1mo", eager=True).to_list()
        found[cell] = evaluate(tuple(revenues.get(month, 0.0) for month in months))
    return found, last
