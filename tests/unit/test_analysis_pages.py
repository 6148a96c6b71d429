"""The periods of the analyses' pages."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from adventureworks.catalog import MARTS
from adventureworks.catalog.pages import VIEWS
from adventureworks.columns import columns_of
from adventureworks.dashboard.analysis import InvalidParameter, Months, Period, PeriodKind
from adventureworks.dashboard.asset import measured_profile
from adventureworks.texts import language

MONTHS = Months(tuple(date(2014, month, 1) for month in range(1, 7)), frozenset({date(2014, 6, 1)}))


@pytest.mark.parametrize(
    ("kind", "month", "first", "end"),
    [
        ("month", date(2014, 5, 1), date(2014, 5, 1), date(2014, 6, 1)),
        ("quarter", date(2014, 5, 1), date(2014, 4, 1), date(2014, 7, 1)),
        ("quarter", date(2013, 12, 1), date(2013, 10, 1), date(2014, 1, 1)),
        ("fiscal_year", date(2014, 6, 1), date(2013, 7, 1), date(2014, 7, 1)),
        ("fiscal_year", date(2014, 7, 1), date(2014, 7, 1), date(2015, 7, 1)),
        ("trailing_twelve", date(2014, 5, 1), date(2013, 6, 1), date(2014, 6, 1)),
    ],
)
def test_a_period_contains_the_chosen_month(kind: PeriodKind, month: date, first: date, end: date) -> None:
    period = Period(kind, month)
    assert (period.first, period.end) == (first, end)
    assert month in period
    assert end not in period


def test_the_default_is_the_last_complete_month() -> None:
    assert MONTHS.period("month", "") == Period("month", date(2014, 5, 1))
    assert Months(MONTHS.known[:1], frozenset(MONTHS.known)).period("month", "") == Period("month", date(2014, 1, 1))
    assert MONTHS.period("month", "2014-06") == Period("month", date(2014, 6, 1))


def test_the_default_is_the_newest_month_whose_rows_can_be_compared() -> None:
    years = tuple(date(2013 + month // 12, month % 12 + 1, 1) for month in range(18))
    assert Months(years, frozenset(years[-1:]), settled_after=12).period("month", "") == Period("month", years[4])
    assert Months(years[:6], settled_after=12).period("month", "") == Period("month", years[5]), "none is old enough"
    assert Months(()).period("month", "") is None


@pytest.mark.parametrize(("kind", "key"), [("week", ""), ("month", "2014-13"), ("month", "2014-07"), ("month", "x")])
def test_an_unknown_period_or_month_is_refused(kind: str, key: str) -> None:
    with pytest.raises(InvalidParameter):
        MONTHS.period(kind, key)


def test_a_period_is_named_by_its_months() -> None:
    assert Period("month", date(2014, 5, 1)).shown(language("en")) == "May 2014"
    assert Period("quarter", date(2014, 5, 1)).shown(language("fr")) == "avril 2014 – juin 2014"


def test_shares_and_order_values_of_a_group_do_not_tell_how_many_customers_it_has() -> None:
    """Whatever is shown, every number of customers that rounds to the one beside it is possible."""
    view = VIEWS["customer_demographics"]
    shown = duckdb.execute(
        f"""
        select customers, {view.coarser["bike_buyer_share"]} as share, list(distinct exact) as possible
        from (
            select
                n as exact, (n + 2) // 5 * 5 as customers,
                cast(cast(k as double) / n as decimal(38, 10)) as bike_buyer_share
            from range(5, 400) as number(n), range(0, 400) as buyer(k)
            where k <= n
        )
        group by 1, 2
        """
    ).fetchall()
    told = [(customers, share) for customers, share, possible in shown if len(possible) < (3 if customers == 5 else 5)]
    assert [one for one in told if one[0] < 400] == []
    group = "select 90.0 as revenue, 5 as orders, 15.0 as average_order_value"
    assert duckdb.execute(f"select {view.coarser['average_order_value']} from ({group})").fetchall() == [(18,)]


def test_the_profile_of_the_survey_groups_shows_what_their_page_shows() -> None:
    """The smallest share, with the group that has it on the page, would tell the number of its customers."""
    mart = "customer_demographics"
    exact = {
        "customers": "5",
        "orders": "5",
        "revenue": "90.0",
        "average_order_value": "15.0",
        "bike_buyer_share": "1 / 6",
    }
    rows = ", ".join(f"{exact.get(column.name, 'null')} as {column.name}" for column in columns_of(MARTS[mart]))
    with duckdb.connect() as data:
        data.execute("create schema marts")
        data.execute(f"create table marts.{mart} as select {rows}")
        shown = {one.name: one for one in measured_profile(data, mart, 1).columns}  # type: ignore[arg-type]
    assert (shown["average_order_value"].least, shown["average_order_value"].mean) == ("18", 18)
    assert (shown["bike_buyer_share"].most, shown["bike_buyer_share"].mean) == ("0.2", pytest.approx(0.2))
