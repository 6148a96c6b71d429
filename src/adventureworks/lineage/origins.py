"""What a mart is made of, column by column: read from its model's SQL, down to the source tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, entry
from adventureworks.columns import columns_of, key_of
from adventureworks.lineage.grain import spelled_out
from adventureworks.marts import models

Origin = tuple[str, str]
"""A table or mart, and a column of it."""

_VIEWS: dict[str, dict[str, tuple[Origin, ...]]] = {
    "sales_month": {
        "month": (("fact_sales", "order_date"),),
        "fiscal_year": (("fact_sales", "order_date"),),
        "is_partial": (("fact_sales", "channel"), ("fact_sales", "order_date")),
    }
}
"""Views of the warehouse, and what their columns are made of."""

_COUNTED_UP: dict[Origin, tuple[Origin, ...]] = {
    ("customer_retention", "months_since"): (("fact_sales", "order_date"),),
    ("exchange_rates", "is_gap_filled"): (("Sales_CurrencyRate", "CurrencyRateDate"),),
}
"""Columns that a query counts up by itself, and the columns that say how far."""


@dataclass(frozen=True)
class ColumnLineage:
    """One column of a mart: what its model reads for it, and where that comes from in the source."""

    name: str
    description: str
    made_of: tuple[Origin, ...]
    from_source: tuple[Origin, ...]
    counted: frozenset[Origin]
    """Those of `made_of` whose rows are counted, while their values are not read."""


@cache
def columns(name: str) -> tuple[ColumnLineage, ...]:
    """The columns of a mart. Of a mart that Python computes, each column may come from all that it reads."""
    mart = MARTS[name]
    direct, read = _direct(mart), _read(mart)
    return tuple(
        ColumnLineage(
            column.name,
            column.description or "",
            made_of := direct.get(column.name, ()),
            tuple(sorted({source for origin in made_of for source in _in_source(origin)})),
            frozenset(made_of) - frozenset(read.get(column.name, made_of)),
        )
        for column in columns_of(mart)
    )


def by_column(name: str) -> bool:
    """Whether the lineage tells single columns apart; not where Python computes the mart."""
    return models.is_sql(MARTS[name])


def levels(name: str) -> tuple[tuple[str, ...], ...]:
    """The mart, then what it reads, then what that reads …: each asset at its greatest distance."""
    depth: dict[str, int] = {}

    def walk(asset: str, distance: int) -> None:
        depth[asset] = max(depth.get(asset, 0), distance)
        for upstream in MARTS[asset].inputs if asset in MARTS else ():
            walk(upstream, distance + 1)

    walk(name, 0)
    deepest = max(depth.values())
    # Source tables stand together at the far end.
    for asset in depth:
        if asset in SOURCE_TABLES:
            depth[asset] = deepest
    return tuple(
        tuple(sorted(asset for asset, distance in depth.items() if distance == level)) for level in range(deepest + 1)
    )


@cache
def _direct(mart: Mart) -> Mapping[str, tuple[Origin, ...]]:
    """Column -> what the model reads or counts for it."""
    if models.is_sql(mart):
        query = spelled_out(_unquoted(models.queries_of(mart)[mart.name]), _key_of)
        return {
            column.name: tuple(sorted(_traced(query, column.name))) or _COUNTED_UP.get((mart.name, column.name), ())
            for column in columns_of(mart)
        }
    read = tuple(sorted({origin for query in models.queries_of(mart).values() for origin in _all_of(_unquoted(query))}))
    return dict.fromkeys((column.name for column in columns_of(mart)), read)


def _read(mart: Mart) -> Mapping[str, set[Origin]]:
    """Column -> what the model reads for it, of a model in SQL; without what it only counts."""
    if not models.is_sql(mart):
        return {}
    query = _unquoted(models.queries_of(mart)[mart.name])
    return {column.name: _traced(query, column.name) for column in columns_of(mart)}


def _unquoted(query: str) -> exp.Expr:
    """The SELECT with all names alike: a quoted one would have to be spelled as the schema spells it."""
    parsed = sqlglot.parse_one(query, dialect=models.DIALECT)
    for identifier in parsed.find_all(exp.Identifier):
        identifier.set("quoted", False)
    return parsed


def _traced(query: exp.Expr, column: str) -> set[Origin]:
    try:
        root = lineage(column, query, schema=_schema(), dialect=models.DIALECT)
    except (SqlglotError, ValueError, KeyError):
        return _all_of(query)
    return {origin for node in root.walk() if not node.downstream for origin in _origin(node)}


@cache
def _schema() -> dict[str, dict[str, dict[str, str]]]:
    """The columns that models can read, so that one without the name of its table is found."""
    return {
        schema: {asset.asset: {column.name: "varchar" for column in columns_of(asset)} for asset in assets.values()}
        for schema, assets in (("raw", SOURCE_TABLES), ("marts", MARTS))
    }


def _origin(node: Node) -> Iterator[Origin]:
    if isinstance(node.source, exp.Table):
        asset = _asset(node.source)
        column = node.name.rpartition(".")[2].strip('"')
        if asset:
            view = _VIEWS.get(node.source.name.lower(), {})
            yield from view.get(column.lower(), ((asset, _spelled(asset, column)),))


def _all_of(parsed: exp.Expr) -> set[Origin]:
    """Every column of a table that a SELECT names."""
    found: set[Origin] = set()
    assets = {asset for reference in parsed.find_all(exp.Table) if (asset := _asset(reference))}
    named = {column.name.lower() for column in parsed.find_all(exp.Column)}
    for asset in assets:
        found |= {(asset, column.name) for column in columns_of(entry(asset)) if column.name.lower() in named}
    return found


def _asset(reference: exp.Table) -> str | None:
    """The table or mart of the catalogue that is read; None for a part of the query itself."""
    name = reference.name.lower()
    if reference.db.lower() not in ("raw", "marts", "staging"):
        return None
    known = {asset.lower(): asset for asset in (*SOURCE_TABLES, *MARTS)}
    return _VIEWS[name]["month"][0][0] if name in _VIEWS else known.get(name)


def _key_of(reference: exp.Table) -> tuple[str, ...]:
    if reference.name.lower() in _VIEWS:
        return ("month",)
    asset = _asset(reference)
    return tuple(key_of(entry(asset))) if asset else ()


def _spelled(asset: str, column: str) -> str:
    names = {known.name.lower(): known.name for known in columns_of(entry(asset))}
    return names.get(column.lower(), column.lower())


def _in_source(origin: Origin) -> set[Origin]:
    asset, column = origin
    if asset in SOURCE_TABLES:
        return {origin}
    # A mart that reads what it said before is not made of itself.
    made_of = (upstream for upstream in _direct(MARTS[asset]).get(column, ()) if upstream[0] != asset)
    return {source for upstream in made_of for source in _in_source(upstream)}
