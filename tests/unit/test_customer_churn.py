"""Silence and reorders: bands, cycles, and whether probabilities of another order are published."""

from datetime import date, timedelta

import polars as pl
import pytest

from adventureworks.marts.customers.customer_churn import compute
from adventureworks.marts.customers.customer_churn.reorder import BAND, evaluated, interval, outcomes
from adventureworks.marts.customers.customer_churn.silence import Origin, cycles, silences
from adventureworks.months import shifted

AS_OF = date(2014, 6, 30)
ORIGIN = date(2013, 5, 31)
"""The origin of the published shares: a year before the last complete month, May 2014."""
FIRST_ORIGIN = date(2012, 5, 31)


def days(rows: list[tuple[int, date]], channel: str = "online") -> pl.DataFrame:
    """Return order days from rows of customer id and day; resellers' booking months are those of three days before."""
    delay = timedelta(days=3 if channel == "reseller" else 0)
    return pl.DataFrame(
        [(customer, channel, day, (day - delay).replace(day=1), number) for number, (customer, day) in enumerate(rows)],
        schema={
            "customer_id": pl.Int32,
            "channel": pl.String,
            "order_date": pl.Date,
            "booking_month": pl.Date,
            "last_order_id": pl.Int32,
        },
        orient="row",
    )


def churn(orders: pl.DataFrame, last_month: date = date(2014, 5, 1), delay: int = 0) -> pl.DataFrame:
    months = pl.DataFrame({"channel": orders["channel"][:1], "last_month": [last_month], "delay_days": [delay]})
    return compute({"days": orders, "months": months}.__getitem__, AS_OF).sort("customer_id")


def ordered(number: int, first: int, day: date) -> list[tuple[int, date]]:
    return [(first + customer, day) for customer in range(number)]


def two_similar_years() -> pl.DataFrame:
    """Return 200 new customers before each origin.

    Of the 100 most recent ones 10 order in the year after it, of the others all.
    """
    rows = []
    for first, origin in ((0, FIRST_ORIGIN), (1000, ORIGIN)):
        rows += ordered(100, first, origin - timedelta(days=31)) + ordered(10, first, origin + timedelta(days=100))
        rows += ordered(100, first + 100, origin - timedelta(days=200))
        rows += ordered(100, first + 100, origin + timedelta(days=363))
    return days(rows)


@pytest.mark.parametrize(
    ("silent", "band"),
    [(0, "0-91"), (91, "0-91"), (92, "92-182"), (183, "183-365"), (366, "366-702"), (702, "366-702"), (703, "703+")],
)
def test_online_customers_are_banded_by_days(silent: int, band: str) -> None:
    found = silences(days([(1, AS_OF - timedelta(days=silent))]), "online", Origin(AS_OF, None))
    assert found.select("days_silent", BAND, "missed_cycles").row(0) == (silent, band, None)


def test_resellers_are_banded_by_cycles_of_their_own() -> None:
    april = date(2014, 4, 1)
    waves = {
        1: [-6, -3, 0],  # every three months, up to the last complete one
        2: [-9, -6, -3],  # one quarter missed
        3: [-18, -12],  # every six months: twelve months ago is two cycles
        4: [-11],  # a single wave: the channel's median of three months
        5: [-1, 1],  # an order of a month that is not over
    }
    rows = [(customer, shifted(april, wave + 1)) for customer, found in waves.items() for wave in found]
    found = silences(days(rows, "reseller"), "reseller", Origin(AS_OF, april)).sort("customer_id")
    assert found.select("cycle_months", "missed_cycles", BAND).rows() == [
        (3.0, 0, "0"),
        (3.0, 1, "1"),
        (6.0, 2, "2"),
        (3.0, 3, "3+"),
        (2.0, 0, "0"),
    ]


def test_a_cycle_is_unknown_if_nobody_has_ordered_twice() -> None:
    assert cycles(days([(1, AS_OF), (2, AS_OF)], "reseller"))["cycle_months"].to_list() == [None, None]
    found = churn(days([(1, AS_OF)], "reseller"), date(2014, 4, 1), delay=3)
    assert found.select("silence_band", "status", "withheld_because").row(0) == (None, None, "nothing_to_compare")


