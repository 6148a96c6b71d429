"""The columns that the models of the marts read, resolved through the views of the warehouse."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, entry, is_tolerant, marts_of, upstream_of
from adventureworks.columns import columns_of
from adventureworks.errors import PlatformError
from adventureworks.gate.check_files import declared_checks
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
_CUSTOMER_DAY = ("order_date", "customer_id", "territory_id", "channel")
_VIEWS: dict[str, dict[str, tuple[Origin, ...]]] = {
    "sales_month": _SALES_MONTH,
    "channel_month": {**_SALES_MONTH, "channel": (("fact_sales", "channel"),)},
    "complete_customer_days": {
        **{name: (("customer_days", name),) for name in (*_CUSTOMER_DAY, "booking_month", "revenue", "cogs")},
        "last_month": tuple(("customer_days", name) for name in ("booking_month", "order_date", "channel")),
    },
    "vendor_offer": {
        **{column: (origin,) for column, origin in _OFFER.items()},
        "last_price": _PRICE,
        "preferred": (*_PRICE, ("Purchasing_Vendor", "ActiveFlag"), ("Purchasing_Vendor", "CreditRating")),
    },
}
"""Views of the warehouse -> their columns -> the origins of each column."""
VIEW_KEYS = {
    "sales_month": ("month",),
    "channel_month": ("month", "channel"),
    "complete_customer_days": _CUSTOMER_DAY,
    "vendor_offer": ("product_id", "vendor_id"),
}
"""Views of the warehouse -> the columns that identify their rows."""


@cache
def columns_read(name: str) -> frozenset[Origin]:
    """Return every column that the model of a mart names, for a value, a condition or a join."""
    return frozenset(origin for query in models.queries_of(MARTS[name]).values() for origin in _named_in(query))


def absent_columns(lacking: Mapping[str, Collection[str]], checks: Path) -> dict[str, frozenset[str]]:
    """Return by analysis the columns, as `table.column`, that it needs and the source does not offer.

    An analysis needs the columns that the models and checks of its marts read, and those of the marts that they are
    computed from. `lacking`: by table, the columns that are not offered; `checks`: the folder of the marts' check
    files. Tolerant analyses need none.
    """
    if not lacking:
        return {}
    direct = {
        mart.name: frozenset(
            f"{asset}.{column}"
            for asset, column in columns_read(mart.name) | _columns_checked(mart.name, checks)
            if column in lacking.get(asset, ())
        )
        for mart in MARTS.values()
        if not mart.tolerant
    }
    needed = {}
    for dag in ANALYSES:
        if not is_tolerant(dag):
            upstream = {MARTS[name].dag for mart in marts_of(dag) for name in upstream_of(mart.name) if name in MARTS}
            marts = (mart for other in {dag, *upstream} for mart in marts_of(other))
            needed[dag] = frozenset[str]().union(*(direct[mart.name] for mart in marts))
    return {dag: columns for dag, columns in needed.items() if columns}


def _columns_checked(name: str, checks: Path) -> frozenset[Origin]:
    try:
        return frozenset(origin for check in declared_checks(checks, name) for origin in check.columns_read)
    except PlatformError:
        # The gate reports it.
        return frozenset()


def unquoted(query: str) -> exp.Expr:
    """Parse a SELECT with all names unquoted: quoted names would have to match the case used in the schema."""
    parsed = sqlglot.parse_one(query, dialect=models.DIALECT)
    for identifier in parsed.find_all(exp.Identifier):
        identifier.set("quoted", False)
    return parsed


@cache
def schema() -> dict[str, object]:
    """Return the columns that models can read, so that unqualified columns can be resolved."""
    return {
        schema: {asset.asset: {column.name: "varchar" for column in columns_of(asset)} for asset in assets.values()}
        for schema, assets in (("raw", SOURCE_TABLES), ("marts", MARTS))
    }


def _named_in(query: str) -> Iterator[Origin]:
    qualified = qualify(
        unquoted(query),
        schema=schema(),
        dialect=models.DIALECT,
        quote_identifiers=False,
        validate_qualify_columns=False,
    )
    for scope in traverse_scope(qualified):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table):
                yield from origins_in(source, column.name)


def origins_in(reference: exp.Table, column: str) -> Iterator[Origin]:
    """Yield the column of the table that a reference reads, or the columns behind that of a view."""
    asset = asset_of(reference)
    if asset:
        view = _VIEWS.get(reference.name.lower(), {})
        yield from view.get(column.lower(), ((asset, _catalogue_spelling(asset, column)),))


def asset_of(reference: exp.Table) -> str | None:
    """Return the table or mart that a reference reads; None for a CTE of the query itself."""
    name = reference.name.lower()
    if reference.db.lower() not in ("raw", "marts", "staging"):
        return None
    known = {asset.lower(): asset for asset in (*SOURCE_TABLES, *MARTS)}
    return _VIEWS[name][VIEW_KEYS[name][0]][0][0] if name in _VIEWS else known.get(name)


def _catalogue_spelling(asset: str, column: str) -> str:
    names = {known.name.lower(): known.name for known in columns_of(entry(asset))}
    return names.get(column.lower(), column.lower())
