"""Customer value: scores and segments, published fits, and the choice between the model and the plain mean."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adventureworks.marts.customers.customer_value import bg_nbd, compute, gamma_gamma, holdout
from adventureworks.marts.customers.customer_value.rfm import segment, snapshot

AS_OF = date(2014, 6, 30)


def orders(rows: list[tuple[int, date, int]], channel: str = "online") -> pl.DataFrame:
    """Return orders from rows of customer id, day and revenue; the margin is two fifths of the revenue."""
    return pl.DataFrame(
        [(customer, channel, day, 1, Decimal(revenue), Decimal(revenue) * 2 / 5) for customer, day, revenue in rows],
        schema={
            "customer_id": pl.Int64,
            "channel": pl.String,
            "order_date": pl.Date,
            "orders": pl.Int64,
            "revenue": pl.Decimal(38, 6),
            "margin": pl.Decimal(38, 6),
        },
        orient="row",
    )


def test_every_customer_has_exactly_one_segment() -> None:
    conditions = {
        "champions": lambda r, f: r >= 4 and f >= 4,
        "loyal": lambda r, f: r >= 3 and f >= 3 and not (r >= 4 and f >= 4),
        "at_risk": lambda r, f: r <= 2 and f >= 3,
        "new": lambda r, f: r == 5 and f == 1,
        "promising": lambda r, f: r >= 3 and f <= 2 and not (r == 5 and f == 1),
        "hibernating": lambda r, f: r <= 2 and f <= 2,
    }
    scores = pl.DataFrame(list(product(range(1, 6), repeat=3)), schema=["r_score", "f_score", "m_score"], orient="row")
    for r, f, _, found in scores.with_columns(found=segment()).rows():
        assert [name for name, holds in conditions.items() if holds(r, f)] == [found]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 400), st.integers(1, 5)), min_size=1, max_size=60))
def test_scores_follow_the_share_of_better_customers(bought: list[tuple[int, int, int]]) -> None:
    rows = snapshot(orders([(customer, AS_OF - timedelta(days), value) for customer, days, value in bought]), AS_OF)
    customers = list(rows.iter_rows(named=True))
    for one in customers:
        later = sum(other["recency_days"] < one["recency_days"] for other in customers)
        richer = sum(other["monetary"] > one["monetary"] for other in customers)
        assert one["r_score"] == 5 - 5 * later // len(customers)
        assert one["m_score"] == 5 - 5 * richer // len(customers)
        assert one["f_score"] == min(5, len({days for customer, days, _ in bought if customer == one["customer_id"]}))


def test_the_published_fit_of_bg_nbd_is_reproduced(cdnow: Path) -> None:
    summary = pl.read_csv(cdnow / "cdnow_customers_summary.csv")
    history = [summary[name].cast(pl.Float64).to_numpy() for name in ("frequency", "recency", "T")]
    fitted = bg_nbd.fit(*history)
    assert summary.height == 2_357
    assert [round(value, 3) for value in fitted.parameters] == [0.243, 4.414, 0.793, 2.426]
    assert round(fitted.log_likelihood, 1) == -9582.4
    assert not fitted.is_degenerate
    # The prediction for the following 39 weeks is close to the actual purchases.
    expected = bg_nbd.expected_purchases(fitted, 39, *history)
    assert sum(expected) / 2_357 == pytest.approx(0.8, abs=0.1)


def test_the_published_fit_of_gamma_gamma_is_reproduced(cdnow: Path) -> None:
    lines = [line.split() for line in (cdnow / "CDNOW_sample.txt").read_text().splitlines()]
    days = (
        pl.DataFrame(
            {"customer": [w[1] for w in lines], "day": [w[2] for w in lines], "value": [float(w[4]) for w in lines]}
        )
        .filter(pl.col("day") <= "19970930")
        .group_by("customer", "day")
        .agg(pl.col("value").sum())
    )
    repeated = (
        days.filter(pl.col("day") > pl.col("day").min().over("customer"))
        .group_by("customer")
        .agg(x=pl.len().cast(pl.Float64), mean=pl.col("value").mean())
    )
    repeated = repeated.filter(pl.col("mean") > 0)
    fitted = gamma_gamma.fit(repeated["x"].to_numpy(), repeated["mean"].to_numpy())
    assert repeated.height == 946
    assert [round(value, 2) for value in fitted.parameters] == [6.25, 3.74, 15.44]


def steady_buyers(customers: int) -> pl.DataFrame:
    """Return three years of orders by customers who each buy at their own rate, and may stop after any purchase."""
    chance = np.random.default_rng(5)
    rows = []
    for customer in range(customers):
        rate, leaves = chance.gamma(1.2, 1 / 20), chance.beta(0.6, 3)
        day = chance.uniform(0, 3 * 364)
        while day < 3 * 364 - 1:
            rows.append((customer, AS_OF - timedelta(3 * 364) + timedelta(int(day) + 1), int(chance.uniform(20, 200))))
            if chance.random() < leaves:
                break
            day += chance.exponential(1 / rate)
    return orders(rows)


def test_a_model_that_predicts_better_is_published() -> None:
    sold = steady_buyers(3_000)
    verdict = holdout.compare(sold, AS_OF)
    assert verdict.model is not None
    assert verdict.cell is not None
    assert verdict.publishes_model, verdict
    assert verdict.model.rmse < verdict.cell.rmse
    found = compute(lambda _: sold, AS_OF)
    assert found["method"].unique().to_list() == ["bg_nbd"]
    assert found["probability_alive"].is_between(0, 1).all()
    assert found["expected_orders_52w"].is_finite().all()


def test_snapshots_and_cell_means_ignore_the_evaluation_year() -> None:
    sold = steady_buyers(600)
    split = AS_OF - holdout.YEAR
    known = snapshot(sold, split)
    changed = sold.with_columns(
        pl.when(pl.col("order_date") > split).then(pl.col("revenue") * 9).otherwise(pl.col("revenue")).alias("revenue")
    )
    assert snapshot(changed, split).equals(known)
    before = snapshot(sold, split - holdout.YEAR)
    means = holdout.cell_means(holdout.outcomes(sold, before, split - holdout.YEAR), known)
    later = sold.filter(pl.col("order_date") <= split)
    assert holdout.cell_means(holdout.outcomes(later, before, split - holdout.YEAR), known).equals(means)


def test_a_cell_is_valued_by_its_customers_margin_of_the_last_year() -> None:
    start = AS_OF - holdout.YEAR
    early = [(customer, start - timedelta(10), 100) for customer in range(1, 5)]
    returned = [(1, start + timedelta(365 - 2), 50), (2, start + timedelta(1), 50)]
    found = compute(lambda _: orders([*early, *returned, (9, AS_OF, 100)]), AS_OF).filter(customer_id=3)
    [row] = found.iter_rows(named=True)
    margin = 50 * 0.4 * (1.1 ** (-363 / 365) + 1.1 ** (-1 / 365))
    assert (row["method"], row["probability_alive"], row["expected_orders_52w"]) == ("rfm_cell", 0.5, 0.5)
    assert row["clv_52w"] == pytest.approx(margin / 4)


def test_resellers_are_valued_by_their_last_twelve_months() -> None:
    sold = orders([(1, date(2013, 6, 30), 900), (1, date(2013, 7, 1), 100), (1, AS_OF, 50)], "reseller")
    [row] = compute(lambda _: sold, AS_OF).iter_rows(named=True)
    assert (row["method"], row["expected_orders_52w"], row["clv_52w"]) == ("trailing_margin", 2.0, 60.0)
    assert row["probability_alive"] is None
