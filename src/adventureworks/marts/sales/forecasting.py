"""Forecasts of monthly revenue: candidate models, their errors at rolling origins, the choice between them, intervals.

At each origin, a model sees the months before it and nothing later, and forecasts the next three. All territories of a
channel use one model, because a choice per territory from so few origins is mostly chance. Every error, interval and
choice of an origin follows from months that were over by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from adventureworks.marts.prediction import OutOfSample, Reason, why_withheld

HORIZONS = (1, 2, 3)
SEASON = 12
FIRST_ORIGIN = 12
"""Months of history of a series at its first scored origin; the seasonal naive model needs a year."""
MIN_ORIGINS = 8
"""The minimum number of scored origins from which a model is chosen; before that, the naive model is used."""
MIN_ERRORS = 8
"""The minimum number of errors of a series and horizon for an 80 % interval."""
PERCENTS = (80, 95)
PLACES = 12
"""The decimals of an error in the marts."""
WEIGHTS = np.linspace(0.0001, 1.0, 2001)
"""The smoothing weights that are tried. With a weight of zero, only the first month would count."""

Array = npt.NDArray[np.float64]


def naive(months: Months) -> Array:
    """Forecast the last month again."""
    return _repeated(months, lambda past: past[-1])


def mean_3(months: Months) -> Array:
    """Forecast the mean of the last three months."""
    return _repeated(months, lambda past: float(past[-3:].mean()))


def seasonal_naive(months: Months) -> Array:
    """Forecast the same month a year before, or the last month if the history is shorter than a year."""
    found = naive(months)
    for place, origin, past in months.pasts():
        if len(past) >= SEASON:
            found[origin, place] = past[-SEASON:][: len(HORIZONS)]
    return found


def ses(months: Months) -> Array:
    """Forecast the last level of simple exponential smoothing."""
    found = months.empty()
    for place, begin in enumerate(months.begins):
        found[begin + 1 :, place] = smoothed(months.revenue[place, begin:])[1][:, None]
    return found


def theta(months: Months) -> Array:
    """Forecast by Theta (Assimakopoulos and Nikolopoulos 2000): smoothing, and half the drift of the linear trend.

    In the form of Hyndman and Billah (2003).
    """
    found = months.empty()
    for place, begin in enumerate(months.begins):
        weights, levels = smoothed(months.revenue[place, begin:])
        for length in range(2, len(levels) + 1):
            time = np.arange(length) - (length - 1) / 2
            drift = time @ months.revenue[place, begin : begin + length] / (time @ time)
            # The level lags behind the trend by this many months.
            lag = (1 - (1 - weights[length - 1]) ** length) / weights[length - 1]
            found[begin + length, place] = levels[length - 1] + drift / 2 * (np.array(HORIZONS) - 1 + lag)
        found[begin + 1, place] = levels[0]
    return found


def mean_3_season(months: Months) -> Array:
    """Forecast the mean of the last three months times the square root of the channel's season.

    The season is the channel's revenue in the same month a year before, over its mean in the three months before the
    same origin a year before; 1 if these are not known or empty. The root halves its effect on the logarithmic scale,
    since one year is little evidence.
    """
    total, season = months.revenue.sum(axis=0), np.ones((months.number + 1, len(HORIZONS)))
    for origin in range(SEASON + 3, months.number + 1):
        before = total[origin - SEASON - 3 : origin - SEASON].mean()
        if before > 0:
            season[origin] = np.sqrt(total[origin - SEASON : origin - SEASON + len(HORIZONS)] / before)
    return mean_3(months) * season[:, None, :]


def constant(months: Months) -> Array:
    """Forecast the mean of all months: not a candidate, but the benchmark that every published forecast must beat."""
    return _repeated(months, lambda past: float(past.mean()))


MODELS: dict[str, Callable[[Months], Array]] = {
    "naive": naive,
    "mean_3": mean_3,
    "seasonal_naive": seasonal_naive,
    "ses": ses,
    "theta": theta,
    "mean_3_season": mean_3_season,
}
"""The candidates, simplest first: of two models that do equally well, the simpler one is chosen."""
NAIVE = ("naive", "seasonal_naive")


def smoothed(series: Array) -> tuple[Array, Array]:
    """Return, after each month, the weight with the least squared errors one month ahead, and the level.

    The first level is the first month. One pass tries all weights for all origins.
    """
    levels, squares = np.full_like(WEIGHTS, series[0]), np.zeros_like(WEIGHTS)
    found = np.empty((2, len(series)))
    for place, value in enumerate(series):
        errors = value - levels
        squares += errors**2
        levels += WEIGHTS * errors
        best = squares.argmin()
        found[:, place] = WEIGHTS[best], levels[best]
    return found[0], found[1]


@dataclass(frozen=True)
class Months:
    """The revenue of a channel in consecutive booking months, the last of which is its last complete one."""

    last: date
    territories: tuple[int, ...]
    revenue: Array
    """Territory × month, USD; 0 in months without orders."""
    begins: tuple[int, ...]
    """By territory: the place of its first month with orders."""

    @property
    def number(self) -> int:
        """The number of months. An origin is the number of months that are known: from 0 to this."""
        return self.revenue.shape[1]

    def empty(self) -> Array:
        """Return an array for forecasts, origin × territory × horizon, without any."""
        return np.full((self.number + 1, len(self.territories), len(HORIZONS)), np.nan)

    def pasts(self) -> Iterator[tuple[int, int, Array]]:
        """Yield each territory's place and each origin after its beginning, with the months known by then."""
        for place, begin in enumerate(self.begins):
            for origin in range(begin + 1, self.number + 1):
                yield place, origin, self.revenue[place, begin:origin]


