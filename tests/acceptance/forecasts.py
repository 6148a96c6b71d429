"""The second computation of the forecasts' backtest, in plain Python over the real files.

It covers what a SELECT cannot express well: smoothing and Theta, the choice of a model at each past origin, and the
intervals that were known there. An origin is the place of the last month that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import sqrt
from statistics import fmean, linear_regression, quantiles
from typing import Any

import duckdb
import numpy as np
import polars as pl

ERRORS = ("error_model", "error_baseline", "error_constant", "predicted_over_actual")
Errors = tuple[float | None, float | None, float | None, float | None]
NAIVE = ("naive", "seasonal_naive")
MODELS = ("naive", "mean_3", "seasonal_naive", "ses", "theta", "mean_3_season")
"""The candidates, simplest first."""
TOTAL = -1
"""The series of a channel's total, beside those of its territories."""
FIRST_TEST = 19
"""The ninth origin of a channel that is scored."""
_REVENUE = """
    select channel, territory_id, booking_month as month, sum(revenue)::double as revenue
    from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month)
    group by all
    order by all
"""


@dataclass(frozen=True)
class Scored:
    """A forecast and what came."""

    origin: int
    horizon: int
    forecast: float
    actual: float
    scale: float
    """What its error is relative to; 0 if nothing was expected and nothing sold in the year before."""

    @property
    def error(self) -> float:
        return abs(self.actual - self.forecast)

    @property
    def relative(self) -> float:
        return (self.actual - self.forecast) / self.scale

    def is_over(self, origin: int) -> bool:
        """Return whether the month was known at an origin."""
        return self.origin + self.horizon <= origin


def tables(files: duckdb.DuckDBPyConnection) -> dict[str, pl.DataFrame]:
    """Return what the backtest says, as tables for the references.

    `backtest`: per channel, territory and model, what `forecast_accuracy` should contain, except for the accuracy of
    published forecasts. `trial`: per channel and series, the errors that decide whether it has a forecast.
    """
    sold: dict[str, dict[int, dict[date, float]]] = {}
    for channel, territory, month, revenue in files.execute(_REVENUE).fetchall():
        sold.setdefault(channel, {}).setdefault(territory, {})[month] = revenue
    channels = {name: Channel(cells) for name, cells in sold.items()}
    return {
        "backtest": _table(row | {"channel": name} for name, one in channels.items() for row in one.accuracy()),
        "trial": _table(row | {"channel": name} for name, one in channels.items() for row in one.trials()),
    }


