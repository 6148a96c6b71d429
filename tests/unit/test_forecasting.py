"""Forecasts: no later data is used, a choice is tested on months after it, intervals cover what they state."""

from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adventureworks.catalog import MARTS
from adventureworks.gate.contract import keeps_every_rule
from adventureworks.marts.sales import forecasting
from adventureworks.marts.sales.forecast_accuracy import compute as accuracy_of
from adventureworks.marts.sales.forecast_accuracy import published
from adventureworks.marts.sales.forecasting import (
    FIRST_ORIGIN,
    MODELS,
    WEIGHTS,
    Months,
    backtest,
    evaluate,
    evaluations,
    of_total,
    smoothed,
)
from adventureworks.marts.sales.sales_forecast import compute

few = settings(max_examples=10, deadline=None)
series = st.lists(st.integers(0, 9_000).map(float), min_size=24, max_size=30)


def channel(*revenues: list[float]) -> Months:
    """Return a channel with one territory per series, all of which end in the same month."""
    number = max(map(len, revenues))
    padded = [[0.0] * (number - len(revenue)) + list(revenue) for revenue in revenues]
    begins = tuple(number - len(revenue) for revenue in revenues)
    return Months(date(2014, 4, 1), tuple(range(1, len(revenues) + 1)), np.array(padded), begins)


@few
@given(series, series, st.integers(13, 23))
def test_later_data_does_not_change_earlier_forecasts_choices_and_intervals(
    one: list[float], other: list[float], cut: int
) -> None:
    size = min(len(one), len(other))
    past = channel(one[:size], other[:size])
    changed = channel(*([*row[:cut], *(value * 3 + 7 for value in row[cut:size])] for row in (one, other)))
    for model in MODELS.values():
        tests = [backtest(months, model(months)) for months in (past, changed)]
        before, after = (test.forecasts[: cut + 1] for test in tests)
        np.testing.assert_array_equal(before, after)
        for percent in forecasting.PERCENTS:
            for end in (0, 1):
                before, after = (test.bands(cut)[percent][end] for test in tests)
                np.testing.assert_array_equal(before, after)
    choices = [
        forecasting.nested_choice({name: backtest(months, model(months)) for name, model in MODELS.items()}, [*MODELS])
        for months in (past, changed)
    ]
    before, after = (found.forecasts[: cut + 1] for found in choices)
    np.testing.assert_array_equal(before, after)


@few
@given(series, series)
def test_bands_contain_the_forecast_and_a_total_is_the_sum(one: list[float], other: list[float]) -> None:
    months = channel(one, other)
    for model in MODELS.values():
        test = backtest(months, model(months))
        for found in (test, of_total(months, test)):
            forecasts = found.forecasts[months.number]
            assert (forecasts >= 0).all()
            bands = found.bands(months.number)
            ends = (bands[95][0], bands[80][0], forecasts, bands[80][1], bands[95][1])
            for low, high in ((0, 1), (1, 2), (2, 3), (3, 4), (0, 2), (2, 4)):
                known = ~np.isnan(ends[low]) & ~np.isnan(ends[high])
                assert (ends[low][known] <= ends[high][known] + 1e-6).all()
        np.testing.assert_allclose(
            of_total(months, test).forecasts[months.number, 0], test.forecasts[months.number].sum(axis=0)
        )


@few
@given(series.filter(lambda past: len(set(past)) > 1), st.sampled_from(sorted(MODELS)))
def test_the_forecast_does_not_depend_on_the_currency(past: list[float], model: str) -> None:
    one, doubled = (MODELS[model](channel(revenue))[-1] for revenue in (past, [2 * value for value in past]))
    np.testing.assert_allclose(doubled, 2 * one, rtol=1e-3, atol=1)


@pytest.mark.parametrize("model", MODELS)
def test_a_constant_series_is_forecast_to_stay_constant(model: str) -> None:
    assert MODELS[model](channel([250.0] * 20))[-1].tolist() == [[pytest.approx(250.0)] * 3]


