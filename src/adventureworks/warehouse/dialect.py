"""Rewriting of SQL: for the schemas of an environment, and for Snowflake.

The platform's statements are written once, in PostgreSQL's dialect, for `raw`, `marts` and so on. In the environment
`pr_42` they are sent to `pr_42_raw`, `pr_42_marts` and so on. For Snowflake, names become upper case, as Snowflake
stores unquoted names; schemas become the configured ones; integers become NUMBERs of the same size; casts, JSON and
intervals take Snowflake's form. Constructs that cannot be rewritten (row locks, `returning`, `on conflict`, arrays) are
not used in statements on data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.tokens import TokenType

from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.environments import SCHEMAS, schema_of

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
_SHOWN_AS = {"DECIMAL": "NUMBER", "TIMESTAMPNTZ": "TIMESTAMP_NTZ"}
"""Types under the names that statements use, and under those that Snowflake shows."""

_Place = tuple[int, int]
"""The first and the last character of a schema's name in a statement."""


class _Tokenizer(Postgres.Tokenizer):
    # Otherwise the rest of a command such as VACUUM would be a single token.
    COMMANDS: ClassVar[set[TokenType]] = set()


@lru_cache(maxsize=4096)
def in_environment(statement: str, environment: str) -> str:
    """Return one of the platform's own statements with the schemas of an environment.

    String literals and comments are left unchanged.
    """
    return _renamed(statement, _schema_names(statement), environment) if environment else statement


def _schema_names(statement: str) -> Iterator[_Place]:
    """Yield the places of the schemas in a statement: names of one that a dot follows and none precedes."""
    tokens = _Tokenizer().tokenize(statement)
    before = None
    for token, after in pairwise(tokens):
        # As written, a string literal begins with a quote and is not the name of a schema.
        is_quoted = token.token_type is TokenType.IDENTIFIER
        name = token.text if is_quoted else statement[token.start : token.end + 1].lower()
        if name in SCHEMAS and after.token_type is TokenType.DOT and before is not TokenType.DOT:
            yield token.start, token.end
        before = token.token_type


def select_in_environment(statement: str, environment: str) -> str:
    """Return a user's SELECT with the schemas of an environment; everything but the schema names is left as typed.

    Raises `ParseError` if it is not a valid statement, and `ValueError` if it is not a SELECT or names a database,
    which would reach outside the environment.
    """
    tree = sqlglot.parse_one(statement, dialect="postgres")
    if not isinstance(tree, exp.Query):
        raise ValueError("In an environment, only SELECT statements are allowed")
    places = []
    for node in tree.find_all(exp.Table, exp.Column):
        database, schema = node.args.get("catalog"), node.args.get("db")
        if database is not None:
            raise ValueError(f"{node.sql(dialect='postgres')} names a database; leave {database.name} out")
        if schema is not None and _as_stored(schema) in SCHEMAS:
            places.append((int(schema.meta["start"]), int(schema.meta["end"])))
    return _renamed(statement, sorted(places), environment)


def _renamed(statement: str, places: Iterable[_Place], environment: str) -> str:
    """Return a statement with the schemas at these places, in ascending order, replaced by those of an environment."""
    parts, done = [], 0
    for start, end in places:
        name = statement[start : end + 1].strip('"').lower()
        parts += [statement[done:start], schema_of(environment, name)]
        done = end + 1
    return "".join([*parts, statement[done:]])


def reads_data(select: exp.Expr) -> bool:
    """Return whether a SELECT of a user or a model reads data; otherwise it reads the platform's records, or no table.

    Raises `ValueError` if it reads both, because they may be in two databases.
    """
    data: set[str] = set()
    records: set[str] = set()
    for table in select.find_all(exp.Table):
        schema, name = _as_stored(table.args.get("db")), _as_stored(table.this)
        if schema in SCHEMAS:
            side = records if schema == "ops" and name != "quarantined_row" else data
            side.add(f"{schema}.{name}")
    if data and records:
        raise ValueError(f"The statement names both {min(data)} and {min(records)}, which are in two databases")
    return bool(data)


def _as_stored(name: exp.Expr | None) -> str:
    """Return an identifier as PostgreSQL stores it; empty if it is missing or not a plain name."""
    if not isinstance(name, exp.Identifier):
        return ""
    return name.name if name.quoted else name.name.lower()


def snowflake_name(name: str) -> str:
    """Return an identifier in quotes and in upper case, as Snowflake stores unquoted names."""
    return quoted(name.upper())


def parsed(select: str, dialect: str) -> exp.Expr:
    """Return the tree of one of the platform's own SELECTs; the caller may change it. Raises `SqlglotError`."""
    return tree_of(select, dialect).copy()


@lru_cache(maxsize=1024)
def tree_of(select: str, dialect: str) -> exp.Expr:
    """Return the tree of one of the platform's own SELECTs, which nobody may change. Raises `SqlglotError`.

    A task's process finds the trees of the process that it was forked from, because parsing takes longer than copying.
    """
    return sqlglot.parse_one(select, dialect=dialect)


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


def snowflake_type(declared: str) -> str:
    """Return the type of a column declared with this type of PostgreSQL, as Snowflake shows it."""
    sent = _type(exp.DataType.build(declared, dialect="postgres")).sql(dialect="snowflake")
    name, parenthesis, size = sent.partition("(")
    return f"{_SHOWN_AS.get(name, name)}{parenthesis}{size}"


def _type(node: exp.DataType) -> exp.DataType:
    if node.this in _DIGITS:
        return exp.DataType.build(f"NUMBER({_DIGITS[node.this]}, 0)", dialect="snowflake")
    if node.this == exp.DataType.Type.DECIMAL and not node.expressions:
        return exp.DataType.build(_UNSCALED, dialect="snowflake")
    if node.this == exp.DataType.Type.TIMESTAMP:
        return exp.DataType.build("TIMESTAMP_NTZ", dialect="snowflake")
    return node
