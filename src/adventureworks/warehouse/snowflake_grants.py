"""What the platform's role must be granted in Snowflake, and what of it is missing."""

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
        """The statement that an administrator types."""
        return f"grant {self.privilege.lower()} on {self.kind.lower()} {self.name} to role {role};"


def needed(settings: Settings, warehouse: str) -> list[Grant]:
    """All that the platform ever needs."""
    database = settings.snowflake_database.upper()
    grants = [Grant("USAGE", "WAREHOUSE", warehouse), Grant("USAGE", "DATABASE", database)]
    for name, schema in schemas_of(settings):
        privileges = (*_IN_EVERY_SCHEMA, "CREATE STAGE") if name == "staging" else _IN_EVERY_SCHEMA
        grants += [Grant(privilege, "SCHEMA", f"{database}.{schema}") for privilege in privileges]
    return grants


def missing(wanted: Iterable[Grant], held: Collection[tuple[str, str, str]]) -> list[Grant]:
    """The grants that a role lacks; `held`: privilege, kind and name, as Snowflake shows them. Who owns may do all."""
    return [
        grant
        for grant in wanted
        if (grant.privilege, grant.kind, grant.name) not in held and (_ALL, grant.kind, grant.name) not in held
    ]


def held_by(shown: Iterable[Sequence[Any]]) -> set[tuple[str, str, str]]:
    """Privilege, kind and name of what `show grants to role` lists."""
    return {(str(row[1]), str(row[2]), str(row[3]).replace('"', "")) for row in shown}


def inherited_roles(shown: Iterable[Sequence[Any]]) -> list[str]:
    """The roles among what `show grants to role` lists: their grants count, too."""
    return [str(row[3]).replace('"', "") for row in shown if (row[1], row[2]) == ("USAGE", "ROLE")]
