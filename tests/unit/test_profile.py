"""Decisions about the shape of a change: faults are found with both figures, and business changes pass."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adventureworks.gate import profile, profiling
from adventureworks.gate.profile import Cell, Distance, Emptied, Finding, Group, Groups, Order, Paired, Profile, Values

NEWEST = date(2014, 5, 31)


def groups(*all_of: Group) -> Groups:
    return {(one.segment, one.value): one for one in all_of}


def group(rows: int, filled: int, segment: str = "", value: str | None = None) -> Group:
    return Group(segment, value, rows, {"SalesPersonID": Values(filled)})


def rules_and_outcomes(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(one.rule, one.outcome) for one in findings]


def test_an_emptied_segment_is_reported_with_both_figures() -> None:
    published = groups(group(31_465, 3_806), group(3_806, 3_806, "OnlineOrderFlag", "false"))
    changed = groups(group(227, 0), group(179, 0, "OnlineOrderFlag", "false"))
    (found,) = profile.emptied(["OnlineOrderFlag", "SalesPersonID"], published, changed)
    finding = profile.emptied_finding(found, [Profile("SalesPersonID", 31_465, 27_659, 27_659)] * 5)
    assert finding.outcome == "warn"
    assert finding.message == (
        "SalesPersonID is empty in 100 % of 179 changed rows where OnlineOrderFlag is false; in 0 % of the 3,806"
        " published ones (87.9 % of the whole table in the last 5 versions)"
    )


@pytest.mark.parametrize(
    ("published", "changed"),
    [
        (group(10, 10), group(40, 0)),  # too little is published
        (group(500, 500), group(19, 0)),  # too little changes
        (group(500, 300), group(40, 0)),  # it is often empty
        (group(500, 500), group(40, 30)),  # most of it is filled
    ],
)
def test_few_rows_or_usual_blanks_do_not_count_as_emptied(published: Group, changed: Group) -> None:
    assert profile.emptied(["SalesPersonID"], groups(published), groups(changed)) == []


@pytest.mark.parametrize(
    ("cell", "explained"),
    [
        (Cell("Status", 0, 0, 40, novel=True), True),  # the first orders that are not shipped yet
        (Cell("Status", 30, 30, 40, novel=True), True),  # orders of that status never had a date
        (Cell("Status", 5_000, 3, 40, novel=True), False),
        (Cell("TerritoryID", 0, 0, 40, novel=False), False),  # emptied itself
    ],
)
def test_a_new_or_usually_empty_category_explains_blanks(cell: Cell, explained: bool) -> None:
    found = Emptied("ShipDate", group(40, 0), 40, 40, 0, 5_000)
    assert profile.is_explained(found, [cell]) is explained


def paired(rows: int, **given: dict) -> Paired:
    return Paired(rows, **({"filled": {}, "emptied": {}, "swapped": {}, "swappable": {}} | given))


@pytest.mark.parametrize(
    ("before", "rows", "cleared", "whole", "expected"),
    [
        (0, 60, 0, True, "fail"),
        (0, 100, 100, False, "fail"),
        (0, 100, 99, False, "warn"),
        (0, 100, 0, False, "warn"),  # new rows may lack what earlier rows had
        (50, 100, 100, True, "warn"),  # it was not always filled
    ],
)
def test_an_emptied_segment_blocks_if_updates_emptied_it(
    before: int, rows: int, cleared: int, whole: bool, expected: str
) -> None:
    found = Emptied("SalesPersonID", group(rows, 0), rows, rows, before, 500)
    assert profile.emptied_finding(found, [], cleared=cleared, whole=whole).outcome == expected


@pytest.mark.parametrize(
    ("rows", "updated", "blanks", "expected"),
    [
        (17, 17, 0, ["fail"]),  # the whole table
        (14, 14, 0, []),
        (14, 14, 3, ["warn"]),  # all its values
        (9, 9, 8, []),
        (0, 14, 3, []),
    ],
)
def test_updates_that_empty_a_column_of_a_small_table(
    rows: int, updated: int, blanks: int, expected: list[str]
) -> None:
    history = {"TerritoryID": [Profile("TerritoryID", 17, blanks, blanks)]}
    change = paired(updated, filled={"TerritoryID": rows}, emptied={"TerritoryID": rows})
    assert [finding.outcome for _, finding in profile.emptied_by_updates(change, history)] == expected


@pytest.mark.parametrize(("rows", "expected"), [(19, []), (20, ["warn"]), (99, ["warn"]), (100, ["fail"])])
def test_updates_that_empty_a_column_in_part_of_a_table(rows: int, expected: list[str]) -> None:
    history = {"TerritoryID": [Profile("TerritoryID", 10_000, 0, 0)]}
    change = paired(rows, filled={"TerritoryID": rows}, emptied={"TerritoryID": rows})
    assert [finding.outcome for _, finding in profile.emptied_by_updates(change, history)] == expected


@pytest.mark.parametrize(
    ("rows", "kept", "numbers", "expected"),
    [
        (3_806, 3_806, (), "fail"),
        (3_806, 3_806, ("SalesPersonID",), "warn"),
        (3_000, 3_806, (), "warn"),
        (99, 99, (), "warn"),
    ],
)
def test_losing_all_values_of_an_often_empty_column_is_reported(
    rows: int, kept: int, numbers: tuple[str, ...], expected: str
) -> None:
    history = {"SalesPersonID": [Profile("SalesPersonID", 31_465, 31_465 - kept, 31_465 - kept)]}
    change = paired(rows, filled={"SalesPersonID": rows}, emptied={"SalesPersonID": rows})
    ((_, finding),) = profile.emptied_by_updates(change, history, (), numbers)
    assert finding.outcome == expected


def test_a_column_that_was_as_empty_in_a_recent_version_is_not_reported() -> None:
    history = {"OnOrderQty": [Profile("OnOrderQty", 100, 10, 10), Profile("OnOrderQty", 100, 100, 100)]}
    change = paired(90, filled={"OnOrderQty": 90}, emptied={"OnOrderQty": 90})
    assert list(profile.emptied_by_updates(change, history)) == []


TAX = ("TaxAmt", "Freight")


@pytest.mark.parametrize(
    ("swapped", "of", "table", "expected"),
    [
        (19, 19, 1_000, []),
        (20, 20, 1_000, ["warn"]),
        (49, 49, 1_000, ["warn"]),
        (50, 50, 1_000, ["fail"]),
        (50, 60, 1_000, ["warn"]),
        (5, 5, 5, ["warn"]),  # all of a small table
        (4, 5, 5, []),
        (2, 2, 2, []),
    ],
)
def test_a_swap_is_reported_only_for_several_rows(swapped: int, of: int, table: int, expected: list[str]) -> None:
    found = profile.exchanged(paired(of, swapped={TAX: swapped}, swappable={TAX: of}), table)
    assert [one.outcome for one in found] == expected


@pytest.mark.parametrize(
    ("rows", "had", "expected"),
    [
        (4_012, 0, ["fail"]),
        (4_012, 3_000, ["warn"]),  # many rows had that value before
        (900, 0, ["warn"]),  # a part of the table
        (500, 0, []),
    ],
)
def test_a_column_that_collapses_to_one_value(rows: int, had: int, expected: list[str]) -> None:
    found = profile.collapsed(paired(rows, kinds={"Color": (3, 1)}), {"Color": 4_012}, lambda column: had)
    assert [one.outcome for one in found] == expected


@pytest.mark.parametrize(
    ("rows", "before", "expected"), [(900, 20, ["warn"]), (899, 20, []), (1_000, 19, []), (1_000, 400, ["warn"])]
)
def test_quantities_collapse_only_if_many_values_become_one(rows: int, before: int, expected: list[str]) -> None:
    change = paired(rows, kinds={"Quantity": (before, 1)})
    found = profile.collapsed(change, {"Quantity": 1_000}, lambda column: 0, {"Quantity"})
    assert [one.outcome for one in found] == expected


def test_only_filled_rows_count_for_a_collapse() -> None:
    change = paired(20_000, filled={"StoreID": 1_336}, kinds={"StoreID": (700, 1)})
    (finding,) = profile.collapsed(change, {"StoreID": 1_336}, lambda column: 2)
    assert finding.outcome == "fail"
    assert finding.failed == 1_336


@pytest.mark.parametrize(
    ("way", "rows", "of", "expected"),
    [
        (profile.QUESTION_MARKS, 20, 20, ["fail"]),
        (profile.SHORTER, 20, 22, ["warn"]),
        (profile.NO_ZEROS, 500, 500, ["warn"]),
        (profile.REFORMATTED, 19, 19, []),
        (profile.SHORTER, 20, 23, []),  # the other texts were rewritten
    ],
)
def test_texts_changed_by_a_program(way: str, rows: int, of: int, expected: list[str]) -> None:
    change = paired(of, altered={"City": of}, rewritten={"City": {"is untouched": 0, way: rows}})
    findings = list(profile.rewritten(change))
    assert rules_and_outcomes(findings) == [("values_keep_their_format", outcome) for outcome in expected]
    assert all(f"City {way} in {rows} of {of} updated rows" in one.message for one in findings)


@pytest.mark.parametrize(
    ("rows", "of", "kinds", "expected"),
    [(50, 50, 20, ["fail"]), (49, 49, 20, ["warn"]), (50, 53, 20, []), (19, 19, 20, []), (500, 500, 19, [])],
)
def test_numbers_in_another_unit(rows: int, of: int, kinds: int, expected: list[str]) -> None:
    change = paired(of, altered={"Rate": of}, scaled={"Rate": {"10 times": 1, "100 times": rows}})
    findings = list(profile.scaled(change, lambda column: kinds))
    assert [one.outcome for one in findings] == expected
    assert all("Rate is exactly 100 times what it was" in one.message for one in findings)


@pytest.mark.parametrize(
    ("kinds", "unmatched", "found"), [(1_000, 1, True), (20, 20, True), (19, 0, False), (1_000, 21, False)]
)
def test_values_that_moved_to_other_rows(kinds: int, unmatched: int, found: bool) -> None:
    change = paired(1_000, altered={"LastName": 930, "Title": 499})
    assert profile.may_have_moved(change) == ["LastName"]
    finding = profile.moved(change, "LastName", kinds, unmatched)
    assert (finding is not None) == found
    assert finding is None or finding.outcome == "warn"


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ((50, 0), (20, 20), True),  # a shift of time zones
        ((50, 50), (20, 0), True),  # truncated to the day
        ((49, 0), (20, 20), False),
        ((50, 0), (40, 19), False),
        ((50, 20), (20, 20), False),
        ((50, 50), (20, 1), False),
    ],
)
def test_dates_that_gain_or_lose_a_time_of_day(before: tuple[int, int], now: tuple[int, int], found: bool) -> None:
    findings = profile.times_of_day({"OrderDate": profile.Times(*before)}, {"OrderDate": profile.Times(*now)})
    assert rules_and_outcomes(findings) == [("values_keep_their_format", "warn")] * found


@pytest.mark.parametrize(
    ("published", "left", "found"), [(1_069, 641, True), (400, 379, True), (400, 380, False), (1_000, 960, False)]
)
def test_a_table_without_months_that_shrinks(published: int, left: int, found: bool) -> None:
    assert rules_and_outcomes(profile.shrunk(published, left, 0.05)) == [("few_rows_are_deleted", "warn")] * found


@pytest.mark.parametrize(
    ("rows", "gone", "left", "total", "found"),
    [
        (102, 102, 0, 13_811, True),
        (102, 97, 5, 13_811, True),
        (102, 96, 6, 13_811, False),
        (102, 102, 102, 13_811, False),  # the rows came back under new keys
        (19, 19, 0, 13_811, False),
        (102, 102, 0, 105, False),  # all of the table
    ],
)
def test_a_segment_that_loses_all_its_rows(rows: int, gone: int, left: int, total: int, found: bool) -> None:
    key = ("OrderDate", "2014-05-14")
    findings = list(profile.cleared({key: rows}, {key: left}, {key: gone}, total))
    assert rules_and_outcomes(findings) == [("segments_keep_occurring", "warn")] * found
    assert all("where OrderDate is 2014-05-14 are gone" in one.message for one in findings)


def test_a_few_amounts_may_become_zero_but_not_many() -> None:
    for rows, expected in ((60, "warn"), (100, "fail")):
        history = {"SalesYTD": [Profile("SalesYTD", rows, 0, 0)]}
        change = paired(rows, filled={"SalesYTD": rows}, emptied={"SalesYTD": rows})
        ((_, finding),) = profile.emptied_by_updates(change, history, {"SalesYTD"})
        assert finding.outcome == expected


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((9_000, 0, 1.16), (0, 50, -1.16), [("columns_are_not_swapped", "fail")]),
        ((9_000, 0, 1.16), (0, 40, -1.16), [("columns_are_not_swapped", "warn")]),
        ((9_000, 0, 1.16), (0, 19, -1.16), []),
        ((9_000, 0, 0.05), (0, 60, -0.05), [("columns_are_not_swapped", "warn")]),  # a price rise
        ((9_000, 0, 0.0), (0, 60, 0.0), []),  # dates that differ in their time of day
        ((9_000, 0, 1.16), (0, 40, -0.1), []),  # a different ratio is not a swap
        ((5_000, 4_000, 0.1), (0, 40, -0.1), []),  # neither was always larger
        ((40, 0, 1.16), (0, 40, -1.16), []),  # too few published rows
        ((9_000, 0, 1.16), (40, 0, 1.16), []),
    ],
)
def test_columns_that_are_swapped_in_new_rows(
    before: tuple[int, int, float], now: tuple[int, int, float], expected: list[tuple[str, str]]
) -> None:
    """`before` and `now`: rows in which the first column is larger, smaller, and the mean logarithm of the ratio."""
    published, changed = (
        groups(Group("", None, larger + smaller, {}, {TAX: Order(larger, smaller)}))
        for larger, smaller, _ in (before, now)
    )
    found = profile.mirrored(published, changed, lambda *_: (Distance(before[2]), Distance(now[2])))
    assert rules_and_outcomes(found) == expected


def rates(factor: float = 1.0) -> Groups:
    return groups(
        Group("", None, 2_000, {"AverageRate": Values(2_000, 0.8 * factor, 130 * factor)}),
        Group("ToCurrencyCode", "EUR", 1_000, {"AverageRate": Values(1_000, 0.8 * factor, 1.2 * factor)}),
        Group("ToCurrencyCode", "JPY", 1_000, {"AverageRate": Values(1_000, 100 * factor, 130 * factor)}),
    )


def test_a_value_far_outside_its_category_is_reported_with_both_figures() -> None:
    now = groups(Group("ToCurrencyCode", "EUR", 1, {"AverageRate": Values(1, 101.0, 101.0)}))
    (leap,) = profile.leaps(rates(), now)
    finding = profile.leap_finding(leap, 1)
    assert finding is not None
    assert (finding.rule, finding.outcome) == ("values_stay_in_range", "fail")
    assert "AverageRate is 84.2 times beyond the largest value of 1,000 published rows" in finding.message
    assert "where ToCurrencyCode is EUR (101 against 1.2)" in finding.message
    hidden = profile.leap_finding(leap, 1, shown=False)
    assert hidden is not None
    assert "101" not in hidden.message


@pytest.mark.parametrize(
    ("factor", "tight", "rows", "expected"),
    [(50, True, 1, "fail"), (49, True, 20, "warn"), (49, True, 19, None), (1e6, False, 20, "warn")],
)
def test_only_an_absurd_value_of_a_tight_category_blocks(
    factor: float, tight: bool, rows: int, expected: str | None
) -> None:
    found = profile.leap_finding(profile.Leap("AverageRate", group(100, 100), factor, 1.0, 100, tight), rows)
    assert (found.outcome if found else None) == expected


@given(st.floats(0.25, 4.0))
def test_small_movements_of_a_currency_are_not_reported(factor: float) -> None:
    assert profile.leaps(rates(), rates(factor)) == []


@given(st.floats(8.0, 1e6), st.booleans())
def test_every_leap_of_a_currency_is_reported(factor: float, upward: bool) -> None:
    found = profile.leaps(rates(), rates(factor if upward else 1 / factor))
    assert [one.column for one in found] == ["AverageRate"]


@pytest.mark.parametrize(
    ("inserted", "repeated", "published", "again", "usual", "expected"),
    [
        (31_465, 31_465, 31_465, 31_465, 0, ["fail"]),
        (50, 50, 50, 50, 0, ["fail"]),
        (49, 49, 49, 49, 0, ["warn"]),
        (454, 227, 28_115, 0, 0, ["warn"]),  # every row of a day is duplicated
        (500, 500, 100, 5, 0, ["warn"]),  # a few rows are repeated many times
        (38, 19, 5_000, 0, 0, []),
        (5, 5, 5, 5, 0, []),
        (454, 227, 28_115, 0, 0.5, []),  # duplicates are usual
        (454, 20, 28_115, 20, 0, []),
        (900, 0, 0, 0, 0, []),  # a source that renumbers its rows
    ],
)
def test_rows_that_are_duplicated_under_new_keys(
    inserted: int, repeated: int, published: int, again: int, usual: float, expected: list[str]
) -> None:
    found = profile.duplicated(inserted, repeated, published, again, usual)
    assert [one.outcome for one in found] == expected


def business(silent_days: int, partial: float = 1.0) -> dict[str, dict[date, dict[str, int]]]:
    """Half a year of orders: two territories, of which the second ends early, and resellers once a month."""
    days = {}
    for back in range(180):
        day = NEWEST - timedelta(days=back)
        share = partial if back == 0 else 1.0
        days[day] = {"1": int(40 * share)} | ({} if back < silent_days else {"2": int(20 * share)})
    resellers = {
        day: {"true": sum(rows.values())} | ({"false": 100} if day.day == 1 else {}) for day, rows in days.items()
    }
    return {"TerritoryID": days, "OnlineOrderFlag": resellers}


@pytest.mark.parametrize(("silent_days", "found"), [(0, False), (1, False), (3, True), (7, True)])
def test_a_territory_without_recent_orders_is_reported(silent_days: int, found: bool) -> None:
    findings = list(profile.silent(business(silent_days), NEWEST))
    assert rules_and_outcomes(findings) == [("segments_keep_occurring", "warn")] * found
    assert all("TerritoryID 2 has none of" in one.message for one in findings)


@given(st.floats(0.0, 1.0))
def test_an_unfinished_day_is_not_reported(share: float) -> None:
    assert list(profile.silent(business(0, partial=share), NEWEST)) == []


def test_a_category_that_loses_all_its_rows_to_others_is_reported() -> None:
    published = groups(
        Group("", None, 1_000, {}), Group("TerritoryID", "4", 500, {}), Group("TerritoryID", "5", 500, {})
    )
    changed = groups(Group("", None, 500, {}), Group("TerritoryID", "4", 500, {}))
    (finding,) = profile.vanished(published, {("TerritoryID", "5"): 500}, changed, ["TerritoryID"])
    assert finding.message == "TerritoryID is 5 in 0 rows after the change; in 500 of 1,000 published ones"


def test_every_rule_has_a_dimension() -> None:
    assert profiling._DIMENSIONS.keys() == set(get_args(profile.ShapeRule))


def test_the_values_of_a_new_category_are_not_reported() -> None:
    now = groups(
        Group("", None, 30, {"AverageRate": Values(30, 4_000.0, 9_000.0)}),
        Group("ToCurrencyCode", "IRR", 30, {"AverageRate": Values(30, 4_000.0, 9_000.0)}),
    )
    assert profile.leaps(rates(), now) == []
