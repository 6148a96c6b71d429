"""The size of the company and its id ranges. Every domain builds on these numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adventureworks_sample.build import day
from adventureworks_sample.draw import Integers

FIRST_DAY = day("2011-05-31")
"""Day of the first order."""
LAST_DAY = day("2014-06-30")
"""Day of the last order; the month before it is the last complete one."""
ERA_STARTS = (FIRST_DAY, day("2012-05-30"), day("2013-05-30"))
"""Start of each price era: prices and the product range change at the end of each May."""
SET_UP = day("2008-04-30")
"""Day on which the code tables were filled."""

EMPLOYEES = 290
VENDORS = 104
VENDOR_CONTACTS = 156
TERRITORY_OF_BUYERS = (3341, 60, 60, 4450, 60, 1571, 1810, 1780, 3591, 1913)
"""Weights of territories 1 to 10 among the web shop's customers."""
TERRITORY_OF_STORES = (96, 55, 67, 127, 87, 117, 38, 35, 37, 42)


@dataclass(frozen=True)
class Company:
    """Entity counts at a given scale; scale 1 is the size of the real company."""

    scale: float
    seed: int

    def count(self, at_scale_1: int, least: int = 1) -> int:
        """Return a count at this scale, never below `least`."""
        return max(least, round(at_scale_1 * self.scale))

    @property
    def buyers(self) -> int:
        """Number of persons who buy in the web shop."""
        return self.count(18_484, 60)

    @property
    def stores(self) -> int:
        """Number of known stores; the first `resellers` of them buy."""
        return self.count(701, 13)

    @property
    def resellers(self) -> int:
        """Number of stores that buy."""
        return self.count(635, 12)

    @property
    def contacts(self) -> int:
        """Number of store contacts: one for each store, a second one for some."""
        return self.stores + self.count(52)

    @property
    def general_contacts(self) -> int:
        """Number of persons with no other role."""
        return self.count(289)

    @property
    def first_buyer_customer(self) -> int:
        """CustomerID of the first web shop customer; the stores have the numbers below it."""
        return max(11_000, self.stores + 1)

    def entities(self) -> Entities:
        """Assign the BusinessEntityIDs."""
        sizes = (EMPLOYEES, self.stores, self.contacts, VENDORS, VENDOR_CONTACTS, self.general_contacts, self.buyers)
        starts = np.cumsum((1, *sizes))
        return Entities(*(np.arange(first, first + size) for first, size in zip(starts, sizes, strict=False)))


@dataclass(frozen=True)
class Entities:
    """BusinessEntityIDs by kind of entity."""

    employees: Integers
    stores: Integers
    contacts: Integers
    vendors: Integers
    vendor_contacts: Integers
    general: Integers
    buyers: Integers

    def persons(self) -> Integers:
        """Return the ids of all persons, ascending."""
        groups = (self.employees, self.contacts, self.vendor_contacts, self.general, self.buyers)
        return np.concatenate(groups)

    def everyone(self) -> Integers:
        """Return the ids of all persons, vendors and stores."""
        return np.arange(1, int(self.buyers[-1]) + 1)
