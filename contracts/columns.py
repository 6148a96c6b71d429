"""Building blocks of contracts: column types, kinds of field, and the base classes of source tables and marts.

Types are named as in SQL Server, where the data originates. A rule about a single row belongs in a contract; a rule
about a whole table or several tables is a check (`checks/`).
"""

from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import Annotated, Any, Literal, get_args

import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.polars import Check, DataFrameModel, Field, dataframe_check

from contracts import hierarchyid

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
"""A statistical figure, such as a return, a probability or an error."""
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
"""Last valid business date. Placeholder dates such as 0001, 1900, 1970 and 9999 are outside these bounds."""

CHANNELS = ["online", "reseller"]
REASONS = ["nothing_to_compare", "no_better_than_baseline", "no_better_than_constant", "total_is_off"]
"""Why predictions are withheld: the rules of `adventureworks.marts.prediction`."""

GUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
HEX_PATTERN = r"^(0x|\\x)?[0-9A-Fa-f]*$"
XML_PATTERN = "^[\\s\ufeff]*(<|$)"
XML_NAMESPACE = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works/"
"""Prefix of the AdventureWorks XML namespaces; the name of the root element follows."""
EMAIL_PATTERN = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
PHONE_PATTERN = r"^(?i:[+(]?\d[\d ()./+-]{3,}((x|ext\.?) ?\d+)?)$"


