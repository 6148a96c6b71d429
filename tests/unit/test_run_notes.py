"""The wording of notes on runs."""

from __future__ import annotations

from datetime import date

import pytest

from adventureworks.catalog import INGESTION, SOURCE_TABLES
from adventureworks.due import NO_REASON, NothingToDo
from adventureworks.orchestration.run_notes import LONGEST, Outcome, message, worded
from adventureworks.texts import language, phrase, verbatim
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
        (
            SALES,
            Outcome((MAY,), (version(LINES, 0), version(HEADERS, 0))),
            f"New version of {LINES}, {HEADERS} with the same rows: May 2014 computed again.",
        ),
        (SALES, Outcome(is_confirmed=True), "No row changed."),
        (SALES, Outcome(nothing_to_do=WAITS), "Waiting: fact_sales is due and will be published first."),
        (
            SALES,
            Outcome(nothing_to_do=NothingToDo(phrase("no input changed since the last run"))),
            "Nothing to compute: no input changed since the last run.",
        ),
        (SALES, Outcome(blocked=("territory_sales",), failed=("refresh (gate)",)), "Blocked: territory_sales."),
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
        (INGESTION, Outcome((version(LINES, 0),)), f"New version of {LINES} with the same rows."),
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


def test_what_failed_is_named_even_if_the_reasons_are_cut() -> None:
    days = sum((phrase("the business date moved to {day}", day=date(2014, 7, day)) for day in range(1, 9)), NO_REASON)
    note = worded(SALES, Outcome((MAY,), others=days, failed=("deliver",)), language("en"))
    assert note.startswith("The business date moved to July 1, 2014; ")
    assert note.endswith("… Failed: deliver.")
    assert len(note) == LONGEST
    long = worded(SALES, Outcome((MAY,), others=days, failed=("deliver" * LONGEST,)), language("en"))
    assert (long[:15], long[-1], len(long)) == ("Failed: deliver", "…", LONGEST)


def test_a_task_leaves_the_reason_for_the_note_without_the_name_of_a_person() -> None:
    assert message(WAITS) == {"reason": WAITS.reason.stored, "waits": True}
    rolled_back = NothingToDo(verbatim("rolled back to version 1 of fact_sales by ann"), is_rolled_back=True)
    assert message(rolled_back) == {"reason": phrase("rolled back").stored, "waits": False}


def test_note_is_in_the_language_of_the_platform() -> None:
    outcome = Outcome((MAY,), (version(LINES, 3),))
    assert worded(SALES, outcome, language("fr")) == f"3 lignes de {LINES} ont changé\xa0: recalcul (mai 2014)."
    same = Outcome((MAY,), (version(LINES, 0),))
    assert worded(SALES, same, language("fr")) == (
        f"Nouvelle version de {LINES}, avec les mêmes lignes\xa0: recalcul (mai 2014)."
    )