def test_two_missed_cycles_are_a_lapse_even_if_no_probability_is_published() -> None:
    rows = [(1, date(2013, 4, 30)), (1, date(2013, 7, 31)), (1, date(2013, 10, 31))]
    found = churn(days(rows, "reseller"), date(2014, 4, 1), delay=3)
    assert found.select("missed_cycles", "status", "reorder_probability_52w").row(0) == (2, "lapsed", None)
    assert found["withheld_because"][0] is not None


def test_shares_that_predicted_the_year_after_them_are_published() -> None:
    found = churn(two_similar_years()).unique(BAND).sort(BAND)
    published = found.select(BAND, "observed_customers", "reorder_probability_52w", "status", "withheld_because")
    assert published.rows() == [
        # The customers who ordered two days before the origin count, too.
        ("0-91", 200, 0.05, "unlikely", None),
        ("183-365", 110, pytest.approx(100 / 110), "likely", None),
        ("366-702", 90, 0.0, "unlikely", None),
        # Nobody had been silent for so long.
        ("703+", 0, None, None, "nothing_to_compare"),
    ]
    assert found["error_model"][0] < min(found["error_baseline"][0], found["error_constant"][0])


@pytest.mark.parametrize(("after", "came"), [(0, False), (1, True), (364, True), (365, False)])
def test_orders_of_the_52_weeks_after_the_origin_count(after: int, came: bool) -> None:
    orders = days([(1, ORIGIN - timedelta(days=500)), (1, ORIGIN + timedelta(days=after))])
    customers = silences(orders, "online", Origin(ORIGIN, None))
    assert outcomes(orders, customers, ORIGIN)["ordered_after"].to_list() == [came]


def observed(rows: list[tuple[str, bool, bool, int]]) -> pl.DataFrame:
    """Return customers from rows of band, whether they ordered before and after the origin, and their number."""
    return pl.DataFrame(
        [(band, before, after) for band, before, after, number in rows for _ in range(number)],
        schema={BAND: pl.String, "ordered_before": pl.Boolean, "ordered_after": pl.Boolean},
        orient="row",
    )


EARLIER = [("0-91", True, True, 60), ("0-91", True, False, 40)]


@pytest.mark.parametrize(
    ("earlier", "later", "reason"),
    [
        # The bands tell apart who orders again.
        (
            [*EARLIER, ("92-182", True, False, 100)],
            [*EARLIER, ("92-182", True, False, 100)],
            None,
        ),
        # They did so only by chance.
        (
            [("0-91", True, True, 100), ("92-182", True, False, 100)],
            [("0-91", False, False, 100), ("92-182", False, True, 60), ("92-182", True, True, 40)],
            "no_better_than_baseline",
        ),
        # Worse than a constant, but better than repeating the year before.
        (
            [*EARLIER, ("92-182", True, True, 40), ("92-182", True, False, 60)],
            [
                ("0-91", False, True, 50),
                ("0-91", True, False, 50),
                ("92-182", False, True, 55),
                ("92-182", True, False, 45),
            ],
            "no_better_than_constant",
        ),
        # Absurd in total.
        (
            [*EARLIER, ("92-182", True, True, 10), ("92-182", True, False, 90)],
            [("92-182", True, True, 2), ("92-182", True, False, 98)],
            "total_is_off",
        ),
        # Nobody ordered, so there is nothing to predict.
        ([("0-91", True, True, 10)], [("0-91", True, False, 10)], "nothing_to_compare"),
        # Nobody was in the same band.
        ([("0-91", True, True, 10)], [("703+", False, True, 10)], "nothing_to_compare"),
    ],
)
def test_probabilities_are_published_only_if_they_predicted_an_unseen_year(
    earlier: list[tuple[str, bool, bool, int]], later: list[tuple[str, bool, bool, int]], reason: str | None
) -> None:
    assert evaluated(observed(earlier), observed(later)).withheld == reason


def test_interval_is_the_published_one_of_wilson() -> None:
    # Brown, Cai and DasGupta (2001): the interval contains the share, also of 0 and of all cases.
    cases = pl.DataFrame({"share": [0.0, 0.5, 1.0], "number": [10, 10, 10]})
    found = cases.select(**interval(pl.col("share"), pl.col("number")))
    assert found.row(0) == pytest.approx((0, 0.2775328), abs=1e-6)
    assert found.row(1) == pytest.approx((0.2365931, 0.7634069), abs=1e-6)
    assert found.row(2) == pytest.approx((0.7224672, 1), abs=1e-6)
