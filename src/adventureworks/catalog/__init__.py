"""The registry of every source table, mart and analysis.

Columns, types, keys and row rules are in the contracts, table rules in the checks; this package defines who owns a
table, which tables are published together, which month a row belongs to, which columns hold personal data, and what a
mart is computed from. It imports neither Airflow nor pandera, so DAG files may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache

from adventureworks.catalog import marts, source
from adventureworks.catalog.entries import Analysis, Mart, MonthOf, Part, Period, PersonOf, Protection, SourceTable
from adventureworks.errors import PlatformError, Step

__all__ = [
    "ANALYSES",
    "INGESTION",
    "LIST",
    "MARTS",
    "ORDER_OF",
    "PLATFORM",
    "SOURCE_TABLES",
    "Analysis",
    "Mart",
    "MonthOf",
    "Part",
    "Period",
    "PersonOf",
    "Protection",
    "SourceTable",
    "entry",
    "entry_named",
    "feeds_of",
    "fresh_within",
    "is_tolerant",
    "mart_named",
    "marts_of",
    "needed_tables",
    "outside_inputs",
    "owner_of",
    "producer_of",
    "readers_of",
    "reads_orders",
    "required_tables",
    "starting_inputs",
    "starts_analyses",
    "table_named",
    "unit_of",
    "upstream_of",
    "upstream_tables",
]

PLATFORM = "platform"
"""The owner of everything that is not an asset: DAGs of the platform, its services and its messages."""

INGESTION = "ingest_source"
"""The DAG that publishes the source tables."""

LIST = Step("List tables and marts:", "adventureworks status --all")
"""What to do after naming an unknown asset."""

SOURCE_TABLES: Mapping[str, SourceTable] = {table.asset: table for table in source.TABLES}
MARTS: Mapping[str, Mart] = {mart.name: mart for mart in marts.TABLES}
ANALYSES: Mapping[str, Analysis] = {analysis.dag: analysis for analysis in marts.DAGS}


def entry(asset: str) -> SourceTable | Mart:
    """Return the catalogue entry of an asset. Raises `KeyError` if there is none."""
    return SOURCE_TABLES[asset] if asset in SOURCE_TABLES else MARTS[asset]


def table_named(name: str) -> SourceTable:
    """Return the source table with this name. Raises `PlatformError` if there is none."""
    if name not in SOURCE_TABLES:
        raise PlatformError(f"There is no source table {name}.", LIST)
    return SOURCE_TABLES[name]


def mart_named(name: str) -> Mart:
    """Return the mart with this name. Raises `PlatformError` if there is none."""
    if name not in MARTS:
        raise PlatformError(f"There is no mart {name}.", LIST)
    return MARTS[name]


def entry_named(name: str) -> SourceTable | Mart:
    """Return the source table or mart with this name. Raises `PlatformError` if there is none."""
    if name not in SOURCE_TABLES and name not in MARTS:
        raise PlatformError(f"There is no table or mart {name}.", LIST)
    return entry(name)


def fresh_within(asset: str) -> timedelta:
    """Return how soon readers see a change: after it was detected at the source, or after a mart's inputs changed."""
    known = entry(asset)
    default = marts.FRESH_WITHIN[ANALYSES[known.dag].calendar] if isinstance(known, Mart) else source.FRESH_WITHIN
    return known.fresh_within or default


def owner_of(name: str) -> str:
    """Return the owner of a source table, a mart or an analysis; `PLATFORM` for anything else."""
    if name in ANALYSES:
        return marts_of(name)[0].owner
    return entry(name).owner if name in SOURCE_TABLES or name in MARTS else PLATFORM


def producer_of(asset: str) -> str:
    """Return the DAG that publishes a source table or mart."""
    return MARTS[asset].dag if asset in MARTS else INGESTION


def marts_of(dag: str) -> tuple[Mart, ...]:
    """Return the marts that a DAG builds, in the order in which they are built."""
    return tuple(mart for mart in MARTS.values() if mart.dag == dag)


