"""What the check files say: each table's checks, and the references between tables, which are declared nowhere else.

A file is SodaCL as Soda reads it; this module reads of it only what the gate must know besides. A file is parsed once
per process, until it changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import sqlglot
import yaml
from sqlglot import exp

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart
from adventureworks.errors import PlatformError
from adventureworks.warehouse.sql import in_months, quoted
from adventureworks.warehouse.sql import table as sql_table

Kind = Literal["volume", "freshness", "uniqueness", "reference", "rows"]

_DIMENSIONS = {
    "volume": "volume",
    "freshness": "freshness",
    "uniqueness": "uniqueness",
    "reference": "referential",
    "rows": "consistency",
}
_REFERENCE = re.compile(r"values in \((.+)\) must exist in (\S+) \((.+)\)")
_DUPLICATES = re.compile(r"duplicate_count\((.+)\) = 0")
_NEWEST = re.compile(r"max\((.+?)\)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Reference:
    """A foreign key: what stands in `columns` of `table` must stand in `parent_columns` of `parent`, unless NULL."""

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    rule: str


@dataclass(frozen=True)
class DeclaredCheck:
    """One check of a check file."""

    table: str
    rule: str
    kind: Kind
    line: str
    """As SodaCL has it, e.g. `row_count > 0`."""
    dimension: str
    meaning: str
    """The rule in words; empty where its kind says it all."""
    columns: tuple[str, ...] = ()
    """Those that are unique, that refer, or whose newest value counts."""
    query: str = ""
    """The SELECT of the rows that break the rule, where it has one."""
    by_month: bool = False
    """Whether the rule holds for each month alone, without regard to the rows of other months."""

    @cached_property
    def tables(self) -> frozenset[str]:
        """The tables and marts that the rule reads, its own among them: when any of them changes, it has to run."""
        named = {self.table}
        if match := _REFERENCE.fullmatch(self.line):
            named.add(match[2].strip('"'))
        if self.query:
            try:
                tree = sqlglot.parse_one(self.query, dialect="postgres")
            except sqlglot.errors.SqlglotError:
                # The scan tells what is wrong with it, when the rule's own table is checked.
                return frozenset(named)
            named |= {table.name for table in tree.find_all(exp.Table)} & {*SOURCE_TABLES, *MARTS}
        return frozenset(named)


def check_file(folder: Path, table: str) -> Path:
    """Where the checks of a table stand."""
    return folder / f"{table}.yml"


def declared_checks(folder: Path, table: str) -> tuple[DeclaredCheck, ...]:
    """The checks of a table, in the order of its file. Raises PlatformError where the file is missing or wrong."""
    path = check_file(folder, table)
    try:
        return _declared_in(path, table, path.stat().st_mtime_ns)
    except OSError as error:
        raise PlatformError(f"The checks of {table} cannot be read: {error}.", f"Mend the file {path}.") from error


@lru_cache(maxsize=512)
def _declared_in(path: Path, table: str, _stamp: int) -> tuple[DeclaredCheck, ...]:
    try:
        sections = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        (header, items), *others = sections.items()
        checks = tuple(_declared(table, item) for item in items)
    # RecursionError: YAML that is nested too deep.
    except (yaml.YAMLError, AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise PlatformError(f"The checks of {table} cannot be read: {error}.", f"Mend the file {path}.") from error
    if others or header.replace('"', "") != f"checks for {table}":
        raise PlatformError(f"{path.name} is to hold one section, the checks for {table}.", f"Mend the file {path}.")
    if len({check.rule for check in checks}) < len(checks):
        raise PlatformError(f"{path.name} has two checks of one name.", f"Mend the file {path}.")
    return checks


def check_text(
    folder: Path, table: str, rules: Collection[str] | None = None, months: Collection[str] | None = None
) -> str:
    """The checks of a table as SodaCL; only those with these names, if any are given.

    `months`: those ('YYYY-MM') of which rules that hold by month are asked; None: all.
    """
    text = check_file(folder, table).read_text(encoding="utf-8")
    if rules is None and months is None:
        return text
    ((header, items),) = yaml.load(text, yaml.CSafeLoader).items()
    wanted = [item for item in items for settings in item.values() if rules is None or settings["name"] in rules]
    for settings in (settings for item in wanted for settings in item.values()):
        if months is not None and _is_by_month(settings):
            settings["fail query"] = within_months(settings["fail query"], MARTS[table], months)
    return yaml.dump({header: wanted}, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


def within_months(query: str, mart: Mart, months: Collection[str]) -> str:
    """A SELECT that sees the rows of these months alone, of the mart and of those inputs that change it by month.

    Raises PlatformError where it cannot be read.
    """
    try:
        tree = sqlglot.parse_one(query, dialect="postgres")
    except sqlglot.errors.SqlglotError as error:
        raise PlatformError(f"A check of {mart.name} is not valid SQL: {error}.", "Fix its check file.") from error
    for found in list(tree.find_all(exp.Table)):
        if found.name in (mart.name, *mart.by_month):
            alias = found.alias or found.name
            found.set("alias", None)
            rows = f"select * from {found.sql(dialect='postgres')} where {_is_of(found.name, months)}"
            found.replace(sqlglot.parse_one(rows, dialect="postgres", into=exp.Select).subquery(alias))
    return tree.sql(dialect="postgres")


def _is_of(asset: str, months: Collection[str]) -> str:
    """The condition that a row is of one of these months."""
    if asset in MARTS:
        return in_months(quoted(MARTS[asset].dated), months)
    month = SOURCE_TABLES[asset].month
    assert month is not None  # noqa: S101 - a mart is computed by month only from tables that have months
    dated = in_months(quoted(month.column), months)
    if month.parent is None:
        return dated
    key = quoted(str(month.parent_key))
    return f"{key} in (select {key} from {sql_table('raw', month.parent)} where {dated})"


def variables_of(text: str) -> frozenset[str]:
    """The names of the values that checks ask for, given as SodaCL."""
    return frozenset(_VARIABLE.findall(text))


def references(folder: Path, table: str) -> tuple[Reference, ...]:
    """The foreign keys of a table."""
    found = []
    for check in declared_checks(folder, table):
        if match := _REFERENCE.fullmatch(check.line):
            parent = match[2].strip('"')
            found.append(Reference(table, check.columns, parent, _columns(match[3]), check.rule))
    return tuple(found)


def _declared(table: str, item: dict[str, Any]) -> DeclaredCheck:
    ((line, settings),) = item.items()
    kind, columns = _kind(line, settings)
    attributes = settings.get("attributes", {})
    dimension = attributes.get("dimension", _DIMENSIONS[kind])
    query = settings.get("fail query", "")
    meaning, by_month = attributes.get("meaning", ""), _is_by_month(settings)
    if by_month and not (query and table in MARTS and MARTS[table].incremental):
        raise ValueError(f"{settings['name']} cannot hold by month")
    return DeclaredCheck(table, settings["name"], kind, line, dimension, meaning, columns, query, by_month)


def _is_by_month(settings: dict[str, Any]) -> bool:
    return settings.get("attributes", {}).get("by_month") is True


def _kind(line: str, settings: dict[str, Any]) -> tuple[Kind, tuple[str, ...]]:
    if line.startswith("row_count"):
        return "volume", ()
    if match := _DUPLICATES.fullmatch(line):
        return "uniqueness", _columns(match[1])
    if match := _REFERENCE.fullmatch(line):
        return "reference", _columns(match[1])
    if line == "stale = 0" and (newest := _NEWEST.search(settings["stale expression"])):
        return "freshness", _columns(newest[1])
    if line == "failed rows":
        return "rows", ()
    raise ValueError(f"unknown kind of check: {line!r}")


def _columns(text: str) -> tuple[str, ...]:
    return tuple(name.strip().strip('"') for name in text.split(","))
