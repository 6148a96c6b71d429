"""The wording of notes on runs."""

from __future__ import annotations

from datetime import date

import pytest

from adventureworks.catalog import INGESTION, SOURCE_TABLES
from adventureworks.due import NothingToDo
from adventureworks.orchestration.run_notes import LONGEST, Outcome, worded
from adventureworks.texts import language, phrase
from adventureworks.warehouse.publication import Publication

SALES = "sales_territory_analysis"
LINES, HEADERS = "Sales_SalesOrderDetail", "Sales_SalesOrderHeader"
MOVED = phrase("the business date moved to {day}", day=date(2014, 7, 1))
WAITS = NothingToDo(phrase("{mart} is due and will be published first", mart="fact_sales"), waits=True)


def version(asset: str, changed: int, months: tuple[str, ...] | None = None, number: int = 2) -> Publication:
    return Publication(asset, number, 100, changed, months, 0, "passed")


MAY = version("territory_sales", 2, ("2014-05",))


@pytest.mark.parametrize(
    ("dag", "outcome", "note"),
    [
        (SALES, Outcome((MAY,), (version(LINES, 3),)), f"3 rows of {LINES} changed: May 2014 computed again."),
        (
            SALES,
            Outcome((MAY,), (version(HEADERS, 1), version(LINES, 1), version(LINES, 1, number=3)), MOVED),
            f"3 rows of {LINES}, {HEADERS} changed; the business date moved to July 1, 2014: May 2014 computed again.",
        ),
        (
            SALES,
            Outcome((version("territory_sales", 9),), others=MOVED),
            "The business date moved to July 1, 2014: all months computed again.",
        ),
        (SALES, Outcome((version("territory_sales", 9, number=1),)), "Computed territory_sales: all months."),
        (SALES, Outcome(is_confirmed=True), "Computed again, with the same result."),
        (SALES, Outcome(nothing_to_do=WAITS), "Waits: fact_sales is due and will be published first."),
        (
            SALES,
            Outcome(nothing_to_do=NothingToDo(phrase("no input changed since the last run"))),
            "Nothing to compute: no input changed since the last run.",
        ),
        (SALES, Outcome(blocked=("territory_sales",), failed=("gate",)), "Blocked: territory_sales."),
        (
            SALES,
            Outcome((MAY,), (version(LINES, 1),), failed=("deliver",)),
            f"1 row of {LINES} changed: May 2014 computed again. Failed: deliver.",
        ),
        (INGESTION, Outcome(), "No table changed."),
        (INGESTION, Outcome(failed=("detect",)), "Failed: detect."),
        (
            INGESTION,
            Outcome((version(LINES, 1),), blocked=("Sales_Store",)),
            f"1 row of {LINES} changed. Blocked: Sales_Store.",
        ),
    ],
)
def test_note_says_what_a_run_did_and_why(dag: str, outcome: Outcome, note: str) -> None:
    assert worded(dag, outcome, language("en")) == note


def test_note_names_no_more_than_a_few_tables_and_is_short_in_every_language() -> None:
    everything = tuple(version(name, 1000, number=1) for name in SOURCE_TABLES)
    blocked = Outcome(everything, blocked=tuple(SOURCE_TABLES), failed=("publish_tables",))
    english = worded(INGESTION, Outcome(everything), language("en"))
    assert english.startswith("71,000 rows of ")
    assert english.endswith(" and 68 more changed.")
    for code in ("en", "fr"):
        assert len(worded(INGESTION, blocked, language(code))) <= LONGEST


def test_note_is_in_the_language_of_the_platform() -> None:
    outcome = Outcome((MAY,), (version(LINES, 3),))
    assert worded(SALES, outcome, language("fr")) == f"3 lignes de {LINES} ont changé\xa0: recalcul (mai 2014)."
