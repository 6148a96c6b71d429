"""Rows against their contract: types first, then the rules of the pandera model; good rows and bad rows part here.

A batch is a polars frame of some ten thousand rows. What takes the whole table (keys across batches,
references, volume) is not judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from adventureworks.catalog import Mart, SourceTable
from adventureworks.columns import Column, columns_of, key_of, source_columns_of
from adventureworks.errors import TableBlocked
from adventureworks.gate import survey

EXAMPLES = 3
"""How many keys a message names."""

_COMPARISONS = {
    "greater_than": ">",
    "greater_than_or_equal_to": ">=",
    "less_than": "<",
    "less_than_or_equal_to": "<=",
    "equal_to": "=",
    "not_equal_to": "<>",
}


@dataclass(frozen=True)
class Rejection:
    """Why one row may not pass: its position in the batch, the broken rule, and the rule in words."""

    row: int
    rule: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """A batch in two parts. `good` has the contract's columns and types; `bad` has the columns as they came, and those
    that were derived from them, as far as they could be."""

    good: pl.DataFrame
    bad: pl.DataFrame
    rejections: tuple[Rejection, ...]
    """One for each row of `bad`, in its order; `row` counts in the batch."""


def with_whole_key(entry: SourceTable | Mart, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a key that is never NULL, as the warehouse needs it.

    Where the contract lets a key be NULL at the source (the root of a hierarchy is the empty hierarchyid, which files
    write as nothing), the empty text stands for it.
    """
    key = key_of(entry)
    return frame.with_columns(
        pl.col(column.name).fill_null("") for column in columns_of(entry) if column.nullable and column.name in key
    )


def hold_against(entry: SourceTable | Mart, batch: pa.RecordBatch) -> Verdict:
    """Splits a batch into rows that keep the contract and rows that do not.

    Raises TableBlocked where a column is missing or has another type: then no row of the table can be trusted.
    """
    frame = pl.from_arrow(batch)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"{entry.asset}: a batch is a table, not a {type(frame).__name__}")
    columns = source_columns_of(entry)
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise TableBlocked(entry.asset, "columns_are_there", f"the source no longer has {_listed(missing)}.")
    frame = frame.select(column.name for column in columns)
    # A CSV file knows nothing but text; there a value that does not parse condemns its row. Anywhere else text in the
    # place of a number is a changed type, and condemns the table.
    parses_text = all(dtype == pl.String for dtype in frame.dtypes)
    typed, unreadable = _typed(entry.asset, frame, columns, parses_text)
    derived, underivable = _derived(entry, typed)
    typed = with_whole_key(entry, typed.hstack(derived)).select(column.name for column in columns_of(entry))
    broken = {
        rejection.row: rejection for rejection in reversed([*unreadable, *underivable, *_broken_rules(entry, typed)])
    }
    rows = sorted(broken)
    good = typed.with_row_index("__row").filter(~pl.col("__row").is_in(rows)).drop("__row") if rows else typed
    return Verdict(good, frame.hstack(derived)[rows], tuple(broken[row] for row in rows))


def _typed(
    asset: str, frame: pl.DataFrame, columns: tuple[Column, ...], parses_text: bool
) -> tuple[pl.DataFrame, list[Rejection]]:
    """The frame in the contract's types, NULL where a value has no place in its type, and the rows where that is so."""
    converted: list[pl.Series] = []
    unreadable: list[Rejection] = []
    for column in columns:
        series = frame[column.name]
        values = _converted(series, column.dtype, parses_text)
        if values is None:
            raise TableBlocked(
                asset,
                "column_types_are_kept",
                f"column {column.name} is now {series.dtype}, the contract says {_type_name(column.dtype)}.",
            )
        converted.append(values)
        lost = (values.is_null() & series.is_not_null()).arg_true().to_list()
        message = f"{column.name} is a {_type_name(column.dtype)}"
        unreadable += [Rejection(row, f"{column.name}_is_readable", message) for row in lost]
        if values.dtype == pl.String:
            # No database takes it, and no text means it.
            spoilt = values.str.contains("\x00", literal=True).fill_null(False).arg_true().to_list()
            message = f"{column.name} holds no NUL character"
            unreadable += [Rejection(row, f"{column.name}_is_text", message) for row in spoilt]
    return pl.DataFrame(converted), unreadable


