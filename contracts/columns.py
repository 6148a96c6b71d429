"""What contracts are written in: column types, kinds of field, and the base classes of a source table and of a mart.

Types carry the names of SQL Server, where the data is born. A rule that needs one row alone lives in a contract; a rule
that needs the table or several tables is a check (`checks/`).
"""

from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import Annotated, Any

import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.polars import Check, DataFrameModel, Field, dataframe_check

Int = pl.Int32
BigInt = pl.Int64
SmallInt = pl.Int16
TinyInt = pl.UInt8
Bit = pl.Boolean
Money = Annotated[pl.Decimal, 19, 4]
SmallMoney = Annotated[pl.Decimal, 10, 4]
Decimal8_2 = Annotated[pl.Decimal, 8, 2]
Decimal9_2 = Annotated[pl.Decimal, 9, 2]
Decimal9_4 = Annotated[pl.Decimal, 9, 4]
Decimal38_6 = Annotated[pl.Decimal, 38, 6]
Total = Annotated[pl.Decimal, 38, 4]
LineAmount = Annotated[pl.Decimal, 38, 6]
Discount = Annotated[pl.Decimal, 38, 8]
Ratio = Annotated[pl.Decimal, 38, 10]
Statistic = Annotated[pl.Decimal, 38, 12]
"""What a statistic gives: a return, a probability, an error."""
DateTime = Annotated[pl.Datetime, "us", None]
Date = pl.Date
Time = pl.Time
Text = pl.String
Guid = pl.String
"""A uniqueidentifier in its canonical lower-case form of 36 characters."""
Hex = pl.String
"""Bytes, a hierarchyid or a geography as hexadecimal text."""
Xml = pl.String

FIRST_DAY = date(1990, 1, 1)
LAST_DAY = date(2099, 12, 31)
"""Between these two lie the dates of the business; outside lie false ones such as 0001, 1900, 1970 and 9999."""

CHANNELS = ["online", "reseller"]

GUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
HEX_PATTERN = r"^(0x|\\x)?[0-9A-Fa-f]*$"
XML_PATTERN = "^[\\s\ufeff]*(<|$)"
XML_NAMESPACE = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works/"
"""Where the names of the XML schemas of AdventureWorks begin; the name of the root follows."""
EMAIL_PATTERN = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
PHONE_PATTERN = r"^(?i:[+(]?\d[\d ()./+-]{3,}((x|ext\.?) ?\d+)?)$"


