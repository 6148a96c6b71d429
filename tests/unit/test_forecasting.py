"""Forecasts: no later data is used, the best candidate is chosen, and the intervals contain the forecast."""

from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adventureworks.marts.sales.forecast_accuracy import published
from adventureworks.marts.sales.forecasting import (
    BANDS,
    HORIZONS,
    MIN_WEIGHT,
    MODELS,
    _smoothed,
    backtest,
    evaluate,
    evaluations,
    forecasts,
)
from adventureworks.marts.sales.sales_forecast import compute

few = settings(max_examples=10, deadline=None)
series = st.lists(st.integers(0, 9_000).map(float), min_size=24, max_size=30).map(tuple)


@few
@given(series, st.integers(13, 23))
def test_later_data_does_not_change_earlier_forecasts(past: tuple[float, ...], cut: int) -> None:
    other = past[:cut] + tuple(value * 3 + 7 for value in past[cut:])
    for model in MODELS:
        one, two = (
            [(s.origin, s.horizon, s.forecast) for s in backtest(model, values).scored if s.origin <= cut]
            for values in (past, other)
        )
        assert one == two


@few
@given(series)
def test_the_chosen_model_has_the_lowest_error_and_bands_contain_the_forecast(past: tuple[float, ...]) -> None:
    found = evaluate(past)
    wapes = {model: test.wape for model, test in found.backtests.items() if test.wape is not None}
    if wapes:
        assert wapes[found.chosen] == min(wapes.values())
    for horizon, forecast in zip(HORIZONS, forecasts(found.chosen, past), strict=True):
        assert forecast >= 0
        bands = [band for percent in BANDS if (band := found.backtests[found.chosen].band(horizon, forecast, percent))]
        if bands:
            (low, high), (lower, higher) = bands
            assert 0 <= lower <= low <= forecast <= high <= higher


@few
@given(series.filter(lambda past: len(set(past)) > 1), st.sampled_from(sorted(MODELS)))
def test_the_forecast_does_not_depend_on_the_currency(past: tuple[float, ...], model: str) -> None:
    doubled = forecasts(model, tuple(2 * value for value in past))
    assert doubled == pytest.approx([2 * value for value in forecasts(model, past)], rel=1e-3, abs=1)


@pytest.mark.parametrize("model", MODELS)
def test_a_constant_series_is_forecast_to_stay_constant(model: str) -> None:
    assert forecasts(model, (250.0,) * 20) == (250.0,) * 3


@few
@given(series, st.floats(MIN_WEIGHT, 1))
def test_no_other_smoothing_weight_forecasts_the_past_better(past: tuple[float, ...], other: float) -> None:
    def squares(weight: float) -> float:
        level, total = past[0], 0.0
        for value in past:
            total += (value - level) ** 2
            level += weight * (value - level)
        return total

    assert squares(_smoothed(past)[0]) <= squares(other) * (1 + 1e-9)


def test_theta_adds_half_the_drift_of_the_trend() -> None:
    # On a straight line, the whole weight is on the last month.
    assert forecasts("theta", tuple(range(100, 340, 10))) == pytest.approx((335, 340, 345))


def test_a_short_series_uses_the_naive_model_without_intervals() -> None:
    found = evaluate((5.0, 90.0, 7.0, 80.0, 6.0, 90.0, 5.0, 85.0, 6.0, 90.0, 5.0, 88.0, 7.0, 91.0))
    assert found.chosen == "naive"
    assert found.backtests["naive"].band(1, 91.0, 80) is None


def sold(months: list[date], revenue: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"month": months, "channel": "online", "territory_id": 1, "revenue": [Decimal(value) for value in revenue]},
        schema_overrides={"revenue": pl.Decimal(38, 6)},
    )


def test_a_month_without_orders_counts_as_zero_and_all_series_of_a_channel_end_in_the_same_month() -> None:
    other = sold([date(2013, 4, 1)], [70]).with_columns(territory_id=pl.lit(2, dtype=pl.Int32))
    resellers = sold([date(2013, 2, 1)], [90]).with_columns(channel=pl.lit("reseller"))
    found, last = evaluations(pl.concat([sold([date(2013, 1, 1), date(2013, 3, 1)], [10, 30]), other, resellers]))
    assert last == {"online": date(2013, 4, 1), "reseller": date(2013, 2, 1)}
    assert found["online", 1].past == (10.0, 0.0, 30.0, 0.0)
    assert found["online", 2].past == (70.0,)
    assert found["reseller", 1].past == (90.0,)


def test_forecasts_start_after_the_last_complete_month() -> None:
    rows = compute(lambda _: sold([date(2013, 10, 1), date(2013, 11, 1)], [10, 30]), date(2014, 1, 31))
    assert rows.select("month", "horizon", "forecast", "trained_until").rows() == [
        (date(2013, 12, 1), 1, 30.0, date(2013, 11, 1)),
        (date(2014, 1, 1), 2, 30.0, date(2013, 11, 1)),
        (date(2014, 2, 1), 3, 30.0, date(2013, 11, 1)),
    ]


def test_a_published_forecast_is_scored_when_its_month_is_over() -> None:
    kept = sold([date(2013, 2, 1), date(2013, 3, 1), date(2013, 4, 1)], [80, 100, 100]).rename({"revenue": "forecast"})
    kept = kept.with_columns(model=pl.lit("naive"))
    scores = published(kept, sold([date(2013, 2, 1), date(2013, 4, 1)], [100, 100]), {"online": date(2013, 3, 1)})
    # Off by 20 in February, and by 100 in March, when nothing was sold.
    assert scores.select("model", "published_wape", "published_months").rows() == [("naive", 1.2, 2)]


@pytest.mark.parametrize("seed", range(6))
def test_smoothing_and_theta_agree_with_statsmodels(seed: int) -> None:
    from statsmodels.tsa.forecasting.theta import ThetaModel
    from statsmodels.tsa.holtwinters import SimpleExpSmoothing

    random = np.random.default_rng(seed)
    past = tuple(
        float(value) for value in 50_000 + np.cumsum(random.normal(0, 2_000, 30)) + random.normal(0, 4_000, 30)
    )
    smoothing = SimpleExpSmoothing(past, initialization_method="legacy-heuristic").fit()
    drifting = ThetaModel(np.array(past), period=12, deseasonalize=False).fit(use_mle=False)
    assert MODELS["ses"](past) == pytest.approx(smoothing.forecast(3), rel=1e-3)
    assert MODELS["theta"](past) == pytest.approx(drifting.forecast(3), rel=1e-3)
