"""Several environments in one database: an environment's name prefixes its schemas, and statements leave it out.

Production has no prefix. Statements are written for `raw`, `marts` and so on; for the environment `pr_42` they are
rewritten to `pr_42_raw`, `pr_42_marts` and so on.
"""

from __future__ import annotations

import re
from functools import lru_cache

import sqlglot
from sqlglot import exp

SCHEMAS = ("raw", "marts", "staging", "quarantine", "ops")
"""In the order in which they are created."""

_ANY_SCHEMA = "|".join(SCHEMAS)
_PARTS = re.compile(
    # Comments and string literals stay, except for the one literal that names a table; so do other quoted names.
    r"--[^\n]*|/\*.*?\*/"
    rf"|(?P<before>to_regclass\(')(?P<named>{_ANY_SCHEMA})(?P<after>\.[^']*')"
    r"|'(?:[^']|'')*'"
    rf"""|(?<![\w."])(?P<quote>"?)(?P<schema>{_ANY_SCHEMA})(?P=quote)(?=\s*\.)"""
    r'|"(?:[^"]|"")*"',
    re.IGNORECASE | re.DOTALL,
)


def schema_of(environment: str, schema: str) -> str:
    """Return the name of a schema in an environment."""
    return f"{environment}_{schema}" if environment else schema


def environment_of(schema: str, kind: str) -> str:
    """Return the environment to which the schema of this kind belongs; empty if it belongs to none."""
    name = schema.lower().removesuffix(f"_{kind.lower()}")
    return name if name != schema.lower() else ""


@lru_cache(maxsize=4096)
def in_environment(statement: str, environment: str) -> str:
    """Return one of the platform's own statements with the schemas of an environment.

    String literals and comments are left unchanged.
    """
    if not environment:
        return statement

    def replacement(found: re.Match[str]) -> str:
        if found["named"]:
            return f"{found['before']}{schema_of(environment, found['named'].lower())}{found['after']}"
        if found["schema"]:
            return f"{found['quote']}{schema_of(environment, found['schema'].lower())}{found['quote']}"
        return found[0]

    return _PARTS.sub(replacement, statement)


def select_in_environment(statement: str, environment: str) -> str:
    """Return a user's SELECT with the schemas of an environment; everything but the schema names is left as typed.

    Raises `ParseError` if it is not a valid statement, and `ValueError` if it is not a SELECT or names a database,
    which would reach outside the environment.
    """
    tree = sqlglot.parse_one(statement, dialect="postgres")
    if not isinstance(tree, exp.Query):
        raise ValueError("In an environment, only SELECT statements are allowed")
    renamed = []
    for node in tree.find_all(exp.Table, exp.Column):
        database, schema = node.args.get("catalog"), node.args.get("db")
        if database is not None:
            raise ValueError(f"{node.sql(dialect='postgres')} names a database; leave {database.name} out")
        if schema is not None and (schema.name if schema.quoted else schema.name.lower()) in SCHEMAS:
            renamed.append(schema)
    for schema in sorted(renamed, key=lambda node: int(node.meta["start"]), reverse=True):
        name = schema_of(environment, schema.name.lower())
        statement = f"{statement[: schema.meta['start']]}{name}{statement[schema.meta['end'] + 1 :]}"
    return statement
