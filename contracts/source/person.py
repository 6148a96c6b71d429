"""Contracts of the tables of the source schema `Person`."""

from datetime import date
from typing import Any

import polars as pl
from pandera.polars import Field

from contracts.columns import (
    Bit,
    Date,
    DateTime,
    Decimal38_6,
    Guid,
    Hex,
    Int,
    SourceTable,
    Text,
    TinyInt,
    Xml,
    code,
    country_code,
    derived_from,
    email,
    guid,
    hexadecimal,
    one_of,
    phone,
    rule,
    text,
    xml,
)

YEARLY_INCOMES = ["0-25000", "25001-50000", "50001-75000", "75001-100000", "greater than 100000"]


class Address(SourceTable):
    """One row per street address of a customer, vendor or employee."""

    AddressID: Int
    AddressLine1: Text = text(60)
    AddressLine2: Text = text(60, nullable=True)
    City: Text = text(30)
    StateProvinceID: Int
    PostalCode: Text = text(15)
    SpatialLocation: Hex = hexadecimal(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_Address"
        metadata = {"version": "1.0"}
        unique = ["AddressID"]


class AddressType(SourceTable):
    """One row per type of address: home, billing, shipping …"""

    AddressTypeID: Int
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_AddressType"
        metadata = {"version": "1.0"}
        unique = ["AddressTypeID"]


class BusinessEntity(SourceTable):
    """One row per person, vendor or store: the id that they share."""

    BusinessEntityID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_BusinessEntity"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID"]


class BusinessEntityAddress(SourceTable):
    """One row per address of a person, vendor or store, with its type."""

    BusinessEntityID: Int
    AddressID: Int
    AddressTypeID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_BusinessEntityAddress"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "AddressID", "AddressTypeID"]


class BusinessEntityContact(SourceTable):
    """One row per contact person of a vendor or store."""

    BusinessEntityID: Int = Field(description="The vendor or store")
    PersonID: Int
    ContactTypeID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def nobody_is_their_own_contact(cls):
        """PersonID <> BusinessEntityID."""
        return pl.col("PersonID") != pl.col("BusinessEntityID")

    class Config:
        name = "Person_BusinessEntityContact"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "PersonID", "ContactTypeID"]


class ContactType(SourceTable):
    """One row per role of a contact: owner, purchasing agent …"""

    ContactTypeID: Int
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Person_ContactType"
        metadata = {"version": "1.0"}
        unique = ["ContactTypeID"]


class CountryRegion(SourceTable):
    """One row per country."""

    CountryRegionCode: Text = country_code()
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Person_CountryRegion"
        metadata = {"version": "1.0"}
        unique = ["CountryRegionCode"]


class EmailAddress(SourceTable):
    """One row per e-mail address of a person."""

    BusinessEntityID: Int
    EmailAddressID: Int
    EmailAddress: Text = email(50, nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_EmailAddress"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "EmailAddressID"]


class Password(SourceTable):
    """One row per person: the hash of the password for the web shop."""

    BusinessEntityID: Int
    PasswordHash: Text = text(128)
    PasswordSalt: Text = text(10)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_Password"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID"]


def _answer(question: str) -> dict[str, Any]:
    return derived_from("Demographics", "IndividualSurvey", question)


class Person(SourceTable):
    """One row per person known to the company: customer, contact or employee.

    Survey columns hold the answers in Demographics; NULL: not asked, or not answered.
    """

    BusinessEntityID: Int
    PersonType: Text = one_of(
        "SC",
        "VC",
        "IN",
        "EM",
        "SP",
        "GC",
        description="SC store contact, VC vendor contact, IN individual customer, EM employee, SP sales person,"
        " GC general contact",
    )
    NameStyle: Bit = Field(description="False: first name first; true: last name first")
    Title: Text = text(8, nullable=True)
    FirstName: Text = text(50)
    MiddleName: Text = text(50, nullable=True)
    LastName: Text = text(50)
    Suffix: Text = text(10, nullable=True)
    EmailPromotion: Int = Field(
        ge=0, le=2, description="E-mails wanted: 0 none, 1 from AdventureWorks, 2 from its partners too"
    )
    AdditionalContactInfo: Xml = xml(nullable=True)
    Demographics: Xml = xml(nullable=True, description="Answers to the survey: income, education, cars …")
    rowguid: Guid = guid()
    ModifiedDate: DateTime
    SurveyTotalPurchaseYTD: Decimal38_6 = Field(**_answer("TotalPurchaseYTD"), description="USD; may be negative")
    SurveyDateFirstPurchase: Date = Field(**_answer("DateFirstPurchase"))
    SurveyBirthDate: Date = Field(**_answer("BirthDate"), ge=date(1900, 1, 1))
    SurveyMaritalStatus: Text = one_of("M", "S", **_answer("MaritalStatus"), description="M married, S single")
    SurveyYearlyIncome: Text = Field(**_answer("YearlyIncome"), isin=YEARLY_INCOMES, description="Band, USD")
    SurveyGender: Text = one_of("M", "F", **_answer("Gender"), description="M male, F female")
    SurveyTotalChildren: TinyInt = Field(**_answer("TotalChildren"))
    SurveyNumberChildrenAtHome: TinyInt = Field(**_answer("NumberChildrenAtHome"))
    SurveyEducation: Text = Field(**_answer("Education"))
    SurveyOccupation: Text = Field(**_answer("Occupation"))
    SurveyHomeOwnerFlag: Bit = Field(**_answer("HomeOwnerFlag"))
    SurveyNumberCarsOwned: TinyInt = Field(**_answer("NumberCarsOwned"))
    SurveyCommuteDistance: Text = Field(**_answer("CommuteDistance"), description="Band, miles")

    class Config:
        name = "Person_Person"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID"]


class PersonPhone(SourceTable):
    """One row per telephone number of a person."""

    BusinessEntityID: Int
    PhoneNumber: Text = phone(25)
    PhoneNumberTypeID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Person_PersonPhone"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "PhoneNumber", "PhoneNumberTypeID"]


class PhoneNumberType(SourceTable):
    """One row per kind of telephone number: cell, home, work."""

    PhoneNumberTypeID: Int
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Person_PhoneNumberType"
        metadata = {"version": "1.0"}
        unique = ["PhoneNumberTypeID"]


class StateProvince(SourceTable):
    """One row per state or province, with its sales territory."""

    StateProvinceID: Int
    StateProvinceCode: Text = code(3)
    CountryRegionCode: Text = country_code()
    IsOnlyStateProvinceFlag: Bit = Field(description="True: the country has no provinces; the row covers all of it")
    Name: Text = text(50)
    TerritoryID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_StateProvince"
        metadata = {"version": "1.0"}
        unique = ["StateProvinceID"]
