"""The platform's SQL in Snowflake's words: it is written once, in PostgreSQL's, and rewritten on its way.

Names become upper case, as Snowflake keeps what people type without quotes; schemas become the configured ones; whole
numbers become NUMBERs of their size; casts, JSON and intervals become Snowflake's. What cannot be rewritten (row locks,
`returning`, `on conflict`, arrays) stays out of statements that touch data.
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
"""The platform's name of each schema, and the one that it has in Snowflake."""
Types = tuple[tuple[str, str], ...]
"""The name of each parameter, and the type that it is cast to; empty where it needs no cast."""

_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?s")
_MARK = re.compile(r"<<(\w+)>>")

_DIGITS = {exp.DataType.Type.SMALLINT: 5, exp.DataType.Type.INT: 10, exp.DataType.Type.BIGINT: 19}
_BOUND_AS = {date: "DATE", datetime: "TIMESTAMP_NTZ"}
_UNSCALED = "NUMBER(38, 12)"
"""A decimal that no cast gave any places: Snowflake would give it none."""


@dataclass(frozen=True)
class Statement:
    """A statement as Snowflake gets it."""

    sql: str
    columns: tuple[str, ...]
    """The names of its result's columns, as they were written; empty where it gives no rows."""


def named(query: str, parameters: Parameters) -> tuple[str, dict[str, Any]]:
    """The query with parameters that have names, and their values."""
    if isinstance(parameters, Mapping):
        return query, dict(parameters)
    values = {f"p{place}": value for place, value in enumerate(parameters or ())}
    names = iter(values)
    return (_PLACEHOLDER.sub(lambda _: f"%({next(names)})s", query) if values else query), values


def types_of(values: Mapping[str, Any]) -> Types:
    """The types of the values that are bound: to Snowflake a date is a text, unless the statement says what it is."""
    return tuple((name, _BOUND_AS.get(type(value), "")) for name, value in sorted(values.items()))


@lru_cache(maxsize=4096)
def rewritten(query: str, schemas: Schemas, types: Types = ()) -> Statement:
    """A statement of PostgreSQL's in Snowflake's words, with parameters of these types.

    Raises ParseError where it is no statement.
    """
    if types:
        query = _PLACEHOLDER.sub(lambda match: f":{match[1]}", query.replace("%%", "%"))
    tree = sqlglot.parse_one(query, dialect="postgres")
    columns = tuple(select.alias_or_name for select in tree.selects) if isinstance(tree, exp.Query) else ()
    # Before the rest: what `transform` puts in, it does not look into.
    for sum_or_difference in list(tree.find_all(exp.Add, exp.Sub)):
        _move_date(sum_or_difference)
    tree = tree.transform(_in_snowflake, dict(schemas), dict(types), copy=False)
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.upper())
        identifier.set("quoted", True)
    sql = tree.sql(dialect="snowflake", comments=False)
    if types:
        # The connector binds %(name)s, and takes any other % for the beginning of one.
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
        # Snowflake's function takes the text itself.
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


def _move_date(node: exp.Binary) -> None:
    """Rewrites a date and an interval, or so many times one: Snowflake multiplies no interval."""
    moved = node.expression.unnest()
    times: exp.Expr = exp.Literal.number(1)
    if isinstance(moved, exp.Mul):
        one, other = moved.this.unnest(), moved.expression.unnest()
        moved, times = (one, other) if isinstance(one, exp.Interval) else (other, one)
    if not isinstance(moved, exp.Interval):
        return
    count = int(moved.this.name) * (-1 if isinstance(node, exp.Sub) else 1)
    number: exp.Expr = exp.Literal.number(abs(count)) if count >= 0 else exp.Neg(this=exp.Literal.number(-count))
    if not isinstance(times, exp.Literal):
        number = times.copy() if count == 1 else exp.Mul(this=exp.Paren(this=times.copy()), expression=number)
    unit = exp.var(moved.args["unit"].name.upper().removesuffix("S"))
    node.replace(exp.DateAdd(this=node.this, expression=number, unit=unit))


def _type(node: exp.DataType) -> exp.DataType:
    if node.this in _DIGITS:
        return exp.DataType.build(f"NUMBER({_DIGITS[node.this]}, 0)", dialect="snowflake")
    if node.this == exp.DataType.Type.DECIMAL and not node.expressions:
        return exp.DataType.build(_UNSCALED, dialect="snowflake")
    if node.this == exp.DataType.Type.TIMESTAMP:
        return exp.DataType.build("TIMESTAMP_NTZ", dialect="snowflake")
    return node
