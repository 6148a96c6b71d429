"""Signing in to Snowflake as the Airflow connection says: key pair, OAuth, token or password.

The one place outside `orchestration` that imports something of Airflow's: the provider's hook knows all these ways.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from adventureworks.errors import PlatformError, ServiceUnavailable

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from adventureworks.settings import Settings

_LONGEST_TAG = 2000
_AS_TEXT = {
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS",
}
"""Values as text look as PostgreSQL writes them: keys in quarantine are compared so."""
_OF_THE_TASK = {"dag": "AIRFLOW_CTX_DAG_ID", "task": "AIRFLOW_CTX_TASK_ID", "run": "AIRFLOW_CTX_DAG_RUN_ID"}


def sign_in(settings: Settings, purpose: str) -> SnowflakeConnection:
    """A session whose statements carry DAG, task and run as query tag; its transactions are committed by the caller.

    Raises ServiceUnavailable where Snowflake does not answer, PlatformError where it refuses the login.
    """
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
    from airflow.sdk.exceptions import AirflowNotFoundException
    from snowflake.connector.errors import DatabaseError, Error, OperationalError

    connection_id = settings.snowflake_connection
    session: dict[str, Any] = {"QUERY_TAG": query_tag(purpose), "AUTOCOMMIT": False, "TIMEZONE": "UTC", **_AS_TEXT}
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
            f"Make it, or set AIRFLOW_CONN_{connection_id.upper()}: docs/operate/snowflake.md",
        ) from None
    except OperationalError as error:
        raise ServiceUnavailable(f"Snowflake does not answer: {first_line(error)}.", "It is tried again.") from None
    except DatabaseError as error:
        raise PlatformError(
            f"Snowflake refuses the login of {connection_id}: {first_line(error)}.", "Check: adventureworks doctor"
        ) from None
    except Error as error:
        raise ServiceUnavailable(f"Snowflake does not answer: {first_line(error)}.", "It is tried again.") from None


def account_of(settings: Settings) -> str:
    """The account that the Airflow connection names; empty where there is no such connection."""
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return str(SnowflakeHook.get_connection(settings.snowflake_connection).extra_dejson.get("account", ""))
    except AirflowNotFoundException:
        return ""


def query_tag(purpose: str) -> str:
    """What the query history shows of a statement: a JSON map of purpose, and of DAG, task and run where there are."""
    return json.dumps({"app": "adventureworks", "purpose": purpose, **of_the_task()})[:_LONGEST_TAG]


def of_the_task() -> dict[str, str]:
    """DAG, task and run, in a task of Airflow's."""
    return {name: os.environ[variable] for name, variable in _OF_THE_TASK.items() if os.environ.get(variable)}


def first_line(error: Exception) -> str:
    """What an error of the driver says, in one line."""
    return str(getattr(error, "raw_msg", None) or error).strip().split("\n")[0].rstrip(".")
