"""What one row of each table of the source schema `HumanResources` must be."""

from pandera.polars import Field

from contracts.columns import (
    Bit,
    Date,
    DateTime,
    Guid,
    Hex,
    Int,
    Money,
    SmallInt,
    SourceTable,
    Text,
    Time,
    TinyInt,
    Xml,
    guid,
    text,
)


class Department(SourceTable):
    """One row per Department."""

    DepartmentID: SmallInt
    Name: Text = text(50)
    GroupName: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_Department"
        unique = ["DepartmentID"]


class Employee(SourceTable):
    """One row per Employee."""

    BusinessEntityID: Int
    NationalIDNumber: Text = text(15)
    LoginID: Text = text(256)
    OrganizationNode: Hex = Field(nullable=True)
    OrganizationLevel: SmallInt = Field(nullable=True)
    JobTitle: Text = text(50)
    BirthDate: Date
    MaritalStatus: Text = text(1)
    Gender: Text = text(1)
    HireDate: Date
    SalariedFlag: Bit
    VacationHours: SmallInt
    SickLeaveHours: SmallInt
    CurrentFlag: Bit
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_Employee"
        unique = ["BusinessEntityID"]


class EmployeeDepartmentHistory(SourceTable):
    """One row per EmployeeDepartmentHistory."""

    BusinessEntityID: Int
    DepartmentID: SmallInt
    ShiftID: TinyInt
    StartDate: Date
    EndDate: Date = Field(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_EmployeeDepartmentHistory"
        unique = ["BusinessEntityID", "StartDate", "DepartmentID", "ShiftID"]


class EmployeePayHistory(SourceTable):
    """One row per EmployeePayHistory."""

    BusinessEntityID: Int
    RateChangeDate: DateTime
    Rate: Money
    PayFrequency: TinyInt
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_EmployeePayHistory"
        unique = ["BusinessEntityID", "RateChangeDate"]


class JobCandidate(SourceTable):
    """One row per JobCandidate."""

    JobCandidateID: Int
    BusinessEntityID: Int = Field(nullable=True)
    Resume: Xml = Field(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_JobCandidate"
        unique = ["JobCandidateID"]


class Shift(SourceTable):
    """One row per Shift."""

    ShiftID: TinyInt
    Name: Text = text(50)
    StartTime: Time
    EndTime: Time
    ModifiedDate: DateTime

    class Config:
        name = "HumanResources_Shift"
        unique = ["ShiftID"]
