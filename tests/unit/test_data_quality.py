"""Data quality: real anomalies and duplicates are found, false ones are not, and scores are weighted by severity."""

import math
from datetime import date

import polars as pl
import pytest

from adventureworks.marts.quality.data_quality import _with_scores
from adventureworks.marts.quality.data_quality.anomalies import anomalous_months
from adventureworks.marts.quality.data_quality.duplicates import probable_duplicates


def months(count: int) -> list[date]:
    return [date(2011 + place // 12, place % 12 + 1, 1) for place in range(count)]


def seasonal(count: int, growth: float = 1.02) -> dict[date, int]:
    """Return monthly events of a growing business with strong seasonality."""
    return {
        month: round(900 * growth**place * (1.4 + 0.5 * math.sin(2 * math.pi * place / 12)))
        for place, month in enumerate(months(count))
    }


def test_growth_and_seasonality_are_not_anomalies() -> None:
    assert anomalous_months(seasonal(36)) == []


@pytest.mark.parametrize("factor", [8, 0.1, 0])
def test_only_the_planted_month_is_found(factor: float) -> None:
    events = seasonal(36)
    planted = date(2012, 9, 1)
    events[planted] = round(events[planted] * factor)
    assert anomalous_months(events) == [planted]


def test_a_missing_month_counts_as_zero_events() -> None:
    events = seasonal(36)
    del events[date(2013, 2, 1)]
    assert anomalous_months(events) == [date(2013, 2, 1)]


def test_a_month_is_not_compared_with_itself() -> None:
    """Even an extreme month does not widen its own bounds."""
    for factor in (10, 1_000, 1_000_000):
        events = seasonal(30)
        events[date(2012, 5, 1)] *= factor
        assert anomalous_months(events) == [date(2012, 5, 1)]


def test_the_first_and_last_month_are_ignored_and_too_few_months_are_not_judged() -> None:
    events = seasonal(30)
    events[months(30)[0]] = events[months(30)[-1]] = 1
    assert anomalous_months(events) == []
    assert anomalous_months({date(2014, 1, 1): 5, date(2014, 2, 1): 900, date(2014, 3, 1): 5}) == []
    assert anomalous_months({}) == []


def person(number: int, name: str, *contacts: str) -> list[tuple[int, str, str]]:
    return [(number, name, contact) for contact in contacts]


def duplicates(*rows: list[tuple[int, str, str]]) -> list[tuple[int, int]]:
    return probable_duplicates(
        pl.DataFrame([row for some in rows for row in some], schema=["person_id", "full_name", "contact"], orient="row")
    )


def test_a_duplicate_person_is_found() -> None:
    assert duplicates(
        person(9, "Catherine Abel", "email c@example.com", "phone 1"),
        person(4, "Abel, Catharine", "phone 1", "address high street 1"),
        person(5, "Humberto Acevedo", "phone 2"),
    ) == [(4, 9)]


def test_neither_a_name_nor_an_address_alone_makes_a_duplicate() -> None:
    assert (
        duplicates(
            person(1, "Jon Yang", "phone 1"),
            person(2, "Jon Yang", "phone 2"),
            person(3, "Ruth Suarez", "address high street 1"),
            person(4, "Christy Zhu", "address high street 1"),
        )
        == []
    )


def test_a_missing_contact_is_not_shared() -> None:
    rows = [(number, "Jon Yang", None) for number in (1, 2)]
    assert probable_duplicates(pl.DataFrame(rows, schema=["person_id", "full_name", "contact"], orient="row")) == []


def test_a_shared_company_number_does_not_make_duplicates() -> None:
    assert duplicates(*(person(number, "Jon Yang", "shared phone") for number in range(30))) == []


def test_scores_weigh_errors_more_than_warnings_and_ignore_info() -> None:
    rules = pl.DataFrame(
        [
            ("T", "a", "validity", "error", 1.0),
            ("T", "b", "validity", "warning", 0.5),
            ("T", "c", "volume", "info", 0.0),
            ("U", "d", "volume", "error", None),
        ],
        schema=["table_name", "rule", "dimension", "severity", "pass_rate"],
        orient="row",
    )
    scored = _with_scores(rules)
    assert scored["table_score"].to_list() == [6 / 7, 6 / 7, 6 / 7, None]
    assert scored["dimension_score"].to_list() == [6 / 7, 6 / 7, None, None]
    assert set(scored["overall_score"]) == {6 / 7}