def feeds_of(mart: Mart) -> tuple[str, ...]:
    """Return the assets of other DAGs that a mart reads, directly or through another mart of its own DAG."""
    feeds: list[str] = []
    for name in mart.inputs:
        own = name in MARTS and MARTS[name].dag == mart.dag
        feeds += feeds_of(MARTS[name]) if own else [name]
    return tuple(dict.fromkeys(feeds))


def outside_inputs(dag: str) -> tuple[str, ...]:
    """Return the assets that a DAG reads but does not build."""
    return tuple(dict.fromkeys(name for mart in marts_of(dag) for name in feeds_of(mart)))


def starting_inputs(dag: str) -> tuple[str, ...]:
    """Return the inputs whose event starts a DAG; none of a tolerant one, which is started when nothing else is due.

    An input that is also upstream of an input mart is left out: when it changes, that mart is due, this DAG has to wait
    for it, and the mart's publication is the event.
    """
    inputs = () if is_tolerant(dag) else outside_inputs(dag)
    followed = {name for asset in inputs for name in upstream_of(asset)}
    return tuple(name for name in inputs if name not in followed)


@cache
def starts_analyses(asset: str) -> bool:
    """Return whether the event of an asset starts an analysis."""
    return any(asset in starting_inputs(dag) for dag in ANALYSES)


def reads_orders(mart: Mart) -> bool:
    """Return whether a mart is computed from sales orders, directly or indirectly, and so lacks withheld ones."""
    return "Sales_SalesOrderHeader" in upstream_of(mart.name)


ORDER_OF = {
    "Sales_SalesOrderHeader": "SalesOrderID",
    "Sales_SalesOrderDetail": "SalesOrderID",
    "Production_TransactionHistory": "ReferenceOrderID",
    "Production_TransactionHistoryArchive": "ReferenceOrderID",
    "fact_sales": "sales_order_id",
}
"""By table or mart: the column with the number of the sales order that a row belongs to. In movements of stock it may
also be that of a purchase or work order."""


@cache
def upstream_of(asset: str) -> frozenset[str]:
    """Return the tables and marts of other DAGs upstream of an asset, directly or indirectly; none for a table."""
    feeds = feeds_of(MARTS[asset]) if asset in MARTS else ()
    return frozenset(feeds).union(*(upstream_of(name) for name in feeds))


def is_tolerant(dag: str) -> bool:
    """Return whether a DAG also runs while inputs are blocked or late, because it reports on their state."""
    return all(mart.tolerant for mart in marts_of(dag))


def readers_of(dag: str) -> tuple[str, ...]:
    """Return the analyses that read a mart of this one, directly or indirectly."""
    own = {mart.name for mart in marts_of(dag)}
    return tuple(
        other
        for other in ANALYSES
        if other != dag and any(own & {name, *upstream_of(name)} for name in outside_inputs(other))
    )


def upstream_tables(mart: str) -> frozenset[str]:
    """Return the source tables upstream of a mart, directly or through other marts."""
    return frozenset().union(
        *(upstream_tables(name) if name in MARTS else {name} for name in MARTS[mart].inputs),
    )


@cache
def required_tables(dag: str) -> frozenset[str]:
    """Return the source tables without which an analysis cannot run, directly or through others; none if tolerant."""
    if is_tolerant(dag):
        return frozenset()
    inputs = outside_inputs(dag)
    return frozenset().union(*(required_tables(MARTS[name].dag) if name in MARTS else {name} for name in inputs))


@cache
def needed_tables() -> frozenset[str]:
    """Return the source tables that at least one mart needs."""
    return frozenset().union(*map(required_tables, ANALYSES))


def unit_of(asset: str) -> frozenset[str]:
    """Return the source tables that are published together with this one, including itself."""
    unit = SOURCE_TABLES[asset].unit
    if unit is None:
        return frozenset({asset})
    return frozenset(name for name, table in SOURCE_TABLES.items() if table.unit == unit)


def published_with(asset: str) -> tuple[str, ...]:
    """Return the assets that are published in one transaction with this one, including itself.

    They are the marts of its analysis, or the tables of its publish unit.
    """
    if asset in MARTS:
        return tuple(mart.name for mart in marts_of(MARTS[asset].dag))
    return tuple(sorted(unit_of(asset)))
