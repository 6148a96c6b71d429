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

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.errors import PlatformError

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


def check_text(folder: Path, table: str, rules: Collection[str] | None = None) -> str:
    """The checks of a table as SodaCL; only those with these names, if any are given."""
    text = check_file(folder, table).read_text(encoding="utf-8")
    if rules is None:
        return text
    ((header, items),) = yaml.load(text, yaml.CSafeLoader).items()
    wanted = [item for item in items for settings in item.values() if settings["name"] in rules]
    return yaml.dump({header: wanted}, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


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
    return DeclaredCheck(table, settings["name"], kind, line, dimension, attributes.get("meaning", ""), columns, query)


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
