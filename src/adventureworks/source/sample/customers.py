"""Who buys: persons in the web shop, shops through a sales person; their territories, accounts and credit cards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adventureworks.source.sample.build import Days, Named, digits, joined, missing, moment, table, words
from adventureworks.source.sample.demand import reseller_bookings
from adventureworks.source.sample.draw import Draw, Flags, Integers
from adventureworks.source.sample.selling import FIRST_MONTHS_OF_TERRITORIES, FIRST_SELLER, at_home
from adventureworks.source.sample.words import LAST_NAMES
from adventureworks.source.sample.world import LAST_DAY, TERRITORY_OF_BUYERS, TERRITORY_OF_STORES, Company, Entities

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
    """Customers in the order of their numbers: every store, the persons of the web shop, the stores' buyers."""

    ids: Integers
    territory: Integers
    person: Integers
    """BusinessEntityID, 0 for none; so is the store."""
    store: Integers
    first_buyer: int
    """Where the persons of the web shop begin."""
    first_reseller: int
    """Where the stores' buyers begin."""
    card: Integers
    """CreditCardID, 0 for none."""


def customers(company: Company, who: Entities) -> Customers:
    """Everybody who may buy; the first ten of each kind stand for the ten territories."""
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
        person=np.r_[np.zeros(company.stores, dtype=np.int64), who.buyers, who.contacts[: company.resellers]],
        store=np.r_[who.stores, none, who.stores[: company.resellers]],
        first_buyer=company.stores,
        first_reseller=company.stores + company.buyers,
        card=card,
    )


def bookings(company: Company, buyers: Customers) -> tuple[Integers, Integers]:
    """Reseller and month of every order through a sales person."""
    draw = Draw(company.seed, "first months")
    territory = buyers.territory[buyers.first_reseller :]
    joined_in = np.array([0, 12, 24])[draw.index(len(territory), (25, 33, 42))]
    return reseller_bookings(company, np.maximum(joined_in, np.array(FIRST_MONTHS_OF_TERRITORIES)[territory - 1]))


def returning(company: Company, orders: int) -> tuple[Flags, Integers]:
    """For each order of the web shop, by day: is the buyer new, and if not, which of those before it is.

    A few who came late order again and again, the others as it happens.
    """
    draw = Draw(company.seed, "returning")
    new = draw.chosen(orders, min(company.buyers, orders))
    new[np.argmax(new)] = False
    new[0] = True
    known = np.cumsum(new) - 1
    seen = np.maximum(known, 1)
    # Rather one who came long ago: years lie between the orders of many.
    again = np.minimum(draw.below(orders, seen), draw.below(orders, seen))
    regular = draw.chance(orders, 200) & (known > company.buyers // 2)
    return new, np.where(new, known, np.where(regular, company.buyers // 3 + again % company.count(40, 2), again))


def _territories(draw: Draw, number: int, weights: tuple[int, ...]) -> Integers:
    territory = draw.index(number, weights) + 1
    territory[:10] = np.arange(1, 11)
    return territory


def tables(company: Company, who: Entities, buyers: Customers) -> Iterator[Named]:
    """Stores and customers."""
    draw = Draw(company.seed, "Sales_Store")
    stores = company.stores
    yield table(
        "Sales_Store",
        {
            "BusinessEntityID": who.stores,
            "Name": _store_names(draw, stores),
            "SalesPersonID": FIRST_SELLER
            + at_home(buyers.territory[:stores], np.arange(stores), np.full(stores, LAST_DAY)),
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
            "PersonID": missing(buyers.person, buyers.person == 0),
            "StoreID": missing(buyers.store, buyers.store == 0),
            "TerritoryID": buyers.territory,
            "AccountNumber": joined("AW", digits(buyers.ids, 8)),
            "rowguid": draw.guids(number),
            "ModifiedDate": _LOADED,
        },
    )


def cards(company: Company, buyers: Customers, first_days: Days) -> Iterator[Named]:
    """Credit cards (invented kinds, numbers that no bank gives out) and whose they are. Some expire before use."""
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
    """Unique by family name and kind of shop, then by a number."""
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
