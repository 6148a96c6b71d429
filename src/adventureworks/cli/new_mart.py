"""The texts of the files of a new mart: its own, and those that have to name it.

The mart counts the rows of its inputs by key. Its check and its second computation count them in another way.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from adventureworks.catalog import MARTS, Mart, SourceTable, marts_of, outside_inputs
from adventureworks.columns import Column
from adventureworks.dictionary import label
from adventureworks.postgres_sql import quoted
from adventureworks.texts import language, translations
from contracts import columns as contract_columns

LINE_LENGTH = 120
UNTRANSLATED = "TODO: "
"""How a text begins that still needs a translation."""

TYPES: dict[type[pl.DataType], str] = {
    pl.Boolean: "Bit",
    pl.Date: "Date",
    pl.Int16: "SmallInt",
    pl.Int32: "Int",
    pl.Int64: "BigInt",
    pl.String: "Text",
    pl.UInt8: "TinyInt",
}
"""The types that a key can have here, by their names in contracts."""

MEANINGS = {text: name for name, text in vars(contract_columns).items() if isinstance(text, str) and name.isupper()}
"""The names that the meanings of columns of several marts have in contracts, by meaning."""


@dataclass(frozen=True)
class Input:
    """A table or mart whose rows a new mart counts."""

    entry: SourceTable | Mart
    columns: tuple[str, ...]
    """Its columns with the key of the new mart, in the key's order."""

    @property
    def count(self) -> str:
        """The column of the new mart with the number of its rows."""
        return f"{snake(self.entry.name)}_rows"


@dataclass(frozen=True)
class NewMart:
    """A mart that counts the rows of its inputs by key."""

    name: str
    dag: str
    domain: str
    owner: str
    inputs: tuple[Input, ...]
    key: tuple[Column, ...]
    """The columns of the first input that are the key, with their names and meanings in the new mart."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the key's columns."""
        return tuple(column.name for column in self.key)

    @property
    def counts(self) -> tuple[str, ...]:
        """The columns with the numbers of rows."""
        return tuple(one.count for one in self.inputs)

    @property
    def meanings(self) -> dict[str, str]:
        """The meanings of all columns, by name."""
        return {
            **{column.name: column.description for column in self.key},
            **{one.count: f"Number of rows of {one.entry.asset}" for one in self.inputs},
            "as_of": "Business date of the figures",
        }

    @property
    def grain(self) -> str:
        """What one row is."""
        return f"One {_joined(self.names)} with rows in the inputs."

    @property
    def class_name(self) -> str:
        """The name of its contract."""
        return "".join(part.title() for part in self.name.split("_"))


def snake(name: str) -> str:
    """Return the name that a column or table of the source has in marts: `product_id` for `ProductID`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def new_files(mart: NewMart) -> dict[Path, str]:
    """Return the mart's own files, by path in the repository."""
    return {
        Path("src", "adventureworks", "marts", mart.domain, f"{mart.name}.sql"): _model(mart),
        Path("checks", "marts", f"{mart.name}.yml"): _checks(mart),
        Path("tests", "acceptance", "references", f"{mart.name}.sql"): _reference(mart),
    }


def changed_files(mart: NewMart, root: Path) -> dict[Path, str]:
    """Return the files that name the mart with their new texts, by path in the repository at `root`.

    Raises `OSError` if one cannot be read.
    """
    changes = {
        Path("src", "adventureworks", "catalog", "marts.py"): _in_catalogue,
        Path("contracts", "marts", f"{mart.domain}.py"): _in_contracts,
        Path("dags", mart.domain, f"{mart.dag}.py"): _in_documentation,
        Path("src", "adventureworks", "texts", "fr", "columns.po"): _in_translations,
    }
    return {path: change((root / path).read_text(encoding="utf-8"), mart) for path, change in changes.items()}


