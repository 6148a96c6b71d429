"""The health and the runs of the local Airflow, over HTTP and from its database.

Runs are started through the REST API, as they would be anywhere. Progress is read from the metadata database, which
takes next to no processor time on a laptop with two cores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import psycopg
from pydantic import SecretStr

from adventureworks.airflow_tables import Connection
from adventureworks.errors import PlatformError, ServiceUnavailable

P = ParamSpec("P")
T = TypeVar("T")
_direct = build_opener(ProxyHandler({}))


class AirflowApi:
    """Client of the local Airflow's REST API, as its only user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._credentials = {"username": user, "password": password}
        self._token = ""

    def unhealthy(self) -> list[str]:
        """Return the parts of Airflow that are not up yet; empty if all are."""
        try:
            health = self._ask("/api/v2/monitor/health")
        except ServiceUnavailable:
            return ["api-server"]
        return [part for part, state in health.items() if (state or {}).get("status") != "healthy"]

    def trigger(self, dag: str) -> str:
        """Start a run and return its id."""
        run = self._ask(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None}, authenticated=True)
        return str(run["dag_run_id"])

    def _ask(self, path: str, body: dict[str, Any] | None = None, authenticated: bool = False) -> Any:
        headers = {"Content-Type": "application/json"}
        if authenticated:
            if not self._token:
                self._token = str(self._ask("/auth/token", self._credentials)["access_token"])
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data=data, headers=headers)  # noqa: S310 - always http://127.0.0.1
        try:
            with _direct.open(request, timeout=20) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise PlatformError(f"Airflow rejected {path}: {error.code} {error.reason}.") from None
        except (URLError, OSError) as error:
            raise ServiceUnavailable(f"Airflow does not answer at {self._url}: {error}.") from None


class Metadata:
    """Airflow's database, opened only for reading."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url

    def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function of `airflow_tables` reads."""
        with self.connect() as connection:
            return query(connection, *args, **kwargs)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Provide a read-only connection. Raises `ServiceUnavailable` if the database does not answer."""
        try:
            with psycopg.connect(self._url.get_secret_value(), connect_timeout=10) as connection:
                connection.read_only = True
                yield connection
        except psycopg.OperationalError as error:
            raise ServiceUnavailable(f"Airflow's database does not answer: {str(error).splitlines()[0]}.") from None
