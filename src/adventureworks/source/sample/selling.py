"""Which sales person works in which territory, and who takes an order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adventureworks.source.sample.build import Days, day
from adventureworks.source.sample.draw import Draw, Integers


class Stay(NamedTuple):
    """A sales person in a territory; territory 0 is a manager, who helps out anywhere."""

    person: int
    """0 to 16; added to FIRST_SELLER it is the BusinessEntityID."""
    territory: int
    start: str
    end: str | None = None


SELLERS = 17
FIRST_SELLER = 274
STAYS: tuple[Stay, ...] = (
    Stay(0, 0, "2011-05-31"),
    Stay(1, 2, "2011-05-31", "2012-11-29"),
    Stay(1, 3, "2012-11-30"),
    Stay(2, 4, "2011-05-31"),
    Stay(3, 3, "2011-05-31", "2012-11-29"),
    Stay(3, 2, "2012-11-30"),
    Stay(4, 6, "2011-05-31"),
    Stay(5, 5, "2011-05-31"),
    Stay(6, 1, "2011-05-31", "2012-09-29"),
    Stay(6, 4, "2012-09-30"),
    Stay(7, 4, "2011-05-31"),
    Stay(8, 6, "2011-05-31", "2012-05-29"),
    Stay(8, 10, "2012-05-30"),
    Stay(9, 1, "2011-05-31"),
    Stay(10, 1, "2012-09-30"),
    Stay(11, 0, "2013-05-30"),
    Stay(12, 9, "2013-05-30"),
    Stay(13, 0, "2012-05-30"),
    Stay(14, 8, "2013-05-30"),
    Stay(15, 6, "2012-05-30"),
    Stay(16, 7, "2012-05-30"),
)
MANAGERS = tuple(stay.person for stay in STAYS if stay.territory == 0)
FIRST_MONTHS_OF_TERRITORIES = (0, 0, 0, 0, 0, 0, 12, 24, 24, 12)
"""When resellers of territories 1 to 10 began to buy (months since the first): when somebody was there to sell."""


def at_home(territory: Integers, store: Integers, days: Days) -> Integers:
    """Who looks after each store on a day: somebody of the territory, as a rule always the same one."""
    seller = np.empty(len(days), dtype=np.int64)
    for place in range(1, 11):
        for date in np.unique(days[territory == place]):
            here = (territory == place) & (days == date)
            there = np.array([stay.person for stay in STAYS if stay.territory == place and _holds(stay, date)])
            seller[here] = there[store[here] % len(there)]
    return seller


def takers(draw: Draw, territory: Integers, store: Integers, days: Days) -> Integers:
    """Who takes each order: the one at home, now and then a manager."""
    seller = at_home(territory, store, days)
    helped = draw.chance(len(days), 270)
    for turn, person in enumerate(MANAGERS):
        came = next(day(stay.start) for stay in STAYS if stay.person == person)
        seller = np.where(helped & (days > came) & (store % len(MANAGERS) == turn), person, seller)
    return seller


def _holds(stay: Stay, date: np.datetime64) -> bool:
    return bool(day(stay.start) <= date) and (stay.end is None or bool(date <= day(stay.end)))