@few
@given(series, st.sampled_from(WEIGHTS.tolist()))
def test_no_other_smoothing_weight_forecasts_the_past_better(past: list[float], other: float) -> None:
    def squares(weight: float) -> float:
        level, total = past[0], 0.0
        for value in past:
            total += (value - level) ** 2
            level += weight * (value - level)
        return total

    assert squares(smoothed(np.array(past))[0][-1]) <= squares(other) * (1 + 1e-9)


def test_theta_adds_half_the_drift_of_the_trend() -> None:
    # On a straight line, the whole weight is on the last month.
    found = MODELS["theta"](channel([float(value) for value in range(100, 340, 10)]))[-1, 0]
    assert found.tolist() == pytest.approx([335, 340, 345])


def test_the_season_of_the_channel_is_halved_and_used_for_all_its_territories() -> None:
    year = [100.0] * 12
    year[6] = 400.0
    # The next months are July to September. A year before, they had 410, 110 and 110, and April to June 110 each.
    months = channel(year + year[:6], [10.0] * 18)
    expected = np.sqrt(np.array([410, 110, 110]) / 110)
    found = MODELS["mean_3_season"](months)[-1]
    assert found[0].tolist() == pytest.approx((100 * expected).tolist())
    assert found[1].tolist() == pytest.approx((10 * expected).tolist())