def _repeated(months: Months, level: Callable[[Array], float]) -> Array:
    """Return the same forecast at all horizons: the level of the months known at each origin."""
    found = months.empty()
    for place, origin, past in months.pasts():
        found[origin, place] = level(past)
    return found


@dataclass(frozen=True)
class Backtest:
    """The forecasts of a model at every origin, and the actual revenue. All arrays: origin × series × horizon."""

    forecasts: Array
    actuals: Array
    """NaN where the month is not over, or the series is too short at the origin to be scored."""
    scales: Array
    """What errors are relative to: the forecast, or for a forecast of 0 the monthly mean of the trailing year; NaN if
    both are 0."""

    @cached_property
    def errors(self) -> Array:
        """Actual − forecast."""
        return self.actuals - self.forecasts

    def until(self, origin: int) -> Backtest:
        """Return the backtest without the months that were not over at an origin."""
        over = np.add.outer(np.arange(len(self.actuals)), HORIZONS) <= origin
        return replace(self, actuals=np.where(over[:, None, :], self.actuals, np.nan))

    def since(self, origin: int) -> Backtest:
        """Return the backtest with only the forecasts from an origin onwards scored."""
        actuals = self.actuals.copy()
        actuals[:origin] = np.nan
        return replace(self, actuals=actuals)

    def of(self, place: int) -> Backtest:
        """Return the part of one series."""
        part = slice(place, place + 1)
        return Backtest(self.forecasts[:, part], self.actuals[:, part], self.scales[:, part])

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Whether a forecast can be compared with actual revenue."""
        return ~np.isnan(self.errors)

    @property
    def origins(self) -> int:
        """The number of origins with a scored forecast."""
        return int(self.scored.any(axis=(1, 2)).sum())

    @property
    def out_of_sample(self) -> OutOfSample:
        """The sum of the absolute errors, and the sums of the forecasts and of the actual revenue."""
        return OutOfSample(
            error=float(np.abs(self.errors[self.scored]).sum()),
            predicted=float(self.forecasts[self.scored].sum()),
            actual=float(self.actuals[self.scored].sum()),
        )

    @property
    def wape(self) -> float | None:
        """The sum of the absolute errors divided by the sum of the actuals, as published; None if that is zero."""
        unseen = self.out_of_sample
        # Errors may differ only in their last bits. A decision between them must follow from what the marts contain.
        return round(unseen.error / unseen.actual, PLACES) if unseen.actual else None

    @property
    def predicted_over_actual(self) -> float | None:
        """The sum of the forecasts divided by the sum of the actuals, as published; None if that is zero."""
        unseen = self.out_of_sample
        return round(unseen.predicted / unseen.actual, PLACES) if unseen.actual else None

    def bands(self, origin: int) -> dict[int, tuple[Array, Array]]:
        """Return the lower and upper ends of the intervals of an origin's forecasts, by percent; NaN where unknown.

        Both use relative errors that were known at the origin. 80 %: their quantiles, by series and horizon. 95 %:
        their conformal ranks, by horizon over all series, so that even a finite sample covers 95 % of exchangeable
        errors; at least the 80 % interval. The forecast itself is always possible, and revenue is never negative.
        """
        relative = self.until(origin).errors / self.scales
        enough = (~np.isnan(relative)).sum(axis=0) >= MIN_ERRORS
        own = [np.where(enough, _quantile(relative, share), np.nan) for share in (0.1, 0.9)]
        pooled = np.full((2, 1, len(HORIZONS)), np.nan)
        for horizon in range(len(HORIZONS)):
            pooled[:, 0, horizon] = _conformal(_known(relative[:, :, horizon]))
        forecasts, scales = self.forecasts[origin], self.scales[origin]
        low, high = np.minimum(own[0], 0) * scales, np.maximum(own[1], 0) * scales
        # fmin and fmax ignore NaN: an interval of 95 % does not depend on whether there is one of 80 %.
        far_low = np.fmin(np.minimum(pooled[0], 0) * scales, low + 0 * pooled[0])
        far_high = np.fmax(np.maximum(pooled[1], 0) * scales, high + 0 * pooled[1])
        return {
            80: (np.maximum(forecasts + low, 0), forecasts + high),
            95: (np.maximum(forecasts + far_low, 0), forecasts + far_high),
        }

    @cached_property
    def covered(self) -> dict[int, Array]:
        """Whether each actual was inside the interval known at the time of the forecast, by percent: 1, 0 or NaN."""
        found = {percent: np.full_like(self.actuals, np.nan) for percent in PERCENTS}
        for origin in np.flatnonzero(self.scored.any(axis=(1, 2))):
            actuals = self.actuals[origin]
            for percent, (low, high) in self.bands(int(origin)).items():
                inside = (low <= actuals) & (actuals <= high)
                found[percent][origin] = np.where(np.isnan(actuals) | np.isnan(low), np.nan, inside)
        return found


def _known(values: Array) -> Array:
    return values[~np.isnan(values)]


def _quantile(values: Array, share: float) -> Array:
    """Return the quantile of the known values along the first axis, interpolated linearly; NaN if none is known.

    Calling `np.quantile` for each series, horizon and origin took most of the time of the backtests.
    """
    ordered = np.sort(values, axis=0)  # NaN comes last
    place = share * np.maximum((~np.isnan(values)).sum(axis=0) - 1, 0)
    below = np.floor(place).astype(int)
    low, high = (np.take_along_axis(ordered, found[None], axis=0)[0] for found in (below, np.ceil(place).astype(int)))
    return low + (high - low) * (place - below)


def _conformal(errors: Array) -> tuple[float, float]:
    """Return the errors between which the next one lies with a probability of at least 95 %; NaN with fewer than 39."""
    rank = (len(errors) + 1) // 40
    if not rank:
        return np.nan, np.nan
    ordered = np.sort(errors)
    return float(ordered[rank - 1]), float(ordered[-rank])


def backtest(months: Months, forecasts: Array) -> Backtest:
    """Return the forecasts of the territories, never below zero, and the actual revenue of months that are over."""
    forecasts, actuals, trailing = np.maximum(forecasts, 0), months.empty(), months.empty()
    for place, origin, past in months.pasts():
        trailing[origin, place] = past[-SEASON:].mean()
        if len(past) >= FIRST_ORIGIN:
            came = months.revenue[place, origin : origin + len(HORIZONS)]
            actuals[origin, place, : len(came)] = came
    scales = np.where(forecasts > 0, forecasts, trailing)
    return Backtest(forecasts, actuals, np.where(scales > 0, scales, np.nan))


def of_total(months: Months, territories: Backtest) -> Backtest:
    """Return the backtest of the channel's total: the sums of the territories' forecasts, and the channel's revenue."""
    total = Months(months.last, (0,), months.revenue.sum(axis=0, keepdims=True), (min(months.begins),))
    return backtest(total, np.nansum(territories.forecasts, axis=1, keepdims=True))


