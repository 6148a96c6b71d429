"""Assignment of sales persons to territories and orders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adventureworks_sample.build import Days, day
from adventureworks_sample.draw import Draw, Integers


class Assignment(NamedTuple):
    """A sales person's time in a territory; territory 0 marks a manager, who helps out in all of them."""

    person: int
    """0 to 16; add FIRST_SELLER to get the BusinessEntityID."""
    territory: int
    start: str
    end: str | None = None


SELLERS = 17
FIRST_SELLER = 274
ASSIGNMENTS: tuple[Assignment, ...] = (
    Assignment(0, 0, "2011-05-31"),
    Assignment(1, 2, "2011-05-31", "2012-11-29"),
    Assignment(1, 3, "2012-11-30"),
    Assignment(2, 4, "2011-05-31"),
    Assignment(3, 3, "2011-05-31", "2012-11-29"),
    Assignment(3, 2, "2012-11-30"),
    Assignment(4, 6, "2011-05-31"),
    Assignment(5, 5, "2011-05-31"),
    Assignment(6, 1, "2011-05-31", "2012-09-29"),
    Assignment(6, 4, "2012-09-30"),
    Assignment(7, 4, "2011-05-31"),
    Assignment(8, 6, "2011-05-31", "2012-05-29"),
    Assignment(8, 10, "2012-05-30"),
    Assignment(9, 1, "2011-05-31"),
    Assignment(10, 1, "2012-09-30"),
    Assignment(11, 0, "2013-05-30"),
    Assignment(12, 9, "2013-05-30"),
    Assignment(13, 0, "2012-05-30"),
    Assignment(14, 8, "2013-05-30"),
    Assignment(15, 6, "2012-05-30"),
    Assignment(16, 7, "2012-05-30"),
)
MANAGERS = tuple(assignment.person for assignment in ASSIGNMENTS if assignment.territory == 0)
FIRST_MONTHS_OF_TERRITORIES = (0, 0, 0, 0, 0, 0, 12, 24, 24, 12)
"""Month, counted from the first, in which territories 1 to 10 got a sales person and their resellers began to buy."""


def regular_sellers(territory: Integers, store: Integers, days: Days) -> Integers:
    """Return the regular sales person of each store on a day: one of its territory, usually the same one over time."""
    seller = np.empty(len(days), dtype=np.int64)
    for place in range(1, 11):
        for date in np.unique(days[territory == place]):
            here = (territory == place) & (days == date)
            there = np.array(
                [
                    assignment.person
                    for assignment in ASSIGNMENTS
                    if assignment.territory == place and _is_active(assignment, date)
                ]
            )
            seller[here] = there[store[here] % len(there)]
    return seller


def order_takers(draw: Draw, territory: Integers, store: Integers, days: Days) -> Integers:
    """Return the sales person who takes each order: the regular one, occasionally a manager."""
    seller = regular_sellers(territory, store, days)
    helped = draw.chance(len(days), 270)
    for turn, person in enumerate(MANAGERS):
        came = next(day(assignment.start) for assignment in ASSIGNMENTS if assignment.person == person)
        seller = np.where(helped & (days > came) & (store % len(MANAGERS) == turn), person, seller)
    return seller


def _is_active(assignment: Assignment, date: np.datetime64) -> bool:
    return bool(day(assignment.start) <= date) and (assignment.end is None or bool(date <= day(assignment.end)))
