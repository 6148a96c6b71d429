"""The names of tables in OpenLineage: a namespace (server or folder) and a name, without logins and passwords."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pydantic import SecretStr

from adventureworks.catalog import Mart, SourceTable
from adventureworks.errors import PlatformError
from adventureworks.postgres_address import parts_of
from adventureworks.settings import Settings
from adventureworks.source import Kind, address_of, files_address_of, kind_of
from adventureworks.source.addresses import SqlServerAddress
from adventureworks.source.files_addresses import is_local, local_path, parts_of_url
from adventureworks.warehouse.environments import schema_of
from adventureworks.warehouse.snowflake import schemas_of
from adventureworks.warehouse.snowflake_login import account_of
from adventureworks.warehouse.sql import published_schema

_UNKNOWN = ("unknown", "")


@dataclass(frozen=True)
class Name:
    """A dataset's name, spelled as in every other tool that reads or writes the same table."""

    namespace: str
    name: str


class Names:
    """The dataset names of one configuration; servers are determined once."""

    def __init__(self, settings: Settings) -> None:
        """`settings`: with the source's URL filled in if it comes from an Airflow connection."""
        self._settings = settings
        self._is_snowflake = settings.warehouse == "snowflake"

    def in_warehouse(self, asset: SourceTable | Mart) -> Name:
        """Return the name of a published table or mart."""
        namespace, database = self._warehouse
        if self._is_snowflake:
            schema = dict(schemas_of(self._settings))[published_schema(asset)]
            return Name(namespace, f"{database}.{schema}.{asset.asset}".upper())
        return Name(
            namespace, f"{database}.{schema_of(self._settings.environment, published_schema(asset))}.{asset.asset}"
        )

    def column(self, name: str) -> str:
        """Return the name of a column of a published table or mart."""
        return name.upper() if self._is_snowflake else name

    def in_source(self, table: SourceTable) -> Name:
        """Return the name of a table at its source: in a database, or as a file."""
        namespace, place = self._source
        return Name(
            namespace,
            f"{place}/{table.asset}" if files_address_of(self._settings) else f"{place}.{table.schema}.{table.name}",
        )

    @cached_property
    def _warehouse(self) -> tuple[str, str]:
        if self._is_snowflake:
            from airflow.providers.snowflake.utils.openlineage import fix_account_name

            return f"snowflake://{fix_account_name(account_of(self._settings))}", self._settings.snowflake_database
        return _server(self._settings.warehouse_url) if self._settings.warehouse_url else _UNKNOWN

    @cached_property
    def _source(self) -> tuple[str, str]:
        address = address_of(self._settings)
        if address is not None:
            return _server(address)
        files = files_address_of(self._settings)
        return _folder(files) if files else _UNKNOWN


def _folder(address: str) -> tuple[str, str]:
    """Return the namespace of files (`file`, or the store's bucket) and the path in it."""
    if is_local(address):
        return "file", str(local_path(address))
    parts = parts_of_url(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.strip("/")


def _server(url: SecretStr) -> tuple[str, str]:
    """Return the namespace of a server and its database."""
    address = url.get_secret_value()
    if kind_of(address) is Kind.POSTGRESQL:
        try:
            parts = parts_of(url, "source", "ADVENTUREWORKS_SOURCE_URL")
        except PlatformError:
            return _UNKNOWN
        # If the URL lists several servers, use the first; a socket is on this machine.
        host, port = (str(parts.get(name) or "").split(",")[0] for name in ("host", "port"))
        host = "localhost" if not host or host.startswith(("/", "@")) else host
        return f"postgres://{host}:{port or 5432}", str(parts.get("dbname") or parts.get("user") or "")
    try:
        server = SqlServerAddress.of(url)
    except PlatformError:
        return _UNKNOWN
    return f"mssql://{server.host}:{server.port}", server.database
