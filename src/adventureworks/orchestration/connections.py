"""The source given as an Airflow connection: `ADVENTUREWORKS_SOURCE=airflow:mssql_default`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from adventureworks.errors import PlatformError, ServiceUnavailable, Step
from adventureworks.settings import Settings
from adventureworks.source import AIRFLOW

if TYPE_CHECKING:
    from airflow.sdk import Connection

_SCHEMES = {"mssql": "mssql", "postgres": "postgresql", "postgresql": "postgresql"}


def with_source(settings: Settings) -> Settings:
    """Return the settings; if their source is an Airflow connection, with the URL of that connection.

    Raises PlatformError if there is no such connection or it has an unsupported type.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

    if settings.source_url is not None or not settings.source.startswith(AIRFLOW):
        return settings
    name = settings.source.removeprefix(AIRFLOW)
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        raise PlatformError(
            f"There is no Airflow connection {name}.",
            Step(f"Set AIRFLOW_CONN_{name.upper()}, or add it:", f"airflow connections add {name} --conn-type mssql …"),
        ) from None
    except AirflowException as error:
        reason = f"The Airflow connection {name} cannot be looked up: {type(error).__name__}."
        raise ServiceUnavailable(reason, Step("Check:", "adventureworks doctor")) from None
    return settings.model_copy(update={"source_url": SecretStr(url_of(connection, name))})


def url_of(connection: Connection, name: str) -> str:
    """Return a connection as a URL, including its password; its extra fields become options."""
    scheme = _SCHEMES.get(connection.conn_type or "")
    if scheme is None:
        raise PlatformError(
            f"The Airflow connection {name} has the type {connection.conn_type}.", "A source must be mssql or postgres."
        )
    account = quote(connection.login or "", safe="")
    if connection.password:
        account += f":{quote(connection.password, safe='')}"
    port = f":{connection.port}" if connection.port else ""
    options = {key: str(value) for key, value in connection.extra_dejson.items() if value is not None}
    database = quote(connection.schema or "", safe="")
    query = f"?{urlencode(options)}" if options else ""
    return f"{scheme}://{account}@{connection.host or ''}{port}/{database}{query}"
