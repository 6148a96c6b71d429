"""Validation of a batch of rows against its contract: types first, then the rules of the pandera model.

Good rows are separated from bad ones here. A batch of rows has some ten thousand of them. Rules that need the
whole table (keys across batches, references, volume) are not checked here.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl
import pyarrow as pa

from adventureworks.catalog import Mart, SourceTable
from adventureworks.columns import Column, columns_of, key_of, source_columns_of, with_computed
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.gate import damage, survey
from adventureworks.gate.conversion import converted, parsed, type_mismatch, type_name
from contracts import hierarchyid

EXAMPLES = 3
"""Number of keys that a message names."""

KEY_IS_UNIQUE = "key_is_unique"
"""The rule broken by every row whose key occurs more than once."""
_UNDAMAGED = "is_undamaged"
"""End of the name of every rule on the decoding of a text."""

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
    """Why one row is rejected: its position in the batch, the broken rule, and the rule in words."""

    row: int
    rule: str
    message: str


@dataclass(frozen=True)
class ValidatedBatch:
    """A batch after validation: its good and its bad rows.

    `good` has the contract's columns and types. `bad` has the columns as delivered, with the paths of
    hierarchyids encoded, and the columns derived from them where that was possible.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    keys: pl.DataFrame
    """The key of each row of `bad`, in the contract's types; NULL if it is missing or cannot be read."""
    rejections: tuple[Rejection, ...]
    """One for each row of `bad`, in the same order; `row` is the position in the batch."""

    def bad_keys(self) -> Iterator[dict[str, Any]]:
        """Yield the key of each row of `bad`: in the contract's types, or as delivered where it cannot be read."""
        for row, key in zip(self.bad.iter_rows(named=True), self.keys.iter_rows(named=True), strict=True):
            yield {name: row[name] if value is None else value for name, value in key.items()}

    def without(self, good: Container[int], bad: Container[int]) -> ValidatedBatch:
        """Return the batch without the rows at these places of `good` and `bad`."""
        kept = [place for place in range(self.bad.height) if place not in bad]
        return ValidatedBatch(
            self.good[[place for place in range(self.good.height) if place not in good]],
            self.bad[kept],
            self.keys[kept],
            tuple(self.rejections[place] for place in kept),
        )


def without_null_keys(entry: SourceTable | Mart, frame: pl.DataFrame, lacks: Collection[str] = ()) -> pl.DataFrame:
    """Return the frame with NULL in key columns replaced by '' or 0, since the warehouse needs complete keys.

    The contract lets some keys be NULL at the source: the root of a hierarchy is the empty hierarchyid, which files
    write as an empty value. `lacks`: the columns that the source does not offer, which are NULL in every row.
    """
    key = key_of(entry)
    return frame.with_columns(
        pl.col(column.name).fill_null("" if column.dtype == pl.String else 0)
        for column in columns_of(entry)
        if column.name in key and (column.nullable or column.name in lacks)
    )


