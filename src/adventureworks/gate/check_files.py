"""The check files: the checks of each table, and the references between tables, which are declared nowhere else.

A file is SodaCL, which Soda itself evaluates; this module reads only what the gate needs in addition. A file is parsed
once per process, and again when it changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from sqlglot import exp
from sqlglot.errors import SqlglotError

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, entry
from adventureworks.columns import columns_of
from adventureworks.errors import PlatformError
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.by_month import read_instead, restrict
from adventureworks.warehouse.dialect import parsed, tree_of
from adventureworks.warehouse.sql import in_months

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
    """A foreign key: values of `columns` of `table` must exist in `parent_columns` of `parent`, unless NULL."""

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
    """The check in SodaCL, e.g. `row_count > 0`."""
    dimension: str
    meaning: str
    """The rule in words; empty if the kind is explanation enough."""
    columns: tuple[str, ...] = ()
    """The columns that must be unique, the referring columns, or the column whose newest value is checked."""
    query: str = ""
    """The SELECT of the rows that break the rule; empty if there is none."""
    by_month: bool = False
    """Whether the rule can be checked for each month separately, with only the months that echo in it (`echoes`)."""
    echoes: tuple[int, ...] = ()
    """Of a rule by month: the offsets of the months in which it compares a changed month too."""
    by: str = ""
    """A column for each of whose values the rule can be checked separately, with only the rows that have it."""
    text: str = ""
    """The whole declaration as JSON, with the limits from which the check warns or fails."""

    @cached_property
    def tables(self) -> frozenset[str]:
        """The tables and marts that the rule reads, including its own: it must run when any of them changes."""
        named = {self.table}
        if match := _REFERENCE.fullmatch(self.line):
            named.add(match[2].strip('"'))
        if self.tree is not None:
            named |= {found.name for found in self.tree.find_all(exp.Table)} & {*SOURCE_TABLES, *MARTS}
        return frozenset(named)

    @cached_property
    def only_warns(self) -> bool:
        """Whether the check warns as soon as a row breaks the rule, and never fails."""
        ((_, settings),) = json.loads(self.text).items()
        return settings.get("warn") == "when > 0" and "fail" not in settings

    @cached_property
    def columns_read(self) -> frozenset[tuple[str, str]]:
        """The columns that the rule reads, each with its table.

        A column of a query that names no table counts for all tables of the query.
        """
        read = {(self.table, column) for column in self.columns}
        if self.tree is not None:
            named = {found.alias_or_name: found.name for found in self.tree.find_all(exp.Table)}
            for column in self.tree.find_all(exp.Column):
                tables = [named[column.table]] if column.table in named else [] if column.table else named.values()
                read |= {(table, column.name) for table in tables}
        return frozenset(read)

    @cached_property
    def tree(self) -> exp.Expr | None:
        """The parsed query; None if there is none, or it is invalid: the scan of the rule's own table reports that."""
        try:
            return tree_of(self.query, "postgres") if self.query else None
        except SqlglotError:
            return None


def check_file(folder: Path, asset: str) -> Path:
    """Return the path of the check file of a table."""
    return folder / f"{asset}.yml"


def declared_checks(folder: Path, asset: str) -> tuple[DeclaredCheck, ...]:
    """Return the checks of a table, in file order. Raises PlatformError if the file is missing or invalid."""
    path = check_file(folder, asset)
    try:
        return _declared_in(path, asset, path.stat().st_mtime_ns)
    except OSError as error:
        raise PlatformError(f"The checks of {asset} cannot be read: {error}.", f"Fix the file {path}.") from error