def _with(field: Any, name: str, words: str, predicate: Callable[[pl.Expr], pl.Expr], **statistics: Any) -> Any:
    """Return the field with one more rule; `words` complete a sentence that begins with the column's name."""

    def check(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(predicate(pl.col(data.key)))

    field.checks.append(Check(check, name=name, description=words, statistics=statistics))
    return field


def text(longest: int, *, blank: bool = False, **field: Any) -> Any:
    """Return a text field of at most `longest` characters; it must not be blank unless it is nullable or `blank`."""
    column = Field(str_length={"max_value": longest}, **field)
    return column if blank or column.nullable else not_blank(column)


def _padded(field: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a field that the source pads with blanks to a fixed width (`nchar`); padding is ignored."""
    return {**field, "metadata": {**field.get("metadata", {}), "padded": True}}


def code(longest: int, *, blank: bool = False, **field: Any) -> Any:
    """Return a field for a short text of fixed width at the source."""
    return text(longest, blank=blank, **_padded(field))


def long_text(**field: Any) -> Any:
    """Return a field for a text of any length that is not blank."""
    return not_blank(Field(**field))


def not_blank(column: Any) -> Any:
    """Add the rule that the text is not blank, and return the field."""
    return _with(column, "is_not_blank", "is not blank", lambda value: value.str.contains(r"\S"))


def one_of(*codes: str, **field: Any) -> Any:
    """Return a field for one of these codes; trailing blanks and case are ignored, as at the source."""
    return _with(
        Field(**_padded(field)),
        "is_one_of",
        f"is one of {', '.join(codes)}",
        lambda value: value.str.strip_chars_end(" ").str.to_uppercase().is_in(codes),
        codes=codes,
    )


def share(**field: Any) -> Any:
    """Return a field for a share of a whole, from 0 to 1."""
    return Field(ge=0, le=1, **field)


def shaped(pattern: str, kind: str, **field: Any) -> Any:
    """Return a field for a text that matches a pattern; `kind` is its name in messages."""
    return _with(
        Field(**field), "has_the_form", f"is {kind}", lambda value: value.str.contains(pattern), pattern=pattern
    )


def guid(**field: Any) -> Any:
    """Return a field for a uniqueidentifier."""
    return shaped(GUID_PATTERN, "a uniqueidentifier in lower case", **field)


def hexadecimal(**field: Any) -> Any:
    """Return a field for bytes as hexadecimal digits."""
    return shaped(HEX_PATTERN, "hexadecimal", **field)


def xml(**field: Any) -> Any:
    """Return a field for XML, which begins with an element or is empty."""
    return shaped(XML_PATTERN, "XML", **field)


def email(longest: int, **field: Any) -> Any:
    """Return a field for an e-mail address."""
    return shaped(EMAIL_PATTERN, "an e-mail address", str_length={"max_value": longest}, **field)


def phone(longest: int, **field: Any) -> Any:
    """Return a field for a telephone number in any common notation."""
    return shaped(PHONE_PATTERN, "a telephone number", str_length={"max_value": longest}, **field)


def digits(least: int, longest: int, **field: Any) -> Any:
    """Return a field for a number used as a name: a text of digits only, which keeps leading zeros and every digit."""
    pattern = f"^[0-9]{{{least},}}$"
    return shaped(pattern, f"at least {least} digits and nothing else", str_length={"max_value": longest}, **field)


def country_code(**field: Any) -> Any:
    """Return a field for an ISO 3166 country code."""
    return shaped(r"^[A-Z]{2}$", "a country code of two capitals", **field)


def currency_code(**field: Any) -> Any:
    """Return a field for an ISO 4217 currency code."""
    return shaped(r"^[A-Z]{3}$", "a currency code of three capitals", **field)


def derived_from(column: str, root: str, element: str) -> dict[str, Any]:
    """Return the arguments of a field that is not in the source but extracted from an XML column at ingestion.

    Its value is the text of the child `element` of `root`, in the field's type; NULL if it is missing or empty.
    """
    return {"nullable": True, "metadata": {"derived_from": (column, f"{{{XML_NAMESPACE}{root}}}{root}", element)}}


def computed(expression: pl.Expr) -> dict[str, Any]:
    """Return the metadata of a field that a source may leave out, because it is computed from other columns.

    SQL Server computes such columns itself; ports of the database to PostgreSQL usually lack them. The expression must
    not fail on impossible values: rules are evaluated afterwards.
    """
    return {"computed": expression}


def hierarchy(**field: Any) -> Any:
    """Return a field for a hierarchyid: hexadecimal digits. A path such as `/1/2/` is encoded at ingestion."""
    column = hexadecimal(**{**field, "metadata": {**field.get("metadata", {}), "hierarchy": True}})
    return _with(
        column,
        "is_a_hierarchyid",
        "is a hierarchyid",
        # What is not even hexadecimal breaks the rule on the form, and only that one.
        lambda value: ~value.str.contains(HEX_PATTERN) | value.is_null() | _level(value).is_not_null(),
    )


def level_of(column: str) -> pl.Expr:
    """Return the level below the root of a hierarchyid, NULL where it is NULL or not a hierarchyid."""
    return _level(pl.col(column))


def _level(value: pl.Expr) -> pl.Expr:
    def level(digits: str) -> int | None:
        try:
            return hierarchyid.level(digits)
        except ValueError:
            return None

    return value.map_elements(level, return_dtype=SmallInt)


def rule(expression: Callable[[Any], pl.Expr]) -> Any:
    """Declare a rule between the columns of a row, as a method of its table that returns the expression.

    The method's name states the rule in words, its docstring in SQL; users see both. As with a CHECK constraint in SQL,
    a row breaks the rule only if it is false: an unknown result (NULL) passes.
    """

    @wraps(expression)
    def check(cls: Any, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(expression(cls))

    return dataframe_check(check)


def at_most_a_day_after_modified(*columns: str) -> pl.Expr:
    """Return whether these dates are at most a day (clocks, time zones) after `ModifiedDate`."""
    latest = pl.col("ModifiedDate") + pl.duration(days=1)
    return pl.all_horizontal(pl.col(column) <= latest for column in columns)


class SourceTable(DataFrameModel):
    """One row of a source table.

    `Config.unique` is the primary key, `Config.name` the name of the asset (`Sales_SalesOrderHeader`).
    """

    @rule
    def dates_can_be_true(cls):
        """Every date is between 1990 and 2099, unless its column has bounds of its own."""
        columns = cls.to_schema().columns.items()
        dates = [pl.col(name) for name, column in columns if column.dtype.type in (pl.Date, pl.Datetime)]
        bounded = {name for name, column in columns if column.checks}
        return pl.all_horizontal(
            value.cast(pl.Date).is_between(FIRST_DAY, LAST_DAY)
            for value in dates
            if value.meta.output_name() not in bounded
        )

    class Config:
        """Options. Columns that the contract does not name are accepted and left out."""

        strict = False


class Period(SourceTable):
    """One row that is valid from its `StartDate` to its `EndDate`, which is NULL while there is no end."""

    @rule
    def ends_not_before_it_starts(cls):
        """EndDate >= StartDate."""
        return pl.col("EndDate") >= pl.col("StartDate")


TOTAL_DUE = pl.col("SubTotal") + pl.col("TaxAmt") + pl.col("Freight")


class Order(SourceTable):
    """One order, from a customer or to a vendor."""

    @rule
    def ships_not_before_it_is_ordered(cls):
        """ShipDate >= OrderDate."""
        return pl.col("ShipDate") >= pl.col("OrderDate")

    @rule
    def total_adds_up(cls):
        """TotalDue = SubTotal + TaxAmt + Freight."""
        return pl.col("TotalDue") == TOTAL_DUE


class MartTable(DataFrameModel):
    """One row of a mart. Every field has a description, and every field that is a quantity has a unit."""

    class Config:
        """Options. A mart has exactly the columns of its contract."""

        strict = True


Unit = Literal[
    "USD",
    "local currency",
    "local currency per USD",
    "pieces",
    "pieces per day",
    "order units",
    "count",
    "share",
    "ratio",
    "score",
    "ordinal",
    "hours",
    "days",
    "months",
    "year",
]
"""Units of the marts. A share is between 0 and 1; a ratio is any other quotient or coefficient."""

_AMOUNTS = [pl.Decimal(*get_args(amount)[1:]) for amount in (Money, Total, LineAmount, Discount)]


def described(text: str, unit: Unit | None = None, **field: Any) -> Any:
    """Return a field of a mart with its meaning, and its unit if that does not follow from its type (`unit_of`).

    The text is part of the data dictionary, so it needs a translation in `src/adventureworks/texts/*/columns.po`.
    """
    return Field(description=text, metadata={"unit": unit}, **field)


def unit_of(name: str, dtype: pl.DataType) -> Unit | None:
    """Return the unit that follows from the name and type of a mart's column; None if none does."""
    if dtype.is_integer():
        return None if name.endswith("_id") else "count"
    return "USD" if dtype in _AMOUNTS else None


# The meanings of columns that several marts have.
CHANNEL = "online: orders of individuals; reseller: orders of shops, placed by a sales person"
TERRITORY = "Territory of the orders; 0: no territory"
BOOKING_MONTH = (
    "First day of the month that the orders count towards: of the order date; for resellers, of three days before"
)
REVENUE = "Sales after discounts, excluding tax and freight"
COGS = "Quantity × standard cost of the product on the day of the order"
PROFIT = "Revenue minus cost of goods sold; the source has no operating expenses"
MARGIN = "Gross profit divided by revenue; empty without revenue"
IS_PARTIAL = "Whether the orders of the month are incomplete; such a month is not compared with others"
