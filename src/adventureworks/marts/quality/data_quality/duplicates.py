"""Persons who are probably there twice: the same way of reaching them, and names that differ in spelling at most."""

from __future__ import annotations

from itertools import combinations

import polars as pl
from rapidfuzz.fuzz import token_sort_ratio
from rapidfuzz.utils import default_process

ALIKE = 88
"""Of 100, RapidFuzz's ratio of the names with their words in order: Jon and John Smith, Smith John."""
MOST_SHARING = 20
"""An address or number that so many share belongs to a company, not to a person."""


def probably_twice(persons: pl.DataFrame) -> list[tuple[int, int]]:
    """Pairs of persons, each with the smaller id first, who share a contact and are named alike.

    `persons`: person_id, full_name, contact; a person may have several contacts. A name alone makes no duplicate, and
    neither does an address alone: families share it.
    """
    shared = persons.group_by("contact").agg(pl.struct("person_id", "full_name").unique().alias("who"))
    shared = shared.filter(pl.col("who").list.len().is_between(2, MOST_SHARING))
    pairs = {
        (min(one["person_id"], other["person_id"]), max(one["person_id"], other["person_id"]))
        for who in shared["who"].to_list()
        for one, other in combinations(who, 2)
        if one["person_id"] != other["person_id"]
        and token_sort_ratio(one["full_name"], other["full_name"], processor=default_process) >= ALIKE
    }
    return sorted(pairs)
