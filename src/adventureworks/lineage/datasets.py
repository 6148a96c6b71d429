"""What tables are called in OpenLineage: a namespace (server or folder) and a name, without logins and passwords."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from adventureworks.catalog import Mart, SourceTable
from adventureworks.settings import Settings
from adventureworks.warehouse.environments import schema_of
from adventureworks.warehouse.layout import home_of
from adventureworks.warehouse.snowflake import schemas_of
from adventureworks.warehouse.snowflake_login import account_of

_SCHEMES = {"postgresql": "postgres"}
"""How OpenLineage spells the kind of a server, where a URL spells it otherwise."""
_PORTS = {"postgres": 5432, "mssql": 1433}
_NOT_CONFIGURED = ("unknown", "")


@dataclass(frozen=True)
class Name:
    """A dataset's name, as every tool that reads or writes the same table should spell it."""

    namespace: str
    name: str


def in_warehouse(settings: Settings, entry: SourceTable | Mart) -> Name:
    """A published table or mart."""
    if settings.warehouse == "snowflake":
        schema = dict(schemas_of(settings))[home_of(entry)]
        name = f"{settings.snowflake_database}.{schema}.{entry.asset}".upper()
        return Name(f"snowflake://{account_of(settings)}", name)
    namespace, database = _server(settings.warehouse_url) if settings.warehouse_url else _NOT_CONFIGURED
    return Name(namespace, f"{database}.{schema_of(settings.environment, home_of(entry))}.{entry.asset}")


def in_source(settings: Settings, table: SourceTable) -> Name:
    """A table where it comes from: in a database, or as a file of a folder."""
    if settings.source_url is None:
        return Name("file", f"{settings.source}/{table.asset}")
    namespace, database = _server(settings.source_url)
    return Name(namespace, f"{database}.{table.schema}.{table.name}")


def _server(url: SecretStr) -> tuple[str, str]:
    parts = urlsplit(url.get_secret_value())
    kind = parts.scheme.partition("+")[0]
    scheme = _SCHEMES.get(kind, kind)
    port = parts.port or _PORTS.get(scheme)
    return f"{scheme}://{parts.hostname or 'localhost'}{f':{port}' if port else ''}", unquote(parts.path.strip("/"))
