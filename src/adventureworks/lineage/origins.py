"""The origin of each column of a mart, traced through the SQL of the models down to the source tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, entry
from adventureworks.columns import columns_of, key_of
from adventureworks.lineage.grain import expand_counts
from adventureworks.marts import models

Origin = tuple[str, str]
"""A table or mart and one of its columns."""

_MONTH: tuple[Origin, ...] = (("fact_sales", "booking_month"), ("fact_sales", "order_date"))
_SALES_MONTH: dict[str, tuple[Origin, ...]] = {
    "month": _MONTH,
    "fiscal_year": _MONTH,
    "is_partial": (*_MONTH, ("fact_sales", "channel")),
}
_OFFER: Mapping[str, Origin] = {
    "product_id": ("Purchasing_ProductVendor", "ProductID"),
    "vendor_id": ("Purchasing_ProductVendor", "BusinessEntityID"),
    "vendor": ("Purchasing_Vendor", "Name"),
    "is_active": ("Purchasing_Vendor", "ActiveFlag"),
    "order_unit": ("Purchasing_ProductVendor", "UnitMeasureCode"),
    "pieces_per_unit": ("Purchasing_ProductVendor", "UnitMeasureCode"),
    "minimum_order": ("Purchasing_ProductVendor", "MinOrderQty"),
    "maximum_order": ("Purchasing_ProductVendor", "MaxOrderQty"),
    "lead_time_days": ("Purchasing_ProductVendor", "AverageLeadTime"),
}
_PRICE: tuple[Origin, ...] = (
    ("Purchasing_ProductVendor", "LastReceiptCost"),
    ("Purchasing_ProductVendor", "StandardPrice"),
)
_VIEWS: dict[str, dict[str, tuple[Origin, ...]]] = {
    "sales_month": _SALES_MONTH,
    "channel_month": {**_SALES_MONTH, "channel": (("fact_sales", "channel"),)},
    "vendor_offer": {
        **{column: (origin,) for column, origin in _OFFER.items()},
        "last_price": _PRICE,
        "preferred": (*_PRICE, ("Purchasing_Vendor", "ActiveFlag"), ("Purchasing_Vendor", "CreditRating")),
    },
}
"""Views of the warehouse -> their columns -> the origins of each column."""
_KEYS = {"sales_month": ("month",), "channel_month": ("month", "channel"), "vendor_offer": ("product_id", "vendor_id")}
"""Views of the warehouse -> the columns that identify their rows."""

_GENERATED: dict[Origin, tuple[Origin, ...]] = {
    ("customer_retention", "months_since"): (("fact_sales", "booking_month"),),
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


@cache
def columns_read(name: str) -> frozenset[Origin]:
    """Return every column that the model of a mart names, for a value, a condition or a join."""
    return frozenset(origin for query in models.queries_of(MARTS[name]).values() for origin in _named_in(query))


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
        query = expand_counts(_unquoted(models.queries_of(mart)[mart.name]), _key_of)
        return {
            column.name: tuple(sorted(_traced(query, column.name))) or _GENERATED.get((mart.name, column.name), ())
            for column in columns_of(mart)
        }
    read = tuple(sorted({origin for query in models.queries_of(mart).values() for origin in _all_of(_unquoted(query))}))
    return dict.fromkeys((column.name for column in columns_of(mart)), read)


def _read(mart: Mart) -> Mapping[str, set[Origin]]:
    """Return, for each column of a SQL model, the origins that it reads, without those that it only counts."""
    if not models.is_sql(mart):
        return {}
    query = _unquoted(models.queries_of(mart)[mart.name])
    return {column.name: _traced(query, column.name) for column in columns_of(mart)}


def _unquoted(query: str) -> exp.Expr:
    """Parse a SELECT with all names unquoted: quoted names would have to match the case used in the schema."""
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
def _schema() -> dict[str, object]:
    """Return the columns that models can read, so that unqualified columns can be resolved."""
    return {
        schema: {asset.asset: {column.name: "varchar" for column in columns_of(asset)} for asset in assets.values()}
        for schema, assets in (("raw", SOURCE_TABLES), ("marts", MARTS))
    }


def _named_in(query: str) -> Iterator[Origin]:
    qualified = qualify(
        _unquoted(query),
        schema=_schema(),
        dialect=models.DIALECT,
        quote_identifiers=False,
        validate_qualify_columns=False,
    )
    for scope in traverse_scope(qualified):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table):
                yield from _origins_in(source, column.name)


def _origin(node: Node) -> Iterator[Origin]:
    if isinstance(node.source, exp.Table):
        yield from _origins_in(node.source, node.name.rpartition(".")[2].strip('"'))


def _origins_in(reference: exp.Table, column: str) -> Iterator[Origin]:
    """Yield the column of the table that a reference reads, or the columns behind that of a view."""
    asset = _asset(reference)
    if asset:
        view = _VIEWS.get(reference.name.lower(), {})
        yield from view.get(column.lower(), ((asset, _catalogue_spelling(asset, column)),))


def _all_of(parsed: exp.Expr) -> set[Origin]:
    """Return every table column that a SELECT names."""
    found: set[Origin] = set()
    assets = {asset for reference in parsed.find_all(exp.Table) if (asset := _asset(reference))}
    named = {column.name.lower() for column in parsed.find_all(exp.Column)}
    for asset in assets:
        found |= {(asset, column.name) for column in columns_of(entry(asset)) if column.name.lower() in named}
    return found


def _asset(reference: exp.Table) -> str | None:
    """Return the table or mart that a reference reads; None for a CTE of the query itself."""
    name = reference.name.lower()
    if reference.db.lower() not in ("raw", "marts", "staging"):
        return None
    known = {asset.lower(): asset for asset in (*SOURCE_TABLES, *MARTS)}
    return _VIEWS[name][_KEYS[name][0]][0][0] if name in _VIEWS else known.get(name)


def _key_of(reference: exp.Table) -> tuple[str, ...]:
    view_key = _KEYS.get(reference.name.lower())
    if view_key:
        return view_key
    asset = _asset(reference)
    return tuple(key_of(entry(asset))) if asset else ()


def _catalogue_spelling(asset: str, column: str) -> str:
    names = {known.name.lower(): known.name for known in columns_of(entry(asset))}
    return names.get(column.lower(), column.lower())


def _in_source(origin: Origin) -> set[Origin]:
    asset, column = origin
    if asset in SOURCE_TABLES:
        return {origin}
    # A mart that reads its own previous version is not an origin of itself.
    made_of = (upstream for upstream in _direct(MARTS[asset]).get(column, ()) if upstream[0] != asset)
    return {source for upstream in made_of for source in _in_source(upstream)}
