"""How large the company is, and who and what is numbered how. Every domain builds on these numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adventureworks.source.sample.build import day
from adventureworks.source.sample.draw import Integers

FIRST_DAY = day("2011-05-31")
"""The first order."""
LAST_DAY = day("2014-06-30")
"""The last order; the month before is the last whole one."""
ERA_STARTS = (FIRST_DAY, day("2012-05-30"), day("2013-05-30"))
"""Prices and the range of products change at the end of each May."""
SET_UP = day("2008-04-30")
"""When the code tables were filled."""

EMPLOYEES = 290
VENDORS = 104
VENDOR_CONTACTS = 156
TERRITORY_OF_BUYERS = (3341, 60, 60, 4450, 60, 1571, 1810, 1780, 3591, 1913)
"""How the web shop's customers spread over territories 1 to 10."""
TERRITORY_OF_STORES = (96, 55, 67, 127, 87, 117, 38, 35, 37, 42)


@dataclass(frozen=True)
class Company:
    """The numbers of things at a scale; scale 1 is the size of the real company."""

    scale: float
    seed: int

    def count(self, at_scale_1: int, least: int = 1) -> int:
        """A number of things at this scale, never below `least`."""
        return max(least, round(at_scale_1 * self.scale))

    @property
    def buyers(self) -> int:
        """Persons who buy in the web shop."""
        return self.count(18_484, 60)

    @property
    def stores(self) -> int:
        """Shops that are known; the first `resellers` of them buy."""
        return self.count(701, 13)

    @property
    def resellers(self) -> int:
        """Shops that buy."""
        return self.count(635, 12)

    @property
    def contacts(self) -> int:
        """Persons who speak for a shop: one for each, a second one for some."""
        return self.stores + self.count(52)

    @property
    def general_contacts(self) -> int:
        """Persons of whom nothing more is known."""
        return self.count(289)

    @property
    def first_buyer_customer(self) -> int:
        """CustomerID of the first person of the web shop; the shops come before."""
        return max(11_000, self.stores + 1)

    def entities(self) -> Entities:
        """Who has which BusinessEntityID."""
        sizes = (EMPLOYEES, self.stores, self.contacts, VENDORS, VENDOR_CONTACTS, self.general_contacts, self.buyers)
        starts = np.cumsum((1, *sizes))
        return Entities(*(np.arange(first, first + size) for first, size in zip(starts, sizes, strict=False)))


@dataclass(frozen=True)
class Entities:
    """BusinessEntityIDs, by what they stand for."""

    employees: Integers
    stores: Integers
    contacts: Integers
    vendors: Integers
    vendor_contacts: Integers
    general: Integers
    buyers: Integers

    def persons(self) -> Integers:
        """Every human being, ascending."""
        groups = (self.employees, self.contacts, self.vendor_contacts, self.general, self.buyers)
        return np.concatenate(groups)

    def everyone(self) -> Integers:
        """Persons, vendors and stores."""
        return np.arange(1, int(self.buyers[-1]) + 1)
