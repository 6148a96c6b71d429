"""Checks of whole candidates. The rules are in `checks/`, one file per table; Soda evaluates them.

A broken rule within one table, or between tables that are published together, blocks the table; so does a broken
reference. Between tables that are published separately it only warns, since one of them may legitimately be ahead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.gate.check_files import (
    DeclaredCheck,
    Reference,
    check_text,
    declared_checks,
    references,
    variables_of,
    with_values,
)
from adventureworks.gate.containment import contained

if TYPE_CHECKING:
    from adventureworks.gate.soda import CheckedSchema, Measured, TableScan
    from adventureworks.warehouse import Warehouse

__all__ = ["CheckOutcome", "Reference", "passed", "readable_references", "references", "run_checks"]

EXAMPLES = 3
"""Number of keys that an outcome names."""


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of one check.

    `error` is a failure of the gate, and never counts as a pass. A check is `skipped` if it reads a table that the
    source does not offer.
    """

    table: str
    rule: str
    outcome: Literal["pass", "warn", "fail", "error", "skipped"]
    failed: int | None
    """Rows that break the rule, or keys that occur more than once; None if the rule does not count rows."""
    message: str
    """What was measured and what was expected, in words."""
    examples: tuple[str, ...]
    """Keys of failing rows, such as `SalesOrderID=43659, SalesOrderDetailID=17`; never personal data."""
    dimension: str
    """One of completeness, uniqueness, validity, consistency, referential, freshness and volume."""


def readable_references(folder: Path, asset: str) -> tuple[Reference, ...]:
    """Return the foreign keys of a table; empty if its check file cannot be read, which `run_checks` reports."""
    try:
        return references(folder, asset)
    except PlatformError:
        return ()


def run_checks(
    warehouse: Warehouse,
    folder: Path,
    assets: Sequence[str],
    variables: Mapping[str, str],
    schema: str = "staging",
    *,
    only: Mapping[str, Collection[str]] | None = None,
    months: Mapping[str, Collection[str]] | None = None,
    values: Mapping[str, Collection[int]] | None = None,
) -> list[CheckOutcome]:
    """Run the checks of these assets against the candidate views in `schema`, and return one outcome per check.

    `folder` contains the check files, `variables` the values that they use (`least_rows_<table>`,
    `stale_before_<table>`, `as_of`, for a tolerant mart also `declared_rules`). `only`: by table, the rules to run if
    not all of them. `months`: by mart, the months to which rules that hold by month are restricted, if not all months
    can have changed. `values`: by mart, in the same way, those to which rules that hold for each value of a column
    (`by`) are restricted. Raises ServiceUnavailable if the warehouse does not answer.
    """
    from adventureworks.gate.soda import checked_schema

    outcomes: list[CheckOutcome] = []
    # Rules of marts join whole tables in many steps, those of source tables look up keys.
    with checked_schema(warehouse, schema, nested_loops=not set(assets) <= MARTS.keys()) as source:
        for asset in assets:
            try:
                declared = declared_checks(folder, asset)
            except PlatformError as error:
                outcomes.append(CheckOutcome(asset, "checks_are_readable", "error", None, str(error), (), "validity"))
                continue
            try:
                with contained(asset, "checks_are_evaluated", "checked"):
                    rules, restricted = (only or {}).get(asset), ((months or {}).get(asset), (values or {}).get(asset))
                    outcomes += _check_table(source, folder, declared, variables, rules, restricted)
            except TableBlocked as fault:
                outcomes.append(CheckOutcome(asset, fault.rule, "error", None, fault.detail, (), "validity"))
    return outcomes


def _check_table(
    source: CheckedSchema,
    folder: Path,
    declared: Sequence[DeclaredCheck],
    variables: Mapping[str, str],
    rules: Collection[str] | None,
    restricted: tuple[Collection[str] | None, Collection[int] | None],
) -> list[CheckOutcome]:
    """Return the outcomes of a table's checks. `restricted`: see `months` and `values` of `check_text`."""
    from adventureworks.gate.soda import scan_table

    key = _shown_key(declared)
    if rules is not None and all(check.rule in rules for check in declared):
        # Nothing is left out of the file.
        rules = None
    text = check_text(folder, declared[0].table, rules, *restricted)
    declared = [check for check in declared if rules is None or check.rule in rules]
    missing = sorted(variables_of(text) - set(variables))
    if missing:
        return [_not_evaluated(check, f"{', '.join(missing)} was not given") for check in declared]
    # Soda would compile a template for each of its queries.
    scan = scan_table(source, with_values(text, variables), _newest(declared, source.schema))
    outcomes = [_outcome(check, scan, variables, key) for check in declared]
    if scan.failure and all(outcome.outcome in ("pass", "warn") for outcome in outcomes):
        # Soda failed on something unrelated to any single check, so its passes cannot be trusted.
        return [_not_evaluated(check, scan.failure) for check in declared]
    return outcomes