def _derived(entry: SourceTable | Mart, typed: pl.DataFrame) -> tuple[list[pl.Series], list[Rejection]]:
    """The columns that the contract derives from others, and the rows where that fails."""
    wanted = [(column, column.derivation) for column in columns_of(entry) if column.derivation]
    derived: list[pl.Series] = []
    underivable: list[Rejection] = []
    for name in dict.fromkeys(origin.column for _, origin in wanted):
        of_it = {origin.element: column for column, origin in wanted if origin.column == name}
        texts, faults = survey.answers(typed[name], of_it.keys())
        underivable += [Rejection(fault.row, f"{name}_{fault.rule}", f"{name} {fault.words}") for fault in faults]
        for element, column in of_it.items():
            values = _answer(texts[element], column.dtype).alias(column.name)
            message = f"{element} in {name} is a {_type_name(column.dtype)}"
            lost = (values.is_null() & texts[element].is_not_null()).arg_true()
            underivable += [Rejection(row, f"{column.name}_is_readable", message) for row in lost]
            derived.append(values)
    return derived, underivable


def _answer(texts: pl.Series, target: pl.DataType) -> pl.Series:
    """Texts as XML Schema writes them in the contract's type, NULL where they do not parse."""
    if target == pl.Date:
        # A date of XML Schema may name its time zone; it stays that day.
        return texts.str.replace(r"(Z|[+-]\d\d:\d\d)$", "").str.to_date("%Y-%m-%d", strict=False)
    return _parsed(texts, target)


def _converted(series: pl.Series, target: pl.DataType, parses_text: bool) -> pl.Series | None:
    """The values in their type, NULL where one does not fit without loss; None where the whole type is another."""
    source = series.dtype
    if source == target:
        return series
    if source == pl.Null:
        return series.cast(target)
    if source == pl.String:
        return _parsed(series, target) if parses_text and target != pl.String else None
    if target.is_integer() and source.is_integer():
        return series.cast(target, strict=False)
    if target == pl.Boolean and source.is_integer():
        return series.replace_strict({0: False, 1: True}, default=None, return_dtype=pl.Boolean)
    if isinstance(target, pl.Decimal) and source.is_integer():
        return series.cast(target, strict=False)
    if isinstance(target, pl.Decimal) and isinstance(source, pl.Decimal):
        # More places than the contract has would be rounded away in silence.
        return _exact(series, series.cast(target, strict=False), pl.Decimal(38, max(source.scale, target.scale)))
    if isinstance(target, pl.Datetime) and source == pl.Date:
        return series.cast(target)
    if isinstance(target, pl.Datetime) and isinstance(source, pl.Datetime) and source.time_zone is None:
        return series.cast(target)
    if target == pl.Date and isinstance(source, pl.Datetime) and source.time_zone is None:
        return _exact(series, series.cast(pl.Date), source)
    return None


def _exact(original: pl.Series, converted: pl.Series, comparable: pl.DataType) -> pl.Series:
    """The converted values, NULL where converting lost something."""
    same = converted.cast(comparable, strict=False) == original.cast(comparable, strict=False)
    return pl.select(pl.when(same).then(converted)).to_series().alias(original.name)


