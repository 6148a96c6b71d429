"""Probable duplicates among persons: they share a contact, and their names differ only in spelling."""

from __future__ import annotations

from itertools import combinations

import polars as pl
from rapidfuzz.fuzz import token_sort_ratio
from rapidfuzz.utils import default_process

MIN_SIMILARITY = 88
"""Out of 100: RapidFuzz's ratio of the names with sorted words, so that Jon Smith, John Smith and Smith, John match."""
MAX_SHARING = 20
"""A contact shared by more persons than this belongs to a company, not to a person."""


def probable_duplicates(persons: pl.DataFrame) -> list[tuple[int, int]]:
    """Return pairs of persons who share a contact and have similar names, each with the smaller id first.

    `persons`: person_id, full_name, contact; a person may have several contacts. Similar names alone do not make a
    duplicate, and neither does a shared address, which families have.
    """
    shared = (
        persons.drop_nulls("contact")
        .group_by("contact")
        .agg(pl.struct("person_id", "full_name").unique().alias("persons"))
    )
    shared = shared.filter(pl.col("persons").list.len().is_between(2, MAX_SHARING))
    pairs = {
        (min(one["person_id"], other["person_id"]), max(one["person_id"], other["person_id"]))
        for group in shared["persons"].to_list()
        for one, other in combinations(group, 2)
        if one["person_id"] != other["person_id"]
        and token_sort_ratio(one["full_name"], other["full_name"], processor=default_process) >= MIN_SIMILARITY
    }
    return sorted(pairs)