@dataclass(frozen=True)
class Trial:
    """How the forecasts of one series did in months after each choice of a model. Errors are WAPE; None if unknown."""

    error: float | None
    baseline: float | None
    """The error of the naive models; None if the forecasts are theirs."""
    constant: float | None
    """The error of the mean of all earlier months."""
    predicted_over_actual: float | None
    withheld: Reason | None
    """Why the series has no forecast."""


@dataclass(frozen=True)
class Evaluation:
    """A channel's months, the backtest of each candidate, the choice between them, and what that was worth."""

    months: Months
    backtests: dict[str, Backtest]
    """By candidate: the forecasts of the territories."""
    totals: dict[str, Backtest]
    """By candidate: the sums over the territories."""
    chosen: str
    nested: Backtest
    """The forecasts of the model that would have been chosen at each origin, scored where enough earlier ones were."""
    baseline: Backtest
    """The same, if only the naive models were candidates."""
    constant: Backtest
    """The mean of all earlier months, on the same origins."""
    trials: tuple[Trial, ...]
    """By territory."""
    total_trial: Trial


def evaluate(months: Months) -> Evaluation:
    """Backtest all candidates and choose one, by the error at origins whose months were over, as at each past origin.

    If such choices did no better in the past than a choice between the naive models, it is one of these. Forecasts are
    published if the choices did well over all territories, and also in the territory, or for the total: of several
    territories without any pattern, some are forecast well by chance.
    """
    backtests = {name: backtest(months, model(months)) for name, model in MODELS.items()}
    first = FIRST_ORIGIN + MIN_ORIGINS
    nested, baseline = (nested_choice(backtests, names).since(first) for names in (tuple(MODELS), NAIVE))
    fixed = backtest(months, constant(months)).since(first)
    is_better = (nested.wape or 0) < (baseline.wape or 0)
    tests = (nested if is_better else baseline, baseline, fixed)
    totals = (of_total(months, test).since(first) for test in tests)
    over_all = _trial(*tests, is_better=is_better)
    return Evaluation(
        months,
        backtests,
        {name: of_total(months, found) for name, found in backtests.items()},
        choice(backtests, tuple(MODELS) if is_better else NAIVE, months.number),
        *tests,
        tuple(
            _trial(*(test.of(place) for test in tests), is_better=is_better, over_all=over_all.withheld)
            for place in range(len(months.territories))
        ),
        _trial(*totals, is_better=is_better, over_all=over_all.withheld),
    )


