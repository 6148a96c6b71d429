"""The interface to the warehouse. Schemas: `raw`, `marts` (published), `staging` (candidates), `quarantine`, `ops`.

Statements are written once, in PostgreSQL's dialect, with values bound and names quoted. A session has a side for the
data and one for the platform's records, which are always in PostgreSQL; code names the side on which a statement runs
(`session`). With `postgres` both sides are one connection; `snowflake` sends the statements on data, rewritten by
`dialect`, to Snowflake.
"""

from __future__ import annotations

from adventureworks.errors import PlatformError, Step
from adventureworks.settings import Settings
from adventureworks.warehouse import postgres, snowflake
from adventureworks.warehouse.postgres import PostgresWarehouse, Records
from adventureworks.warehouse.snowflake import SnowflakeWarehouse

Warehouse = PostgresWarehouse | SnowflakeWarehouse


def open_warehouse(settings: Settings) -> Warehouse:
    """Return the configured warehouse."""
    records = open_records(settings)
    return SnowflakeWarehouse(settings, records) if settings.warehouse == "snowflake" else PostgresWarehouse(records)


def open_records(settings: Settings) -> Records:
    """Return the database with the platform's records, wherever the data is."""
    if settings.warehouse_url is None:
        raise PlatformError(
            "No warehouse is configured.", Step("Set ADVENTUREWORKS_WAREHOUSE_URL, or run:", "adventureworks run")
        )
    return Records(settings.warehouse_url, settings.environment)


def is_unavailable(error: BaseException) -> bool:
    """Return whether a driver's error means that the server is unavailable, not that the statement is at fault."""
    return postgres.is_unavailable(error) or snowflake.is_unavailable(error)
