"""The column types that contracts are written in, and the base classes of a source table and of a mart.

Types carry the names of SQL Server, where the data is born. A rule that needs one row alone lives in a contract; a rule
that needs the table or several tables is a check (`checks/`).
"""

from typing import Annotated, Any

import polars as pl
from pandera.polars import DataFrameModel, Field

Int = pl.Int32
BigInt = pl.Int64
SmallInt = pl.Int16
TinyInt = pl.UInt8
Bit = pl.Boolean
Money = Annotated[pl.Decimal, 19, 4]
SmallMoney = Annotated[pl.Decimal, 10, 4]
DateTime = Annotated[pl.Datetime, "us", None]
Date = pl.Date
Time = pl.Time
Text = pl.String
Guid = pl.String
"""A uniqueidentifier in its canonical lower-case form of 36 characters."""
Hex = pl.String
"""Bytes, a hierarchyid or a geography as hexadecimal text."""
Xml = pl.String
Decimal8_2 = Annotated[pl.Decimal, 8, 2]
Decimal9_2 = Annotated[pl.Decimal, 9, 2]
Decimal9_4 = Annotated[pl.Decimal, 9, 4]
Decimal38_6 = Annotated[pl.Decimal, 38, 6]

GUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def text(longest: int, **field: Any) -> Any:
    """A text of at most `longest` characters."""
    return Field(str_length={"max_value": longest}, **field)


def guid(**field: Any) -> Any:
    """A uniqueidentifier."""
    return Field(str_matches=GUID_PATTERN, **field)


class SourceTable(DataFrameModel):
    """One row of a source table.

    `Config.unique` is the primary key, `Config.name` the name of the asset (`Sales_SalesOrderHeader`).
    """

    class Config:
        """Columns that a contract does not name are accepted and left out."""

        strict = False


class MartTable(DataFrameModel):
    """One row of a mart. Every field has a description with its unit."""

    class Config:
        """A mart has exactly the columns of its contract."""

        strict = True


def described(text: str, **field: Any) -> Any:
    """A mart's column with its meaning and unit, shown in the data dictionary."""
    return Field(description=text, **field)
