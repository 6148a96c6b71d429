"""Migrations of the `ops` schema, numbered and in order, written for Alembic.

Alembic orders the revisions and renders their SQL; the warehouse's own connection runs it, in the caller's transaction
and in the schemas of its environment. To change `ops`, add a revision to `versions/`; never edit one that was released.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from io import StringIO
from typing import TYPE_CHECKING

from adventureworks.errors import PlatformError, Step

if TYPE_CHECKING:
    from adventureworks.warehouse.postgres import WarehouseConnection

TABLE = "migration"
"""Holds the revision of the `ops` schema, in that schema."""
HAS_QUARANTINE = "has_quarantine"
"""The attribute that tells a migration whether the rows in quarantine are in the same database as the records."""


def migrate(records: WarehouseConnection, to: str = "") -> str:
    """Bring the `ops` schema to a revision, by default the newest, and return it. The caller holds the layout lock.

    Raises `PlatformError` if this version of the platform does not know the revision, or the one that is in place.
    """
    if not to and is_current(records):
        return _newest()
    # Imported here: most processes find the schema as it should be.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    statements = StringIO()
    config = Config(output_buffer=statements)
    # In a configuration file, % would begin a reference to another option.
    config.set_main_option("script_location", str(resources.files(__package__)).replace("%", "%%"))
    config.attributes[HAS_QUARANTINE] = records.has_table("ops", "quarantined_row")
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    current, wanted = _revision(records), to or known[0]
    if current is not None and current not in known:
        raise PlatformError(
            f"The warehouse was last used by a newer version of the platform: its records have revision {current},"
            f" this version knows them up to {known[0]}.",
            Step("Install that version again and run:", f"adventureworks migrate {known[0]}"),
        )
    if wanted not in known:
        raise PlatformError(f"There is no revision {wanted}.", f"The revisions: {', '.join(reversed(known))}.")
    if current is None or known.index(wanted) < known.index(current):
        command.upgrade(config, f"{current or 'base'}:{wanted}", sql=True)
    elif current != wanted:
        command.downgrade(config, f"{current}:{wanted}", sql=True)
    if statements.getvalue():
        records.execute(statements.getvalue().encode())
    return wanted


def is_current(records: WarehouseConnection) -> bool:
    """Return whether the `ops` schema has the newest revision."""
    return _revision(records) == _newest()


@lru_cache(maxsize=1)
def _newest() -> str:
    """Return the newest revision from the names of the files: Alembic takes long to import."""
    files = resources.files(__package__).joinpath("versions").iterdir()
    return max(file.name.partition("_")[0] for file in files if file.name.endswith(".py"))


def _revision(records: WarehouseConnection) -> str | None:
    """Return the revision in place; None if there is no schema yet, or one from before the migrations."""
    if not records.has_table("ops", TABLE):
        return None
    row = records.execute(f"select version_num from ops.{TABLE}".encode()).fetchone()
    return row[0] if row else None
