"""The addresses of the databases for commands, on a PostgreSQL that runs as long as they need it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.settings import Settings


@dataclass(frozen=True)
class Endpoints:
    """The databases, each with the role that fits its use."""

    warehouse_url: SecretStr
    """The warehouse, as its owner: for the platform."""
    reader_url: SecretStr
    """The warehouse, read-only: for users."""
    source_url: SecretStr
    """The embedded source, read-only: for the platform."""
    source_owner_url: SecretStr
    """The embedded source, as its owner: to fill and change it."""
    metadata_url: SecretStr
    """Airflow's database."""


def endpoints(postgres: EmbeddedPostgres, settings: Settings) -> Endpoints:
    """Return the addresses on a running server; a configured warehouse replaces the embedded one."""
    own_warehouse = settings.warehouse_url
    return Endpoints(
        warehouse_url=own_warehouse or SecretStr(postgres.url("warehouse")),
        reader_url=own_warehouse or SecretStr(postgres.url("warehouse", "reader")),
        source_url=SecretStr(postgres.url("source", "source_reader")),
        source_owner_url=SecretStr(postgres.url("source")),
        metadata_url=SecretStr(postgres.url("airflow")),
    )


@contextmanager
def services(settings: Settings) -> Iterator[Endpoints]:
    """Provide the addresses on this home's PostgreSQL, which is started for the block unless it is running."""
    with EmbeddedPostgres(settings.home) as postgres:
        yield endpoints(postgres, settings)
