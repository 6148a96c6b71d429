"""Campaign uplift: real effects are found, and without anything to compare there is no result."""

import math
import random
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from adventureworks.marts.quality.campaign_performance import affected as affected_by
from adventureworks.marts.quality.campaign_performance import compute, update
from adventureworks.marts.quality.campaign_performance.periods import Periods, compared
from adventureworks.marts.quality.campaign_performance.trial import Predicted, evaluated
from adventureworks.marts.quality.campaign_performance.uplift import Sold, baseline, half_width

products = st.lists(
    st.builds(Sold, st.integers(1, 9), st.integers(1, 500), st.integers(1, 500)), min_size=3, max_size=8
)


@given(products, st.integers(2, 50))
def test_the_baseline_follows_the_untreated_products(untreated: list[Sold], size: int) -> None:
    """If the treated products grow like the others, only at a larger size, there is no uplift."""
    treated = [Sold(one.model, one.before * size, one.during * size) for one in untreated]
    found = baseline(treated, untreated)
    assert found is not None
    assert found.units == pytest.approx(sum(one.during for one in treated))


@given(products, products, st.integers(2, 9))
def test_the_number_of_booking_days_does_not_affect_the_uplift(
    treated: list[Sold], untreated: list[Sold], days: int
) -> None:
    def busier(group: list[Sold]) -> list[Sold]:
        return [Sold(one.model, one.before, one.during * days) for one in group]

    once, more = baseline(treated, untreated), baseline(busier(treated), busier(untreated))
    assert once is not None
    assert more is not None
    assert more.units == pytest.approx(days * once.units)
    assert more.error == pytest.approx(once.error)


def test_the_interval_contains_the_true_effect_about_as_often_as_stated() -> None:
    chance, covered, cases = random.Random(7), 0, 400
    for _ in range(cases):
        growth, effect = chance.uniform(0.5, 2), chance.uniform(0.6, 2.5)

        def line(model: int, factor: float) -> list[Sold]:
            """Return three products of a model, which vary together."""
            change = factor * math.exp(chance.gauss(0, 0.2))
            sizes = [chance.randint(200, 900) for _ in range(3)]
            return [Sold(model, before, round(before * change)) for before in sizes]

        treated = line(0, growth * effect)
        found = baseline(treated, [one for model in range(1, 6) for one in line(model, growth)])
        assert found is not None
        assert found.error is not None
        assert found.freedom is not None
        more = sum(one.during for one in treated) - found.units * effect
        covered += abs(more) <= effect * half_width([(found.units * found.error, found.freedom)])
    assert covered / cases > 0.9


@pytest.mark.parametrize(
    ("treated", "untreated"),
    [
        ([], [Sold(1, 5, 5), Sold(2, 5, 5), Sold(3, 5, 5)]),
        ([Sold(0, 0, 9)], [Sold(1, 5, 5), Sold(2, 5, 5), Sold(3, 5, 5)]),
        ([Sold(0, 5, 9)], []),
        ([Sold(0, 5, 9)], [Sold(1, 5, 5), Sold(2, 5, 5)]),
    ],
)
def test_without_three_products_to_compare_there_is_no_baseline(treated: list[Sold], untreated: list[Sold]) -> None:
    assert baseline(treated, untreated) is None


def test_the_error_of_products_of_one_model_is_unknown() -> None:
    found = baseline([Sold(0, 5, 9)], [Sold(1, 5, 6), Sold(1, 4, 4), Sold(1, 4, 4)])
    assert found is not None
    assert (found.error, found.freedom) == (None, None)


def test_the_error_is_that_between_models_with_the_t_quantile_of_their_effective_number() -> None:
    untreated = [Sold(1, 50, 60), Sold(1, 50, 60), Sold(2, 100, 80), Sold(3, 100, 100)]
    found = baseline([Sold(0, 10, 30)], untreated)
    assert found is not None
    # Growth of the models: 1.2, 0.8 and 1, together 1. The shares of three equal models: a third each.
    assert found.units == pytest.approx(10)
    assert found.error == pytest.approx(math.sqrt((0.2**2 + 0.2**2) / 2 * (1 + 1 / 3)))
    assert found.freedom == pytest.approx(2)
    assert half_width([(10 * 0.1, 2)]) == pytest.approx(4.302652729911275)


def test_periods_are_weeks_online_and_booking_months_for_resellers() -> None:
    first, last = date(2013, 5, 2), date(2013, 6, 30)
    assert Periods.of("online", 0, first, last).before == (date(2013, 3, 7), date(2013, 5, 1))
    # The second of May still belongs to the booking month of April.
    assert Periods.of("reseller", 3, first, last).before == (date(2013, 1, 4), date(2013, 4, 3))
    assert Periods.of("reseller", 3, date(2013, 5, 4), last).before == (date(2013, 2, 4), date(2013, 5, 3))


FIRST, LAST = date(2014, 3, 1), date(2014, 3, 31)


