"""The hierarchyid encoding: known values, and the order and depth that the format guarantees for every path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import hierarchyid

NUMBERS = st.one_of(st.integers(-8, 20), st.integers(-4000, 6000), st.integers(0, 10**9))
PATHS = st.lists(st.lists(NUMBERS, min_size=1, max_size=2), max_size=4)


def path_of(levels: list[list[int]]) -> str:
    return "/" + "".join(".".join(map(str, numbers)) + "/" for numbers in levels)


@pytest.mark.parametrize(
    ("path", "encoded"),
    [("/", ""), ("/0/", "48"), ("/1/", "58"), ("/3/", "78"), ("/1/1/", "5AC0"), ("/98/", "E02540")],
)
def test_paths_are_encoded_as_by_sql_server(path: str, encoded: str) -> None:
    assert hierarchyid.encoded(path) == encoded


@given(PATHS, PATHS)
def test_binary_order_is_depth_first_order_and_levels_are_kept(one: list[list[int]], other: list[list[int]]) -> None:
    first, second = hierarchyid.encoded(path_of(one)), hierarchyid.encoded(path_of(other))
    assert hierarchyid.level(first) == len(one)
    assert hierarchyid.level(f"0x{second.lower()}") == len(other)
    assert (bytes.fromhex(first) < bytes.fromhex(second)) == (one < other)
    assert (first == second) == (one == other)


@pytest.mark.parametrize("text", ["", "1/2", "/1", "/a/", "/1//", "/1.", "/99999999999999999999/"])
def test_what_is_not_a_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hierarchyid"):
        hierarchyid.encoded(text)


@pytest.mark.parametrize("digits", ["01", "0001", "5", "5800", "00", "50", "not hex"])
def test_digits_that_are_not_a_hierarchyid_have_no_level(digits: str) -> None:
    with pytest.raises(ValueError, match="not a hierarchyid"):
        hierarchyid.level(digits)
