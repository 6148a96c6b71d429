"""Lint rules for models: no SQL that PostgreSQL and Snowflake interpret differently, or that makes amounts inexact.

The rules inspect the syntax tree, so layout and comments do not matter.
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
"""Functions that do the same on both engines."""

_FORBIDDEN: dict[type[exp.Expr], str] = {
    exp.Interval: "use dateadd to move a date",
    exp.Qualify: "only Snowflake has QUALIFY",
    exp.Filter: "only PostgreSQL has FILTER: sum a CASE",
    exp.ILike: "compare lower(...) instead",
    exp.RegexpLike: "regular expressions differ between the engines",
    exp.TryCast: "TRY_CAST becomes CAST on PostgreSQL",
    exp.IntDiv: "integer division differs between the engines",
    exp.Limit: "a mart consists of all its rows",
    exp.Pivot: "only Snowflake has PIVOT",
    exp.Lateral: "LATERAL differs between the engines",
    exp.Concat: "CONCAT treats NULL differently on each engine: use ||",
}
_EXACT = (exp.DataType.Type.DECIMAL, exp.DataType.Type.BIGINT, exp.DataType.Type.INT)
_FLOATING = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)


def find_violations(select: str) -> list[str]:
    """Return the reasons why a SELECT may not be a model; each names the piece of SQL. Empty if it may be one."""
    statements = sqlglot.parse(select, dialect=DIALECT)
    tree = statements[0]
    if len(statements) != 1 or not isinstance(tree, exp.Query):
        return ["a file must contain one SELECT"]
    return [f"{node.sql(DIALECT)[:80]}: {reason}" for node, reason in _violations(tree)]


def _violations(tree: exp.Query) -> Iterator[tuple[exp.Expr, str]]:
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
            yield node, "only PostgreSQL has DISTINCT ON"
        if isinstance(node, exp.Placeholder) and node.name not in PARAMETERS:
            yield node, f"the only parameters of a model are {' and '.join(sorted(PARAMETERS))}"
        if isinstance(node, exp.Table) and node.db not in SCHEMAS and (node.db or node.name not in defined):
            yield node, "a table must be named with its schema"
        if isinstance(node, exp.Func):
            yield from _function_violations(node)
        if isinstance(node, exp.Div):
            yield from _division_violations(node)
        if isinstance(node, exp.Cast) and node.to.this in _FLOATING and not _ends_exact(node):
            yield node, "the result of a floating-point expression must be cast to decimal"


def _function_violations(node: exp.Func) -> Iterator[tuple[exp.Expr, str]]:
    name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
    if name not in _FUNCTIONS and not isinstance(node, exp.Connector):
        yield node, f"{name} is not known to do the same on both engines"
    if isinstance(node, exp.Sum) and not _is_exact(node.this):
        yield node, "a summed expression must be cast to decimal or bigint: otherwise the sum may become a double"


def _division_violations(node: exp.Div) -> Iterator[tuple[exp.Expr, str]]:
    if not (isinstance(node.this, exp.Cast) and node.this.to.this in (*_EXACT[:1], *_FLOATING)):
        yield node, "a dividend must be cast to decimal: otherwise PostgreSQL returns a double"
    outer = node.parent
    while isinstance(outer, exp.Paren):
        outer = outer.parent
    if not (isinstance(outer, exp.Cast) and outer.to.this in (*_EXACT[:1], *_FLOATING)):
        yield node, "a quotient must be cast to decimal: the engines keep different numbers of decimal places"
    elif isinstance(node.this, exp.Cast) and {node.this.to.this, outer.to.this} == {exp.DataType.Type.DECIMAL}:
        kept, wanted = _snowflake_scale(_scale(node.this.to)), _scale(outer.to)
        if kept < wanted:
            yield node, f"Snowflake keeps {kept} of the {wanted} decimal places: cast the dividend with more places"
    divisor = node.expression.unnest()
    if not isinstance(divisor, (exp.Nullif, exp.Literal, exp.Count)):
        yield node, "a divisor must be wrapped in nullif(..., 0)"


def _scale(decimal: exp.DataType) -> int:
    return int(decimal.expressions[1].name) if len(decimal.expressions) > 1 else 0


def _snowflake_scale(dividend: int) -> int:
    """Return the decimal places of a quotient: https://docs.snowflake.com/en/sql-reference/operators-arithmetic#division."""
    return max(dividend, min(dividend + 6, 12))


def _is_exact(node: exp.Expr) -> bool:
    return isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast) and node.to.this in _EXACT


def _ends_exact(node: exp.Expr) -> bool:
    """Return whether the expression is enclosed, at any depth, in a cast to decimal."""
    while node.parent is not None and not isinstance(node, exp.Query):
        node = node.parent
        if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DECIMAL:
            return True
    return False
