"""Customer value: scores and segments, published fits, and the choice between the model and the plain mean."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from adventureworks.marts.customers import customer_value
from adventureworks.marts.customers.customer_value import METHODS, bg_nbd, compute, gamma_gamma
from adventureworks.marts.customers.customer_value.expected import EXPECTED, HALF_YEAR, YEAR, Expect, by_cell
from adventureworks.marts.customers.customer_value.holdout import evaluated
from adventureworks.marts.customers.customer_value.rfm import scored, segment, snapshot

AS_OF = date(2014, 6, 30)
REFERENCE = Path(__file__).parents[1] / "acceptance" / "references" / "customer_value.sql"


def orders(rows: list[tuple[int, date, int]], channel: str = "online") -> pl.DataFrame:
    """Return orders from rows of customer id, day and revenue; the margin is two fifths of the revenue."""
    return pl.DataFrame(
        [
            (customer, channel, day, Decimal(revenue), Decimal(revenue) * 2 / 5, revenue > 500)
            for customer, day, revenue in rows
        ],
        schema={
            "customer_id": pl.Int64,
            "channel": pl.String,
            "order_date": pl.Date,
            "revenue": pl.Decimal(38, 6),
            "margin": pl.Decimal(38, 6),
            "has_bike": pl.Boolean,
        },
        orient="row",
    ).sort("customer_id", "order_date")


def computed(sold: pl.DataFrame, trailing: list[tuple[int, int, int]] | None = None) -> pl.DataFrame:
    """Return the mart. `trailing`: customer id, order days and margin of resellers' last twelve booking months."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "customer_id": pl.Int64,
        "order_days": pl.Int64,
        "margin": pl.Decimal(38, 6),
    }
    return compute({"orders": sold, "trailing": pl.DataFrame(trailing or [], schema, orient="row")}.__getitem__, AS_OF)


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
    days = {(customer, AS_OF - timedelta(days)): value for customer, days, value in bought}
    rows = snapshot(orders([(*place, value) for place, value in days.items()]), AS_OF)
    customers = list(scored(rows, "monetary").iter_rows(named=True))
    for one in customers:
        later = sum(other["recency_days"] < one["recency_days"] for other in customers)
        richer = sum(other["monetary"] > one["monetary"] for other in customers)
        assert one["r_score"] == 5 - 5 * later // len(customers)
        assert one["m_score"] == 5 - 5 * richer // len(customers)
        assert one["f_score"] == min(5, len({days for customer, days, _ in bought if customer == one["customer_id"]}))


def test_the_published_fit_of_bg_nbd_is_reproduced(cdnow: Path) -> None:
    summary = pl.read_csv(cdnow / "cdnow_customers_summary.csv")
    of_customers = pl.col("frequency", "recency", "T").cast(pl.Float64)
    histories = summary.group_by(of_customers).agg(number=pl.len())
    x, t_x, age, number = histories.to_numpy().T
    history = (x, t_x, age)
    fitted = bg_nbd.fit(*history, number)
    assert histories.height < number.sum() == 2_357
    assert [round(value, 3) for value in fitted.parameters] == [0.243, 4.414, 0.793, 2.426]
    assert round(fitted.log_likelihood, 1) == -9582.4
    assert not fitted.is_degenerate
    # The prediction for the following 39 weeks is close to the actual purchases.
    expected = bg_nbd.expected_purchases(fitted, 39, *history)
    assert number @ expected / 2_357 == pytest.approx(0.8, abs=0.1)


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
    found = computed(sold)
    assert found["method"].unique().to_list() == ["bg_nbd"]
    assert found["withheld_because"].null_count() == found.height
    for worse in ("holdout_rmse_cell", "holdout_rmse_baseline", "holdout_rmse_constant"):
        assert (found["holdout_rmse_model"] < found[worse]).all(), worse
    assert found["probability_alive"].is_between(0, 1).all()
    assert found["expected_orders_52w"].is_finite().all()


def test_published_expectations_agree_with_the_second_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_value, "METHODS", {"rfm_cell": by_cell})
    # Every customer orders once a quarter. Half of them spend much, the others little, so their cells differ.
    chance = np.random.default_rng(3)
    sold = orders(
        [
            (
                customer,
                AS_OF - timedelta(91 * quarter + customer % 60),
                int(chance.uniform(5, 15) * (1 + 39 * (customer % 2))),
            )
            for customer in range(200)
            for quarter in range(12)
        ]
    )
    found = computed(sold)
    assert found["withheld_because"].null_count() == found.height
    with duckdb.connect() as connection:
        connection.register("orders", sold)
        connection.execute(
            """create view sold as select *, revenue - margin as cogs, order_date as booking_month,
                has_bike::int as product_id from orders"""
        )
        connection.execute(
            "create table product_place as from (values (0, 'Clothing'), (1, 'Bikes')) t (product_id, category)"
        )
        connection.execute("create table partial_channel_month (month date, channel text)")
        reference = REFERENCE.read_text(encoding="utf-8")
        other = pl.DataFrame(connection.sql(reference, params={"as_of": AS_OF}).to_arrow_table())
    assert set(EXPECTED) < set(other.columns)
    assert_frame_equal(
        other.sort("customer_id"), found.select(other.columns).sort("customer_id"), check_dtypes=False, rel_tol=1e-9
    )


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_no_method_sees_what_comes_after_its_date(method: Expect) -> None:
    sold = steady_buyers(600)
    at = AS_OF - YEAR
    changed = sold.with_columns(
        pl.when(pl.col("order_date") > at).then(pl.col("margin") * 9).otherwise("margin").alias("margin")
    )
    found = method(sold, at)
    assert found is not None
    for other in (changed, sold.filter(pl.col("order_date") <= at)):
        same = method(other, at)
        assert same is not None
        assert same.equals(found)


