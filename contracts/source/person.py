"""What one row of each table of the source schema `Person` must be."""

from pandera.polars import Field

from contracts.columns import Bit, DateTime, Guid, Hex, Int, SourceTable, Text, Xml, guid, text


class Address(SourceTable):
    """One row per Address."""

    AddressID: Int
    AddressLine1: Text = text(60)
    AddressLine2: Text = text(60, nullable=True)
    City: Text = text(30)
    StateProvinceID: Int
    PostalCode: Text = text(15)
    SpatialLocation: Hex = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_Address"
        unique = ["AddressID"]


class AddressType(SourceTable):
    """One row per AddressType."""

    AddressTypeID: Int
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_AddressType"
        unique = ["AddressTypeID"]


class BusinessEntity(SourceTable):
    """One row per BusinessEntity."""

    BusinessEntityID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_BusinessEntity"
        unique = ["BusinessEntityID"]


class BusinessEntityAddress(SourceTable):
    """One row per BusinessEntityAddress."""

    BusinessEntityID: Int
    AddressID: Int
    AddressTypeID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_BusinessEntityAddress"
        unique = ["BusinessEntityID", "AddressID", "AddressTypeID"]


class BusinessEntityContact(SourceTable):
    """One row per BusinessEntityContact."""

    BusinessEntityID: Int
    PersonID: Int
    ContactTypeID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_BusinessEntityContact"
        unique = ["BusinessEntityID", "PersonID", "ContactTypeID"]


class ContactType(SourceTable):
    """One row per ContactType."""

    ContactTypeID: Int
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Person_ContactType"
        unique = ["ContactTypeID"]


class CountryRegion(SourceTable):
    """One row per CountryRegion."""

    CountryRegionCode: Text = text(3)
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Person_CountryRegion"
        unique = ["CountryRegionCode"]


class EmailAddress(SourceTable):
    """One row per EmailAddress."""

    BusinessEntityID: Int
    EmailAddressID: Int
    EmailAddress: Text = text(50, nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_EmailAddress"
        unique = ["BusinessEntityID", "EmailAddressID"]


class Password(SourceTable):
    """One row per Password."""

    BusinessEntityID: Int
    PasswordHash: Text = text(128)
    PasswordSalt: Text = text(10)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_Password"
        unique = ["BusinessEntityID"]


class Person(SourceTable):
    """One row per Person."""

    BusinessEntityID: Int
    PersonType: Text = text(2)
    NameStyle: Bit
    Title: Text = text(8, nullable=True)
    FirstName: Text = text(50)
    MiddleName: Text = text(50, nullable=True)
    LastName: Text = text(50)
    Suffix: Text = text(10, nullable=True)
    EmailPromotion: Int
    AdditionalContactInfo: Xml = Field(nullable=True)
    Demographics: Xml = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_Person"
        unique = ["BusinessEntityID"]


class PersonPhone(SourceTable):
    """One row per PersonPhone."""

    BusinessEntityID: Int
    PhoneNumber: Text = text(25)
    PhoneNumberTypeID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Person_PersonPhone"
        unique = ["BusinessEntityID", "PhoneNumber", "PhoneNumberTypeID"]


class PhoneNumberType(SourceTable):
    """One row per PhoneNumberType."""

    PhoneNumberTypeID: Int
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Person_PhoneNumberType"
        unique = ["PhoneNumberTypeID"]


class StateProvince(SourceTable):
    """One row per StateProvince."""

    StateProvinceID: Int
    StateProvinceCode: Text = text(3)
    CountryRegionCode: Text = text(3)
    IsOnlyStateProvinceFlag: Bit
    Name: Text = text(50)
    TerritoryID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Person_StateProvince"
        unique = ["StateProvinceID"]