def _trial(
    used: Backtest, baseline: Backtest, fixed: Backtest, *, is_better: bool, over_all: Reason | None = None
) -> Trial:
    """Return the errors of a series, and why its forecasts must not be published.

    `is_better`: whether the channel uses other models than the naive ones; otherwise there is no baseline to beat.
    `over_all`: why no forecast of the channel may be published.
    """
    error, to_beat, mean = used.wape, baseline.wape if is_better else None, fixed.wape
    ratio = used.predicted_over_actual
    if error is None or mean is None or ratio is None:
        return Trial(None, None, None, None, "nothing_to_compare")
    # Relative to the actual revenue, which is 1 then.
    withheld = why_withheld(OutOfSample(error, ratio, 1), np.inf if to_beat is None else to_beat, mean)
    return Trial(error, to_beat, mean, ratio, withheld or over_all)


def choice(backtests: Mapping[str, Backtest], names: Sequence[str], origin: int) -> str:
    """Return the model with the lowest WAPE over the months that were over at an origin.

    The first of `names`, if fewer than 8 origins can be scored; the simplest one of several that do equally well.
    """
    known = {name: backtests[name].until(origin) for name in names}
    wapes = {name: test.wape for name, test in known.items() if test.origins >= MIN_ORIGINS}
    scores = {name: wape for name, wape in wapes.items() if wape is not None}
    return min(scores, key=scores.__getitem__) if scores else names[0]


def nested_choice(backtests: Mapping[str, Backtest], names: Sequence[str]) -> Backtest:
    """Return, for each origin, the forecasts of the model chosen from the months that were over by then."""
    chosen = [backtests[choice(backtests, names, origin)] for origin in range(len(backtests[names[0]].forecasts))]
    return Backtest(
        np.stack([test.forecasts[origin] for origin, test in enumerate(chosen)]),
        backtests[names[0]].actuals,
        np.stack([test.scales[origin] for origin, test in enumerate(chosen)]),
    )


def mase(months: Months, test: Backtest, place: int) -> float | None:
    """Return the mean absolute error of a territory, scaled by the mean absolute change of months before each origin.

    As in Hyndman and Koehler (2006). None if nothing was scored, or the series had not changed before any origin.
    """
    errors = []
    for origin in np.flatnonzero(test.scored[:, place].any(axis=1)):
        scale = np.abs(np.diff(months.revenue[place, months.begins[place] : origin])).mean()
        if scale > 0:
            errors.append(np.abs(_known(test.errors[origin, place])) / scale)
    return float(np.concatenate(errors).mean()) if errors else None


def evaluations(actuals: pl.DataFrame) -> dict[str, Evaluation]:
    """Return every channel's evaluation.

    `actuals`: month, channel, territory_id, revenue; complete booking months with orders. Months without orders in
    between count as zero; a series begins with its first order and ends with the channel's last complete month.
    """
    cells: dict[str, dict[int, dict[date, float]]] = {}
    rows = actuals.select("channel", "territory_id", "month", pl.col("revenue").cast(pl.Float64))
    for channel, territory, month, revenue in rows.sort("channel", "territory_id", "month").iter_rows():
        cells.setdefault(channel, {}).setdefault(territory, {})[month] = revenue
    return {channel: evaluate(_months(territories)) for channel, territories in cells.items()}


def _months(territories: Mapping[int, Mapping[date, float]]) -> Months:
    known = {month for revenues in territories.values() for month in revenues}
    places = pl.date_range(min(known), max(known), "1mo", eager=True).to_list()
    return Months(
        max(known),
        tuple(territories),
        np.array([[revenues.get(month, 0.0) for month in places] for revenues in territories.values()]),
        tuple(places.index(min(revenues)) for revenues in territories.values()),
    )
