"""Sign-in to Snowflake by the method that the Airflow connection configures: key pair, OAuth, token or password.

This is the only module outside `orchestration` that imports from Airflow: the provider's hook supports all methods.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from adventureworks.errors import PlatformError, ServiceUnavailable, Step

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from adventureworks.settings import Settings

_LONGEST_TAG = 2000
_AS_TEXT = {
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS",
}
"""Values as text have PostgreSQL's format, because keys in quarantine are compared as text."""
_LIKE_POSTGRESQL = {"TIMEZONE": "UTC", "DEFAULT_NULL_ORDERING": "LAST"}
"""Parameters for which an administrator may have set other defaults: see docs/engines.md."""
_TASK_VARIABLES = {"dag": "AIRFLOW_CTX_DAG_ID", "task": "AIRFLOW_CTX_TASK_ID", "run": "AIRFLOW_CTX_DAG_RUN_ID"}


def sign_in(settings: Settings, purpose: str) -> SnowflakeConnection:
    """Open a session whose statements carry DAG, task and run as their query tag; the caller commits its transactions.

    Raises `ServiceUnavailable` if Snowflake does not answer, and `PlatformError` if it refuses the login.
    """
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
    from airflow.sdk.exceptions import AirflowNotFoundException
    from snowflake.connector.errors import DatabaseError, Error, OperationalError

    connection_id = settings.snowflake_connection
    session: dict[str, Any] = {"QUERY_TAG": query_tag(purpose), "AUTOCOMMIT": False, **_LIKE_POSTGRESQL, **_AS_TEXT}
    try:
        hook = SnowflakeHook(
            connection_id,
            database=settings.snowflake_database,
            schema=settings.snowflake_raw_schema.upper(),
            session_parameters=session,
        )
        return hook.get_conn()
    except AirflowNotFoundException:
        raise PlatformError(
            f"There is no Airflow connection {connection_id}.",
            f"Create it, or set AIRFLOW_CONN_{connection_id.upper()}: docs/operate/snowflake.md",
        ) from None
    except OperationalError as error:
        raise ServiceUnavailable(
            f"Snowflake does not answer: {first_line(error)}.", "The task is retried automatically."
        ) from None
    except DatabaseError as error:
        raise PlatformError(
            f"Snowflake refuses the login of {connection_id}: {first_line(error)}.",
            Step("Check:", "adventureworks doctor"),
        ) from None
    except Error as error:
        raise ServiceUnavailable(
            f"Snowflake does not answer: {first_line(error)}.", "The task is retried automatically."
        ) from None


def account_of(settings: Settings) -> str:
    """Return the account that the Airflow connection names; empty if there is no such connection."""
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return str(SnowflakeHook.get_connection(settings.snowflake_connection).extra_dejson.get("account", ""))
    except AirflowNotFoundException:
        return ""


def query_tag(purpose: str) -> str:
    """Return the query tag of a statement: a JSON map with its purpose and, in a task, the DAG, task and run."""
    return json.dumps({"app": "adventureworks", "purpose": purpose, **task_context()})[:_LONGEST_TAG]


def task_context() -> dict[str, str]:
    """Return DAG, task and run in an Airflow task; empty elsewhere."""
    return {name: os.environ[variable] for name, variable in _TASK_VARIABLES.items() if os.environ.get(variable)}


def first_line(error: Exception) -> str:
    """Return the first line of a driver's error message."""
    return str(getattr(error, "raw_msg", None) or error).strip().split("\n")[0].rstrip(".")