@pytest.mark.parametrize("number", [1, 14, 19])
def test_a_short_history_uses_the_naive_model_and_its_forecasts_are_withheld(number: int) -> None:
    found = evaluate(channel([5.0, 90.0] * (number // 2) + [7.0] * (number % 2)))
    assert found.chosen == "naive"
    assert {trial.withheld for trial in (*found.trials, found.total_trial)} == {"nothing_to_compare"}


def test_a_model_that_finds_the_season_is_chosen_and_tested_on_months_after_each_choice() -> None:
    found = evaluate(channel([100.0, 100, 100, 400, 100, 100, 100, 100, 900, 100, 100, 100] * 4))
    assert found.chosen == "seasonal_naive"
    assert [trial.withheld for trial in (*found.trials, found.total_trial)] == [None, None]
    assert found.nested.wape == 0
    assert found.nested.origins == 48 - FIRST_ORIGIN - forecasting.MIN_ORIGINS


def test_forecasts_that_were_no_better_than_a_constant_are_withheld() -> None:
    """Independent months: no model can beat their mean."""
    random = np.random.default_rng(1)
    months = channel(*(random.uniform(0, 1_000, 48).tolist() for _ in range(5)))
    rows = sold_by(months)
    forecast = compute(lambda _: rows, date(2014, 6, 30))
    amounts = forecast.select("^(channel_)?(forecast|lower_80|upper_80|lower_95|upper_95)$")
    assert amounts.null_count().row(0) == (forecast.height,) * 10
    # Some of the five territories were forecast better than by their mean, by chance.
    assert (forecast["error_model"] < forecast["error_constant"]).any()
    assert set(forecast["withheld_because"]) == {"no_better_than_constant"}
    assert set(forecast["channel_withheld_because"]) == {"no_better_than_constant"}


def test_a_territory_is_withheld_by_its_own_errors() -> None:
    """One territory has a season. In the other, months are independent, so that no model can beat their mean."""
    season = [100.0, 100, 100, 400, 100, 100, 100, 100, 900, 100, 100, 100] * 4
    rows = sold_by(channel([value * 100 for value in season], np.random.default_rng(1).uniform(0, 100, 48).tolist()))
    first = compute(lambda _: rows, date(2014, 6, 30)).filter(horizon=1).sort("territory_id")
    assert first["withheld_because"].to_list() == [None, "no_better_than_constant"]
    assert first["channel_withheld_because"].to_list() == [None, None]
    shown, withheld = first["forecast"].to_list()
    assert (shown, withheld) == (10_000, None)
    assert shown < first["channel_forecast"][0] < shown + 100
    assert (first["error_model"] < first["error_constant"]).to_list() == [True, False]


@pytest.mark.parametrize("cents", [9_999, 123_456, 229_499, 10_000])
def test_errors_that_are_equal_as_published_are_equal_for_the_decision(cents: int) -> None:
    """The mean of a flat series differs from its months in the last bits only, and the contract does not see these."""
    season = [100.0, 100, 100, 400, 100, 100, 100, 100, 900, 100, 100, 100] * 3
    sales = sold_by(channel([float(cents)] * 36, [value * 10_000 for value in season]))
    rows = sales.with_columns(pl.col("revenue").cast(pl.Float64) / 100)
    forecast = in_contract_types("sales_forecast", compute(lambda _: rows, date(2014, 6, 30)))
    assert keeps_every_rule(MARTS["sales_forecast"], forecast)
    flat, seasonal = forecast.filter(horizon=1).sort("territory_id").iter_rows(named=True)
    assert (flat["withheld_because"], flat["error_model"], flat["error_constant"]) == ("no_better_than_constant", 0, 0)
    assert seasonal["withheld_because"] is None


def test_models_that_are_equal_as_published_are_equal_for_the_choice() -> None:
    rows = sold_by(channel([9_999.0] * 36, [123_457.0] * 36)).with_columns(pl.col("revenue").cast(pl.Float64) / 100)
    kept = rows.head(0).rename({"revenue": "forecast"}).with_columns(model=pl.lit("naive"))
    found = accuracy_of(lambda name: rows if name == "actuals" else kept, date(2014, 6, 30))
    accuracy = in_contract_types("forecast_accuracy", found)
    assert set(accuracy.filter("is_chosen")["model"]) == {"naive"}
    assert accuracy.select("nested_wape", "baseline_wape", "constant_wape").unique().rows() == [(0, 0, 0)]
    forecast = compute(lambda _: rows, date(2014, 6, 30))
    assert set(forecast["withheld_because"]) == {"no_better_than_constant"}


def in_contract_types(mart: str, rows: pl.DataFrame) -> pl.DataFrame:
    columns = MARTS[mart].contract.to_schema().columns
    return rows.select(pl.col(name).cast(column.dtype.type) for name, column in columns.items())


def test_forecasts_that_are_absurd_in_total_are_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    months = channel([100.0] * 20 + [200.0 * 1.5**step for step in range(16)])
    monkeypatch.setattr(
        forecasting, "MODELS", {"naive": MODELS["naive"], "absurd": lambda found: MODELS["naive"](found) * 0.45}
    )
    monkeypatch.setattr(forecasting, "NAIVE", ("absurd",))
    monkeypatch.setattr(forecasting, "choice", lambda *_: "absurd")
    monkeypatch.setattr(forecasting, "constant", lambda found: MODELS["naive"](found) * 0)
    found = evaluate(months)
    assert [trial.withheld for trial in (*found.trials, found.total_trial)] == ["total_is_off"] * 2


def test_intervals_of_independent_errors_cover_what_they_state() -> None:
    random = np.random.default_rng(7)
    months = channel(*((1_000 + random.normal(0, 50, 120)).tolist() for _ in range(6)))
    test = backtest(months, MODELS["mean_3"](months))
    shares = {percent: np.nanmean(inside) for percent, inside in test.covered.items()}
    assert 0.75 < shares[80] < 0.85
    assert 0.94 < shares[95] < 0.97


def test_an_interval_of_95_percent_needs_39_errors() -> None:
    random = np.random.default_rng(3)
    for number, known in ((FIRST_ORIGIN + 38, False), (FIRST_ORIGIN + 39, True)):
        months = channel(random.uniform(900, 1_100, number).tolist())
        bands = backtest(months, MODELS["naive"](months)).bands(months.number)
        assert np.isnan(bands[95][0][0, 0]) != known
        assert not np.isnan(bands[80]).any()


def test_a_forecast_of_zero_has_an_interval_relative_to_the_trailing_year() -> None:
    months = channel([100.0, 0, 0] * 12)
    test = backtest(months, MODELS["naive"](months))
    assert test.forecasts[-1, 0].tolist() == [0, 0, 0]
    low, high = test.bands(months.number)[80]
    assert low[0].tolist() == [0, 0, 0]
    # 100 is three times the monthly mean of a year. Three months after a month without sales, there are none either.
    assert high[0].tolist() == pytest.approx([100, 100, 0])


def test_without_sales_in_a_year_no_interval_is_known() -> None:
    months = channel([100.0, 0, 0] * 12 + [0.0] * 12)
    bands = backtest(months, MODELS["naive"](months)).bands(months.number)
    assert all(np.isnan(end).all() for band in bands.values() for end in band)


def sold(months: list[date], revenue: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"month": months, "channel": "online", "territory_id": 1, "revenue": [Decimal(value) for value in revenue]},
        schema_overrides={"revenue": pl.Decimal(38, 6)},
    )


def test_a_month_without_orders_counts_as_zero_and_all_series_of_a_channel_end_in_the_same_month() -> None:
    other = sold([date(2013, 4, 1)], [70]).with_columns(territory_id=pl.lit(2, dtype=pl.Int32))
    resellers = sold([date(2013, 2, 1)], [90]).with_columns(channel=pl.lit("reseller"))
    found = evaluations(pl.concat([sold([date(2013, 1, 1), date(2013, 3, 1)], [10, 30]), other, resellers]))
    assert {name: one.months.last for name, one in found.items()} == {
        "online": date(2013, 4, 1),
        "reseller": date(2013, 2, 1),
    }
    assert found["online"].months.revenue.tolist() == [[10, 0, 30, 0], [0, 0, 0, 70]]
    assert found["online"].months.begins == (0, 3)
    assert found["reseller"].months.revenue.tolist() == [[90]]


def sold_by(months: Months) -> pl.DataFrame:
    dates = pl.date_range(date(2010, 5, 1), date(2014, 4, 1), "1mo", eager=True).to_list()[-months.number :]
    return pl.concat(
        sold(dates, [round(value) for value in revenue]).with_columns(territory_id=pl.lit(territory, dtype=pl.Int32))
        for territory, revenue in zip(months.territories, months.revenue, strict=True)
    )


def test_forecasts_start_after_the_last_complete_month() -> None:
    rows = sold_by(channel([100.0, 100, 100, 400, 100, 100, 100, 100, 900, 100, 100, 100] * 4))
    forecast = compute(lambda _: rows, date(2014, 6, 30))
    assert forecast.select("month", "horizon", "forecast", "channel_forecast", "trained_until").rows() == [
        (date(2014, 5, 1), 1, 100.0, 100.0, date(2014, 4, 1)),
        (date(2014, 6, 1), 2, 100.0, 100.0, date(2014, 4, 1)),
        (date(2014, 7, 1), 3, 100.0, 100.0, date(2014, 4, 1)),
    ]


def test_the_accuracy_of_each_model_is_that_of_its_forecasts() -> None:
    """From the thirteenth month on, the naive model is off by the change from month to month."""
    rows = sold_by(channel([100.0, 300.0] * 10))
    kept = rows.head(0).rename({"revenue": "forecast"}).with_columns(model=pl.lit("naive"))
    found = accuracy_of(lambda name: rows if name == "actuals" else kept, date(2014, 6, 30))
    naive = found.row(by_predicate=pl.col("model") == "naive", named=True)
    # Eight origins have a first month to score, seven a second one (which the naive model hits), six a third.
    assert naive["wape"] == pytest.approx((8 + 6) * 200 / (1_600 + 1_500 + 1_200))
    assert (naive["mase"], naive["origins"]) == (pytest.approx(14 / 21), 8)
    assert naive["channel_wape"] == naive["wape"]
    assert naive["nested_wape"] is None


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
    past = 50_000 + np.cumsum(random.normal(0, 2_000, 30)) + random.normal(0, 4_000, 30)
    months = channel(past.tolist())
    for origin in (20, 30):
        known = past[:origin]
        smoothing = SimpleExpSmoothing(known, initialization_method="legacy-heuristic").fit()
        drifting = ThetaModel(known, period=12, deseasonalize=False).fit(use_mle=False)
        assert MODELS["ses"](months)[origin, 0].tolist() == pytest.approx(smoothing.forecast(3).tolist(), rel=1e-3)
        assert MODELS["theta"](months)[origin, 0].tolist() == pytest.approx(drifting.forecast(3).tolist(), rel=1e-3)