def without_padding(frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Return the frame without the trailing blanks of fixed-width text: `EA ` and `EA` are the same code."""
    padded = [column.name for column in columns if column.is_padded and frame.schema.get(column.name) == pl.String]
    return frame.with_columns(pl.col(padded).str.strip_chars_end(" ")) if padded else frame


def is_about_decoding(rule: str) -> bool:
    """Return whether a rule of a contract says that a text was decoded as it was encoded."""
    return rule.endswith(f"_{_UNDAMAGED}")


def validate(
    entry: SourceTable | Mart,
    batch: pa.RecordBatch,
    *,
    admitted: Collection[str] = (),
    lacks: frozenset[str] = frozenset(),
) -> ValidatedBatch:
    """Split a batch into rows that satisfy the contract and rows that do not.

    `lacks`: columns that the source does not offer. They are NULL, and rules that read them do not apply.
    `admitted`: rules on the decoding of texts. A row that breaks one of them may hold any texts that were decoded
    wrongly, because a person approved these rows as they are.
    Raises TableBlocked if a column is missing or has another type, because then no row of the table can be trusted.
    """
    frame = _frame(entry, batch)
    delivered = source_columns_of(entry)
    missing = [
        column.name
        for column in delivered
        if column.name not in frame.columns and column.computed is None and column.name not in lacks
    ]
    if missing:
        raise TableBlocked(entry.asset, "columns_are_there", f"the source no longer has {_listed(missing)}.")
    columns = tuple(column for column in delivered if column.name in frame.columns)
    frame = without_padding(frame.select(column.name for column in columns), columns)
    frame = _with_encoded_paths(frame, columns)
    # A CSV file contains only text, so a value that does not parse makes only its row bad. In any other source, text
    # in place of a number is a changed type, which blocks the table.
    parses_text = _is_all_text(frame)
    typed, unreadable = _typed(entry, frame, columns, parses_text, admitted)
    typed = typed.with_columns(
        pl.lit(None, column.dtype).alias(column.name)
        for column in delivered
        if column.name in lacks and column.name not in typed.columns
    )
    typed = with_computed(entry, without_null_keys(entry, typed, lacks))
    derived, underivable = _derived(entry, typed)
    typed = typed.hstack(derived).select(column.name for column in columns_of(entry))
    # Only the first rejection of a row is kept: report a missing or wrong key as such, not as a duplicate.
    rules = sorted(_broken_rules(entry, typed, lacks), key=lambda rejection: rejection.rule == KEY_IS_UNIQUE)
    broken = {rejection.row: rejection for rejection in reversed([*unreadable, *underivable, *rules])}
    rows = sorted(broken)
    good = typed.with_row_index("__row").filter(~pl.col("__row").is_in(rows)).drop("__row") if rows else typed
    keys = typed.select(key_of(entry))[rows]
    return ValidatedBatch(good, frame.hstack(derived)[rows], keys, tuple(broken[row] for row in rows))


def read_column(entry: SourceTable | Mart, batch: pa.RecordBatch, name: str) -> None:
    """Read one column of a batch the way `validate` reads all of them; any error is passed on."""
    columns = tuple(column for column in source_columns_of(entry) if column.name == name)
    frame = _frame(entry, batch.select([name]))
    _typed(entry, frame, columns, _is_all_text(frame))


def _with_encoded_paths(frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Return the frame with hierarchyids as hexadecimal digits. What is not a path stays, for the rules to judge."""

    def encoded(text: str) -> str:
        try:
            return hierarchyid.encoded(text)
        except ValueError:
            return text

    paths = [column.name for column in columns if column.is_hierarchy and frame.schema[column.name] == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.starts_with("/")).then(pl.col(name).map_elements(encoded, pl.String)).otherwise(name)
        for name in paths
    )


def _frame(entry: SourceTable | Mart, batch: pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(batch)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"{entry.asset}: a batch must be a table, not a {type(frame).__name__}")
    return frame


def _is_all_text(frame: pl.DataFrame) -> bool:
    return all(dtype in (pl.String, pl.Binary) for dtype in frame.dtypes)


def _typed(
    entry: SourceTable | Mart,
    frame: pl.DataFrame,
    columns: tuple[Column, ...],
    parses_text: bool,
    admitted: Collection[str] = (),
) -> tuple[pl.DataFrame, list[Rejection]]:
    """Return the frame in the contract's types, NULL where a value does not fit its type, and the rows affected."""
    typed: list[pl.Series] = []
    unreadable: list[Rejection] = []
    for column in columns:
        series = frame[column.name]
        values = converted(series, column.dtype, parses_text)
        if values is None:
            raise TableBlocked(
                entry.asset, "column_types_are_kept", type_mismatch(column.name, series.dtype, column.dtype)
            )
        typed.append(values)
        is_text = values.dtype == pl.String
        words = "is UTF-8 text" if is_text else f"is a {type_name(column.dtype)}"
        unreadable += _rejections(column, "is_readable", words, values.is_null() & series.is_not_null())
        if is_text:
            # The databases reject NUL characters, and no genuine text contains them.
            with_nul = values.str.contains("\x00", literal=True).fill_null(False)
            unreadable += _rejections(column, "is_text", "contains no NUL character", with_nul)
            if isinstance(entry, SourceTable):
                unreadable += _damaged(column, values)
    # Of a row that breaks several rules, only the first was named when it was approved.
    rows = {one.row for one in unreadable if one.rule in admitted}
    kept = [one for one in unreadable if not (one.row in rows and is_about_decoding(one.rule))]
    return pl.DataFrame(typed), kept


