"""The words for the state of a table or mart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adventureworks.texts import language, phrase
from adventureworks.warehouse.condition import Severity, condition, in_detail, worst
from adventureworks.warehouse.intervention import Intervention
from tests.states import state

ENGLISH, FRENCH = language("en"), language("fr")
MOVED = phrase("the business date moved to {day}", day=datetime(2014, 7, 1, tzinfo=UTC).date())
ROLLBACK = Intervention(
    1, "rollback", "fact_sales", "ann", "wrong prices", "", {"versions": {"fact_sales": 1}}, datetime.now(UTC), None
)
STATES: list[tuple[dict[str, Any], Severity, str, str]] = [
    ({}, "good", "passed", "passed"),
    ({"verdict": "passed with warnings"}, "mind", "passed with warnings", "passed with warnings"),
    ({"fresh": False, "verdict": "blocked"}, "bad", "blocked", "blocked"),
    ({"fresh": False, "version": None, "verdict": "never published"}, "bad", "never published", "never published"),
    (
        {"fresh": False, "version": None, "verdict": "never published", "lacks": ("Sales_Currency",)},
        "mind",
        "never published, needs what the source does not offer",
        "never published, needs what the source does not offer (Sales_Currency)",
    ),
    ({"fresh": False, "version": None, "verdict": "not offered"}, "mind", "not offered", "not offered"),
    (
        {"fresh": False, "behind": MOVED},
        "mind",
        "passed, out of date",
        "passed, out of date (the business date moved to July 1, 2014)",
    ),
    (
        {"fresh": False, "rolled_back": ROLLBACK, "reads_blocked": ("Sales_Currency",)},
        "mind",
        "passed, rolled back, reads blocked tables",
        "passed, rolled back (fact_sales was rolled back to version 1 by ann: wrong prices),"
        " reads blocked tables (Sales_Currency)",
    ),
    (
        {"fresh": False, "rolled_back": ROLLBACK, "withheld_since": datetime(2014, 7, 1, 8, 30, tzinfo=UTC)},
        "mind",
        "passed, rolled back",
        "passed, rolled back (fact_sales was rolled back to version 1 by ann: wrong prices; the change at the source"
        " that was detected on Jul 1, 2014, 8:30\u202fAM UTC is published after the release)",
    ),
]


@pytest.mark.parametrize(("changes", "severity", "words", "detail"), STATES)
def test_state_is_worded_with_its_severity_and_on_request_with_reasons(
    changes: dict[str, Any], severity: Severity, words: str, detail: str
) -> None:
    found = state("daily_sales", **changes)
    assert condition(found, ENGLISH) == (severity, words)
    assert in_detail(found, ENGLISH) == detail


def test_state_is_worded_in_the_language_of_its_reader() -> None:
    found = state("daily_sales", fresh=False, behind=MOVED)
    assert in_detail(found, FRENCH) == "conforme, à recalculer (la date de référence est passée au 1er juillet 2014)"


def test_figures_from_several_marts_are_marked_with_the_most_serious_remark() -> None:
    late = state("territory_sales", fresh=False, behind=MOVED)
    unpublished = state("monthly_profit", fresh=False, version=None, verdict="never published")
    assert worst([state("daily_sales"), state("fact_sales", verdict="passed with warnings")], ENGLISH) is None
    for states, expected in (([late], "out of date"), ([late, unpublished], "never published")):
        found = worst(states, ENGLISH)
        assert found is not None
        assert found.text == expected