@lru_cache(maxsize=512)
def _declared_in(path: Path, asset: str, _stamp: int) -> tuple[DeclaredCheck, ...]:
    try:
        sections = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        (header, items), *others = sections.items()
        checks = tuple(_declared(asset, item) for item in items)
    # RecursionError: the YAML is nested too deeply.
    except (yaml.YAMLError, AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise PlatformError(f"The checks of {asset} cannot be read: {error}.", f"Fix the file {path}.") from error
    if others or header.replace('"', "") != f"checks for {asset}":
        raise PlatformError(
            f"{path.name} must contain exactly one section, the checks for {asset}.", f"Fix the file {path}."
        )
    if len({check.rule for check in checks}) < len(checks):
        raise PlatformError(f"{path.name} has two checks with the same name.", f"Fix the file {path}.")
    return checks


def check_text(
    folder: Path,
    asset: str,
    rules: Collection[str] | None = None,
    months: Collection[str] | None = None,
    values: Collection[int] | None = None,
) -> str:
    """Return the checks of a table as SodaCL, restricted to `rules` if given.

    `months`: the months ('YYYY-MM') to which rules that hold by month are restricted, or None for all. `values`: those
    to which rules of a mart that hold for each value of a column are restricted, or None for all.
    """
    text = check_file(folder, asset).read_text(encoding="utf-8")
    if rules is None and months is None and values is None:
        return text
    ((header, items),) = yaml.load(text, yaml.CSafeLoader).items()
    wanted = [item for item in items for settings in item.values() if rules is None or settings["name"] in rules]
    for settings in (settings for item in wanted for settings in item.values()):
        if months is not None and _is_by_month(settings):
            mart = MARTS[asset]
            settings["fail query"] = within_months(settings["fail query"], mart, months, _echoes(settings, mart))
        if values is not None and (by := settings.get("attributes", {}).get("by")):
            settings["fail query"] = within_values(settings["fail query"], MARTS[asset], by, values)
    return yaml.dump({header: wanted}, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


def within_months(query: str, mart: Mart, months: Collection[str], echoes: Collection[int]) -> str:
    """Return a rule's SELECT that finds only the rows of these months, and reads no other months than it has to.

    The mart and the inputs that change it by month are restricted. `echoes`: offsets of the months in which the rule
    also compares a changed month. Raises PlatformError if the query cannot be parsed.
    """
    tree = _tree(query, mart)
    restrict(tree, (mart.name, *mart.by_month), months, echoes)
    restricted = tree.sql(dialect="postgres")
    if not echoes:
        return restricted
    # The months that echo in these are read too, but not completely.
    return f"select * from ({restricted}) as found where {in_months(quoted(mart.dated), months)}"


def within_values(query: str, mart: Mart, column: str, values: Collection[int]) -> str:
    """Return a rule's SELECT that reads only the rows of a mart with one of these values in a column.

    Raises PlatformError if the query cannot be parsed.
    """
    tree = _tree(query, mart)
    listed = ", ".join(str(value) for value in sorted(values))
    read_instead(tree, [mart.name], lambda _: f"{quoted(column)} in ({listed})" if listed else "false")
    return tree.sql(dialect="postgres")


def _tree(query: str, mart: Mart) -> exp.Expr:
    try:
        return parsed(query, "postgres")
    except SqlglotError as error:
        raise PlatformError(f"A check of {mart.name} is not valid SQL: {error}.", "Fix its check file.") from error


def variables_of(text: str) -> frozenset[str]:
    """Return the names of the variables used in checks, given as SodaCL."""
    return frozenset(_VARIABLE.findall(text))


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return checks, given as SodaCL, with their variables replaced by values."""
    return _VARIABLE.sub(lambda variable: values[variable[1]], text)


def references(folder: Path, asset: str) -> tuple[Reference, ...]:
    """Return the foreign keys of a table."""
    return tuple(reference_of(check) for check in declared_checks(folder, asset) if check.kind == "reference")


def reference_of(check: DeclaredCheck) -> Reference:
    """Return the foreign key that a check of this kind declares."""
    match = _REFERENCE.fullmatch(check.line)
    assert match is not None  # noqa: S101 - it has its kind from this pattern
    return Reference(check.table, check.columns, match[2].strip('"'), _columns(match[3]), check.rule)


def declared_rules(folder: Path) -> str:
    """Return the rules of all check files below a folder as one text, for checks: `;TABLE.RULE;TABLE.RULE;`.

    A file that cannot be read has no rules.
    """
    named = [""]
    for path in sorted(folder.glob("*/*.yml")):
        with suppress(PlatformError):
            named += [f"{check.table}.{check.rule}" for check in declared_checks(path.parent, path.stem)]
    return ";".join([*named, ""])


def _declared(asset: str, item: dict[str, Any]) -> DeclaredCheck:
    ((line, settings),) = item.items()
    kind, columns = _kind(line, settings)
    attributes = settings.get("attributes", {})
    dimension = attributes.get("dimension", _DIMENSIONS[kind])
    query = settings.get("fail query", "")
    meaning, by_month = attributes.get("meaning", ""), _is_by_month(settings)
    if by_month and not (query and asset in MARTS and MARTS[asset].incremental):
        raise ValueError(f"{settings['name']} cannot hold by month")
    if "echoes" in attributes and not (by_month and {*attributes["echoes"]} <= {*MARTS[asset].echoes}):
        raise ValueError(f"{settings['name']} has echoes that {asset} does not have by month")
    by = attributes.get("by", "")
    if by and not (query and by in {column.name for column in columns_of(entry(asset))}):
        raise ValueError(f"{settings['name']} cannot hold by {by}")
    text = json.dumps(item, default=str)
    echoes = _echoes(settings, MARTS[asset]) if by_month else ()
    name = settings["name"]
    return DeclaredCheck(asset, name, kind, line, dimension, meaning, columns, query, by_month, echoes, by, text)


def _is_by_month(settings: dict[str, Any]) -> bool:
    return settings.get("attributes", {}).get("by_month") is True


def _echoes(settings: dict[str, Any], mart: Mart) -> tuple[int, ...]:
    """Return the offsets of the months in which a rule by month also compares a changed month; by default, all."""
    return tuple(settings["attributes"].get("echoes", mart.echoes))


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
