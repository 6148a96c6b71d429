"""Values in the one form that the gate knows, whatever program wrote them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from adventureworks.columns import Column

_LONGEST_DATETIME = len("2014-06-30 00:00:00.000000")
_LONGEST_TIME = len("00:00:00.000000")


def canonical(values: pa.Array, column: Column) -> pa.Array:
    """Text of one column in its plain form; what cannot be understood stays as it is, for the gate to judge.

    An empty text is NULL where the column is no text. Uuids without braces in lower case, decimals with a digit before
    the point, times without zeros beyond microseconds.
    """
    if pa.types.is_binary(values.type):
        return values
    if column.is_guid or column.dtype != pl.String:
        values = pc.if_else(pc.equal(values, ""), None, values)
    if column.is_guid:
        return canonical_guids(values)
    if isinstance(column.dtype, pl.Decimal):
        return _with_leading_digit(values)
    if isinstance(column.dtype, pl.Datetime):
        return _to_microseconds(values, _LONGEST_DATETIME)
    return _to_microseconds(values, _LONGEST_TIME) if column.dtype == pl.Time else values


def empty_where_not_null(values: pa.Array, column: Column) -> pa.Array:
    """Empty texts in the place of NULL, for a file that cannot tell them apart and a text that is never NULL."""
    if column.nullable or column.is_guid or column.dtype != pl.String:
        return values
    return values.fill_null(b"" if pa.types.is_binary(values.type) else "")


def text_or_bytes(values: pa.Array) -> pa.Array:
    """Bytes as the text that they are in UTF-8; as bytes still where one value is not, for the gate to name its row."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return values


def canonical_guids(values: pa.Array) -> pa.Array:
    """Uuids without braces, in lower case."""
    return pc.utf8_trim(pc.ascii_lower(values), characters="{}")


def within_calendar(values: pa.Array) -> pa.Array:
    """Dates beyond the years 1 to 9999 (such as infinity) as the first or last day of these: the gate calls them false.

    Left as they are, no program after this one could even show them.
    """
    if pa.types.is_date(values.type):
        first, last = pa.scalar(date.min, values.type), pa.scalar(date.max, values.type)
    elif pa.types.is_timestamp(values.type) and values.type.unit != "ns":
        zone = UTC if values.type.tz else None
        first = pa.scalar(datetime.min.replace(tzinfo=zone), values.type)
        last = pa.scalar(datetime.max.replace(tzinfo=zone), values.type)
    else:
        return values
    extremes = pc.min_max(values)
    inside = pc.and_(pc.greater_equal(extremes["min"], first), pc.less_equal(extremes["max"], last))
    if inside.as_py() is not False:
        return values
    return pc.min_element_wise(pc.max_element_wise(values, first, skip_nulls=False), last, skip_nulls=False)


def _with_leading_digit(values: pa.Array) -> pa.Array:
    """SQL Server writes a decimal below one as `.50`."""
    if not pc.any(pc.match_substring_regex(values, r"^-?\.")).as_py():
        return values
    return pc.replace_substring_regex(values, pattern=r"^(-?)\.", replacement=r"\10.")


def _to_microseconds(values: pa.Array, longest: int) -> pa.Array:
    """SQL Server's exports carry seven or nine places of a second, always filled up with zeros."""
    if (pc.max(pc.binary_length(values)).as_py() or 0) <= longest:
        return values
    return pc.replace_substring_regex(values, pattern=r"(\.[0-9]{6})0+$", replacement=r"\1")