def _with(field: Any, name: str, words: str, kept: Callable[[pl.Expr], pl.Expr], **statistics: Any) -> Any:
    """The field with one more rule; `words` go on where the column's name ends."""

    def check(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(kept(pl.col(data.key)))

    field.checks.append(Check(check, name=name, description=words, statistics=statistics))
    return field


def text(longest: int, *, blank: bool = False, **field: Any) -> Any:
    """A text of at most `longest` characters; one that must be there says something, unless it may be `blank`."""
    column = Field(str_length={"max_value": longest}, **field)
    return column if blank or column.nullable else not_blank(column)


def _padded(field: dict[str, Any]) -> dict[str, Any]:
    """The options of a field to which the source adds blanks up to a fixed width (`nchar`): they are no part of it."""
    return {**field, "metadata": {**field.get("metadata", {}), "padded": True}}


def code(longest: int, *, blank: bool = False, **field: Any) -> Any:
    """A short text of fixed width at the source."""
    return text(longest, blank=blank, **_padded(field))


def long_text(**field: Any) -> Any:
    """A text of any length that says something."""
    return not_blank(Field(**field))


def not_blank(column: Any) -> Any:
    """The field, and its text says something."""
    return _with(column, "is_not_blank", "is not blank", lambda value: value.str.contains(r"\S"))


def one_of(*codes: str, **field: Any) -> Any:
    """One of these codes, perhaps of fixed width at the source; as there, upper or lower case does not matter."""
    return _with(
        Field(**_padded(field)),
        "is_one_of",
        f"is one of {', '.join(codes)}",
        lambda value: value.str.strip_chars_end(" ").str.to_uppercase().is_in(codes),
        codes=codes,
    )


def share(**field: Any) -> Any:
    """A share of a whole, from 0 to 1."""
    return Field(ge=0, le=1, **field)


def shaped(pattern: str, kind: str, **field: Any) -> Any:
    """A text that matches a pattern; `kind` says to people what it is."""
    return _with(
        Field(**field), "has_the_form", f"is {kind}", lambda value: value.str.contains(pattern), pattern=pattern
    )


def guid(**field: Any) -> Any:
    """A uniqueidentifier."""
    return shaped(GUID_PATTERN, "a uniqueidentifier in lower case", **field)


def hexadecimal(**field: Any) -> Any:
    """Bytes as hexadecimal digits."""
    return shaped(HEX_PATTERN, "hexadecimal", **field)


def xml(**field: Any) -> Any:
    """XML: it begins with an element or is empty."""
    return shaped(XML_PATTERN, "XML", **field)


def email(longest: int, **field: Any) -> Any:
    """An e-mail address."""
    return shaped(EMAIL_PATTERN, "an e-mail address", str_length={"max_value": longest}, **field)


def phone(longest: int, **field: Any) -> Any:
    """A telephone number as people write it."""
    return shaped(PHONE_PATTERN, "a telephone number", str_length={"max_value": longest}, **field)


def digits(least: int, longest: int, **field: Any) -> Any:
    """A number that nobody calculates with: text of digits only, so that no zero in front and no digit gets lost."""
    pattern = f"^[0-9]{{{least},}}$"
    return shaped(pattern, f"at least {least} digits and nothing else", str_length={"max_value": longest}, **field)


def country_code(**field: Any) -> Any:
    """A country as in ISO 3166."""
    return shaped(r"^[A-Z]{2}$", "a country code of two capitals", **field)


def currency_code(**field: Any) -> Any:
    """A currency as in ISO 4217."""
    return shaped(r"^[A-Z]{3}$", "a currency code of three capitals", **field)


def derived_from(column: str, root: str, element: str) -> dict[str, Any]:
    """The arguments of a field that the source does not have: it is read out of an XML column at ingestion.

    Its value is the text of the child `element` of `root`, in the field's type; NULL where that is missing or empty.
    """
    return {"nullable": True, "metadata": {"derived_from": (column, f"{{{XML_NAMESPACE}{root}}}{root}", element)}}


def rule(expression: Callable[[Any], pl.Expr]) -> Any:
    """A rule between the columns of a row, as a method of its table that returns the expression.

    The method's name says the rule in words, its docstring in the form of SQL; people read both. As with a CHECK of
    SQL, a row breaks the rule only where it is false: an unknown answer (NULL) passes.
    """

    @wraps(expression)
    def check(cls: Any, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(expression(cls))

    return dataframe_check(check)


def at_most_a_day_after_the_record(*columns: str) -> pl.Expr:
    """What has happened was recorded: these dates lie at most a day (of clocks and time zones) after `ModifiedDate`."""
    latest = pl.col("ModifiedDate") + pl.duration(days=1)
    return pl.all_horizontal(pl.col(column) <= latest for column in columns)


class SourceTable(DataFrameModel):
    """One row of a source table.

    `Config.unique` is the primary key, `Config.name` the name of the asset (`Sales_SalesOrderHeader`).
    """

    @rule
    def dates_can_be_true(cls):
        """Every date lies from 1990 to 2099, unless its column sets bounds of its own."""
        columns = cls.to_schema().columns.items()
        dates = [pl.col(name) for name, column in columns if column.dtype.type in (pl.Date, pl.Datetime)]
        bounded = {name for name, column in columns if column.checks}
        return pl.all_horizontal(
            value.cast(pl.Date).is_between(FIRST_DAY, LAST_DAY)
            for value in dates
            if value.meta.output_name() not in bounded
        )

    class Config:
        """Columns that a contract does not name are accepted and left out."""

        strict = False


class Period(SourceTable):
    """One row that holds from its `StartDate` to its `EndDate`; no end yet is NULL."""

    @rule
    def ends_not_before_it_starts(cls):
        """EndDate >= StartDate."""
        return pl.col("EndDate") >= pl.col("StartDate")


class Order(SourceTable):
    """One order, of a customer or to a vendor."""

    @rule
    def ships_not_before_it_is_ordered(cls):
        """ShipDate >= OrderDate."""
        return pl.col("ShipDate") >= pl.col("OrderDate")

    @rule
    def total_adds_up(cls):
        """TotalDue = SubTotal + TaxAmt + Freight."""
        return pl.col("TotalDue") == pl.col("SubTotal") + pl.col("TaxAmt") + pl.col("Freight")


class MartTable(DataFrameModel):
    """One row of a mart. Every field has a description with its unit."""

    class Config:
        """A mart has exactly the columns of its contract."""

        strict = True


def described(text: str, **field: Any) -> Any:
    """A mart's column with its meaning and unit, shown in the data dictionary."""
    return Field(description=text, **field)
