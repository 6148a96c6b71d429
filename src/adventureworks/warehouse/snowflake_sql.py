"""The platform's SQL in Snowflake's dialect: it is written once, in PostgreSQL's, and rewritten before it is sent.

Names become upper case, as Snowflake stores unquoted names; schemas become the configured ones; integers become NUMBERs
of the same size; casts, JSON and intervals take Snowflake's form. Constructs that cannot be rewritten (row locks,
`returning`, `on conflict`, arrays) are not used in statements that touch data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

Parameters = Sequence[Any] | Mapping[str, Any] | None
Schemas = tuple[tuple[str, str], ...]
"""The platform's name of each schema, and its name in Snowflake."""
Types = tuple[tuple[str, str], ...]
"""The name of each parameter, and the type to which it is cast; empty if it needs no cast."""

_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?s")
_MARK = re.compile(r"<<(\w+)>>")

_DIGITS = {exp.DataType.Type.SMALLINT: 5, exp.DataType.Type.INT: 10, exp.DataType.Type.BIGINT: 19}
_BOUND_AS = {date: "DATE", datetime: "TIMESTAMP_NTZ"}
_UNSCALED = "NUMBER(38, 12)"
"""The type of a decimal without a scale: Snowflake would give it no decimal places."""


@dataclass(frozen=True)
class Statement:
    """A statement as it is sent to Snowflake."""

    sql: str
    columns: tuple[str, ...]
    """The names of its result's columns, as originally spelt; empty if it returns no rows."""


def with_named_parameters(query: str, parameters: Parameters) -> tuple[str, dict[str, Any]]:
    """Return the query with its parameters named, and their values by name."""
    if isinstance(parameters, Mapping):
        return query, dict(parameters)
    values = {f"p{place}": value for place, value in enumerate(parameters or ())}
    names = iter(values)
    return (_PLACEHOLDER.sub(lambda _: f"%({next(names)})s", query) if values else query), values


def types_of(values: Mapping[str, Any]) -> Types:
    """Return the types of the bound values: Snowflake takes a date for text unless the statement casts it."""
    return tuple((name, _BOUND_AS.get(type(value), "")) for name, value in sorted(values.items()))


@lru_cache(maxsize=4096)
def rewritten(query: str, schemas: Schemas, types: Types = ()) -> Statement:
    """Return a PostgreSQL statement in Snowflake's dialect, with parameters of these types.

    Raises `ParseError` if it is not a valid statement.
    """
    if types:
        query = _PLACEHOLDER.sub(lambda match: f":{match[1]}", query.replace("%%", "%"))
    tree = sqlglot.parse_one(query, dialect="postgres")
    columns = tuple(select.alias_or_name for select in tree.selects) if isinstance(tree, exp.Query) else ()
    # First, because `transform` does not descend into the nodes that it inserts.
    for sum_or_difference in list(tree.find_all(exp.Add, exp.Sub)):
        _rewrite_date_arithmetic(sum_or_difference)
    tree = tree.transform(_in_snowflake, dict(schemas), dict(types), copy=False)
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.upper())
        identifier.set("quoted", True)
    sql = tree.sql(dialect="snowflake", comments=False)
    if types:
        # The connector binds %(name)s, and takes any other % for the start of a placeholder.
        sql = _MARK.sub(lambda match: f"%({match[1]})s", sql.replace("%", "%%"))
    return Statement(sql, columns)


def _in_snowflake(node: exp.Expr, schemas: Mapping[str, str], types: Mapping[str, str]) -> exp.Expr:
    if isinstance(node, exp.Placeholder):
        mark = exp.Var(this=f"<<{node.name}>>")
        return exp.cast(mark, types[node.name], dialect="snowflake") if types[node.name] else mark
    if isinstance(node, exp.Table) and node.db:
        node.set("db", exp.to_identifier(schemas.get(node.db, node.db)))
    elif isinstance(node, exp.DataType):
        return _type(node)
    elif isinstance(node, exp.UnloggedProperty):
        return exp.TransientProperty()
    elif isinstance(node, exp.JSONExtractScalar) and isinstance(node.this, exp.Cast):
        # Snowflake's function takes text, so the cast to JSON is dropped.
        node.set("this", node.this.this)
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "jsonb_build_object":
        return exp.Anonymous(
            this="TO_JSON", expressions=[exp.Anonymous(this="OBJECT_CONSTRUCT_KEEP_NULL", expressions=node.expressions)]
        )
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "to_json":
        node.set("expressions", [exp.Anonymous(this="TO_VARIANT", expressions=node.expressions)])
    elif isinstance(node, exp.TimeToStr) and node.args["format"].name == "%Y-%m":
        return exp.Left(this=exp.cast(exp.cast(node.this, "date"), "varchar"), expression=exp.Literal.number(7))
    elif isinstance(node, exp.Drop):
        node.set("cascade", False)
    return node


def _rewrite_date_arithmetic(node: exp.Binary) -> None:
    """Rewrite a date plus or minus an interval or a multiple of one, since Snowflake cannot multiply intervals."""
    interval = node.expression.unnest()
    times: exp.Expr = exp.Literal.number(1)
    if isinstance(interval, exp.Mul):
        one, other = interval.this.unnest(), interval.expression.unnest()
        interval, times = (one, other) if isinstance(one, exp.Interval) else (other, one)
    if not isinstance(interval, exp.Interval):
        return
    count = int(interval.this.name) * (-1 if isinstance(node, exp.Sub) else 1)
    number: exp.Expr = exp.Literal.number(abs(count)) if count >= 0 else exp.Neg(this=exp.Literal.number(-count))
    if not isinstance(times, exp.Literal):
        number = times.copy() if count == 1 else exp.Mul(this=exp.Paren(this=times.copy()), expression=number)
    unit = exp.var(interval.args["unit"].name.upper().removesuffix("S"))
    node.replace(exp.DateAdd(this=node.this, expression=number, unit=unit))


def _type(node: exp.DataType) -> exp.DataType:
    if node.this in _DIGITS:
        return exp.DataType.build(f"NUMBER({_DIGITS[node.this]}, 0)", dialect="snowflake")
    if node.this == exp.DataType.Type.DECIMAL and not node.expressions:
        return exp.DataType.build(_UNSCALED, dialect="snowflake")
    if node.this == exp.DataType.Type.TIMESTAMP:
        return exp.DataType.build("TIMESTAMP_NTZ", dialect="snowflake")
    return node