class Channel:
    """The territories of a channel and its total, the scored forecasts of each model, and the choice between them."""

    def __init__(self, sold: Mapping[int, Mapping[date, float]]) -> None:
        first, self.last = (end(month for cell in sold.values() for month in cell) for end in (min, max))
        number = _place(self.last, first) + 1
        self.series = {}
        for territory, cell in sold.items():
            known = {_place(month, first): revenue for month, revenue in cell.items()}
            self.series[territory] = {place: known.get(place, 0.0) for place in range(min(known), number)}
        self.total = {place: sum(one.get(place, 0.0) for one in self.series.values()) for place in range(number)}
        told = {territory: _forecasts(one, self._seasons()) for territory, one in self.series.items()}
        self.scored: dict[str, dict[int, list[Scored]]] = {}
        for model in (*MODELS, "constant"):
            own = {territory: of_model[model] for territory, of_model in told.items()}
            sums = {
                origin: [sum(one[origin][ahead] for one in own.values() if origin in one) for ahead in range(3)]
                for origin in self.total
            }
            self.scored[model] = {territory: _scored(own[territory], one) for territory, one in self.series.items()}
            self.scored[model][TOTAL] = _scored(sums, self.total)
        self.nested, self.baseline = self._nested(MODELS), self._nested(NAIVE)
        self.is_better = (_wape(_all(self.nested)) or 0) < (_wape(_all(self.baseline)) or 0)
        self.used = self.nested if self.is_better else self.baseline
        self.constant = {
            series: [one for one in tests if one.origin >= FIRST_TEST]
            for series, tests in self.scored["constant"].items()
        }
        self.chosen = self._choice(MODELS if self.is_better else NAIVE, max(self.total))

    def _seasons(self) -> dict[int, list[float]]:
        """Return, by origin, the square roots of the next three months' season; 1 where it is not known."""
        found = {}
        for origin in self.total:
            before = fmean(self.total[place] for place in range(origin - 14, origin - 11)) if origin >= 14 else 0
            same = [self.total.get(origin + ahead - 12, 0.0) for ahead in (1, 2, 3)]
            found[origin] = [sqrt(revenue / before) for revenue in same] if before > 0 else [1.0, 1.0, 1.0]
        return found

    def _choice(self, names: Sequence[str], origin: int) -> str:
        """Return the model with the lowest error over the months that were over at an origin."""
        wapes = {}
        for name in names:
            known = [one for one in _all(self.scored[name]) if one.is_over(origin)]
            if len({one.origin for one in known}) >= 8:
                wapes[name] = _wape(known)
        return min(wapes, key=lambda name: wapes[name] or 0) if wapes else names[0]

    def _nested(self, names: Sequence[str]) -> dict[int, list[Scored]]:
        """Return the forecasts of the models chosen at each origin, by series."""
        chosen = {origin: self._choice(names, origin) for origin in self.total if origin >= FIRST_TEST}
        return {
            series: [
                one for origin, name in chosen.items() for one in self.scored[name][series] if one.origin == origin
            ]
            for series in (*self.series, TOTAL)
        }

    def accuracy(self) -> Iterator[dict[str, Any]]:
        """Yield one row per territory and model."""
        used = _all(self.used)
        of_channel = {
            "nested_wape": _wape(used),
            "baseline_wape": _wape(_all(self.baseline)),
            "constant_wape": _wape(_all(self.constant)),
            "nested_total_ratio": _ratio(used),
            "nested_origins": len({one.origin for one in used}),
            "trained_until": self.last,
        }
        for model in MODELS:
            tests = self.scored[model]
            pooled, of_total = _conformal(_all(tests)), _conformal(tests[TOTAL])
            for territory, series in self.series.items():
                own = tests[territory]
                yield {
                    "territory_id": territory,
                    "model": model,
                    "wape": _wape(own),
                    "mase": _mase(own, series),
                    "coverage_80": _covered(own, 80, pooled),
                    "coverage_95": _covered(own, 95, pooled),
                    "origins": len({one.origin for one in own}),
                    "channel_wape": _wape(_all(tests)),
                    "channel_coverage_80": _covered(tests[TOTAL], 80, of_total),
                    "channel_coverage_95": _covered(tests[TOTAL], 95, of_total),
                    "is_chosen": model == self.chosen,
                    **of_channel,
                }

    def trials(self) -> Iterator[dict[str, Any]]:
        """Yield one row per territory, and one for the total."""
        over_all = _withheld(*self._errors(_all(self.used), _all(self.baseline), _all(self.constant)))
        for series in (*self.series, TOTAL):
            errors = self._errors(self.used[series], self.baseline[series], self.constant[series])
            yield {
                "territory_id": series,
                "chosen": self.chosen,
                **dict(zip(ERRORS, errors, strict=True)),
                "withheld_because": _withheld(*errors) or over_all,
            }

    def _errors(self, used: list[Scored], baseline: list[Scored], constant: list[Scored]) -> Errors:
        """Return the figures named by `ERRORS`; without that of the naive models if the channel uses them."""
        return _wape(used), _wape(baseline) if self.is_better else None, _wape(constant), _ratio(used)


def _withheld(model: float | None, baseline: float | None, constant: float | None, ratio: float | None) -> str | None:
    if model is None or constant is None or ratio is None:
        return "nothing_to_compare"
    if baseline is not None and model >= baseline:
        return "no_better_than_baseline"
    if model >= constant:
        return "no_better_than_constant"
    return None if 0.5 <= ratio <= 2 else "total_is_off"


def _table(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None)


def _place(month: date, first: date) -> int:
    return 12 * (month.year - first.year) + month.month - first.month


def _all(tests: Mapping[int, list[Scored]]) -> list[Scored]:
    """Return the forecasts of all territories."""
    return [one for series, own in tests.items() if series != TOTAL for one in own]