def _damaged(column: Column, texts: pl.Series) -> list[Rejection]:
    """Return the rows whose text a program has altered on the way from its author."""
    if column.is_guid or column.is_hex:
        return []
    undamaged = "contains no characters produced by a wrong encoding (such as Ã© or U+FFFD)"
    no_null_word = "contains no word such as NULL or \\N in place of a missing value"
    return [
        *_rejections(column, _UNDAMAGED, undamaged, damage.is_wrongly_decoded(texts)),
        *_rejections(
            column,
            "is_as_written",
            "is the original text, not a number or date that a spreadsheet made of it (such as 3.3E+13 or 1-Mar)",
            damage.is_made_by_a_spreadsheet(texts),
        ),
        *_rejections(column, "is_no_word_for_null", no_null_word, damage.stands_for_null(texts, column.nullable)),
    ]


def _rejections(column: Column, rule: str, words: str, broken: pl.Series) -> list[Rejection]:
    # Most batches are good, and looking for positions is a query.
    rows = broken.arg_true().to_list() if broken.any() else []
    return [Rejection(row, f"{column.name}_{rule}", f"{column.name} {words}") for row in rows]


def _derived(entry: SourceTable | Mart, typed: pl.DataFrame) -> tuple[list[pl.Series], list[Rejection]]:
    """Return the columns that the contract derives from others, and the rows where that fails."""
    wanted = [(column, column.derivation) for column in columns_of(entry) if column.derivation]
    derived: list[pl.Series] = []
    underivable: list[Rejection] = []
    for name, root in dict.fromkeys((origin.column, origin.root) for _, origin in wanted):
        by_element = {origin.element: column for column, origin in wanted if origin.column == name}
        texts, faults = survey.answers(typed[name], root, by_element.keys())
        underivable += [Rejection(fault.row, f"{name}_{fault.rule}", f"{name} {fault.words}") for fault in faults]
        for element, column in by_element.items():
            values = _from_xml_text(texts[element], column.dtype).alias(column.name)
            message = f"{element} in {name} is a {type_name(column.dtype)}"
            unread = (values.is_null() & texts[element].is_not_null()).arg_true()
            underivable += [Rejection(row, f"{column.name}_is_readable", message) for row in unread]
            derived.append(values)
    return derived, underivable


def _from_xml_text(texts: pl.Series, target: pl.DataType) -> pl.Series:
    """Return texts in the notation of XML Schema as the contract's type, NULL where they do not parse."""
    if target == pl.String:
        return texts
    if target == pl.Date:
        # A date in XML Schema may carry a time zone; the day stays the same.
        texts = texts.str.replace(r"(Z|[+-]\d\d:\d\d)$", "")
    return parsed(texts, target)


def _broken_rules(
    entry: SourceTable | Mart, frame: pl.DataFrame, lacks: frozenset[str] = frozenset()
) -> list[Rejection]:
    """Return the rejections by the rules of the model, in the contract's order."""
    from pandera.errors import SchemaErrors

    if keeps_every_rule(entry, frame, lacks):
        return []
    try:
        model = _reduced(entry.contract, lacks) if lacks else entry.contract
        model.validate(frame, lazy=True)
    except SchemaErrors as errors:
        rejections = []
        for error in errors.schema_errors:
            rule, message = _rule(error, entry)
            rows = _failing_rows(error, rule, message)
            rejections += [Rejection(row, rule, message) for row in rows]
        return rejections
    return []


