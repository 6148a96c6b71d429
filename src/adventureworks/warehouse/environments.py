"""Several environments in one database: an environment's name prefixes its schemas; production has no prefix.

Statements leave the prefix out; `dialect` adds it.
"""

from __future__ import annotations

SCHEMAS = ("raw", "marts", "staging", "quarantine", "ops")
"""In the order in which they are created."""


def schema_of(environment: str, schema: str) -> str:
    """Return the name of a schema in an environment."""
    return f"{environment}_{schema}" if environment else schema


def environment_of(schema: str, kind: str) -> str:
    """Return the environment to which the schema of this kind belongs; empty if it belongs to none."""
    name = schema.lower().removesuffix(f"_{kind.lower()}")
    return name if name != schema.lower() else ""
