"""Persons: names, e-mail addresses, telephone numbers, passwords, contacts and survey answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adventureworks_sample.build import (
    Days,
    NamedTable,
    day,
    digits,
    joined,
    null_text_where,
    rows,
    running_number,
    table,
    words,
)
from adventureworks_sample.draw import Draw, Flags, Integers, fixed_width
from adventureworks_sample.selling import FIRST_SELLER
from adventureworks_sample.words import (
    FIRST_NAMES_F,
    FIRST_NAMES_M,
    LAST_NAMES,
    SUFFIXES,
    TITLES_OF_PEOPLE,
)
from adventureworks_sample.world import SET_UP, Company, Entities

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SURVEY = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works/IndividualSurvey"
_CONTACT = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works/Contact"
_CONTACT_TYPES = (
    *("Accounts Clerk", "Sales Assistant", "Sales Trainee", "Export Coordinator", "Export Clerk", "World Marketing"),
    *("Marketing Trainee", "Marketing Lead", "Marketing Agent", "Order Desk", "Owner", "Owner and Marketing"),
    *("Product Lead", "Purchasing Agent", "Purchasing Lead", "Area Representative", "Sales Agent", "Sales Associate"),
    *("Sales Lead", "Representative"),
)
_STORE_CONTACT_TYPES = (11, 14, 15)
_VENDOR_CONTACT_TYPES = (2, 17, 18, 19)
_AREA_DIGITS = 8
"""Number of possible first digits of an area code: 2 to 9."""


@dataclass(frozen=True)
class Persons:
    """All persons, in the order of BusinessEntityID."""

    ids: Integers
    kind: list[str]
    female: Flags
    first_name: pa.Array
    last_name: pa.Array
    login: pa.Array
    """First name in lower case and a number; unique."""
    modified: Days


def persons(company: Company, entities: Entities, modified: Days) -> Persons:
    """Return all persons; `modified` holds the modification day of each, in the order of `entities.persons()`."""
    draw = Draw(company.seed, "persons")
    ids = entities.persons()
    number = len(ids)
    female = draw.chance(number, 4_950)
    women, men = len(FIRST_NAMES_F), len(FIRST_NAMES_M)
    name = np.where(female, draw.skewed(number, women, 1), women + draw.skewed(number, men, 1))
    first = words([*FIRST_NAMES_F, *FIRST_NAMES_M], name)
    kinds = np.concatenate(
        [
            np.where(entities.employees >= FIRST_SELLER, "SP", "EM"),
            *(
                np.full(len(group), kind)
                for group, kind in (
                    (entities.contacts, "SC"),
                    (entities.vendor_contacts, "VC"),
                    (entities.general, "GC"),
                    (entities.buyers, "IN"),
                )
            ),
        ]
    )
    return Persons(
        ids=ids,
        kind=kinds.tolist(),
        female=female,
        first_name=first,
        last_name=words(LAST_NAMES, draw.below(number, len(LAST_NAMES))),
        login=joined(pc.utf8_lower(first), digits(running_number(name) - 1)),
        modified=modified,
    )


def entity_table(company: Company, entities: Entities, people: Persons) -> NamedTable:
    """Return the table with one row per person, vendor and store."""
    ids = entities.everyone()
    modified = np.full(len(ids), day("2011-04-25"))
    modified[people.ids - 1] = people.modified
    guids = Draw(company.seed, "Person_BusinessEntity").guids(len(ids))
    return table("Person_BusinessEntity", {"BusinessEntityID": ids, "rowguid": guids, "ModifiedDate": modified})


def tables(company: Company, entities: Entities, people: Persons, first_orders: Days) -> Iterator[NamedTable]:
    """Yield the tables of persons; `first_orders` holds the day of the first order of each web shop customer."""
    yield _person_table(company, people, first_orders)
    draw = Draw(company.seed, "reach")
    number = len(people.ids)
    yield table(
        "Person_EmailAddress",
        {
            "BusinessEntityID": people.ids,
            "EmailAddressID": np.arange(1, number + 1),
            "EmailAddress": joined(people.login, "@example.com"),
            "rowguid": draw.guids(number),
            "ModifiedDate": people.modified,
        },
    )
    yield rows(
        "Person_PhoneNumberType",
        ("PhoneNumberTypeID", "Name"),
        [(1, "Cell"), (2, "Home"), (3, "Work")],
        ModifiedDate=SET_UP,
    )
    yield table(
        "Person_PersonPhone",
        {
            "BusinessEntityID": people.ids,
            "PhoneNumber": phones(draw, number),
            "PhoneNumberTypeID": draw.between(number, 1, 3),
            "ModifiedDate": people.modified,
        },
    )
    yield table(
        "Person_Password",
        {
            "BusinessEntityID": people.ids,
            "PasswordHash": joined(draw.letters(number, _BASE64, 43), "="),
            "PasswordSalt": joined(draw.letters(number, _BASE64, 7), "="),
            "rowguid": draw.guids(number),
            "ModifiedDate": people.modified,
        },
    )
    yield rows(
        "Person_ContactType",
        ("ContactTypeID", "Name"),
        list(enumerate(_CONTACT_TYPES, start=1)),
        ModifiedDate=SET_UP,
    )
    yield _contacts(draw, entities)


def _person_table(company: Company, people: Persons, first_orders: Days) -> NamedTable:
    draw = Draw(company.seed, "Person_Person")
    number = len(people.ids)
    titled = draw.chance(number, 500)
    title = np.where(draw.chance(number, 900), 3, np.where(people.female, draw.between(number, 1, 2), 0))
    surveys = pa.concat_arrays(
        [_short_survey(number - len(first_orders)), survey(draw, people.female[-len(first_orders) :], first_orders)]
    )
    return table(
        "Person_Person",
        {
            "BusinessEntityID": people.ids,
            "PersonType": people.kind,
            "NameStyle": False,
            "Title": null_text_where(words(TITLES_OF_PEOPLE, title), ~titled),
            "FirstName": people.first_name,
            "MiddleName": null_text_where(
                draw.letters(number, "ABCDEFGHIJKLMNOPRSTVW", 1), ~draw.chance(number, 5_750)
            ),
            "LastName": people.last_name,
            "Suffix": null_text_where(words(SUFFIXES, draw.below(number, len(SUFFIXES))), ~draw.chance(number, 27)),
            "EmailPromotion": draw.index(number, (56, 26, 18)),
            "AdditionalContactInfo": null_text_where(_additional_contact_info(number), ~draw.chosen(number, 10)),
            "Demographics": surveys,
            "rowguid": draw.guids(number),
            "ModifiedDate": people.modified,
        },
    )


def _short_survey(number: int) -> pa.Array:
    text = f'<IndividualSurvey xmlns="{_SURVEY}"><TotalPurchaseYTD>0</TotalPurchaseYTD></IndividualSurvey>'
    return pa.repeat(text, number)


def survey(draw: Draw, female: Flags, first_orders: Days) -> pa.Array:
    """Return the survey answers of web shop customers, as XML."""
    number = len(female)
    children = draw.index(number, (28, 20, 20, 12, 12, 8))
    income = draw.index(number, (158, 309, 296, 149, 88))
    bands = ("0-25000", "25001-50000", "50001-75000", "75001-100000", "greater than 100000")
    # A higher income makes a degree, cars and a house more likely.
    education = (draw.below(number, 4) + income) // 2
    cars = np.minimum(draw.below(number, 4) * (income + 2) // 4, 4)
    spent = draw.below(number, 80_000_000)
    answers = {
        "TotalPurchaseYTD": joined(digits(spent // 10_000), ".", digits(spent % 10_000, 4)),
        "DateFirstPurchase": joined(_date_text(first_orders), "Z"),
        "BirthDate": joined(_date_text(day("1935-01-01") + draw.below(number, 17_500)), "Z"),
        "MaritalStatus": words(("M", "S"), draw.index(number, (54, 46))),
        "YearlyIncome": words(bands, income),
        "Gender": words(("M", "F"), female.astype(np.int64)),
        "TotalChildren": digits(children),
        "NumberChildrenAtHome": digits(draw.below(number, children + 1)),
        "Education": words(
            ("Partial High School", "High School", "Partial College", "Bachelors ", "Graduate Degree"),
            np.minimum(education, 4),
        ),
        "Occupation": words(
            ("Manual", "Clerical", "Skilled Manual", "Professional", "Management"),
            np.minimum((draw.below(number, 4) + income * 2) // 2, 4),
        ),
        "HomeOwnerFlag": digits(draw.chance(number, 5_500 + 700 * income).astype(np.int64)),
        "NumberCarsOwned": digits(cars),
        "CommuteDistance": words(
            ("0-1 Miles", "1-2 Miles", "2-5 Miles", "5-10 Miles", "10+ Miles"), draw.index(number, (34, 17, 18, 17, 14))
        ),
    }
    elements = [part for tag, text in answers.items() for part in (f"<{tag}>", text, f"</{tag}>")]
    return joined(f'<IndividualSurvey xmlns="{_SURVEY}">', *elements, "</IndividualSurvey>")


def _additional_contact_info(number: int) -> pa.Array:
    text = (
        f'<AdditionalContactInfo xmlns="{_CONTACT}Info" xmlns:crm="{_CONTACT}Record" xmlns:act="{_CONTACT}Types">'
        "<act:telephoneNumber><act:number>206-555-0100</act:number></act:telephoneNumber>"
        '<crm:ContactRecord date="2012-06-02Z">Asked for a catalogue.</crm:ContactRecord></AdditionalContactInfo>'
    )
    return pa.repeat(text, number)


def phones(draw: Draw, number: int) -> pa.Array:
    """Return telephone numbers from the range reserved for fiction: 555-0100 to 555-0199."""
    area = (2 + draw.below(number, _AREA_DIGITS)) * 100 + draw.below(number, 100)
    letters = np.tile(np.frombuffer(b"000-555-0100", dtype=np.uint8), (number, 1)).copy()
    last = draw.below(number, 100)
    for place, digit in ((0, area // 100), (1, area // 10 % 10), (2, area % 10), (10, last // 10), (11, last % 10)):
        letters[:, place] = 48 + digit
    home = fixed_width(letters)
    abroad = joined("1 (11) 500 ", pc.utf8_slice_codeunits(home, 4))
    return pc.if_else(pa.array(draw.chance(number, 4_800)), abroad, home)


def _contacts(draw: Draw, entities: Entities) -> NamedTable:
    """Return the contact persons of stores and vendors."""
    stores = entities.stores[np.arange(len(entities.contacts)) % len(entities.stores)]
    vendors = entities.vendors[np.arange(len(entities.vendor_contacts)) % len(entities.vendors)]
    kind = np.r_[
        np.array(_STORE_CONTACT_TYPES)[draw.below(len(stores), len(_STORE_CONTACT_TYPES))],
        np.array(_VENDOR_CONTACT_TYPES)[draw.below(len(vendors), len(_VENDOR_CONTACT_TYPES))],
    ]
    return table(
        "Person_BusinessEntityContact",
        {
            "BusinessEntityID": np.r_[stores, vendors],
            "PersonID": np.r_[entities.contacts, entities.vendor_contacts],
            "ContactTypeID": kind,
            "rowguid": draw.guids(len(kind)),
            "ModifiedDate": day("2011-04-25") + draw.below(len(kind), 1_100),
        },
    )


def _date_text(days: Days) -> pa.Array:
    return pa.array(days).cast(pa.string())