def sales(*rows: tuple[int, int, date, int], **changed: date | None) -> pl.DataFrame:
    """Return online sales from rows of product, offer, day and units; `changed` are dates of product 4."""
    begins, ends = date(2013, 1, 1), None
    return pl.DataFrame(
        [
            {
                "product_id": product,
                "channel": "online",
                "order_date": day,
                "special_offer_id": offer,
                "model_id": product,
                "subcategory_id": 1,
                "category": "Bikes",
                "sell_start_day": changed.get("start", begins) if product == 4 else begins,
                "sell_end_day": changed.get("end", ends) if product == 4 else ends,
                "discontinued_day": changed.get("discontinued", ends) if product == 4 else ends,
                "lines": 1,
                "units": units,
                "revenue": Decimal(10 * units),
                "discount_cost": Decimal(2 * units if offer == 7 else 0),
                "profit": Decimal((1 if offer == 7 else 3) * units),
            }
            for product, offer, day, units in rows
        ],
        schema_overrides={
            "sell_end_day": pl.Date,
            "discontinued_day": pl.Date,
            "revenue": pl.Decimal(38, 6),
            "discount_cost": pl.Decimal(38, 8),
            "profit": pl.Decimal(38, 6),
        },
    )


def sold_by(*products: int) -> list[tuple[int, int, date, int]]:
    """Return ten units before the offer and some more during it, of products that are not on offer."""
    return [
        row
        for product in products
        for row in ((product, 1, FIRST - timedelta(7), 10), (product, 1, LAST, 10 + product))
    ]


@pytest.mark.parametrize(
    "changed",
    [{"start": FIRST - timedelta(55)}, {"end": LAST - timedelta(1)}, {"discontinued": LAST - timedelta(1)}],
    ids=["launched", "withdrawn", "discontinued"],
)
def test_controls_are_on_sale_throughout(changed: dict[str, date]) -> None:
    periods = Periods.of("online", 0, FIRST, LAST)
    for dates, expected in ((dict[str, date](), [2, 3, 4]), (changed, [2, 3])):
        rows = sales(*sold_by(2, 3, 4), (5, 1, LAST, 3), (6, 1, FIRST - timedelta(1), 3), **dates)
        found = compared(rows.with_columns(is_promoted=False), periods)
        assert found.filter("is_control")["product_id"].to_list() == expected


def history(december: int) -> list[tuple[int, int, date, int]]:
    """Return sales before the offer: products 2 to 4 sold twice as many in December as before, product 1 this many."""
    early, late = date(2013, 10, 6), date(2013, 12, 10)
    of_others = [(product, 1, day, units) for product in (2, 3, 4) for day, units in ((early, 10), (late, 20))]
    return [*of_others, (1, 1, early, 10), (1, 1, late, december)]


@dataclass(frozen=True)
class Known:
    """The changes since a version that was computed from fewer sales, perhaps for an earlier business date."""

    sales: pl.DataFrame
    before: pl.DataFrame
    as_of: date
    rows: pl.DataFrame
    inputs: frozenset[str] = frozenset({"fact_sales"})

    def of_orders(self, _name: str, _as_of: date) -> tuple[pl.DataFrame, pl.DataFrame]:
        return self.before.clear(), self.sales[len(self.before) :]

    def published(self) -> pl.DataFrame:
        return self.rows

    def restricted(self, _name: str, _asset: str, column: str, values: list[int], _as_of: date) -> pl.DataFrame:
        return self.sales.filter(pl.col(column).is_in(list(values)))


@pytest.mark.parametrize(
    ("added", "days", "affected"),
    [
        ((3, 1, FIRST, 20), (90, 90), {7}),
        ((1, 7, LAST + timedelta(9), 5), (90, 90), {7}),
        ((3, 1, LAST + timedelta(9), 20), (90, 91), set()),
        ((3, 1, LAST + timedelta(9), 20), (-5, 0), {7}),
    ],
    ids=["during the offer", "late, under the offer", "after the offer", "the offer goes on"],
)
def test_an_update_equals_the_computation_from_all_sales(
    added: tuple[int, int, date, int], days: tuple[int, int], affected: set[int]
) -> None:
    rows = [(1, 1, FIRST - timedelta(7), 10), (1, 7, FIRST, 30), *sold_by(2, 3, 4), *history(december=20)]
    before, after = sales(*rows), sales(*rows, added)
    then, now = (LAST + timedelta(day) for day in days)
    inputs = {
        "offers": pl.DataFrame(
            {
                "special_offer_id": [1, 7],
                "offer_type": ["No Discount", "Seasonal Discount"],
                "first_day": [date(2011, 5, 1), FIRST],
                "last_day": [date(2014, 11, 30), LAST],
            }
        ),
        "delays": pl.DataFrame({"channel": ["online"], "days": [0]}),
        "products": pl.DataFrame({"product_id": [1, 2, 3, 4], "subcategory_id": [1, 1, 1, 1]}),
    }
    published = compute((inputs | {"sales": before}).__getitem__, then)
    changes: Any = Known(after, before, then, published)
    whole = compute((inputs | {"sales": after}).__getitem__, now)
    found = update(inputs.__getitem__, changes, now)
    assert found is not None
    assert_frame_equal(found, whole, check_dtypes=False)
    assert affected_by(inputs.__getitem__, changes, now) == affected


