"""Data quality: what is odd is found, what only looks odd is not, and scores weigh what matters."""

import math
from datetime import date

import polars as pl
import pytest

from adventureworks.marts.quality.data_quality import _with_scores
from adventureworks.marts.quality.data_quality.anomalies import extraordinary
from adventureworks.marts.quality.data_quality.duplicates import probably_twice


def months(count: int) -> list[date]:
    return [date(2011 + place // 12, place % 12 + 1, 1) for place in range(count)]


def seasonal(count: int, growth: float = 1.02) -> dict[date, int]:
    """A business that grows, with a season of a factor of two."""
    return {
        month: round(900 * growth**place * (1.4 + 0.5 * math.sin(2 * math.pi * place / 12)))
        for place, month in enumerate(months(count))
    }


def test_growth_and_a_season_are_no_anomaly() -> None:
    assert extraordinary(seasonal(36)) == []


@pytest.mark.parametrize("factor", [8, 0.1, 0])
def test_a_planted_month_is_found_and_it_alone(factor: float) -> None:
    events = seasonal(36)
    odd = date(2012, 9, 1)
    events[odd] = round(events[odd] * factor)
    assert extraordinary(events) == [odd]


def test_a_month_that_is_missing_is_one_with_nothing() -> None:
    events = seasonal(36)
    del events[date(2013, 2, 1)]
    assert extraordinary(events) == [date(2013, 2, 1)]


def test_the_tested_month_is_left_out_of_what_it_is_compared_with() -> None:
    """However far out it lies, it does not widen its own bounds."""
    for factor in (10, 1_000, 1_000_000):
        events = seasonal(30)
        events[date(2012, 5, 1)] *= factor
        assert extraordinary(events) == [date(2012, 5, 1)]


def test_first_and_last_month_may_be_anything_and_few_months_tell_nothing() -> None:
    events = seasonal(30)
    events[months(30)[0]] = events[months(30)[-1]] = 1
    assert extraordinary(events) == []
    assert extraordinary({date(2014, 1, 1): 5, date(2014, 2, 1): 900, date(2014, 3, 1): 5}) == []
    assert extraordinary({}) == []


def person(number: int, name: str, *contacts: str) -> list[tuple[int, str, str]]:
    return [(number, name, contact) for contact in contacts]


def twice(*rows: list[tuple[int, str, str]]) -> list[tuple[int, int]]:
    return probably_twice(
        pl.DataFrame([row for some in rows for row in some], schema=["person_id", "full_name", "contact"], orient="row")
    )


def test_a_person_who_is_there_twice_is_found() -> None:
    assert twice(
        person(9, "Catherine Abel", "email c@example.com", "phone 1"),
        person(4, "Abel, Catharine", "phone 1", "address high street 1"),
        person(5, "Humberto Acevedo", "phone 2"),
    ) == [(4, 9)]


def test_neither_a_name_nor_an_address_alone_makes_a_duplicate() -> None:
    assert (
        twice(
            person(1, "Jon Yang", "phone 1"),
            person(2, "Jon Yang", "phone 2"),
            person(3, "Ruth Suarez", "address high street 1"),
            person(4, "Christy Zhu", "address high street 1"),
        )
        == []
    )


def test_the_number_of_a_company_makes_nobody_a_duplicate() -> None:
    assert twice(*(person(number, "Jon Yang", "phone of all") for number in range(30))) == []


def test_scores_weigh_errors_more_and_what_is_noted_not_at_all() -> None:
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
