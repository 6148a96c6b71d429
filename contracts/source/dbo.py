"""What one row of each table of the source schema `dbo` must be."""

from pandera.polars import Field

from contracts.columns import DateTime, Int, SourceTable, Text, TinyInt, Xml, text


class AWBuildVersion(SourceTable):
    """One row per AWBuildVersion."""

    SystemInformationID: TinyInt
    DatabaseVersion: Text = text(25, alias="Database Version")
    VersionDate: DateTime
    ModifiedDate: DateTime

    class Config:
        name = "dbo_AWBuildVersion"
        unique = ["SystemInformationID"]


class DatabaseLog(SourceTable):
    """One row per DatabaseLog."""

    DatabaseLogID: Int
    PostTime: DateTime
    DatabaseUser: Text = text(128)
    Event: Text = text(128)
    Schema: Text = text(128, nullable=True)
    Object: Text = text(128, nullable=True)
    TSQL: Text
    XmlEvent: Xml

    class Config:
        name = "dbo_DatabaseLog"
        unique = ["DatabaseLogID"]


class ErrorLog(SourceTable):
    """One row per ErrorLog."""

    ErrorLogID: Int
    ErrorTime: DateTime
    UserName: Text = text(128)
    ErrorNumber: Int
    ErrorSeverity: Int = Field(nullable=True)
    ErrorState: Int = Field(nullable=True)
    ErrorProcedure: Text = text(126, nullable=True)
    ErrorLine: Int = Field(nullable=True)
    ErrorMessage: Text = text(4000)

    class Config:
        name = "dbo_ErrorLog"
        unique = ["ErrorLogID"]
