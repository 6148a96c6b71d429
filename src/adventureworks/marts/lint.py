"""Lint rules for models: no SQL that PostgreSQL and Snowflake interpret differently, or that makes amounts inexact.

The rules inspect the syntax tree, so layout and comments do not matter. Run as a program, by `make lint`, the module
prints the violations of all models.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import sqlglot
from sqlglot import exp

from adventureworks.catalog import MARTS
from adventureworks.marts.models import DIALECT, queries_of

PARAMETERS = {"as_of", "run_id"}
SCHEMAS = {"raw", "marts", "staging", "ops"}

_FUNCTIONS = frozenset(
    """
    ABS AND ANY_VALUE CASE CAST CEIL COALESCE COUNT CUME_DIST DATE_ADD DATE_TRUNC DENSE_RANK EXISTS EXP EXTRACT
    FIRST_VALUE FLOOR IF LAG LAST_DAY LAST_VALUE LEAD LEFT LENGTH LN LOWER MAX MIN NTILE NULLIF OR PERCENTILE_CONT
    PERCENT_RANK RANK REPLACE RIGHT ROW_NUMBER SQRT STDDEV STDDEV_SAMP STR_POSITION SUBSTRING SUM TIMESTAMP_TRUNC TRIM
    UPPER
    """.split()  # noqa: SIM905
)
"""Functions that do the same on both engines."""

_BITWISE = "only PostgreSQL has bitwise operators"
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
    exp.Mod: "a remainder has a different type on each engine",
    exp.BitwiseAnd: _BITWISE,
    exp.BitwiseOr: _BITWISE,
    exp.BitwiseXor: _BITWISE,
    exp.BitwiseNot: _BITWISE,
    exp.BitwiseLeftShift: _BITWISE,
    exp.BitwiseRightShift: _BITWISE,
}
_EXACT = (exp.DataType.Type.DECIMAL, exp.DataType.Type.BIGINT, exp.DataType.Type.INT)
_FLOATING = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)
_DATE_PARTS = {"DAY", "MONTH", "QUARTER", "YEAR"}
"""Parts of a date that are the same everywhere. The first day of a week, for example, is a setting of Snowflake."""
_MOST_PLACES = 12
"""Snowflake keeps no more decimal places of a product, unless a factor has more."""
_FRAMED = (exp.Count, exp.Max, exp.Min, exp.Stddev, exp.StddevSamp, exp.Sum)


def violations_of_models() -> list[str]:
    """Return the violations of all models, each with the mart and the name of the SELECT."""
    return [
        f"{mart.name}, {name}: {violation}"
        for mart in MARTS.values()
        for name, select in queries_of(mart).items()
        for violation in find_violations(select)
    ]


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
        for kinds, violations in _RULES:
            if isinstance(node, kinds):
                yield from violations(node)
        if isinstance(node, exp.Cast) and node.to.this in _FLOATING and not _ends_exact(node):
            yield node, "the result of a floating-point expression must be cast to decimal"


def _function_violations(node: exp.Func) -> Iterator[tuple[exp.Expr, str]]:
    name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
    if name not in _FUNCTIONS and not isinstance(node, exp.Connector):
        yield node, f"{name} is not known to do the same on both engines"
    counted = node.this.expressions if isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct) else ()
    if len(counted) > 1 or any(isinstance(one, exp.Tuple) for one in counted):
        yield node, "only PostgreSQL counts a combination that contains NULL: count one expression"
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


def _product_violations(node: exp.Mul) -> Iterator[tuple[exp.Expr, str]]:
    if not _is_cast_product(node):
        yield node, f"a product must be cast to decimal with at most {_MOST_PLACES} places: Snowflake keeps no more"


def _percentile_violations(node: exp.WithinGroup) -> Iterator[tuple[exp.Expr, str]]:
    ordered = node.expression.expressions[0].this
    if not (isinstance(ordered, exp.Cast) and ordered.to.this in _FLOATING):
        yield node, "a percentile must be of a double: otherwise the engines keep different numbers of decimal places"


def _date_part_violations(node: exp.Extract | exp.TimestampTrunc | exp.DateAdd) -> Iterator[tuple[exp.Expr, str]]:
    part = node.name if isinstance(node, exp.Extract) else node.args["unit"].name
    if part.upper() not in _DATE_PARTS:
        yield node, f"{part} of a date differs between the engines: use {', '.join(sorted(_DATE_PARTS))}"
    outer = node.parent
    while isinstance(outer, (exp.Paren, exp.DateAdd)):
        outer = outer.parent
    is_date = isinstance(outer, exp.Cast) and outer.to.this == exp.DataType.Type.DATE
    if not isinstance(node, exp.Extract) and not is_date:
        yield node, "must be cast to date: PostgreSQL returns a timestamp"


def _window_violations(node: exp.Window) -> Iterator[tuple[exp.Expr, str]]:
    is_framed = node.args.get("spec") or not node.args.get("order")
    if isinstance(node.this, _FRAMED) and not is_framed:
        yield node, "an ordered window of an aggregate needs a frame: rows between ..."


def _text_violations(node: exp.Like | exp.Substring | exp.Left | exp.Right) -> Iterator[tuple[exp.Expr, str]]:
    place = node.args.get("start") if isinstance(node, exp.Substring) else node.expression
    if isinstance(node, exp.Like) and "\\" in node.expression.name:
        yield node, "only PostgreSQL takes a backslash in a pattern for an escape"
    elif isinstance(place, exp.Neg) or (isinstance(place, exp.Literal) and place.name == "0"):
        yield node, "a position or length below 1 differs between the engines"


def _is_cast_product(node: exp.Mul) -> bool:
    """Return whether a product loses no decimal places, because of an integer factor or an enclosing cast."""
    if any(isinstance(factor, exp.Literal) and factor.is_int for factor in (node.this, node.expression)):
        return True
    outer: exp.Expr | None = node
    while outer is not None and not isinstance(outer, exp.Query):
        if isinstance(outer, exp.Cast) and outer.to.this in _EXACT:
            return _scale(outer.to) <= _MOST_PLACES
        outer = outer.parent
    return False


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


_RULES: tuple[tuple[Any, Callable[[Any], Iterator[tuple[exp.Expr, str]]]], ...] = (
    (exp.Func, _function_violations),
    (exp.Div, _division_violations),
    (exp.Mul, _product_violations),
    (exp.WithinGroup, _percentile_violations),
    ((exp.Extract, exp.TimestampTrunc, exp.DateAdd), _date_part_violations),
    (exp.Window, _window_violations),
    ((exp.Like, exp.Substring, exp.Left, exp.Right), _text_violations),
)
"""The kinds of nodes that have rules of their own, and what finds the violations."""


if __name__ == "__main__":
    sys.exit("\n".join(violations_of_models()) or None)