def multiplied(factor: float) -> Expect:
    """Return a method that expects this multiple of what every customer brought in the year before."""

    def expect(sold: pl.DataFrame, at: date) -> pl.DataFrame:
        recent = (pl.col("order_date") > at - YEAR) & (pl.col("order_date") <= at)
        margin = pl.when(recent).then(pl.col("margin").cast(pl.Float64)).otherwise(0.0)
        known = sold.filter(pl.col("order_date") <= at).group_by("customer_id").agg(clv_52w=margin.sum() * factor)
        return known.sort("customer_id")

    return expect


def repeaters(*scales: float) -> pl.DataFrame:
    """Return orders of customers who brought 100 to 1,090 USD each, times the scale of each of the last years."""
    start = AS_OF - len(scales) * YEAR + timedelta(30)
    years = [(start + year * YEAR, scale) for year, scale in enumerate(scales)]
    return orders(
        [(customer, day, int((100 + 10 * customer) * part)) for customer in range(100) for day, part in years]
    )


@pytest.mark.parametrize(
    ("factor", "scale", "reason"),
    [
        (2.0, 2.0, None),
        (0.5, 2.0, "no_better_than_baseline"),
        (0.8, 0.3, "no_better_than_constant"),
        (2.2, 5.0, "total_is_off"),
    ],
)
def test_expectations_are_withheld_if_the_last_year_contradicts_them(
    factor: float, scale: float, reason: str | None
) -> None:
    trial = evaluated(repeaters(1.0, scale), AS_OF, {"any": multiplied(factor)})
    assert trial.why_withheld("any") == reason


@pytest.mark.parametrize(("scales", "method"), [((1, 1, 2), "rfm_cell"), ((1, 2, 2), "bg_nbd"), ((1, 2), "rfm_cell")])
def test_the_year_that_judges_a_method_does_not_choose_it(
    monkeypatch: pytest.MonkeyPatch, scales: tuple[float, ...], method: str
) -> None:
    monkeypatch.setattr(customer_value, "METHODS", {"bg_nbd": multiplied(2.0), "rfm_cell": multiplied(1.0)})
    found = computed(repeaters(*scales))
    assert set(found["method"]) == {method}
    assert (found["clv_52w"].is_null() == found["withheld_because"].is_not_null()).all()
    # In the last year, the other method had the smaller error.
    assert ((found["holdout_rmse_model"] < found["holdout_rmse_cell"]) == (method == "rfm_cell")).all()


def test_a_cell_is_valued_by_what_its_customers_did_in_the_last_half_year() -> None:
    start = AS_OF - HALF_YEAR
    early = [(customer, start - timedelta(10), 100) for customer in range(1, 5)]
    returned = [(1, AS_OF - timedelta(2), 50), (2, start + timedelta(1), 50)]
    # The others are of another cell: a bike, and a second order.
    others = [(8, start - timedelta(10), 600), (9, start - timedelta(200), 100), (9, start - timedelta(10), 100)]
    later = (3, AS_OF - timedelta(10), 100)
    found = by_cell(orders([*early, *returned, *others, later, (7, AS_OF - timedelta(10), 100)]), AS_OF)
    assert found is not None
    row = found.row(by_predicate=pl.col("customer_id") == 7, named=True)
    half = (50 * 1.1 ** (-180 / 365) + 50 * 1.1 ** (-1 / 365) + 100 * 1.1 ** (-172 / 365)) * 0.4 / 4
    assert row["probability_alive"] == pytest.approx(1 - 0.25**2)
    assert row["expected_orders_52w"] == pytest.approx(1.5)
    assert row["clv_52w"] == pytest.approx(half * (1 + 1.1 ** (-182 / 365)))


def test_without_enough_customers_to_test_there_are_no_expectations() -> None:
    [row] = computed(orders([(1, AS_OF - 2 * YEAR, 100)])).iter_rows(named=True)
    assert (row["method"], row["withheld_because"], row["holdout_customers"]) == ("rfm_cell", "nothing_to_compare", 0)
    assert {row[name] for name in ("probability_alive", "expected_orders_52w", "clv_52w")} == {None}


def test_resellers_are_valued_and_scored_by_the_margin_of_their_last_twelve_booking_months() -> None:
    sold = orders([(1, date(2013, 6, 30), 900), (1, AS_OF, 50), (2, AS_OF, 10)], "reseller")
    rows = {row["customer_id"]: row for row in computed(sold, [(1, 1, -20), (2, 1, 4)]).iter_rows(named=True)}
    assert (rows[1]["method"], rows[1]["expected_orders_52w"], rows[1]["clv_52w"]) == ("trailing_margin", 1.0, -20.0)
    assert (rows[1]["m_score"], rows[2]["m_score"]) == (3, 5)
    assert (rows[1]["probability_alive"], rows[1]["withheld_because"]) == (None, None)


def test_resellers_without_a_complete_booking_month_have_no_value() -> None:
    [row] = computed(orders([(1, AS_OF, 50)], "reseller")).iter_rows(named=True)
    assert (row["clv_52w"], row["withheld_because"], row["m_score"]) == (None, "no_complete_month", 5)
