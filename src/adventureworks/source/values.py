"""Converts values to the canonical form that the gate expects, whatever program wrote them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from adventureworks.columns import Column

_LONGEST_DATETIME = len("2014-06-30 00:00:00.000000")
_LONGEST_TIME = len("00:00:00.000000")


def canonical(values: pa.Array, column: Column) -> pa.Array:
    """Return one column's text in canonical form; values that cannot be parsed stay as they are for the gate to judge.

    An empty text becomes NULL unless the column is text. UUIDs have no braces and are in lower case, decimals have a
    digit before the point, times have no zeros beyond microseconds.
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
    """Replace NULL by an empty text in columns that are never NULL, for files that cannot distinguish the two."""
    if column.nullable or column.is_guid or column.dtype != pl.String:
        return values
    return values.fill_null(b"" if pa.types.is_binary(values.type) else "")


def text_or_bytes(values: pa.Array) -> pa.Array:
    """Return bytes decoded as UTF-8, or unchanged if one value is not valid, so that the gate can name its row."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return values


def canonical_guids(values: pa.Array) -> pa.Array:
    """Return UUIDs without braces, in lower case."""
    return pc.utf8_trim(pc.ascii_lower(values), characters="{}")


def within_calendar(values: pa.Array) -> pa.Array:
    """Return dates outside the years 1 to 9999 (such as infinity) as the first or last day of that range.

    Later steps could not even represent the originals; the gate rejects the replacements as implausible.
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
    """Add a digit before the point: SQL Server writes a decimal below one as `.50`."""
    if not pc.any(pc.match_substring_regex(values, r"^-?\.")).as_py():
        return values
    return pc.replace_substring_regex(values, pattern=r"^(-?)\.", replacement=r"\10.")


def _to_microseconds(values: pa.Array, longest: int) -> pa.Array:
    """Drop zeros beyond microseconds: SQL Server's exports pad fractions of a second to seven or nine digits."""
    if (pc.max(pc.binary_length(values)).as_py() or 0) <= longest:
        return values
    return pc.replace_substring_regex(values, pattern=r"(\.[0-9]{6})0+$", replacement=r"\1")
