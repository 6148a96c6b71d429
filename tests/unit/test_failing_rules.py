"""The choice of failing rules on the dashboard's page on quality."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adventureworks.dashboard.rules import FailingRule, matching


def rule(table: str, name: str, dimension: str, owner: str) -> FailingRule:
    return FailingRule(table, name, dimension, "error", owner, 200, 3, False, Decimal(0), "")


RULES = (
    rule("Sales_Store", "has_a_name", "completeness", "sales"),
    rule("Sales_Customer", "has_a_name", "validity", "sales"),
    rule("Production_Product", "price_is_positive", "validity", "production"),
)


@pytest.mark.parametrize(
    ("words", "dimension", "owner", "found"),
    [
        ("", "", "", RULES),
        ("NAME", "", "", RULES[:2]),
        ("a name store", "", "", RULES[:1]),
        ("has_a_name", "validity", "", RULES[1:2]),
        ("", "validity", "", RULES[1:]),
        ("", "", "production", RULES[2:]),
        ("", "validity", "nobody", ()),
        ("%", "", "", ()),
    ],
)
def test_rules_match_all_words_and_choices(
    words: str, dimension: str, owner: str, found: tuple[FailingRule, ...]
) -> None:
    assert matching(RULES, words, dimension, owner) == found


def test_the_share_is_of_what_was_checked() -> None:
    assert RULES[0].share == Decimal("0.015")
