"""Several environments in one database: the schemas of each carry its name, and statements name them without it.

Production has none. Statements are written for `raw`, `marts` and so on; for the environment `pr_42` they are sent for
`pr_42_raw`, `pr_42_marts` and so on.
"""

from __future__ import annotations

import re
from functools import lru_cache

import sqlglot
from sqlglot import exp

SCHEMAS = ("raw", "marts", "staging", "quarantine", "ops")
"""In the order in which they are made."""

_ANY_SCHEMA = "|".join(SCHEMAS)
_PARTS = re.compile(
    # Comments and texts stay, but for the one text that names a table; and so do other names in quotes.
    r"--[^\n]*|/\*.*?\*/"
    rf"|(?P<before>to_regclass\(')(?P<named>{_ANY_SCHEMA})(?P<after>\.[^']*')"
    r"|'(?:[^']|'')*'"
    rf"""|(?<![\w."])(?P<quote>"?)(?P<schema>{_ANY_SCHEMA})(?P=quote)(?=\s*\.)"""
    r'|"(?:[^"]|"")*"',
    re.IGNORECASE | re.DOTALL,
)


def schema_of(environment: str, schema: str) -> str:
    """The name that a schema has in an environment."""
    return f"{environment}_{schema}" if environment else schema


def named_by(schema: str, kind: str) -> str:
    """The environment whose schema of a kind has this name; empty if it is no schema of an environment's."""
    name = schema.lower().removesuffix(f"_{kind.lower()}")
    return name if name != schema.lower() else ""


@lru_cache(maxsize=4096)
def in_environment(statement: str, environment: str) -> str:
    """A statement of the platform's own for the schemas of an environment. Texts and comments stay as they are."""
    if not environment:
        return statement

    def moved(found: re.Match[str]) -> str:
        if found["named"]:
            return f"{found['before']}{schema_of(environment, found['named'].lower())}{found['after']}"
        if found["schema"]:
            return f"{found['quote']}{schema_of(environment, found['schema'].lower())}{found['quote']}"
        return found[0]

    return _PARTS.sub(moved, statement)


def select_in_environment(statement: str, environment: str) -> str:
    """A SELECT that somebody typed, for the schemas of an environment; all but their names stays as it was typed.

    Raises ParseError where it is no statement, ValueError where it is no SELECT or names a database: that would leave
    the environment.
    """
    tree = sqlglot.parse_one(statement, dialect="postgres")
    if not isinstance(tree, exp.Query):
        raise ValueError("In an environment only a SELECT can be asked")
    moved = []
    for node in tree.find_all(exp.Table, exp.Column):
        database, schema = node.args.get("catalog"), node.args.get("db")
        if database is not None:
            raise ValueError(f"{node.sql(dialect='postgres')} names a database; leave {database.name} out")
        if schema is not None and (schema.name if schema.quoted else schema.name.lower()) in SCHEMAS:
            moved.append(schema)
    for schema in sorted(moved, key=lambda node: int(node.meta["start"]), reverse=True):
        name = schema_of(environment, schema.name.lower())
        statement = f"{statement[: schema.meta['start']]}{name}{statement[schema.meta['end'] + 1 :]}"
    return statement
