"""The seam to the warehouse. Schemas: `raw`, `marts` (published), `staging` (candidates), `quarantine`, `ops`.

Statements are written once, in PostgreSQL's words, with values bound and names quoted. `postgres` sends them as they
are; `snowflake` keeps the data in Snowflake and the platform's records beside Airflow, and rewrites what goes there.
"""

from __future__ import annotations

from adventureworks.errors import PlatformError
from adventureworks.settings import Settings
from adventureworks.warehouse import postgres, snowflake
from adventureworks.warehouse.postgres import PostgresWarehouse
from adventureworks.warehouse.snowflake import SnowflakeWarehouse

Warehouse = PostgresWarehouse | SnowflakeWarehouse


def open_warehouse(settings: Settings) -> Warehouse:
    """The configured warehouse."""
    records = open_records(settings)
    return SnowflakeWarehouse(settings, records) if settings.warehouse == "snowflake" else records


def open_records(settings: Settings) -> PostgresWarehouse:
    """The database with the platform's records, wherever the data is."""
    if settings.warehouse_url is None:
        raise PlatformError(
            "No warehouse is configured.", "Set ADVENTUREWORKS_WAREHOUSE_URL, or start: adventureworks run"
        )
    return PostgresWarehouse(settings.warehouse_url, settings.environment)


def is_lost(error: BaseException) -> bool:
    """Whether a driver's error says that a server does not answer, which is no fault of what it was sent."""
    return postgres.is_lost(error) or snowflake.is_lost(error)