def campaign(*rows: tuple[int, int, date, int]) -> dict[str, Any]:
    """Return the row of an online offer of product 1: 10 units before it, and 30 under it."""
    offers = pl.DataFrame(
        {
            "special_offer_id": [1, 7],
            "offer_type": ["No Discount", "Seasonal Discount"],
            "first_day": [date(2011, 5, 1), FIRST],
            "last_day": [date(2014, 11, 30), LAST],
        }
    )
    inputs = {
        "offers": offers,
        "delays": pl.DataFrame({"channel": ["online"], "days": [0]}),
        "sales": sales((1, 1, FIRST - timedelta(7), 10), (1, 7, FIRST, 30), *rows),
    }
    return compute(inputs.__getitem__, date(2014, 6, 30)).row(by_predicate=pl.col("special_offer_id") == 7, named=True)


def test_a_return_is_given_with_its_interval() -> None:
    row = campaign(*sold_by(2, 3, 4), *history(december=20))
    assert (row["method"], row["control_products"], row["withheld_because"]) == ("difference_in_differences", 3, None)
    assert row["baseline_units"] == pytest.approx(13)
    assert row["incremental_units"] == pytest.approx(17)
    # 30 units with a profit of 1, instead of 13 with a profit of 3; the discount was 2 a unit.
    assert row["incremental_profit"] == pytest.approx(-9)
    assert row["roi"] == pytest.approx(-9 / 60)
    units = row["incremental_units_upper_95"] - row["incremental_units"]
    assert units == pytest.approx(4.302652729911275 * 13 * math.sqrt((1 / 13) ** 2 * 4 / 3))
    assert row["incremental_profit"] - row["incremental_profit_lower_95"] == pytest.approx(3 * units)
    assert row["roi_upper_95"] - row["roi"] == pytest.approx(3 * units / 60)


def test_two_controls_are_too_few_to_compare_with() -> None:
    row = campaign(*sold_by(2, 3))
    assert row["method"] == "no_comparison"
    assert {row[name] for name in ("control_products", "baseline_units", "incremental_units", "roi")} == {None}


def test_a_baseline_is_tested_on_earlier_periods_of_the_same_products() -> None:
    """February from December and January, December from October and November; nobody sold anything in January."""
    row = campaign(*sold_by(2, 3, 4), *history(december=20))
    assert row["tested_periods"] == 2
    # 10 units in February and 20 in December, as the growth of the others says. The days are those of the periods.
    assert row["error_model"] == pytest.approx(0)
    assert row["error_baseline"] == pytest.approx((abs(20 * 28 / 56 - 10) + abs(10 * 31 / 56 - 20)) / 30)
    assert row["error_constant"] == pytest.approx((abs(30 * 28 / 118 - 10) + abs(10 * 31 / 56 - 20)) / 30)
    assert row["predicted_over_actual"] == pytest.approx(1)


def test_the_test_of_a_baseline_uses_nothing_that_came_with_the_offer_or_later() -> None:
    known = campaign(*sold_by(2, 3, 4), *history(december=20))
    later = [(product, 1, day, 50) for product in (1, 2, 3, 4) for day in (FIRST, LAST, LAST + timedelta(30))]
    changed = campaign(*sold_by(2, 3, 4), *history(december=20), *later)
    tested = ("tested_periods", "error_model", "error_baseline", "error_constant", "predicted_over_actual")
    assert [changed[name] for name in tested] == [known[name] for name in tested]
    assert changed["baseline_units"] != known["baseline_units"]


def test_an_effect_whose_baseline_failed_its_test_is_withheld() -> None:
    row = campaign(*sold_by(2, 3, 4), *history(december=5))
    assert (row["method"], row["withheld_because"]) == ("difference_in_differences", "no_better_than_baseline")
    assert {value for name, value in row.items() if name.startswith(("control", "baseline", "incremental", "roi"))} == {
        None
    }


@pytest.mark.parametrize(
    ("predicted", "reason"),
    [
        ([(90, 80, 70)], None),
        ([(120, 120, 130)], "no_better_than_baseline"),
        ([(60, 50, 70)], "no_better_than_constant"),
        ([(49, 40, 30)], "total_is_off"),
        ([(201, 250, 300)], "total_is_off"),
        ([], "nothing_to_compare"),
    ],
)
def test_a_baseline_that_predicted_earlier_periods_badly_is_refused(
    predicted: list[tuple[float, float, float]], reason: str | None
) -> None:
    assert evaluated([[Predicted(FIRST, *rules, 100) for rules in predicted]]).withheld_because == reason


def test_a_baseline_that_could_not_be_tested_in_every_part_is_refused() -> None:
    found = evaluated([[Predicted(FIRST, 90, 80, 70, 100)], []])
    assert (found.tested_periods, found.error_model, found.withheld_because) == (1, None, "nothing_to_compare")
