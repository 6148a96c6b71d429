"""Data quality: real anomalies and duplicates are found, false ones are not, and scores show the rules that fail."""

import math
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from adventureworks.marts.quality.data_quality import _sides, _with_scores, counted_on, losses
from adventureworks.marts.quality.data_quality.anomalies import anomalous_months, depleted_months
from adventureworks.marts.quality.data_quality.duplicates import probable_duplicates

FIRST_DAY = datetime(2013, 7, 31)


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


def scored(*rules: tuple[str, str, str, str, int, int]) -> pl.DataFrame:
    """Return rules, given as table, rule, dimension, severity, checked and failed, with their scores."""
    names = ["table_name", "rule", "dimension", "severity", "checked", "failed"]
    frame = pl.DataFrame(rules, schema=names, orient="row")
    rate = 1 - pl.col("failed") / pl.col("checked")
    return _with_scores(frame.with_columns(pass_rate=pl.when(pl.col("checked") > 0).then(rate)))


def test_the_overall_score_is_the_share_of_business_rules_that_pass() -> None:
    found = scored(
        ("Sales_Customer", "is_a_person_or_a_store", "completeness", "warning", 10, 1),
        ("Sales_SalesOrderHeader", "subtotal_is_the_sum_of_the_lines", "consistency", "error", 10, 0),
        ("Sales_SalesOrderHeader", "monthly_volume_is_usual", "volume", "warning", 36, 0),
        ("Person_Person", "person_is_there_once", "uniqueness", "warning", 10, 0),
        # Technical, of a mart, only recorded, or with nothing to check.
        ("Sales_Customer", "rows_keep_the_contract", "validity", "error", 10, 0),
        ("Sales_Customer", "key_is_unique", "uniqueness", "error", 10, 0),
        ("Sales_Customer", "is_fresh", "freshness", "error", 1, 1),
        ("daily_sales", "sums_are_those_of_the_lines", "consistency", "error", 10, 0),
        ("Production_Product", "finished_product_has_a_weight", "completeness", "info", 10, 10),
        ("Production_Product", "list_price_covers_the_cost", "validity", "warning", 0, 0),
    )
    assert set(found["overall_score"]) == {3 / 4}
    assert found["is_business_rule"].to_list() == [True] * 4 + [False] * 5 + [True]


def test_the_score_of_a_table_is_that_of_its_worst_rule_that_counts() -> None:
    found = scored(
        ("T", "a", "validity", "error", 100, 0),
        ("T", "b", "validity", "warning", 100, 10),
        ("T", "c", "volume", "warning", 100, 25),
        ("T", "d", "volume", "info", 100, 100),
        ("U", "e", "volume", "error", 0, 0),
    )
    assert found["table_score"].to_list() == [0.75, 0.75, 0.75, 0.75, None]
    assert found["dimension_score"].to_list() == [0.9, 0.9, 0.75, 0.75, None]
    assert found["overall_score"].to_list() == [None] * 5, "there is no business rule"


def test_a_rule_is_systematic_if_everything_that_was_checked_breaks_it() -> None:
    found = scored(
        ("T", "all of many", "validity", "warning", 30_334, 30_334),
        ("T", "all but one", "validity", "warning", 30_334, 30_333),
        ("T", "not a count of rows", "freshness", "error", 1, 1),
        ("T", "nothing to check", "validity", "warning", 0, 0),
    )
    assert found["systematic"].to_list() == [True, False, False, False]


WAVES = [38, 75, 60, 40, 90, 63, 40, 79, 64, 37, 85, 68]
"""Orders of resellers by month, which repeat each quarter."""


@pytest.mark.parametrize("place", range(len(WAVES)))
def test_half_of_a_wave_is_missed_at_the_ends_too_and_only_there(place: int) -> None:
    events = dict(zip(months(len(WAVES)), WAVES, strict=True))
    assert depleted_months(events, 3) == []
    events[months(len(WAVES))[place]] //= 2
    assert depleted_months(events, 3) == [months(len(WAVES))[place]]


def test_a_lasting_change_of_sales_is_no_loss() -> None:
    for sizes in ([100] * 6 + [400] * 6, [400] * 6 + [100] * 6):
        found = depleted_months(dict(zip(months(12), sizes, strict=True)), 1)
        assert found == [], sizes