def _parsed(series: pl.Series, target: pl.DataType) -> pl.Series:
    """Text in the contract's type, NULL where it does not parse."""
    text = series.str.strip_chars()
    if target == pl.Boolean:
        truth = {"0": False, "1": True, "false": False, "true": True, "f": False, "t": True}
        return text.str.to_lowercase().replace_strict(truth, default=None, return_dtype=pl.Boolean)
    if isinstance(target, pl.Datetime):
        return (
            text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
            .fill_null(text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False))
            .fill_null(text.str.to_date("%Y-%m-%d", strict=False).cast(target))
        )
    if target == pl.Date:
        return text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if target == pl.Time:
        return text.str.to_time("%H:%M:%S%.f", strict=False)
    if isinstance(target, pl.Decimal):
        exact = text.cast(pl.Decimal(38, 10), strict=False)
        return _exact(exact, exact.cast(target, strict=False), pl.Decimal(38, 10))
    return text.cast(target, strict=False)


def _broken_rules(entry: SourceTable | Mart, frame: pl.DataFrame) -> list[Rejection]:
    """The rules of the model that rows break, in the contract's order."""
    from pandera.errors import SchemaErrors

    try:
        entry.contract.validate(frame, lazy=True)
    except SchemaErrors as errors:
        rejections = []
        for error in errors.schema_errors:
            rule, message = _rule(error, entry)
            rows = _failing_rows(error)
            rejections += [Rejection(row, rule, message) for row in rows]
        return rejections
    return []


def _failing_rows(error: Any) -> list[int]:
    output = error.check_output
    if not isinstance(output, pl.DataFrame) or "check_output" not in output.columns:
        # A rule that could not be evaluated must never pass for one that was kept.
        raise TypeError(f"The contract's rule {error.check} gave no answer: {error}")
    return output["check_output"].eq_missing(False).arg_true().to_list()


def _rule(error: Any, entry: SourceTable | Mart) -> tuple[str, str]:
    """A rule's name, and the rule in words."""
    name = error.check if isinstance(error.check, str) else error.check.name
    column = getattr(error.schema, "name", None)
    if name in {"multiple_fields_uniqueness", "field_uniqueness"}:
        return "key_is_unique", f"{', '.join(key_of(entry))} is unique"
    if name == "not_nullable":
        return f"{column}_is_given", f"{column} is never NULL"
    statistics: Mapping[str, Any] = getattr(error.check, "statistics", None) or {}
    if name in _COMPARISONS:
        return f"{column}_{name}", f"{column} {_COMPARISONS[name]} {next(iter(statistics.values()))}"
    if name == "str_length":
        return f"{column}_length", f"{column} has at most {statistics['max_value']} characters"
    if name == "isin":
        return f"{column}_is_known", f"{column} is one of {_listed(map(str, statistics['allowed_values']))}"
    if name == "str_matches":
        return f"{column}_form", f"{column} matches {getattr(statistics['pattern'], 'pattern', statistics['pattern'])}"
    if name == "in_range":
        return f"{column}_range", f"{column} lies from {statistics['min_value']} to {statistics['max_value']}"
    if column in entry.contract.to_schema().columns and error.check.description:
        return f"{column}_{name}", f"{column} {error.check.description}"
    return name, _first_line(getattr(entry.contract, name, None)) or name.replace("_", " ")


def _first_line(method: Any) -> str:
    function = getattr(method, "__func__", method)
    return (getattr(function, "__doc__", None) or "").strip().split("\n")[0].rstrip(".")


def _type_name(dtype: pl.DataType) -> str:
    names: dict[Any, str] = {
        pl.Int16: "whole number of 16 bits",
        pl.Int32: "whole number of 32 bits",
        pl.Int64: "whole number of 64 bits",
        pl.UInt8: "whole number from 0 to 255",
        pl.String: "text",
        pl.Boolean: "truth value",
        pl.Date: "date",
        pl.Time: "time of day",
    }
    if isinstance(dtype, pl.Decimal):
        return f"decimal number with {dtype.scale} places"
    return "date and time" if isinstance(dtype, pl.Datetime) else names.get(type(dtype), str(dtype))


def _listed(values: Any) -> str:
    return ", ".join(values)
