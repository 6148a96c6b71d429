"""Ranges of keys: which keys a condition selects, and in which ranges two tables differ."""

import re

import pytest

from adventureworks.key_ranges import range_of, summarized, within


@pytest.mark.parametrize("ranges", [(), (0,), (0, 1), (-1, 0, 4), (-2, 3, 4, 5)])
def test_the_condition_selects_exactly_the_keys_of_the_ranges(ranges: tuple[int, ...]) -> None:
    spans = [
        (int(first), int(last)) for first, last in re.findall(r"k between (-?\d+) and (-?\d+)", within("k", ranges))
    ]
    for key in range(-1000, 2000):
        assert any(first <= key <= last for first, last in spans) == (range_of(key) in ranges)


def test_ranges_differ_by_number_or_digest_or_if_one_table_has_none_of_their_rows() -> None:
    source = summarized([(1, 5, "a", False), (2, 5, "b", False), (3, 5, "c", True), (4, 5, "d", False)])
    warehouse = summarized([(1, 5, "a", False), (2, 4, "b", False), (3, 5, "x", False), (5, 1, "e", False)])
    assert source is not None
    assert warehouse is not None
    assert source.differing(warehouse) == {2, 3, 4, 5}
    assert source.recent == {3}
    assert source.rows == 20


def test_a_table_with_a_key_in_no_range_is_not_summarized() -> None:
    assert summarized([(1, 5, "a", False), (None, 1, "b", False)]) is None
