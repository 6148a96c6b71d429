"""Lossless conversion of a column of a batch to the contract's type.

Nothing is rounded, truncated or guessed. A value that does not fit the type exactly becomes NULL here, and its row is
set aside. A column whose type cannot hold the contract's values exactly (floating-point numbers for decimals, dates
with a time zone) has no conversion, and its table is blocked.
"""

from __future__ import annotations

from typing import Any

import polars as pl

_BLANKS = " \t\r\n"
"""Padding around a number or date. Other white space, such as a non-breaking space, may group digits and is kept."""

_WHOLE = r"^[+-]?[0-9]+(\.0*)?$"
_MICROSECONDS = r"[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6}0*)?"
_TIME = rf"^[0-9]{{2}}:{_MICROSECONDS}$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_DATE_AND_MIDNIGHT = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]00:00:00(?:\.0+)?)?$"
_DATE_AND_TIME = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T][0-9]{{2}}:{_MICROSECONDS}$"

_CONSECUTIVE_BELOW: dict[type[pl.DataType], int] = {pl.Float32: 2**24, pl.Float64: 2**53}
"""Limits below which a floating-point type represents every whole number, so that none was rounded."""

_BOOLEANS = {"0": False, "1": True, "false": False, "true": True, "f": False, "t": True}


def converted(series: pl.Series, target: pl.DataType, parses_text: bool) -> pl.Series | None:
    """Return the values in the target type, NULL where one does not fit; None if the column cannot be converted.

    `parses_text`: the source contains only text (CSV), so text may represent any type.
    """
    source = series.dtype
    if target == pl.Time and source == pl.Time:
        # The warehouse stores microseconds.
        return _null_unless(series, series.cast(pl.Int64) % 1000 == 0)
    if source == target:
        return series
    if source == pl.Null:
        return series.cast(target)
    if source == pl.Binary:
        # The reader could not decode some value of this column; the other values are text nevertheless.
        text = pl.Series(series.name, [_decoded(value) for value in series], pl.String)
        return text if target == pl.String else converted(text, target, parses_text)
    if source == pl.String:
        return parsed(series, target) if parses_text and target != pl.String else None
    if source.is_integer() and (target.is_integer() or isinstance(target, pl.Decimal)):
        return series.cast(target, strict=False)
    if target.is_integer() and (limit := _CONSECUTIVE_BELOW.get(type(source))):
        # Data frames store whole numbers as floating point if some of them are missing.
        return _exact(series, _null_unless(series, series.abs() < limit).cast(target, strict=False), source)
    if source.is_integer() and target == pl.Boolean:
        return series.replace_strict({0: False, 1: True}, default=None, return_dtype=pl.Boolean)
    if isinstance(source, pl.Decimal) and (target.is_integer() or isinstance(target, pl.Decimal)):
        places = max(source.scale, target.scale if isinstance(target, pl.Decimal) else 0)
        return _exact(series, series.cast(target, strict=False), pl.Decimal(38, places))
    if source == pl.Date and isinstance(target, pl.Datetime):
        return series.cast(target)
    if isinstance(source, pl.Datetime) and source.time_zone is None and target in (pl.Date, pl.Datetime):
        return _exact(series, series.cast(target), source)
    return None


def parsed(series: pl.Series, target: pl.DataType) -> pl.Series:
    """Return text as the contract's type, NULL where it is not written exactly as that type.

    Digits are 0 to 9, the decimal separator is a point, thousands are not grouped, and dates follow ISO 8601 without a
    time zone. Decimal places beyond those of the type are accepted only if they are zeros.
    """
    text = series.str.strip_chars(_BLANKS)
    if target == pl.Boolean:
        return text.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
    if isinstance(target, pl.Datetime):
        moment = _null_unless(text.str.replace("T", " ", literal=True), text.str.contains(_DATE_AND_TIME))
        day = _null_unless(text, text.str.contains(_DATE))
        return moment.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False).fill_null(
            day.str.to_date("%Y-%m-%d", strict=False).cast(target)
        )
    if target == pl.Date:
        return text.str.extract(_DATE_AND_MIDNIGHT).str.to_date("%Y-%m-%d", strict=False)
    if target == pl.Time:
        return _null_unless(text, text.str.contains(_TIME)).str.to_time("%H:%M:%S%.f", strict=False)
    if isinstance(target, pl.Decimal):
        written = rf"^[+-]?([0-9]+(\.[0-9]{{0,{target.scale}}}0*)?|\.[0-9]{{1,{max(target.scale, 1)}}}0*)$"
        return _null_unless(text, text.str.contains(written)).cast(target, strict=False)
    if target.is_integer():
        whole = _null_unless(text, text.str.contains(_WHOLE)).str.replace(r"\..*$", "")
        return whole.cast(target, strict=False)
    raise TypeError(f"Text cannot be read as {target}.")


def type_name(dtype: pl.DataType) -> str:
    """Return a contract's type in words."""
    names: dict[Any, str] = {
        pl.Int16: "whole number (16 bits)",
        pl.Int32: "whole number (32 bits)",
        pl.Int64: "whole number (64 bits)",
        pl.UInt8: "whole number from 0 to 255",
        pl.String: "text",
        pl.Boolean: "boolean",
        pl.Date: "date",
        pl.Time: "time of day",
    }
    if isinstance(dtype, pl.Decimal):
        return f"decimal number with {dtype.scale} decimal places"
    return "date and time" if isinstance(dtype, pl.Datetime) else names.get(type(dtype), str(dtype))


def type_mismatch(column: str, source: pl.DataType, target: pl.DataType) -> str:
    """Return a message that says why a column of type `source` has no conversion."""
    mismatch = f"column {column} is now {source}, but the contract says {type_name(target)}."
    if source.is_float() and isinstance(target, pl.Decimal):
        return f"{mismatch} Floating-point numbers do not hold decimals exactly: write the column as decimal."
    if isinstance(source, pl.Datetime) and source.time_zone:
        return f"{mismatch} Dates of the source have no time zone: write the column without one."
    return mismatch


def _exact(original: pl.Series, values: pl.Series, comparable: pl.DataType) -> pl.Series:
    """Return the converted values, NULL where the conversion lost information."""
    same = values.cast(comparable, strict=False) == original.cast(comparable, strict=False)
    return _null_unless(values.alias(original.name), same)


def _null_unless(values: pl.Series, kept: pl.Series) -> pl.Series:
    """Return the values, NULL where `kept` is not true."""
    return pl.select(pl.when(kept).then(values)).to_series().alias(values.name)


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
