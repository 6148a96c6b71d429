"""The summary of a table after a change equals that of its rows, or there is none."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from adventureworks.gate.profile import Group, Groups, Order, Values
from adventureworks.gate.summaries import changed

Row = tuple[str, int, int]
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.integers(1, 4)), max_size=6)


def summary(rows: Sequence[Row]) -> Groups:
    """Return the summary of rows of a segment and two numbers, for all rows and by segment."""
    members: dict[tuple[str, str | None], list[Row]] = {}
    for row in rows:
        for key in (("", None), ("segment", row[0])):
            members.setdefault(key, []).append(row)
    return {key: group_of(*key, some) for key, some in members.items()}


def group_of(segment: str, value: str | None, rows: Sequence[Row]) -> Group:
    columns = {"one": [one for _, one, _ in rows], "two": [two for _, _, two in rows]}
    larger, smaller = (sum(sign * (one - two) > 0 for _, one, two in rows) for sign in (1, -1))
    values = {name: Values(len(numbers), min(numbers), max(numbers)) for name, numbers in columns.items()}
    return Group(segment, value, len(rows), values, {("one", "two"): Order(larger, smaller)})


@given(ROWS, ROWS, ROWS)
def test_summary_of_a_change_is_that_of_the_rows(kept: list[Row], removed: list[Row], added: list[Row]) -> None:
    found = changed(summary(kept + removed), summary(removed), summary(added))
    assert found in (None, summary(kept + added))


@given(ROWS, ROWS)
def test_added_rows_alone_always_have_a_summary(kept: list[Row], added: list[Row]) -> None:
    assert changed(summary(kept), {}, summary(added)) == summary(kept + added)


def test_there_is_no_summary_if_rows_were_removed_that_it_does_not_have() -> None:
    assert changed(summary([("a", 1, 1)]), summary([("b", 2, 2)]), {}) is None
