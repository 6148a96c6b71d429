"""The checker of what readers saw finds every kind of wrong read."""

from __future__ import annotations

import pytest

from tests.chaos.readers import Seen, Version, violations

HEADER, LINES = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail"
OLD, NEW, NEWEST = (10, "old"), (10, "new"), (11, "newest")
PUBLISHED = [
    Version(HEADER, 1, OLD, "1"),
    Version(LINES, 1, OLD, "1"),
    Version(HEADER, 2, NEW, "2"),
    Version(LINES, 2, NEW, "2"),
    Version(LINES, 3, NEWEST, "3"),
]


def one(content: tuple[int, str]) -> Seen:
    return Seen("reader", (HEADER,), (content,))


def both(header: tuple[int, str], lines: tuple[int, str], versions: tuple[int, int] | None = None) -> Seen:
    return Seen("reader", (HEADER, LINES), (header, lines), versions)


@pytest.mark.parametrize(
    "seen",
    [
        [one(OLD), one(OLD), one(NEW)],
        [both(OLD, OLD), both(NEW, NEWEST)],
        [both(NEW, NEW, (2, 2)), both(NEW, NEWEST, (2, 3))],
        [one(NEW), Seen("another reader", (HEADER,), (OLD,))],
    ],
)
def test_reads_of_published_versions_in_their_order_are_right(seen: list[Seen]) -> None:
    assert list(violations(seen, PUBLISHED)) == []


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        ([one((10, "half old, half new"))], "a mix of versions"),
        ([one((0, ""))], "a mix of versions: Sales_SalesOrderHeader with 0 rows"),
        ([both(NEW, OLD)], "a mix of versions"),
        ([both(NEW, NEW, (2, 1))], "a mix of versions"),
        ([one(NEW), one(OLD)], "an older state than before"),
        ([both(NEW, NEWEST), both(NEW, NEW)], "an older state than before"),
    ],
)
def test_any_other_read_is_found(seen: list[Seen], found: str) -> None:
    [violation] = violations(seen, PUBLISHED)
    assert found in violation


def test_a_table_that_returns_to_earlier_rows_is_no_step_back() -> None:
    again = [*PUBLISHED, Version(HEADER, 3, OLD, "4")]
    assert list(violations([one(OLD), one(NEW), one(OLD)], again)) == []
    assert len(list(violations([one(OLD), one(NEW), one(OLD), one(NEW)], again))) == 1
