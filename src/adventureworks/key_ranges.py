"""Ranges of keys: what source and warehouse are compared by before single keys are read.

A range is a number, that of the first key column without its last eight bits. So the keys 256 to 511 are range 1. Both
sides must compute the digests, which only PostgreSQL does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BITS = 8

MOST = 200
"""With more ranges than this, reading the whole table is faster than looking up each range."""


@dataclass(frozen=True)
class KeyRanges:
    """The keys and modification dates of a table, summarized by range."""

    contents: Mapping[int, tuple[int, str]]
    """By range: the number of rows, and a digest that does not depend on their order."""
    recent: frozenset[int]
    """The ranges with rows that were modified since a moment, or that have no modification date."""

    @property
    def rows(self) -> int:
        """The number of rows in all ranges."""
        return sum(rows for rows, _ in self.contents.values())

    def differing(self, other: KeyRanges) -> set[int]:
        """Return the ranges in which the two tables differ."""
        every = self.contents.keys() | other.contents.keys()
        return {number for number in every if self.contents.get(number) != other.contents.get(number)}


def as_number(column: str) -> str:
    """Return the SQL for an integer of a key as it is compared."""
    return f"{column}::bigint"


def as_time(column: str) -> str:
    """Return the SQL for a date of a key, or a modification date, as it is compared."""
    return f"{column}::timestamp"


def query(relation: str, key: Sequence[str], modified: str, since: str) -> str:
    """Return the query for `summarized`. `key`, `modified`: from `as_number` and `as_time`; `since`: a date as text."""
    return (
        f"select {key[0]} >> {_BITS}, count(*), sum(hash_record_extended(row({', '.join([*key, modified])}), 0))::text,"
        f" bool_or(coalesce({modified} >= timestamp '{since}', true)) from {relation} group by 1"
    )


def summarized(rows: Iterable[Sequence[Any]]) -> KeyRanges | None:
    """Return the result of a query, or None if a key is NULL, so that it is in no range."""
    contents: dict[int, tuple[int, str]] = {}
    recent: set[int] = set()
    for number, count, digest, is_recent in rows:
        if number is None:
            return None
        contents[number] = count, digest
        if is_recent:
            recent.add(number)
    return KeyRanges(contents, frozenset(recent))


def range_of(key: int) -> int:
    """Return the range of a key, by its first column."""
    return key >> _BITS


def within(column: str, ranges: Collection[int]) -> str:
    """Return the SQL condition that the first column of a key is in one of these ranges."""
    spans: list[list[int]] = []
    for number in sorted(ranges):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    parts = [f"{column} between {first << _BITS} and {((last + 1) << _BITS) - 1}" for first, last in spans]
    return f"({' or '.join(parts) or 'false'})"
