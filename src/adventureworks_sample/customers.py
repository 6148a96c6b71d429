"""Customers (persons in the web shop, stores through a sales person), their territories, accounts and credit cards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adventureworks_sample.build import Days, NamedTable, digits, joined, moment, null_where, table, words
from adventureworks_sample.demand import reseller_bookings
from adventureworks_sample.draw import Draw, Flags, Integers
from adventureworks_sample.selling import FIRST_MONTHS_OF_TERRITORIES, FIRST_SELLER, regular_sellers
from adventureworks_sample.words import LAST_NAMES
from adventureworks_sample.world import LAST_DAY, TERRITORY_OF_BUYERS, TERRITORY_OF_STORES, Company, Entities

_CARDS = (("Harbour", "1111"), ("Lantern", "3333"), ("Meridian", "7777"), ("Summit", "9999"))
_SHOP_WORDS = (
    *("Bike Works", "Cycles", "Cycle Shop", "Bicycle Store", "Wheels", "Sports", "Outdoor Supply", "Two Wheels"),
    *("Pedal House", "Bike Depot", "Cycling Centre", "Riders' Shop", "Mountain Sports", "Road Racing"),
)
_SURVEY = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works/StoreSurvey"
_BANKS = (
    "Alder Bank",
    "Birch Savings",
    "Cedar Trust",
    "Elm &amp; Sons",
    "First Harbour Bank",
    "Maple Credit",
    "Oak Bank",
)
_SALES = (300_000, 800_000, 1_000_000, 1_500_000, 3_000_000)
_LOADED = moment("2014-06-12T11:15:07.263")


@dataclass(frozen=True)
class Customers:
    """Customers in the order of CustomerID: stores, web shop customers, and the persons who buy for a store."""

    ids: Integers
    territory: Integers
    person: Integers
    """BusinessEntityID, 0 for none; likewise the store."""
    store: Integers
    first_buyer: int
    """Position of the first web shop customer."""
    first_reseller: int
    """Position of the first person who buys for a store."""
    card: Integers
    """CreditCardID, 0 for none."""


def customers(company: Company, entities: Entities) -> Customers:
    """Return all customers; the first ten of each kind cover the ten territories."""
    draw = Draw(company.seed, "customers")
    stores = _territories(draw, company.stores, TERRITORY_OF_STORES)
    buyers = _territories(draw, company.buyers, TERRITORY_OF_BUYERS)
    number = company.stores + company.buyers + company.resellers
    start = company.first_buyer_customer
    none = np.zeros(company.buyers, dtype=np.int64)
    ids = np.r_[np.arange(1, company.stores + 1), start + np.arange(company.buyers + company.resellers)]
    card = np.r_[np.zeros(company.stores, dtype=np.int64), 1 + draw.shuffled(number - company.stores)]
    return Customers(
        ids=ids,
        territory=np.r_[stores, buyers, stores[: company.resellers]],
        person=np.r_[np.zeros(company.stores, dtype=np.int64), entities.buyers, entities.contacts[: company.resellers]],
        store=np.r_[entities.stores, none, entities.stores[: company.resellers]],
        first_buyer=company.stores,
        first_reseller=company.stores + company.buyers,
        card=card,
    )


def bookings(company: Company, buyers: Customers) -> tuple[Integers, Integers]:
    """Return the reseller and month of every order taken by a sales person."""
    draw = Draw(company.seed, "first months")
    territory = buyers.territory[buyers.first_reseller :]
    joined_in = np.array([0, 12, 24])[draw.index(len(territory), (25, 33, 42))]
    return reseller_bookings(company, np.maximum(joined_in, np.array(FIRST_MONTHS_OF_TERRITORIES)[territory - 1]))


def returning(company: Company, orders: int) -> tuple[Flags, Integers]:
    """Return, for each web shop order by day, whether its customer is new, and the customer's position.

    A few of the later customers order frequently, the others occasionally.
    """
    draw = Draw(company.seed, "returning")
    new = draw.chosen(orders, min(company.buyers, orders))
    new[np.argmax(new)] = False
    new[0] = True
    known = np.cumsum(new) - 1
    seen = np.maximum(known, 1)
    # Prefer early customers, so that years pass between the orders of many.
    again = np.minimum(draw.below(orders, seen), draw.below(orders, seen))
    regular = draw.chance(orders, 200) & (known > company.buyers // 2)
    return new, np.where(new, known, np.where(regular, company.buyers // 3 + again % company.count(40, 2), again))


def _territories(draw: Draw, number: int, weights: tuple[int, ...]) -> Integers:
    territory = draw.index(number, weights) + 1
    territory[:10] = np.arange(1, 11)
    return territory


def tables(company: Company, entities: Entities, buyers: Customers) -> Iterator[NamedTable]:
    """Yield the tables of stores and customers."""
    draw = Draw(company.seed, "Sales_Store")
    stores = company.stores
    yield table(
        "Sales_Store",
        {
            "BusinessEntityID": entities.stores,
            "Name": _store_names(draw, stores),
            "SalesPersonID": FIRST_SELLER
            + regular_sellers(buyers.territory[:stores], np.arange(stores), np.full(stores, LAST_DAY)),
            "Demographics": _store_survey(draw, stores),
            "rowguid": draw.guids(stores),
            "ModifiedDate": _LOADED,
        },
    )
    number = len(buyers.ids)
    yield table(
        "Sales_Customer",
        {
            "CustomerID": buyers.ids,
            "PersonID": null_where(buyers.person, buyers.person == 0),
            "StoreID": null_where(buyers.store, buyers.store == 0),
            "TerritoryID": buyers.territory,
            "AccountNumber": joined("AW", digits(buyers.ids, 8)),
            "rowguid": draw.guids(number),
            "ModifiedDate": _LOADED,
        },
    )


def cards(company: Company, buyers: Customers, first_days: Days) -> Iterator[NamedTable]:
    """Yield credit cards (invented types, numbers that no bank issues) and their owners. Some expire before use."""
    draw = Draw(company.seed, "Sales_CreditCard")
    owned = np.flatnonzero(buyers.card)
    order = owned[np.argsort(buyers.card[owned], kind="stable")]
    number = len(order)
    kind = draw.below(number, len(_CARDS))
    serial = (np.arange(number) * 7_368_787 + 1_234_567_891 + int(draw.below(1, 1 << 30)[0])) % 10**10
    yield table(
        "Sales_CreditCard",
        {
            "CreditCardID": buyers.card[order],
            "CardType": words([name for name, _ in _CARDS], kind),
            "CardNumber": joined(words([prefix for _, prefix in _CARDS], kind), digits(serial, 10)),
            "ExpMonth": draw.between(number, 1, 12),
            "ExpYear": np.array([2012, 2013, 2014, 2015, 2016, 2017])[draw.index(number, (2, 6, 12, 25, 30, 25))],
            "ModifiedDate": first_days[order],
        },
    )
    yield table(
        "Sales_PersonCreditCard",
        {
            "BusinessEntityID": buyers.person[owned],
            "CreditCardID": buyers.card[owned],
            "ModifiedDate": first_days[owned],
        },
    )


def _store_names(draw: Draw, number: int) -> pa.Array:
    """Return store names, made unique by family name and kind of shop, then by a number."""
    pairs = len(LAST_NAMES) * len(_SHOP_WORDS)
    choice = draw.shuffled(pairs)[np.arange(number) % pairs]
    name = joined(words(LAST_NAMES, choice // len(_SHOP_WORDS)), " ", words(_SHOP_WORDS, choice % len(_SHOP_WORDS)))
    later = np.arange(number) // pairs
    return joined(name, words(["", " II", " III", " IV"], np.minimum(later, 3)))


def _store_survey(draw: Draw, number: int) -> pa.Array:
    sales = np.array(_SALES)[draw.index(number, (12, 24, 8, 27, 29))]
    answers = {
        "AnnualSales": digits(sales),
        "AnnualRevenue": digits(sales // 10),
        "BankName": words(_BANKS, draw.below(number, len(_BANKS))),
        "BusinessType": words(("BM", "BS", "OS"), draw.below(number, 3)),
        "YearOpened": digits(draw.between(number, 1970, 2005)),
        "Specialty": words(("Road", "Mountain", "Touring"), draw.index(number, (43, 35, 22))),
        "SquareFeet": digits(draw.between(number, 6, 80) * 1_000),
        "Brands": words(("AW", "2", "3", "4+"), draw.index(number, (7, 20, 28, 45))),
        "Internet": words(("DSL", "T1", "T2", "ISDN", "T3"), draw.index(number, (54, 28, 10, 7, 1))),
        "NumberEmployees": digits(draw.between(number, 2, 100)),
    }
    elements = [part for tag, text in answers.items() for part in (f"<{tag}>", text, f"</{tag}>")]
    return joined(f'<StoreSurvey xmlns="{_SURVEY}">', *elements, "</StoreSurvey>")
