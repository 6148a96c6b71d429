"""The origin of each column of a mart, traced through the SQL of the models down to the source tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, entry
from adventureworks.columns import columns_of, key_of
from adventureworks.lineage.grain import expand_counts
from adventureworks.marts import models
from adventureworks.marts.reads import VIEW_KEYS, Origin, asset_of, origins_in, schema, unquoted

_GENERATED: dict[Origin, tuple[Origin, ...]] = {
    ("customer_retention", "months_since"): (("customer_days", "booking_month"),),
    ("exchange_rates", "is_gap_filled"): (("Sales_CurrencyRate", "CurrencyRateDate"),),
}
"""Columns derived from a series that the query generates -> the columns that determine its range."""


@dataclass(frozen=True)
class ColumnLineage:
    """One column of a mart: the columns that its model reads for it, and their origins in the source."""

    name: str
    made_of: tuple[Origin, ...]
    from_source: tuple[Origin, ...]
    counted: frozenset[Origin]
    """The origins in `made_of` whose rows are counted but whose values are not read."""


@cache
def columns(name: str) -> tuple[ColumnLineage, ...]:
    """Return the lineage of each column of a mart. If Python computes the mart, any input column may be an origin."""
    mart = MARTS[name]
    direct, read = _direct(mart), _read(mart)
    return tuple(
        ColumnLineage(
            column.name,
            made_of := direct.get(column.name, ()),
            tuple(sorted({source for origin in made_of for source in _in_source(origin)})),
            frozenset(made_of) - frozenset(read.get(column.name, made_of)),
        )
        for column in columns_of(mart)
    )


def by_column(name: str) -> bool:
    """Return whether the lineage distinguishes single columns; it does not if Python computes the mart."""
    return models.is_sql(MARTS[name])


def levels(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the mart, then its inputs, then their inputs …: each asset at its greatest distance from the mart."""
    depth: dict[str, int] = {}

    def walk(asset: str, distance: int) -> None:
        depth[asset] = max(depth.get(asset, 0), distance)
        for upstream in MARTS[asset].inputs if asset in MARTS else ():
            walk(upstream, distance + 1)

    walk(name, 0)
    deepest = max(depth.values())
    # Put all source tables together in the last level.
    for asset in depth:
        if asset in SOURCE_TABLES:
            depth[asset] = deepest
    return tuple(
        tuple(sorted(asset for asset, distance in depth.items() if distance == level)) for level in range(deepest + 1)
    )


@cache
def _direct(mart: Mart) -> Mapping[str, tuple[Origin, ...]]:
    """Return, for each column, the origins that the model reads or counts."""
    if models.is_sql(mart):
        query = expand_counts(unquoted(models.queries_of(mart)[mart.name]), _key_of)
        return {
            column.name: tuple(sorted(_traced(query, column.name))) or _GENERATED.get((mart.name, column.name), ())
            for column in columns_of(mart)
        }
    read = tuple(sorted({origin for query in models.queries_of(mart).values() for origin in _all_of(unquoted(query))}))
    return dict.fromkeys((column.name for column in columns_of(mart)), read)


def _read(mart: Mart) -> Mapping[str, set[Origin]]:
    """Return, for each column of a SQL model, the origins that it reads, without those that it only counts."""
    if not models.is_sql(mart):
        return {}
    query = unquoted(models.queries_of(mart)[mart.name])
    return {column.name: _traced(query, column.name) for column in columns_of(mart)}


def _traced(query: exp.Expr, column: str) -> set[Origin]:
    try:
        root = lineage(column, query, schema=schema(), dialect=models.DIALECT)
    except (SqlglotError, ValueError, KeyError):
        return _all_of(query)
    return {origin for node in root.walk() if not node.downstream for origin in _origin(node)}


def _origin(node: Node) -> Iterator[Origin]:
    if isinstance(node.source, exp.Table):
        yield from origins_in(node.source, node.name.rpartition(".")[2].strip('"'))


def _all_of(parsed: exp.Expr) -> set[Origin]:
    """Return every table column that a SELECT names."""
    found: set[Origin] = set()
    assets = {asset for reference in parsed.find_all(exp.Table) if (asset := asset_of(reference))}
    named = {column.name.lower() for column in parsed.find_all(exp.Column)}
    for asset in assets:
        found |= {(asset, column.name) for column in columns_of(entry(asset)) if column.name.lower() in named}
    return found


def _key_of(reference: exp.Table) -> tuple[str, ...]:
    view_key = VIEW_KEYS.get(reference.name.lower())
    if view_key:
        return view_key
    asset = asset_of(reference)
    return tuple(key_of(entry(asset))) if asset else ()


def _in_source(origin: Origin) -> set[Origin]:
    asset, column = origin
    if asset in SOURCE_TABLES:
        return {origin}
    # A mart that reads its own previous version is not an origin of itself.
    made_of = (upstream for upstream in _direct(MARTS[asset]).get(column, ()) if upstream[0] != asset)
    return {source for upstream in made_of for source in _in_source(upstream)}
