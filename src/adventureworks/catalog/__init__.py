"""The one registry: every source table and every mart, with what the platform must know of it.

Columns, types, keys and row rules live in the contracts, table rules in the checks; this package says who owns a table,
which tables are published together, which month a row belongs to, which columns hold personal data, and what a mart is
made of. It imports neither Airflow nor pandera, so a DAG file may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from adventureworks.catalog import marts, source
from adventureworks.catalog.entries import Analysis, Mart, MonthOf, Protection, SourceTable

__all__ = [
    "ANALYSES",
    "MARTS",
    "SOURCE_TABLES",
    "Analysis",
    "Mart",
    "MonthOf",
    "Protection",
    "SourceTable",
    "entry",
    "everything_under",
    "feeds_of",
    "is_tolerant",
    "marts_of",
    "outside_inputs",
    "readers_of",
    "reads_orders",
    "starting_inputs",
    "tables_under",
    "unit_of",
]

SOURCE_TABLES: Mapping[str, SourceTable] = {table.asset: table for table in source.TABLES}
MARTS: Mapping[str, Mart] = {mart.name: mart for mart in marts.TABLES}
ANALYSES: Mapping[str, Analysis] = {analysis.dag: analysis for analysis in marts.DAGS}


def entry(asset: str) -> SourceTable | Mart:
    """The catalogue's entry of an asset; KeyError if there is none."""
    return SOURCE_TABLES[asset] if asset in SOURCE_TABLES else MARTS[asset]


def marts_of(dag: str) -> tuple[Mart, ...]:
    """The marts that a DAG builds, in the order in which they are built."""
    return tuple(mart for mart in MARTS.values() if mart.dag == dag)


def feeds_of(mart: Mart) -> tuple[str, ...]:
    """The assets of other DAGs that a mart is made of, be it through another mart of its own DAG."""
    feeds: list[str] = []
    for name in mart.inputs:
        own = name in MARTS and MARTS[name].dag == mart.dag
        feeds += feeds_of(MARTS[name]) if own else [name]
    return tuple(dict.fromkeys(feeds))


def outside_inputs(dag: str) -> tuple[str, ...]:
    """The assets that a DAG reads and does not build itself."""
    return tuple(dict.fromkeys(name for mart in marts_of(dag) for name in feeds_of(mart)))


def starting_inputs(dag: str) -> tuple[str, ...]:
    """The inputs whose event starts a DAG.

    An input that an input mart is made of too needs no event here: that mart is due then, this DAG has to wait for it,
    and its publication is the event.
    """
    inputs = outside_inputs(dag)
    followed = {name for asset in inputs for name in everything_under(asset)}
    return tuple(name for name in inputs if name not in followed)


def reads_orders(mart: Mart) -> bool:
    """Whether a mart is made of sales orders, directly or through other marts, so that it lacks those withheld."""
    return "Sales_SalesOrderHeader" in everything_under(mart.name)


@cache
def everything_under(asset: str) -> frozenset[str]:
    """The tables and marts of other DAGs that an asset is made of, directly or through others; nothing for a table."""
    feeds = feeds_of(MARTS[asset]) if asset in MARTS else ()
    return frozenset(feeds).union(*(everything_under(name) for name in feeds))


def is_tolerant(dag: str) -> bool:
    """Whether a DAG reports on everything, also on what is blocked or late."""
    return all(mart.tolerant for mart in marts_of(dag))


def readers_of(dag: str) -> tuple[str, ...]:
    """The analyses that read a mart of this one, directly or through others."""
    own = {mart.name for mart in marts_of(dag)}
    return tuple(
        other
        for other in ANALYSES
        if other != dag and any(own & {name, *everything_under(name)} for name in outside_inputs(other))
    )


def tables_under(mart: str) -> frozenset[str]:
    """The source tables that a mart is made of, directly or through other marts."""
    return frozenset().union(
        *(tables_under(name) if name in MARTS else {name} for name in MARTS[mart].inputs),
    )


def unit_of(asset: str) -> frozenset[str]:
    """The source tables that are published together with this one, itself among them."""
    unit = SOURCE_TABLES[asset].unit
    if unit is None:
        return frozenset({asset})
    return frozenset(name for name, table in SOURCE_TABLES.items() if table.unit == unit)