def _forecasts(series: Mapping[int, float], seasons: Mapping[int, list[float]]) -> dict[str, dict[int, list[float]]]:
    """Return the three forecasts of each model at each origin."""
    found: dict[str, dict[int, list[float]]] = {model: {} for model in (*MODELS, "constant")}
    begin, revenue = min(series), list(series.values())
    for known, (weight, level) in enumerate(_smoothed(revenue), start=1):
        origin, past = begin + known - 1, revenue[:known]
        drift = linear_regression(range(known), past).slope if known > 1 else 0.0
        lag = (1 - (1 - weight) ** known) / weight
        mean = fmean(past[-3:])
        found["naive"][origin] = [past[-1]] * 3
        found["mean_3"][origin] = [mean] * 3
        found["seasonal_naive"][origin] = past[known - 12 : known - 9] if known >= 12 else [past[-1]] * 3
        found["ses"][origin] = [level] * 3
        found["theta"][origin] = [max(0.0, level + drift / 2 * (ahead + lag)) for ahead in range(3)]
        found["mean_3_season"][origin] = [mean * season for season in seasons[origin]]
        found["constant"][origin] = [fmean(past)] * 3
    return found


def _smoothed(revenue: list[float]) -> Iterator[tuple[float, float]]:
    """Yield, after each month, the weight with the least squared errors one month ahead, of 2,001, and the level."""
    weights, months = np.linspace(0.0001, 1, 2001), np.arange(len(revenue))
    # A level is a mean of the months with weights that fall by the factor 1 - weight; the first month has the rest.
    ago = months[:, None] - months
    shares = np.where(ago >= 0, (1 - weights)[:, None, None] ** ago.clip(min=0), 0)
    shares[:, :, 1:] *= weights[:, None, None]
    levels = shares @ np.array(revenue)
    squares = np.cumsum((revenue[1:] - levels[:, :-1]) ** 2, axis=1)
    yield float(weights[0]), revenue[0]
    for place, best in enumerate(squares.argmin(axis=0), start=1):
        yield float(weights[best]), float(levels[best, place])


def _scored(told: Mapping[int, list[float]], series: Mapping[int, float]) -> list[Scored]:
    """Return the forecasts of the origins that know at least twelve months, as far as their month is over."""
    begin = min(series)
    return [
        Scored(
            origin,
            horizon,
            forecast,
            series[origin + horizon],
            forecast or fmean(series[place] for place in range(origin - 11, origin + 1)),
        )
        for origin, forecasts in told.items()
        if origin - begin >= 11
        for horizon, forecast in enumerate(forecasts, start=1)
        if origin + horizon in series
    ]


def _wape(tests: list[Scored]) -> float | None:
    actual = sum(one.actual for one in tests)
    return sum(one.error for one in tests) / actual if actual else None


def _ratio(tests: list[Scored]) -> float | None:
    actual = sum(one.actual for one in tests)
    return sum(one.forecast for one in tests) / actual if actual else None


def _mase(tests: list[Scored], series: Mapping[int, float]) -> float | None:
    found, begin = [], min(series)
    for one in tests:
        scale = fmean(abs(series[place] - series[place - 1]) for place in range(begin + 1, one.origin + 1))
        if scale > 0:
            found.append(one.error / scale)
    return fmean(found) if found else None


def _conformal(tests: list[Scored]) -> dict[tuple[int, int], tuple[float, float]]:
    """Return, by origin and horizon, between which known errors the next one lies with 95 %, if there are 39."""
    found = {}
    for one in {(one.origin, one.horizon): one for one in tests}.values():
        known = sorted(past.relative for past in tests if _tells(past, one))
        if rank := (len(known) + 1) // 40:
            found[one.origin, one.horizon] = known[rank - 1], known[-rank]
    return found


def _covered(tests: list[Scored], percent: int, pooled: Mapping[tuple[int, int], tuple[float, float]]) -> float | None:
    """Return how often what came was in the interval that followed from the errors known at the origin."""
    found = []
    for one in tests:
        known = [past.relative for past in tests if _tells(past, one)]
        low, *_, high = quantiles(known, n=10, method="inclusive") if len(known) >= 8 else (None, None)
        if percent == 95:
            far = pooled.get((one.origin, one.horizon))
            # At least the interval of 80 %, where there is one.
            low, high = (min(low or 0, far[0]), max(high or 0, far[1])) if far else (None, None)
        if low is not None and high is not None and one.scale:
            floor = max(0, one.forecast + min(low, 0) * one.scale)
            found.append(floor <= one.actual <= one.forecast + max(high, 0) * one.scale)
    return fmean(found) if found else None


def _tells(past: Scored, one: Scored) -> bool:
    """Return whether the error of a past forecast was known when a forecast was made, and says something about it."""
    return past.horizon == one.horizon and past.is_over(one.origin) and past.scale > 0
