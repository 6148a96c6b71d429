"""`adventureworks watch`: run the watch on the warehouse and Airflow's database."""

from __future__ import annotations

import logging
import os

from adventureworks.cli.reading import has_warehouse
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError, Step
from adventureworks.settings import Settings

AIRFLOW_DATABASE_SETTING = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def watch(settings: Settings, every: float, once: bool) -> None:
    """Watch until interrupted. Raises `PlatformError` if there is nothing to watch."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    configured = _airflow_url(settings)
    if settings.warehouse_url and configured:
        _watch(settings, configured, every, once)
        return
    if not has_warehouse(settings):
        raise PlatformError("There is nothing to watch yet.", Step("Start:", "adventureworks run"))
    with services(settings) as addresses:
        os.environ["ADVENTUREWORKS_WAREHOUSE_URL"] = addresses.warehouse_url.get_secret_value()
        own = settings.model_copy(update={"warehouse_url": addresses.warehouse_url})
        _watch(own, configured or addresses.metadata_url.get_secret_value(), every, once)


def _watch(settings: Settings, metadata_url: str, every: float, once: bool) -> None:
    # Airflow reads this setting when it is imported.
    os.environ.setdefault(AIRFLOW_DATABASE_SETTING, metadata_url.replace("postgresql://", "postgresql+psycopg2://", 1))
    from adventureworks.orchestration.watch import watch as run_watch

    run_watch(settings, metadata_url, every, once)


def _airflow_url(settings: Settings) -> str:
    """Return the URL of Airflow's database for psycopg, or an empty string if none is configured."""
    if settings.metadata_url:
        return settings.metadata_url.get_secret_value()
    scheme, separator, rest = os.environ.get(AIRFLOW_DATABASE_SETTING, "").partition("://")
    return f"{scheme.partition('+')[0]}://{rest}" if separator else ""
