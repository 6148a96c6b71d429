"""New web shop customers, with e-mail address, telephone number, password, address, credit card and account."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adventureworks_sample.business.journal import Dice, Journal
from adventureworks_sample.people import phones, survey
from adventureworks_sample.words import FIRST_NAMES_F, FIRST_NAMES_M, LAST_NAMES, STREET_KINDS, STREETS

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HOME = 2


class Buyer(NamedTuple):
    """The customer data that an order needs."""

    customer: int
    territory: int
    address: int
    card: int | None
    seller: int | None
    """Sales person of the store; None for a web shop customer."""


def new_customer(journal: Journal, dice: Dice) -> Buyer:
    """Insert a new web shop customer in a random existing town, and return it."""
    entity = journal.next_id("Person_BusinessEntity", "BusinessEntityID")
    journal.insert("Person_BusinessEntity", [{"BusinessEntityID": entity, "rowguid": dice.guid()}])
    _person(journal, dice, entity)
    address, territory = _home(journal, dice, entity)
    card = _card(journal, dice, entity)
    customer = journal.next_id("Sales_Customer", "CustomerID")
    journal.insert(
        "Sales_Customer",
        [
            {
                "CustomerID": customer,
                "PersonID": entity,
                "StoreID": None,
                "TerritoryID": territory,
                "AccountNumber": f"AW{customer:08}",
                "rowguid": dice.guid(),
            }
        ],
    )
    return Buyer(customer, territory, address, card, None)


def _person(journal: Journal, dice: Dice, entity: int) -> None:
    female = dice.chance(5_000)
    first = dice.one_of(FIRST_NAMES_F if female else FIRST_NAMES_M)
    answers = survey(dice.draw, np.array([female]), np.array([np.datetime64(journal.today, "D")]))
    journal.insert(
        "Person_Person",
        [
            {
                "BusinessEntityID": entity,
                "PersonType": "IN",
                "NameStyle": False,
                "Title": None,
                "FirstName": first,
                "MiddleName": None,
                "LastName": dice.one_of(LAST_NAMES),
                "Suffix": None,
                "EmailPromotion": dice.below(3),
                "AdditionalContactInfo": None,
                "Demographics": answers[0].as_py(),
                "rowguid": dice.guid(),
            }
        ],
    )
    number = journal.next_id("Person_EmailAddress", "EmailAddressID")
    mail = {"BusinessEntityID": entity, "EmailAddressID": number, "rowguid": dice.guid()}
    journal.insert("Person_EmailAddress", [mail | {"EmailAddress": f"{first.lower()}.{entity}@example.com"}])
    phone = str(phones(dice.draw, 1)[0].as_py())
    journal.insert(
        "Person_PersonPhone",
        [{"BusinessEntityID": entity, "PhoneNumber": phone, "PhoneNumberTypeID": dice.between(1, 2)}],
    )
    secret = {
        "PasswordHash": f"{dice.draw.letters(1, _BASE64, 43)[0].as_py()}=",
        "PasswordSalt": f"{dice.draw.letters(1, _BASE64, 7)[0].as_py()}=",
    }
    journal.insert("Person_Password", [{"BusinessEntityID": entity, **secret, "rowguid": dice.guid()}])


def _home(journal: Journal, dice: Dice, entity: int) -> tuple[int, int]:
    """Insert an address; return its AddressID and territory."""
    neighbours = journal.value('select count(*) from "Person"."Address"')
    town = journal.rows(
        'select a."City", a."StateProvinceID", a."PostalCode", a."SpatialLocation", s."TerritoryID" as territory '
        'from "Person"."Address" a join "Person"."StateProvince" s using ("StateProvinceID") '
        'order by a."AddressID" offset %s limit 1',
        dice.below(neighbours),
    )[0]
    territory = town.pop("territory")
    address = journal.next_id("Person_Address", "AddressID")
    line = f"{10_000 + address} {dice.one_of(STREETS)} {dice.one_of(STREET_KINDS)}"
    place = {"AddressID": address, "AddressLine1": line, "AddressLine2": None, **town, "rowguid": dice.guid()}
    journal.insert("Person_Address", [place])
    use = {"BusinessEntityID": entity, "AddressID": address, "AddressTypeID": _HOME, "rowguid": dice.guid()}
    journal.insert("Person_BusinessEntityAddress", [use])
    return address, territory


def _card(journal: Journal, dice: Dice, entity: int) -> int:
    kind = journal.rows('select distinct "CardType" as kind from "Sales"."CreditCard" order by 1')
    card = journal.next_id("Sales_CreditCard", "CreditCardID")
    journal.insert(
        "Sales_CreditCard",
        [
            {
                "CreditCardID": card,
                "CardType": dice.one_of(kind)["kind"] if kind else "Summit",
                # The last ten digits are the CreditCardID, so every number is unique.
                "CardNumber": f"2222{card:010}",
                "ExpMonth": dice.between(1, 12),
                "ExpYear": journal.today.year + dice.between(0, 4),
            }
        ],
    )
    journal.insert("Sales_PersonCreditCard", [{"BusinessEntityID": entity, "CreditCardID": card}])
    return card
