"""Several environments in one database: an environment's name prefixes its schemas; production has no prefix.

Statements leave the prefix out; `dialect` adds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adventureworks.warehouse.postgres import WarehouseConnection

SCHEMAS = ("raw", "marts", "staging", "quarantine", "ops")
"""In the order in which they are created."""
REUSES = "Reuses the environment: "
"""The beginning of the comment on the schema `ops` of an environment that reuses another one: see `reuse`."""


def schema_of(environment: str, schema: str) -> str:
    """Return the name of a schema in an environment."""
    return f"{environment}_{schema}" if environment else schema


def environment_of(schema: str, kind: str) -> str:
    """Return the environment to which the schema of this kind belongs; empty if it belongs to none."""
    name = schema.lower().removesuffix(f"_{kind.lower()}")
    return name if name != schema.lower() else ""


def base_of(records: WarehouseConnection) -> str | None:
    """Return the name of the environment that this one reuses; None if it reuses none."""
    row = records.execute(
        "select obj_description(n.oid, 'pg_namespace') from pg_namespace as n where n.nspname = %s",
        (schema_of(records.environment, "ops"),),
    ).fetchone()
    text = row[0] if row else None
    return text.removeprefix(REUSES) if text and text.startswith(REUSES) else None
