"""What a model's SELECT may not hold: what PostgreSQL and Snowflake read differently, and what lets money drift.

The rules look at the syntax tree, so neither layout nor comments deceive them.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlglot
from sqlglot import exp

from adventureworks.marts.models import DIALECT

PARAMETERS = {"as_of", "run_id"}
SCHEMAS = {"raw", "marts", "staging", "ops"}

_FUNCTIONS = frozenset(
    """
    ABS AND ANY_VALUE CASE CAST CEIL COALESCE COUNT CUME_DIST DATE_ADD DATE_TRUNC DENSE_RANK EXISTS EXTRACT FIRST_VALUE
    FLOOR IF LAG LAST_DAY LAST_VALUE LEAD LEFT LENGTH LN LOWER MAX MIN NTILE NULLIF OR PERCENTILE_CONT PERCENT_RANK RANK
    REPLACE RIGHT ROW_NUMBER SQRT STDDEV STDDEV_SAMP STR_POSITION SUBSTRING SUM TIMESTAMP_TRUNC TRIM UPPER
    """.split()  # noqa: SIM905
)
"""Functions that mean the same on both engines."""

_FORBIDDEN: dict[type[exp.Expr], str] = {
    exp.Interval: "dates move with dateadd",
    exp.Qualify: "QUALIFY is Snowflake's alone",
    exp.Filter: "FILTER is PostgreSQL's alone: sum a CASE",
    exp.ILike: "compare lower(...)",
    exp.RegexpLike: "regular expressions differ",
    exp.TryCast: "TRY_CAST becomes CAST on PostgreSQL",
    exp.IntDiv: "whole-number division differs",
    exp.Limit: "a mart is all of its rows",
    exp.Pivot: "PIVOT is Snowflake's alone",
    exp.Lateral: "LATERAL differs",
    exp.Concat: "CONCAT treats NULL differently: use ||",
}
_EXACT = (exp.DataType.Type.DECIMAL, exp.DataType.Type.BIGINT, exp.DataType.Type.INT)
_FLOATING = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)


def faults_of(select: str) -> list[str]:
    """Why a SELECT may not be a model; empty if it may. Every fault names the piece of SQL and the reason."""
    statements = sqlglot.parse(select, dialect=DIALECT)
    tree = statements[0]
    if len(statements) != 1 or not isinstance(tree, exp.Query):
        return ["a file holds one SELECT"]
    return [f"{node.sql(DIALECT)[:80]}: {reason}" for node, reason in _faults(tree)]


def _faults(tree: exp.Query) -> Iterator[tuple[exp.Expr, str]]:
    if tree.args.get("order"):
        yield tree.args["order"], "a table has no order"
    defined = {cte.alias for cte in tree.find_all(exp.CTE)}
    for node in tree.walk():
        for kind, reason in _FORBIDDEN.items():
            if isinstance(node, kind):
                yield node, reason
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
            yield node.parent or node, "name the columns"
        if isinstance(node, exp.Distinct) and node.args.get("on"):
            yield node, "DISTINCT ON is PostgreSQL's alone"
        if isinstance(node, exp.Placeholder) and node.name not in PARAMETERS:
            yield node, f"a model is given {' and '.join(sorted(PARAMETERS))} only"
        if isinstance(node, exp.Table) and node.db not in SCHEMAS and (node.db or node.name not in defined):
            yield node, "a table is named with its schema"
        if isinstance(node, exp.Func):
            yield from _faults_of_function(node)
        if isinstance(node, exp.Div):
            yield from _faults_of_division(node)
        if isinstance(node, exp.Cast) and node.to.this in _FLOATING and not _ends_exact(node):
            yield node, "a figure leaves its expression as a decimal"


def _faults_of_function(node: exp.Func) -> Iterator[tuple[exp.Expr, str]]:
    name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
    if name not in _FUNCTIONS and not isinstance(node, exp.Connector):
        yield node, f"{name} is not known to mean the same on both engines"
    if isinstance(node, exp.Sum) and not _is_exact(node.this):
        yield node, "what is summed is cast to decimal or bigint: an uncast sum drifts to a double"


def _faults_of_division(node: exp.Div) -> Iterator[tuple[exp.Expr, str]]:
    if not (isinstance(node.this, exp.Cast) and node.this.to.this in (*_EXACT[:1], *_FLOATING)):
        yield node, "what is divided is cast to decimal: PostgreSQL would get a double"
    outer = node.parent
    while isinstance(outer, exp.Paren):
        outer = outer.parent
    if not (isinstance(outer, exp.Cast) and outer.to.this in (*_EXACT[:1], *_FLOATING)):
        yield node, "a quotient is cast to decimal: the engines keep different numbers of places"
    divisor = node.expression.unnest()
    if not isinstance(divisor, (exp.Nullif, exp.Literal, exp.Count)):
        yield node, "what is divided by is in nullif(..., 0)"


def _is_exact(node: exp.Expr) -> bool:
    return isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast) and node.to.this in _EXACT


def _ends_exact(node: exp.Expr) -> bool:
    """Whether a cast to decimal stands somewhere around the expression."""
    while node.parent is not None and not isinstance(node, exp.Query):
        node = node.parent
        if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DECIMAL:
            return True
    return False
