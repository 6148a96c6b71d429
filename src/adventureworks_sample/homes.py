"""Addresses of employees, customers, stores and vendors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adventureworks_sample.build import Days, NamedTable, day, table
from adventureworks_sample.customers import Customers
from adventureworks_sample.draw import Draw, Integers
from adventureworks_sample.people import Persons
from adventureworks_sample.places import address_table, addresses, towns
from adventureworks_sample.world import EMPLOYEES, VENDORS, Company, Entities

_HOME, _MAIN_OFFICE, _SHIPPING = 2, 3, 5
_PLANT_TERRITORY = 1
_VENDOR_TERRITORIES = 6


@dataclass(frozen=True)
class Homes:
    """Addresses in the order of AddressID: employees, web shop customers, stores, vendors, store shipping addresses."""

    entity: Integers
    kind: Integers
    territory: Integers
    modified: Days
    of_customer: Integers
    """AddressID of each customer."""

    def tables(self, company: Company) -> Iterator[NamedTable]:
        """Yield the addresses, and the table that links them to their owners."""
        known = towns(company)
        yield address_table(company, known, addresses(company, known, self.territory), self.modified)
        number = len(self.entity)
        yield table(
            "Person_BusinessEntityAddress",
            {
                "BusinessEntityID": self.entity,
                "AddressID": np.arange(1, number + 1),
                "AddressTypeID": self.kind,
                "rowguid": Draw(company.seed, "Person_BusinessEntityAddress").guids(number),
                "ModifiedDate": self.modified,
            },
        )


def homes(company: Company, entities: Entities, buyers: Customers, people: Persons) -> Homes:
    """Return one address for each of these parties, and a second one for some stores."""
    draw = Draw(company.seed, "homes")
    extra = np.arange(company.count(35)) % company.stores
    groups = (entities.employees, entities.buyers, entities.stores, entities.vendors, entities.stores[extra])
    kinds = (_HOME, _HOME, _MAIN_OFFICE, _MAIN_OFFICE, _SHIPPING)
    shops = buyers.territory[: company.stores]
    territories = (
        np.full(EMPLOYEES, _PLANT_TERRITORY),
        buyers.territory[buyers.first_buyer : buyers.first_reseller],
        shops,
        draw.between(VENDORS, 1, _VENDOR_TERRITORIES),
        shops[extra],
    )
    entity = np.concatenate(groups)
    modified = np.full(len(entity), day("2011-04-25"))
    modified[:EMPLOYEES] = people.modified[:EMPLOYEES]
    first_buyer, first_store = EMPLOYEES + 1, EMPLOYEES + company.buyers + 1
    modified[first_buyer - 1 : first_store - 1] = people.modified[-company.buyers :]
    return Homes(
        entity=entity,
        kind=np.repeat(kinds, [len(group) for group in groups]),
        territory=np.concatenate(territories),
        modified=modified,
        of_customer=np.r_[
            first_store + np.arange(company.stores),
            first_buyer + np.arange(company.buyers),
            first_store + np.arange(company.resellers),
        ],
    )
