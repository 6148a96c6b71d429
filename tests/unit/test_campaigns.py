"""Campaign uplift: real effects are found, and without anything to compare there is no result."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adventureworks.marts.quality.campaign_performance.uplift import NORMAL_95, Sold, baseline

products = st.lists(st.builds(Sold, st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=8)


@given(products, st.integers(2, 50))
def test_the_baseline_follows_the_untreated_products(untreated: list[Sold], size: int) -> None:
    """If the treated products grow like the others, only at a larger size, there is no uplift."""
    treated = [Sold(sold.before * size, sold.during * size) for sold in untreated]
    found = baseline(treated, untreated)
    assert found is not None
    assert found.units == pytest.approx(sum(sold.during for sold in treated))


@given(products, products, st.integers(2, 9))
def test_the_number_of_booking_days_does_not_affect_the_uplift(
    treated: list[Sold], untreated: list[Sold], days: int
) -> None:
    def busier(group: list[Sold]) -> list[Sold]:
        return [Sold(sold.before, sold.during * days) for sold in group]

    once, more = baseline(treated, untreated), baseline(busier(treated), busier(untreated))
    assert once is not None
    assert more is not None
    assert more.units == pytest.approx(days * once.units)


def test_the_interval_contains_the_true_effect_about_as_often_as_stated() -> None:
    chance, covered, cases = random.Random(7), 0, 400
    for _ in range(cases):
        growth, effect = chance.uniform(0.5, 2), chance.uniform(0.6, 2.5)

        def product(factor: float) -> Sold:
            before = chance.randint(200, 900)
            return Sold(before, round(before * factor * math.exp(chance.gauss(0, 0.2))))

        treated = [product(growth * effect) for _ in range(9)]
        found = baseline(treated, [product(growth) for _ in range(9)])
        assert found is not None
        assert found.variance is not None
        true = sum(sold.before for sold in treated) * growth
        covered += abs(found.units - true) <= NORMAL_95 * math.sqrt(found.variance)
    assert covered / cases > 0.9


@pytest.mark.parametrize(
    ("treated", "untreated"),
    [
        ([], [Sold(5, 5)]),
        ([Sold(0, 9)], [Sold(5, 5)]),
        ([Sold(5, 9)], []),
        ([Sold(5, 9)], [Sold(0, 5)]),
        ([Sold(5, 9)], [Sold(5, 0)]),
    ],
)
def test_without_anything_to_compare_there_is_no_baseline(treated: list[Sold], untreated: list[Sold]) -> None:
    assert baseline(treated, untreated) is None


def test_the_variance_of_a_single_product_is_unknown() -> None:
    found = baseline([Sold(5, 9)], [Sold(5, 6), Sold(4, 4)])
    assert found is not None
    assert found.variance is None