def _model(mart: NewMart) -> str:
    rows = []
    for one in mart.inputs:
        counted = [f"{int(count == one.count)} as {count}" for count in mart.counts]
        columns = [*map(_renamed, one.columns, mart.names), *counted]
        rows.append(_select(columns, f"{_schema(one)}.{one.entry.asset}"))
    union = textwrap.indent("\nunion all\n".join(rows), "    ")
    sums = [f"cast(sum(cast({count} as bigint)) as bigint) as {count}" for count in mart.counts]
    counts = _select([*mart.names, *sums, "cast(:as_of as date) as as_of"], "counted")
    grain = mart.grain.replace("One", "one", 1)
    return f"-- Grain: {grain}\nwith counted as (\n{union}\n)\n{counts}\ngroup by {', '.join(mart.names)}\n"


def _checks(mart: NewMart) -> str:
    keys = ", ".join(mart.names)
    rows = [f"select {keys}, {', '.join(mart.counts)}, as_of from {mart.name}"]
    for one in mart.inputs:
        is_table = isinstance(one.entry, SourceTable)
        read = [quoted(column) if is_table else column for column in one.columns]
        counted = ["-1" if count == one.count else "0" for count in mart.counts]
        is_built_before = isinstance(one.entry, Mart) and one.entry.dag == mart.dag
        asset = quoted(one.entry.asset) if is_table else one.entry.asset
        origin = asset if is_built_before else f"{_schema(one)}.{asset}"
        rows.append(f"select {', '.join([*read, *counted])}, date '${{as_of}}' from {origin}")
    compared = textwrap.indent("\nunion all\n".join(rows), " " * 12)
    differs = " or ".join(f"sum({count}) <> 0" for count in mart.counts)
    return f"""\
checks for {mart.name}:
  - row_count >= ${{least_rows_{mart.name}}}:
      name: keeps_most_of_its_rows
  - stale = 0:
      stale expression: case when max(as_of) < timestamp '${{stale_before_{mart.name}}}' then 1 else 0 end
      name: is_fresh
  - duplicate_count({keys}) = 0:
      name: key_is_unique
  - failed rows:
      name: counts_are_those_of_the_inputs
      attributes:
        dimension: consistency
        meaning: Every number of rows is that of the input, as of the business date
      fail query: |
        with compared as (
{compared}
        )
        select {keys}
        from compared
        group by {keys}
        having {differs} or min(as_of) <> max(as_of)
"""


def _reference(mart: NewMart) -> str:
    keys = ", ".join(mart.names)
    rows = [
        f"select {', '.join(map(_renamed, one.columns, mart.names))}, '{one.count}' as counted from"
        f" {one.entry.asset if isinstance(one.entry, SourceTable) else f'mart_{one.entry.name}'}"
        for one in mart.inputs
    ]
    counted = textwrap.indent("\nunion all\n".join(rows), "    ")
    counts = "".join(f"    count(*) filter (where counted = '{count}') as {count},\n" for count in mart.counts)
    return f"""\
-- Validates: number of rows of {_joined([one.entry.asset for one in mart.inputs])} by {_joined(mart.names)}
-- Fault of counts_are_those_of_the_inputs: update candidate set {mart.counts[0]} = {mart.counts[0]} + 1
select
    {keys},
{counts}    $as_of as as_of
from (
{counted}
)
group by {keys}
"""


def _in_catalogue(text: str, mart: NewMart) -> str:
    """Put the entry after those of the marts that must be built before it."""
    earlier = {one.name for one in marts_of(mart.dag)} | {one.entry.asset for one in mart.inputs}
    after = max(
        node.end_lineno or 0
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
        if node.args[0].value in earlier & MARTS.keys() and ast.unparse(node.func) == "Mart"
    )
    inputs = [_string(one.entry.asset) for one in mart.inputs]
    entry = f"""\
    Mart(
        "{mart.name}",
        domain="{mart.domain}",
        dag="{mart.dag}",
        owner="{mart.owner}",
{_bracketed("        inputs=(", inputs, ",)," if len(inputs) == 1 else "),")}
        dated="as_of",
    ),
"""
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:after], entry, *lines[after:]])


