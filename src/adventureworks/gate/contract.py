"""Rows against their contract: types first, then the rules of the pandera model; good rows and bad rows part here.

A batch is a polars frame of some ten thousand rows. What takes the whole table (keys across batches,
references, volume) is not judged here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from adventureworks.catalog import Mart, SourceTable
from adventureworks.columns import Column, columns_of, key_of, source_columns_of
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.gate import damage, survey
from adventureworks.gate.conversion import converted, difference_of_types, parsed, type_name

EXAMPLES = 3
"""How many keys a message names."""

KEY_IS_UNIQUE = "key_is_unique"
"""The rule that is broken by every row whose key comes more than once."""

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
    keys: pl.DataFrame
    """The key of each row of `bad`, in the contract's types; NULL where it is missing or cannot be read."""
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


def without_padding(frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """The frame without the blanks that a source puts behind texts of fixed width: `EA ` and `EA` are one code."""
    padded = [column.name for column in columns if column.is_padded and frame.schema.get(column.name) == pl.String]
    return frame.with_columns(pl.col(padded).str.strip_chars_end(" ")) if padded else frame


def hold_against(entry: SourceTable | Mart, batch: pa.RecordBatch) -> Verdict:
    """Splits a batch into rows that keep the contract and rows that do not.

    Raises TableBlocked where a column is missing or has another type: then no row of the table can be trusted.
    """
    frame = _frame(entry, batch)
    columns = source_columns_of(entry)
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise TableBlocked(entry.asset, "columns_are_there", f"the source no longer has {_listed(missing)}.")
    frame = without_padding(frame.select(column.name for column in columns), columns)
    # A CSV file knows nothing but text; there a value that does not parse condemns its row. Anywhere else text in the
    # place of a number is a changed type, and condemns the table.
    parses_text = _is_all_text(frame)
    typed, unreadable = _typed(entry, frame, columns, parses_text)
    derived, underivable = _derived(entry, typed)
    typed = with_whole_key(entry, typed.hstack(derived)).select(column.name for column in columns_of(entry))
    # Keys that are missing or wrong are not told as keys that come twice.
    rules = sorted(_broken_rules(entry, typed), key=lambda rejection: rejection.rule == KEY_IS_UNIQUE)
    broken = {rejection.row: rejection for rejection in reversed([*unreadable, *underivable, *rules])}
    rows = sorted(broken)
    good = typed.with_row_index("__row").filter(~pl.col("__row").is_in(rows)).drop("__row") if rows else typed
    keys = typed.select(key_of(entry))[rows]
    return Verdict(good, frame.hstack(derived)[rows], keys, tuple(broken[row] for row in rows))


def read_column(entry: SourceTable | Mart, batch: pa.RecordBatch, name: str) -> None:
    """Reads one column of a batch as `hold_against` reads them all. Raises whatever goes wrong with it."""
    columns = tuple(column for column in source_columns_of(entry) if column.name == name)
    frame = _frame(entry, batch.select([name]))
    _typed(entry, frame, columns, _is_all_text(frame))


def _frame(entry: SourceTable | Mart, batch: pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(batch)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"{entry.asset}: a batch is a table, not a {type(frame).__name__}")
    return frame


def _is_all_text(frame: pl.DataFrame) -> bool:
    return all(dtype in (pl.String, pl.Binary) for dtype in frame.dtypes)


def _typed(
    entry: SourceTable | Mart, frame: pl.DataFrame, columns: tuple[Column, ...], parses_text: bool
) -> tuple[pl.DataFrame, list[Rejection]]:
    """The frame in the contract's types, NULL where a value has no place in its type, and the rows where that is so."""
    typed: list[pl.Series] = []
    unreadable: list[Rejection] = []
    for column in columns:
        series = frame[column.name]
        values = converted(series, column.dtype, parses_text)
        if values is None:
            raise TableBlocked(
                entry.asset, "column_types_are_kept", difference_of_types(column.name, series.dtype, column.dtype)
            )
        typed.append(values)
        is_text = values.dtype == pl.String
        words = "is UTF-8 text" if is_text else f"is a {type_name(column.dtype)}"
        unreadable += _rejections(column, "is_readable", words, values.is_null() & series.is_not_null())
        if is_text:
            # No database takes it, and no text means it.
            spoilt = values.str.contains("\x00", literal=True).fill_null(False)
            unreadable += _rejections(column, "is_text", "holds no NUL character", spoilt)
            if isinstance(entry, SourceTable):
                unreadable += _damaged(column, values)
    return pl.DataFrame(typed), unreadable


def _damaged(column: Column, texts: pl.Series) -> list[Rejection]:
    """The rows whose text is not what somebody wrote, but what a program made of it on the way."""
    if column.is_guid or column.is_hex:
        return []
    undamaged = "holds no characters that a wrong encoding made (such as Ã© or U+FFFD)"
    is_null = "has no word such as NULL or \\N in place of a missing value"
    return [
        *_rejections(column, "is_undamaged", undamaged, damage.is_wrongly_decoded(texts)),
        *_rejections(
            column,
            "is_as_written",
            "is the text itself, not the number or date that a spreadsheet made of it (such as 3.3E+13 or 1-Mar)",
            damage.is_made_by_a_spreadsheet(texts),
        ),
        *_rejections(column, "is_no_word_for_null", is_null, damage.stands_for_null(texts, column.nullable)),
    ]


def _rejections(column: Column, rule: str, words: str, broken: pl.Series) -> list[Rejection]:
    rows = broken.arg_true().to_list()
    return [Rejection(row, f"{column.name}_{rule}", f"{column.name} {words}") for row in rows]


def _derived(entry: SourceTable | Mart, typed: pl.DataFrame) -> tuple[list[pl.Series], list[Rejection]]:
    """The columns that the contract derives from others, and the rows where that fails."""
    wanted = [(column, column.derivation) for column in columns_of(entry) if column.derivation]
    derived: list[pl.Series] = []
    underivable: list[Rejection] = []
    for name, root in dict.fromkeys((origin.column, origin.root) for _, origin in wanted):
        of_it = {origin.element: column for column, origin in wanted if origin.column == name}
        texts, faults = survey.answers(typed[name], root, of_it.keys())
        underivable += [Rejection(fault.row, f"{name}_{fault.rule}", f"{name} {fault.words}") for fault in faults]
        for element, column in of_it.items():
            values = _answer(texts[element], column.dtype).alias(column.name)
            message = f"{element} in {name} is a {type_name(column.dtype)}"
            lost = (values.is_null() & texts[element].is_not_null()).arg_true()
            underivable += [Rejection(row, f"{column.name}_is_readable", message) for row in lost]
            derived.append(values)
    return derived, underivable


def _answer(texts: pl.Series, target: pl.DataType) -> pl.Series:
    """Texts as XML Schema writes them in the contract's type, NULL where they do not parse."""
    if target == pl.String:
        return texts
    if target == pl.Date:
        # A date of XML Schema may name its time zone; it stays that day.
        texts = texts.str.replace(r"(Z|[+-]\d\d:\d\d)$", "")
    return parsed(texts, target)


def _broken_rules(entry: SourceTable | Mart, frame: pl.DataFrame) -> list[Rejection]:
    """The rules of the model that rows break, in the contract's order."""
    from pandera.errors import SchemaErrors

    try:
        entry.contract.validate(frame, lazy=True)
    except SchemaErrors as errors:
        rejections = []
        for error in errors.schema_errors:
            rule, message = _rule(error, entry)
            rows = _failing_rows(error, rule, message)
            rejections += [Rejection(row, rule, message) for row in rows]
        return rejections
    return []


def _failing_rows(error: Any, rule: str, message: str) -> list[int]:
    output = error.check_output
    if not isinstance(output, pl.DataFrame) or "check_output" not in output.columns:
        # A rule that could not be evaluated must never pass for one that was kept.
        raise PlatformError(
            f"the contract's rule {rule} ({message}) could not be evaluated.", "The task's log tells more."
        ) from error
    return output["check_output"].eq_missing(False).arg_true().to_list()


def _rule(error: Any, entry: SourceTable | Mart) -> tuple[str, str]:
    """A rule's name, and the rule in words."""
    name = error.check if isinstance(error.check, str) else error.check.name
    column = getattr(error.schema, "name", None)
    if name == "field_uniqueness":
        return f"{column}_is_unique", f"{column} is unique"
    if name == "multiple_fields_uniqueness":
        return KEY_IS_UNIQUE, f"{', '.join(key_of(entry))} is unique"
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


def _listed(values: Any) -> str:
    return ", ".join(values)
