"""The seam to the warehouse. Schemas: `raw`, `marts` (published), `staging` (candidates), `quarantine`, `ops`.

`postgres` is the engine of today. What differs between engines (connecting, bulk loading, types) stays in the engine's
module; layout, staging and publication are written in SQL that engines share, with values bound and names quoted.
"""

from __future__ import annotations

from adventureworks.errors import PlatformError
from adventureworks.settings import Settings
from adventureworks.warehouse.postgres import PostgresWarehouse


def open_warehouse(settings: Settings) -> PostgresWarehouse:
    """The configured warehouse."""
    if settings.warehouse_url is None:
        raise PlatformError(
            "No warehouse is configured.", "Set ADVENTUREWORKS_WAREHOUSE_URL, or start: adventureworks run"
        )
    return PostgresWarehouse(settings.warehouse_url)