def test_small_numbers_may_vary() -> None:
    assert depleted_months(dict(zip(months(5), [9, 8, 4, 9, 8], strict=True)), 1) == []


def test_a_month_without_orders_has_lost_them() -> None:
    events = dict.fromkeys(months(6), 40)
    del events[months(6)[3]]
    assert depleted_months(events, 1) == [months(6)[3]]


def test_rows_that_were_set_aside_are_not_lost() -> None:
    frames = {
        "set_aside": pl.DataFrame({"table_name": ["Sales_SalesOrderDetail"], "failed": [3]}),
        "numbers": missing("Sales_SalesOrderDetail", "numbers_are_consecutive", 5).drop("first_key", "last_key"),
        "gaps": pl.DataFrame({"table_name": ["Sales_SalesOrderDetail"], "first_key": ["7"], "last_key": ["7"]}),
        "movements": moved("movement_has_its_line", FIRST_DAY, 3),
        "beginnings": pl.DataFrame({"first_movement": [FIRST_DAY], "first_order": [FIRST_DAY]}),
        "orders": pl.DataFrame(schema={"channel": pl.String, "month": pl.Date, "orders": pl.Int64}),
    }
    assert [(rule["rule"], rule["failed"], rule["sample_keys"]) for rule in losses(frames.__getitem__)] == [
        ("numbers_are_consecutive", 2, "ID=7"),
        ("line_has_its_movement", 0, ""),
        ("movement_has_its_line", 0, ""),
        ("months_have_their_orders", 0, ""),
    ]


def test_only_rows_from_the_first_counterpart_on_are_checked() -> None:
    found = pl.concat([moved("line_has_its_movement", FIRST_DAY + timedelta(day), 1) for day in (-1, 0, 5)])
    [rule, _] = _sides(found, {"first_movement": FIRST_DAY, "first_order": None})
    assert (rule["checked"], rule["failed"]) == (200, 2)
    [rule, _] = _sides(found, {"first_movement": None, "first_order": None})
    assert (rule["checked"], rule["failed"]) == (0, 0)


@pytest.mark.parametrize(
    ("failed", "keys", "before", "now", "expected"),
    [
        (3, "ID=4; ID=9", (10, 0), (11, 1, 2, 2), (101, 4, "ID=2; ID=9")),
        (3, "ID=4; ID=9", (10, 1, 7, 7), (10, 0), (100, 2, "ID=4; ID=9")),
        (3, "ID=4; ID=9", (10, 1, 9, 9), (10, 0), None),
        (3, "ID=4; ID=9", (10, 3, 4, 9), (10, 1, 5, 5), (100, 1, "ID=5")),
        (0, "", (10, 1, 5, 5), (10, 0), None),
    ],
    ids=["another row", "one between", "the last one", "all of them", "contradiction"],
)
def test_a_rule_is_counted_on_unless_the_row_that_shows_it_is_repaired(
    failed: int, keys: str, before: tuple[int, ...], now: tuple[int, ...], expected: tuple[int, int, str] | None
) -> None:
    def found(checked: int, failed: int, *ends: int) -> dict[str, Any]:
        row = missing("T", "a_rule", failed).row(0, named=True)
        first, last = (str(key) for key in ends) if ends else (None, None)
        return row | {"checked": checked, "first_key": first, "last_key": last}

    previous = {"checked": 100, "failed": failed, "sample_keys": keys}
    rule = counted_on(previous, found(*before), found(*now))
    assert (rule and (rule["checked"], rule["failed"], rule["sample_keys"])) == expected


def moved(rule: str, happened: datetime, failed: int) -> pl.DataFrame:
    """Return the result of the SELECT of movements for one moment."""
    row = {"rule": rule, "happened": happened, "checked": 100, "failed": failed, "first_key": 7, "last_key": 7}
    return pl.DataFrame([row])


def missing(table: str, rule: str, failed: int) -> pl.DataFrame:
    """Return the result of a SELECT about missing rows."""
    names = ["table_name", "rule", "dimension", "severity", "checked", "failed", "key_name", "first_key", "last_key"]
    row = (table, rule, "completeness", "warning", 100, failed, "ID", "7", "7")
    return pl.DataFrame([row], schema=names, orient="row")
