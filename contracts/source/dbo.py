"""Contracts of the tables of the source schema `dbo`, which describe the database itself."""

from pandera.polars import Field

from contracts.columns import DateTime, Int, SourceTable, Text, TinyInt, Xml, long_text, text, xml


class AWBuildVersion(SourceTable):
    """One row: the version of the source database."""

    SystemInformationID: TinyInt
    DatabaseVersion: Text = text(25, alias="Database Version")
    VersionDate: DateTime
    ModifiedDate: DateTime

    class Config:
        name = "dbo_AWBuildVersion"
        metadata = {"version": "1.0"}
        unique = ["SystemInformationID"]


class DatabaseLog(SourceTable):
    """One row per change of the source's schema, with its statement."""

    DatabaseLogID: Int
    PostTime: DateTime
    DatabaseUser: Text = text(128)
    Event: Text = text(128)
    Schema: Text = text(128, nullable=True)
    Object: Text = text(128, nullable=True)
    TSQL: Text = long_text()
    XmlEvent: Xml = xml()

    class Config:
        name = "dbo_DatabaseLog"
        metadata = {"version": "1.0"}
        unique = ["DatabaseLogID"]


class ErrorLog(SourceTable):
    """One row per error that a procedure of the source caught."""

    ErrorLogID: Int
    ErrorTime: DateTime
    UserName: Text = text(128)
    ErrorNumber: Int
    ErrorSeverity: Int = Field(nullable=True, ge=0, le=25)
    ErrorState: Int = Field(nullable=True)
    ErrorProcedure: Text = text(126, nullable=True)
    ErrorLine: Int = Field(nullable=True, ge=0)
    ErrorMessage: Text = text(4000)

    class Config:
        name = "dbo_ErrorLog"
        metadata = {"version": "1.0"}
        unique = ["ErrorLogID"]