def _newest(declared: Sequence[DeclaredCheck], schema: str) -> str:
    """Return the SELECT of the newest value, for the message about a stale table."""
    for check in declared:
        if check.kind == "freshness":
            quote = '"' if check.table in SOURCE_TABLES else ""
            table, column = f"{quote}{check.table}{quote}", f"{quote}{check.columns[0]}{quote}"
            return f"select max({column}) from {schema}.{table}"
    return ""


def _shown_key(declared: Sequence[DeclaredCheck]) -> tuple[str, ...]:
    """Return the key columns that may be shown."""
    entry = SOURCE_TABLES.get(declared[0].table)
    hidden = {*entry.personal, *entry.protected} if entry else set()
    key = next((check.columns for check in declared if check.kind == "uniqueness"), ())
    return tuple(column for column in key if column not in hidden)


def _outcome(check: DeclaredCheck, scan: TableScan, variables: Mapping[str, str], key: tuple[str, ...]) -> CheckOutcome:
    measured = scan.checks.get(check.rule)
    if measured is None or measured.outcome is None or measured.value is None:
        return _not_evaluated(check, (measured.error if measured else "") or scan.failure or "Soda returned no result")
    return CheckOutcome(
        table=check.table,
        rule=check.rule,
        outcome=measured.outcome,  # type: ignore[arg-type]
        failed=int(measured.value) if _counts_rows(check) else None,
        message=_message(check, measured, variables, scan.newest),
        examples=_examples(check, measured, key),
        dimension=check.dimension,
    )


def passed(check: DeclaredCheck, rows: int = 0, variables: Mapping[str, str] | None = None) -> CheckOutcome:
    """Return the outcome of a rule that no row breaks.

    `rows`: the number of rows of the table, and `variables` the values that the rule uses, if it is about the table.
    """
    from adventureworks.gate.soda import Measured

    message = _message(check, Measured("pass", float(rows)), variables or {}, None)
    failed = 0 if _counts_rows(check) else None
    return CheckOutcome(check.table, check.rule, "pass", failed, message, (), check.dimension)


def _counts_rows(check: DeclaredCheck) -> bool:
    """Return whether a check counts the rows that break it; one about the table as a whole does not."""
    return check.kind not in ("volume", "freshness")


def recounted(check: DeclaredCheck, outcome: CheckOutcome, more: int) -> CheckOutcome | None:
    """Return the outcome of a rule that so many more rows break; None if it might be another than the one before.

    Only rules that warn, whatever the number of rows, and outcomes that have enough examples without those rows.
    """
    if not more:
        return outcome
    if not check.only_warns or outcome.failed is None or len(outcome.examples) < EXAMPLES:
        return None
    from adventureworks.gate.soda import Measured

    failed = outcome.failed + more
    return replace(outcome, failed=failed, message=_message(check, Measured("warn", float(failed)), {}, None))


def _not_evaluated(check: DeclaredCheck, reason: str) -> CheckOutcome:
    message = f"The check could not be evaluated: {reason}."
    return CheckOutcome(check.table, check.rule, "error", None, message, (), check.dimension)


def _message(check: DeclaredCheck, measured: Measured, variables: Mapping[str, str], newest: Any) -> str:
    count = int(measured.value or 0)
    columns = ", ".join(check.columns)
    if check.kind == "volume":
        return f"{_counted(count, 'row')}, expected {_least(check, variables)}."
    if check.kind == "freshness":
        since = variables.get(f"stale_before_{check.table}", "")
        if measured.outcome == "pass":
            return f"The newest {columns} is not earlier than {since}."
        return f"The newest {columns} is {newest}, expected {since} or later."
    if check.kind == "uniqueness":
        return f"{_counted(count, 'value')} of {columns} more than once, expected none."
    if check.kind == "reference":
        parent = check.line.split("must exist in ")[1].split(" ")[0].strip('"')
        return f"{_counted(count, 'row')} with {columns} not in {parent}, expected none."
    return f"{check.meaning}: {_counted(count, 'exception')}, expected none."


def _least(check: DeclaredCheck, variables: Mapping[str, str]) -> str:
    """Return the expected number of rows in words, e.g. `at least 40` from `row_count >= ${least_rows_T}`."""
    if check.line == "row_count > 0":
        return "more than 0"
    return f"at least {int(float(variables.get(f'least_rows_{check.table}', '0'))):,}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _examples(check: DeclaredCheck, measured: Measured, key: tuple[str, ...]) -> tuple[str, ...]:
    if measured.outcome == "pass":
        return ()
    texts = []
    for row in measured.rows:
        # Engines return column names in their own case.
        values = {name.lower(): value for name, value in row.items()}
        names = tuple(row) if check.kind == "rows" else key
        texts.append(", ".join(f"{name}={values[name.lower()]}" for name in names))
    return tuple(dict.fromkeys(text for text in texts if text))[:EXAMPLES]
