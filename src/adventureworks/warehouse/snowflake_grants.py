"""The grants that the platform's role needs in Snowflake, and which of them are missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adventureworks.settings import Settings
from adventureworks.warehouse.snowflake import schemas_of

_IN_EVERY_SCHEMA = ("USAGE", "CREATE TABLE", "CREATE VIEW")
_ALL = "OWNERSHIP"


@dataclass(frozen=True)
class Grant:
    """A privilege on a database, a schema or a warehouse."""

    privilege: str
    kind: str
    name: str

    def statement(self, role: str) -> str:
        """Return the statement with which an administrator grants the privilege."""
        return f"grant {self.privilege.lower()} on {self.kind.lower()} {self.name} to role {role};"


def needed(settings: Settings, warehouse: str) -> list[Grant]:
    """Return all grants that the platform needs."""
    database = settings.snowflake_database.upper()
    grants = [Grant("USAGE", "WAREHOUSE", warehouse), Grant("USAGE", "DATABASE", database)]
    for name, schema in schemas_of(settings):
        privileges = (*_IN_EVERY_SCHEMA, "CREATE STAGE") if name == "staging" else _IN_EVERY_SCHEMA
        grants += [Grant(privilege, "SCHEMA", f"{database}.{schema}") for privilege in privileges]
    return grants


def missing(wanted: Iterable[Grant], held: Collection[tuple[str, str, str]]) -> list[Grant]:
    """Return the grants that a role lacks; `held`: privilege, kind and name, as Snowflake shows them.

    An owner has all privileges.
    """
    return [
        grant
        for grant in wanted
        if (grant.privilege, grant.kind, grant.name) not in held and (_ALL, grant.kind, grant.name) not in held
    ]


def held_by(shown: Iterable[Sequence[Any]]) -> set[tuple[str, str, str]]:
    """Return privilege, kind and name of the rows of `show grants to role`."""
    return {(str(row[1]), str(row[2]), str(row[3]).replace('"', "")) for row in shown}


def inherited_roles(shown: Iterable[Sequence[Any]]) -> list[str]:
    """Return the roles among the rows of `show grants to role`: their grants count too."""
    return [str(row[3]).replace('"', "") for row in shown if (row[1], row[2]) == ("USAGE", "ROLE")]