@lru_cache(maxsize=256)
def _reduced(contract: Any, lacks: frozenset[str]) -> Any:
    """Return a contract's schema without the rules that read columns that the source does not offer."""
    schema = copy.deepcopy(contract.to_schema())
    for name in lacks:
        schema.columns[name].nullable = True
        schema.columns[name].checks = []
    offered = {name: column.dtype.type for name, column in schema.columns.items() if name not in lacks}
    schema.checks = [check for check in schema.checks if _can_be_evaluated(check, offered)]
    return schema


def _can_be_evaluated(check: Any, offered: Mapping[str, Any]) -> bool:
    """Return whether a rule between columns reads only these columns."""
    from pandera.api.polars.types import PolarsData

    try:
        check._check_fn(PolarsData(pl.LazyFrame(schema=offered), "*")).collect_schema()
    except pl.exceptions.ColumnNotFoundError:
        return False
    return True


def keeps_every_rule(entry: SourceTable | Mart, frame: pl.DataFrame, lacks: frozenset[str] = frozenset()) -> bool:
    """Return whether one query over all rules of the model proves that no row breaks any of them.

    Pandera runs several queries for each rule, which takes longer on a small batch. Most batches are good. Options of a
    model that this query does not know, such as parsers, must not be used.
    """
    schema = _reduced(entry.contract, lacks) if lacks else entry.contract.to_schema()
    try:
        if {name: column.dtype.type for name, column in schema.columns.items()} != dict(frame.schema):
            return False
        answers = pl.collect_all(_rules_kept(schema, frame.lazy()))
    except Exception:
        # Pandera says what could not be evaluated.
        return False
    return all(kept.all() for answer in answers for kept in answer)


def _rules_kept(schema: Any, rows: pl.LazyFrame) -> Iterator[pl.LazyFrame]:
    """Yield queries whose results are all true if the rows keep every rule of a model, as Pandera defines it."""
    from pandera.api.polars.types import PolarsData
    from pandera.backends.polars.checks import PolarsCheckBackend
    from pandera.backends.polars.register import register_polars_backends
    from pandera.constants import CHECK_OUTPUT_KEY

    register_polars_backends()
    kept = [pl.struct(schema.unique).is_unique()] if schema.unique else []
    checks = [("*", check) for check in schema.checks]
    for name, column in schema.columns.items():
        if not column.nullable:
            kept.append(pl.col(name).is_not_null())
            if column.dtype.type.is_float():
                kept.append(pl.col(name).is_not_nan())
        if column.unique:
            kept.append(pl.col(name).is_unique())
        checks += [(name, check) for check in column.checks]
    yield rows.select(rule.all().alias(str(number)) for number, rule in enumerate(kept))
    for name, check in checks:
        # Rules read from the model before Pandera's functions for polars were registered do not know them.
        if check.is_builtin_check(check._check_fn.__name__):
            check._check_fn = check.get_builtin_check_fn(check._check_fn.__name__)
        output = PolarsCheckBackend(check).apply(PolarsData(rows, name))
        yield output.select(pl.col(CHECK_OUTPUT_KEY).fill_null(check.ignore_na).all())


def _failing_rows(error: Any, rule: str, message: str) -> list[int]:
    output = error.check_output
    if not isinstance(output, pl.DataFrame) or "check_output" not in output.columns:
        # A rule that could not be evaluated must never count as satisfied.
        raise PlatformError(
            f"the contract's rule {rule} ({message}) could not be evaluated.", "See the task's log for details."
        ) from error
    return output["check_output"].eq_missing(False).arg_true().to_list()


def _rule(error: Any, entry: SourceTable | Mart) -> tuple[str, str]:
    """Return the rule's name, and the rule in words."""
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
        return f"{column}_range", f"{column} is between {statistics['min_value']} and {statistics['max_value']}"
    if column in entry.contract.to_schema().columns and error.check.description:
        return f"{column}_{name}", f"{column} {error.check.description}"
    return name, _first_line(getattr(entry.contract, name, None)) or name.replace("_", " ")


def _first_line(method: Any) -> str:
    function = getattr(method, "__func__", method)
    return (getattr(function, "__doc__", None) or "").strip().split("\n")[0].rstrip(".")


def _listed(values: Any) -> str:
    return ", ".join(values)
