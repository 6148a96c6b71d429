"""SELECTs that are restricted to some rows of their tables, such as those of some months."""

from __future__ import annotations

from collections.abc import Callable, Collection

import sqlglot
from sqlglot import exp

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.months import shifted_key
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.sql import in_months, table

_MONTHS = "sales_month"
"""The view that lists the months of marts by month."""


def restrict(tree: exp.Expr, assets: Collection[str], months: Collection[str], echoes: Collection[int]) -> None:
    """Change a parsed SELECT so that it reads less of these tables and marts.

    Only rows on which these months ('YYYY-MM') depend are read: those of the months themselves and those whose echoes
    they are (`echoes`: offsets, in months). The view `sales_month` then has these months alone.
    """
    needed = sorted({shifted_key(month, -echo) for month in months for echo in (0, *echoes)})
    read_instead(
        tree,
        (*assets, _MONTHS),
        lambda name: in_months(quoted("month"), months) if name == _MONTHS else _in_months(name, needed),
    )


def read_instead(tree: exp.Expr, assets: Collection[str], condition_of: Callable[[str], str]) -> None:
    """Change a parsed SELECT so that it reads only the rows of these tables and marts that meet a condition."""
    for found in list(tree.find_all(exp.Table)):
        if found.name in assets:
            alias = found.alias or found.name
            found.set("alias", None)
            condition = sqlglot.parse_one(condition_of(found.name), dialect="postgres")
            found.replace(exp.select("*").from_(found.copy()).where(condition).subquery(alias))


def _in_months(asset: str, months: Collection[str]) -> str:
    """Return the condition that a row belongs to one of these months."""
    if asset in MARTS:
        return in_months(quoted(MARTS[asset].dated), months)
    month = SOURCE_TABLES[asset].month
    assert month is not None  # noqa: S101 - a mart is computed by month only from tables that have months
    dated = in_months(quoted(month.column), months)
    if month.parent is None:
        return dated
    key = quoted(str(month.parent_key))
    return f"{key} in (select {key} from {table('raw', month.parent)} where {dated})"
