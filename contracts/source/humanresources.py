"""Contracts of the tables of the source schema `HumanResources`."""

from datetime import date
from decimal import Decimal

import polars as pl
from pandera.polars import Field

from contracts.columns import (
    Bit,
    Date,
    DateTime,
    Guid,
    Hex,
    Int,
    Money,
    Period,
    SmallInt,
    SourceTable,
    Text,
    Time,
    TinyInt,
    Xml,
    computed,
    digits,
    guid,
    hierarchy,
    level_of,
    one_of,
    rule,
    text,
    xml,
)


class Department(SourceTable):
    """One row per department of the company."""

    DepartmentID: SmallInt
    Name: Text = text(50)
    GroupName: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_Department"
        metadata = {"version": "1.0"}
        unique = ["DepartmentID"]


class Employee(SourceTable):
    """One row per current or former employee. The chief executive has no position in the tree."""

    BusinessEntityID: Int
    NationalIDNumber: Text = digits(1, 15, unique=True)
    LoginID: Text = text(256)
    OrganizationNode: Hex = hierarchy(nullable=True, description="Position in the organization tree")
    OrganizationLevel: SmallInt = Field(
        nullable=True,
        ge=0,
        description="Depth of that position",
        metadata=computed(level_of("OrganizationNode")),
    )
    JobTitle: Text = text(50)
    BirthDate: Date = Field(ge=date(1930, 1, 1))
    MaritalStatus: Text = one_of("M", "S", description="M married, S single")
    Gender: Text = one_of("M", "F", description="M male, F female")
    HireDate: Date = Field(ge=date(1996, 7, 1))
    SalariedFlag: Bit
    VacationHours: SmallInt = Field(ge=-40, le=240)
    SickLeaveHours: SmallInt = Field(ge=0, le=120)
    CurrentFlag: Bit
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def is_of_age(cls):
        """BirthDate + 18 years <= ModifiedDate."""
        return pl.col("BirthDate").dt.offset_by("18y") <= pl.col("ModifiedDate").dt.date()

    @rule
    def was_hired_at_sixteen_or_older(cls):
        """BirthDate + 16 years <= HireDate."""
        return pl.col("BirthDate").dt.offset_by("16y") <= pl.col("HireDate")

    @rule
    def is_hired_by_tomorrow(cls):
        """HireDate <= ModifiedDate + 1 day."""
        return pl.col("HireDate") <= pl.col("ModifiedDate").dt.date() + pl.duration(days=1)

    class Config:
        name = "HumanResources_Employee"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID"]


class EmployeeDepartmentHistory(Period):
    """One row per period in which an employee worked in a department and shift."""

    BusinessEntityID: Int
    DepartmentID: SmallInt
    ShiftID: TinyInt
    StartDate: Date
    EndDate: Date = Field(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_EmployeeDepartmentHistory"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "StartDate", "DepartmentID", "ShiftID"]


class EmployeePayHistory(SourceTable):
    """One row per pay rate of an employee, valid from its change date on."""

    BusinessEntityID: Int
    RateChangeDate: DateTime
    Rate: Money = Field(ge=Decimal("6.50"), le=Decimal("200.00"), description="USD per hour")
    PayFrequency: TinyInt = Field(isin=[1, 2], description="1 paid monthly, 2 every two weeks")
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_EmployeePayHistory"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "RateChangeDate"]


class JobCandidate(SourceTable):
    """One row per résumé sent to the company."""

    JobCandidateID: Int
    BusinessEntityID: Int = Field(nullable=True, description="The employee, if the candidate was hired")
    Resume: Xml = xml(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_JobCandidate"
        metadata = {"version": "1.0"}
        unique = ["JobCandidateID"]


class Shift(SourceTable):
    """One row per work shift; the night shift ends on the next day."""

    ShiftID: TinyInt
    Name: Text = text(50)
    StartTime: Time
    EndTime: Time
    ModifiedDate: DateTime

    @rule
    def lasts_some_time(cls):
        """StartTime <> EndTime."""
        return pl.col("StartTime") != pl.col("EndTime")

    class Config:
        name = "HumanResources_Shift"
        metadata = {"version": "1.0"}
        unique = ["ShiftID"]
