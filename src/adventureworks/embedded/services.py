"""The addresses that commands work with, from a PostgreSQL that runs for as long as they need it."""

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
    """The warehouse's owner: for the platform."""
    reader_url: SecretStr
    """For people: may only read the warehouse."""
    source_url: SecretStr
    """The embedded source, for the platform: may only read."""
    source_owner_url: SecretStr
    """The embedded source's owner: fills it and changes it."""
    metadata_url: SecretStr
    """Airflow's database."""


def endpoints(postgres: EmbeddedPostgres, settings: Settings) -> Endpoints:
    """The addresses on a running server; a configured warehouse takes the embedded one's place."""
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
    """Uses the running PostgreSQL of this home, or runs one meanwhile."""
    with EmbeddedPostgres(settings.home) as postgres:
        yield endpoints(postgres, settings)
