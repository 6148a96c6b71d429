"""How the rows of a mart in one environment differ from those in another one of the same database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from adventureworks.catalog import Mart
from adventureworks.columns import columns_of, key_of, keys_as_text
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.environments import schema_of
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import equal, names, table

MAX_EXAMPLES = 3


@dataclass(frozen=True)
class Difference:
    """The difference of a mart between two environments, old and new."""

    rows: int
    """The number of rows in the new environment."""
    added: int
    removed: int
    changed: int
    """The number of rows in both environments that differ in some column."""
    by_column: Mapping[str, int]
    """By column: the number of changed rows with another value."""
    totals: Mapping[str, tuple[str, str]]
    """By numeric column whose total differs: the old and the new total, as exact decimals."""
    examples: tuple[str, ...]
    """Some of the changed, added and removed rows, with their keys and values."""
    only_new: tuple[str, ...] = ()
    """Columns that only the new environment has."""


def difference(base: Data, environment: str, mart: Mart) -> Difference:
    """Return how a mart of an environment (new) differs from that of `base` (old), in the same database."""
    mine = f"{quoted(schema_of(environment, 'marts'))}.{quoted(mart.name)}"
    present = base.columns_in("marts").get(mart.name, set())
    key = [name for name in key_of(mart) if name in present]
    compared = [one for one in columns_of(mart) if one.name in present and one.name not in key]
    only_new = tuple(one.name for one in columns_of(mart) if one.name not in present)
    if len(key) < len(key_of(mart)):
        # The rows cannot be matched.
        rows = int(_row(base, f"select count(*) from {mine}")[0])
        removed = int(_row(base, f"select count(*) from {table('marts', mart.name)}")[0]) if present else 0
        return Difference(rows, rows, removed, 0, {}, {}, (), only_new)
    first = quoted(key[0])
    both = f"o.{first} is not null and n.{first} is not null"
    differs = {one.name: f"o.{quoted(one.name)} is distinct from n.{quoted(one.name)}" for one in compared}
    any_differs = " or ".join(differs.values()) or "false"
    numbers = [one.name for one in compared if one.dtype.is_decimal() or one.dtype == pl.Int64]
    joined = f"from {table('marts', mart.name)} as o full join {mine} as n on {equal(key, 'o', 'n')}"
    counted = [
        f"count(n.{first})",
        f"count(*) filter (where o.{first} is null)",
        f"count(*) filter (where n.{first} is null)",
        f"count(*) filter (where {both} and ({any_differs}))",
        *(f"count(*) filter (where {both} and {condition})" for condition in differs.values()),
        *(f"coalesce(sum({side}.{quoted(name)}), 0)" for name in numbers for side in ("o", "n")),
    ]
    rows, added, removed, changed, *rest = _row(base, f"select {', '.join(counted)} {joined}")
    of_columns, sums = rest[: len(differs)], rest[len(differs) :]
    pairs = zip(numbers, sums[::2], sums[1::2], strict=True)
    return Difference(
        rows,
        added,
        removed,
        changed,
        {name: count for name, count in zip(differs, of_columns, strict=True) if count},
        {name: (f"{old:f}", f"{new:f}") for name, old, new in pairs if old != new},
        _examples(base, joined, key, list(differs), any_differs) if added or removed or changed else (),
        only_new,
    )


def _examples(base: Data, joined: str, key: list[str], columns: list[str], any_differs: str) -> tuple[str, ...]:
    found = base.execute(
        f"select {names(key, 'o')}, {names(key, 'n')}, {names(columns, 'o')}, {names(columns, 'n')} {joined}"
        f" where o.{quoted(key[0])} is null or n.{quoted(key[0])} is null or {any_differs}"
        # Changed rows say most, so they come first.
        f" order by (o.{quoted(key[0])} is null or n.{quoted(key[0])} is null), {names(key, 'n')}, {names(key, 'o')}"
        f" limit {MAX_EXAMPLES}"
    ).fetchall()
    return tuple(_example(row, key, columns) for row in found)


def _example(row: tuple[Any, ...], key: list[str], columns: list[str]) -> str:
    old_key, new_key = row[: len(key)], row[len(key) : 2 * len(key)]
    old, new = row[2 * len(key) : 2 * len(key) + len(columns)], row[2 * len(key) + len(columns) :]
    (shown,) = keys_as_text(key, [new_key if old_key[0] is None else old_key])
    if old_key[0] is None:
        return f"added: {shown}"
    if new_key[0] is None:
        return f"removed: {shown}"
    pairs = zip(columns, old, new, strict=True)
    return f"changed: {shown}: " + ", ".join(f"{name} {was} → {now}" for name, was, now in pairs if was != now)


def _row(data: Data, query: str) -> tuple[Any, ...]:
    row = data.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups returns one row
    return row
