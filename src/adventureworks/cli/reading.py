"""Connections to the warehouse for commands, whether or not the platform is running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from pydantic import SecretStr

from adventureworks.embedded.home import Home
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError, ServiceUnavailable, Step
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse
from adventureworks.warehouse.postgres import PostgresData, Records, WarehouseConnection, connected
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.snowflake import SnowflakeWarehouse

NOTHING_PUBLISHED = Step("Nothing is published yet. Start:", "adventureworks run")


def has_warehouse(settings: Settings) -> bool:
    """Return whether there is a warehouse to read. In a fresh home there is none, and none is created."""
    return settings.warehouse_url is not None or Home(settings.home).postgres.exists()


@contextmanager
def reading(settings: Settings) -> Iterator[Session]:
    """Provide a session that can read the warehouse but not change it."""
    with _address(settings, reader=True) as url:
        if settings.warehouse == "snowflake":
            with _snowflake_session(settings, url) as session:
                yield session
            return
        with _connected(url, settings.environment) as connection:
            connection.read_only = True
            yield Session(PostgresData(connection), connection)


@contextmanager
def writing(settings: Settings) -> Iterator[WarehouseConnection]:
    """Provide a connection for the platform's own records; changes are committed if the block raises no error."""
    with _address(settings) as url, _connected(url, settings.environment) as connection:
        yield connection


@contextmanager
def changing(settings: Settings) -> Iterator[Session]:
    """Provide a session with the warehouse; changes are committed if the block raises no error."""
    with _address(settings) as url:
        warehouse = open_warehouse(settings.model_copy(update={"warehouse_url": url}))
        with warehouse.connect("quarantine") as session:
            layout.prepare(session)
            yield session


@contextmanager
def _address(settings: Settings, reader: bool = False) -> Iterator[SecretStr]:
    if settings.warehouse_url is not None:
        # A configured warehouse needs no embedded PostgreSQL.
        yield settings.warehouse_url
        return
    if not has_warehouse(settings):
        raise PlatformError("There is no warehouse yet.", Step("Start:", "adventureworks run"))
    with services(settings) as addresses:
        yield addresses.reader_url if reader else addresses.warehouse_url


@contextmanager
def _snowflake_session(settings: Settings, records: SecretStr) -> Iterator[Session]:
    """Provide a session that is rolled back. What the login may change in Snowflake depends on its role."""
    with SnowflakeWarehouse(settings, Records(records, settings.environment)).connect("read", counted=False) as session:
        yield session
        session.rollback()


@contextmanager
def _connected(url: SecretStr, environment: str) -> Iterator[WarehouseConnection]:
    opened = connected(url, environment)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(opened)
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise ServiceUnavailable(
                f"The warehouse does not answer: {reason}.", Step("Check:", "adventureworks doctor")
            ) from None
        yield connection
