"""Several environments in one database: the schemas of each carry its name, and statements name them without it.

Production has none. Statements are written for `raw`, `marts` and so on; for the environment `pr_42` they are sent for
`pr_42_raw`, `pr_42_marts` and so on.
"""

from __future__ import annotations

import re
from functools import lru_cache

SCHEMAS = ("raw", "marts", "staging", "quarantine", "ops")

_SCHEMA = re.compile(rf"""(?<![\w."])("?)({"|".join(SCHEMAS)})\1(?=\.)""", re.IGNORECASE)


def schema_of(environment: str, schema: str) -> str:
    """The name that a schema has in an environment."""
    return f"{environment}_{schema}" if environment else schema


def named_by(schema: str) -> str:
    """The environment whose records are in a schema of this name; empty if it is no schema of an environment's."""
    name, _, kind = schema.lower().rpartition("_")
    return name if kind == "ops" else ""


@lru_cache(maxsize=4096)
def in_environment(statement: str, environment: str) -> str:
    """A statement for the schemas of an environment."""
    if not environment:
        return statement
    return _SCHEMA.sub(lambda found: f"{found[1]}{schema_of(environment, found[2].lower())}{found[1]}", statement)
