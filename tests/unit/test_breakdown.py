"""The parts of a KPI on the dashboard, and the page that a KPI opens."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from adventureworks.dashboard.breakdown import Part, page_of, parts_of

NOW, BEFORE = date(2014, 4, 1), date(2013, 4, 1)
NAMES = {"1": "Northwest", "2": "Northeast"}
ROWS = [
    ("1", NOW, Decimal(30), 3),
    ("2", NOW, Decimal(90), 6),
    ("1", BEFORE, Decimal(40), 5),
    ("7", BEFORE, Decimal(10), 0),
]


def test_the_largest_part_comes_first_and_changes_add_up() -> None:
    parts, total = parts_of(ROWS, NOW, NAMES, is_ratio=False, is_compared=True)
    assert parts == (
        Part("2", "Northeast", Decimal(90), Decimal(0), Decimal("0.75")),
        Part("1", "Northwest", Decimal(30), Decimal(40), Decimal("0.25")),
        Part("7", "7", Decimal(0), Decimal(10), Decimal(0)),
    )
    assert total == Part("", "", Decimal(120), Decimal(50), Decimal(1))
    assert total.change == sum(part.change or 0 for part in parts) == 70


def test_a_ratio_of_a_group_is_that_of_its_sums_and_has_no_share() -> None:
    parts, total = parts_of(ROWS, NOW, NAMES, is_ratio=True, is_compared=True)
    assert parts == (
        Part("2", "Northeast", Decimal(15), None, None),
        Part("1", "Northwest", Decimal(10), Decimal(8), None),
        Part("7", "7", None, None, None),
    )
    assert (total.now, total.year_before, total.share) == (Decimal(120) / 9, Decimal(10), None)


def test_losses_have_no_shares() -> None:
    rows = [("1", NOW, Decimal(100), None), ("2", NOW, Decimal(-115), None)]
    parts, total = parts_of(rows, NOW, NAMES, is_ratio=False, is_compared=False)
    assert [part.share for part in (*parts, total)] == [None, None, None]
    assert total.now == Decimal(-15)


def test_without_a_comparison_only_parts_of_the_month_are_shown() -> None:
    parts, total = parts_of(ROWS, NOW, NAMES, is_ratio=False, is_compared=False)
    assert [(part.key, part.year_before, part.change) for part in (*parts, total)] == [
        ("2", None, None),
        ("1", None, None),
        ("", None, None),
    ]


def test_nothing_sold_has_no_parts() -> None:
    assert parts_of([], NOW, NAMES, is_ratio=False, is_compared=True) == (
        (),
        Part("", "", Decimal(0), Decimal(0), None),
    )


@pytest.mark.parametrize(
    ("mart", "column", "month", "page"),
    [
        ("monthly_profit", "margin", NOW, "figure/margin?month=2014-04"),
        ("product_performance", "margin", NOW, "analysis/product_performance?mart=product_performance"),
        ("monthly_profit", "cogs", NOW, "analysis/financial_reporting?mart=monthly_profit"),
        ("monthly_profit", "margin", None, "analysis/financial_reporting?mart=monthly_profit"),
    ],
)
def test_a_kpi_opens_its_breakdown_or_its_analysis(mart: str, column: str, month: date | None, page: str) -> None:
    assert page_of(mart, column, month) == page