def _in_contracts(text: str, mart: NewMart) -> str:
    types = {column.name: TYPES[column.dtype.base_type()] for column in mart.key} | {"as_of": "Date"}
    fields = []
    for name, meaning in mart.meanings.items():
        described = (MEANINGS.get(meaning) or _string(meaning)) + (", ge=0" if name in mart.counts else "")
        head = f"    {name}: {types.get(name, 'BigInt')} = described("
        line = f"{head}{described})"
        fields.append(line if len(line) <= LINE_LENGTH else f"{head}\n        {described}\n    )")
    columns = "\n".join(fields)
    contract = f'''

class {mart.class_name}(MartTable):
    """{mart.grain}"""

{columns}

    class Config:
        """The key."""

        name = "{mart.name}"
        metadata = {{"version": "1.0"}}
{_bracketed("        unique = [", [_string(name) for name in mart.names], "]")}
'''
    used = set(re.findall(r"\w+", columns)) & {*TYPES.values(), *MEANINGS.values()}
    return _with_imports(text, {"MartTable", "described", *used}) + contract


def _with_imports(text: str, names: set[str]) -> str:
    """Return the text of a module that also imports these names from `contracts.columns`."""
    [statement] = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom) and node.module == contract_columns.__name__
    ]
    imported = {alias.name for alias in statement.names}
    if names <= imported:
        return text
    # Constants come first, then classes, then functions.
    ordered = sorted(imported | names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    line = f"from {statement.module} import {', '.join(ordered)}"
    if len(line) > LINE_LENGTH:
        line = _bracketed(f"from {statement.module} import (", ordered, ")")
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: statement.lineno - 1], f"{line}\n", *lines[statement.end_lineno :]])


def _in_documentation(text: str, mart: NewMart) -> str:
    """Name the inputs that are new to the DAG, and the mart."""
    others = [one.entry.asset for one in mart.inputs if one.entry not in marts_of(mart.dag)]
    inputs = dict.fromkeys([*outside_inputs(mart.dag), *others])
    reads = _wrapped(f"**Reads** {_joined([f'`{name}`' for name in inputs])}.")
    if len(inputs) > 1:
        text = text.replace("**Starts** when it changes", "**Starts** when one of them changes")
    text = re.sub(r"^\*\*Reads\*\*.*?\n(?=\*\*)", f"{reads}\n", text, flags=re.MULTILINE | re.DOTALL)
    published = _wrapped(f"It also publishes `{mart.name}`: one row per {_joined(mart.names)}.")
    return re.sub(r"^(\*\*Publishes\*\*.*?\n)(?=\*\*)", rf"\1{published}\n", text, flags=re.MULTILINE | re.DOTALL)


def _in_translations(text: str, mart: NewMart) -> str:
    """Add what has no translation yet: what a row is, the mart's title, labels and meanings."""
    labels = [label(name, language("en"), mart.name) for name in (mart.name, *mart.meanings)]
    known = translations("fr")
    missing = [english for english in (mart.grain, *labels, *mart.meanings.values()) if english not in known]
    entries = [
        f"\nmsgid {_string(english)}\nmsgstr {_string(UNTRANSLATED + english)}\n" for english in dict.fromkeys(missing)
    ]
    return text + "".join(entries)


def _select(columns: Sequence[str], origin: str) -> str:
    return f"select\n{textwrap.indent(f',{chr(10)}'.join(columns), '    ')}\nfrom {origin}"


def _renamed(column: str, name: str) -> str:
    return column if column == name else f"{column} as {name}"


def _schema(one: Input) -> str:
    return "raw" if isinstance(one.entry, SourceTable) else "marts"


def _joined(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _wrapped(text: str) -> str:
    return textwrap.fill(text, LINE_LENGTH, break_long_words=False, break_on_hyphens=False)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _bracketed(head: str, items: Sequence[str], tail: str) -> str:
    """Return Python code in brackets on one line if it fits, else with one item per line."""
    line = f"{head}{', '.join(items)}{tail}"
    if len(line) <= LINE_LENGTH:
        return line
    indent = " " * (len(head) - len(head.lstrip()))
    return f"{head}\n" + "".join(f"{indent}    {item},\n" for item in items) + f"{indent}{tail.removeprefix(',')}"
