"""Connections to a SQL Server source: TLS, session settings independent of the server, and a consistent view."""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pymssql

from adventureworks.source.addresses import SqlServerAddress
from adventureworks.source.sqlserver_errors import translated

_LOGIN_TIMEOUT_S = 15
_LOCK_TIMEOUT_MS = 30_000

_SESSION = (
    "set nocount on",
    # An unreadable table must not end the transaction in which the others are read.
    "set xact_abort off",
    "set ansi_nulls on",
    "set ansi_padding on",
    "set ansi_warnings on",
    "set arithabort on",
    "set concat_null_yields_null on",
    "set quoted_identifier on",
    "set textsize 2147483647",
    # In a deadlock, this session is the victim, not a writer.
    "set deadlock_priority low",
    f"set lock_timeout {_LOCK_TIMEOUT_MS}",
)
"""Settings that make results independent of the server's and the login's defaults."""

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
"""Where operating systems keep the certificates that they trust."""

_configuring = threading.Lock()
"""Serializes connecting: the driver finds its TLS settings by an environment variable, which all threads share."""


@contextmanager
def connected(address: SqlServerAddress, query_timeout_s: int) -> Iterator[Any]:
    """Open a connection in autocommit mode, which fails if a query takes longer than `query_timeout_s`."""
    with translated(address), _tls_configured(address):
        connection = pymssql.connect(
            server=address.host,
            port=str(address.port),
            user=address.user,
            password=address.password.get_secret_value(),
            database=address.database,
            appname="adventureworks",
            login_timeout=_LOGIN_TIMEOUT_S,
            timeout=query_timeout_s,
            tds_version="7.4",
            encryption="off" if address.tls == "off" else "require",
            read_only=address.intent == "readonly",
            conn_properties=list(_SESSION),
            autocommit=True,
        )
    with closing(connection):
        yield connection


@contextmanager
def read_transaction(address: SqlServerAddress, connection: Any) -> Iterator[None]:
    """Open a transaction with the isolation level of the address: by default, all tables as of the same moment."""
    with translated(address):
        run(connection, f"set transaction isolation level {address.isolation.replace('_', ' ')}")
        run(connection, "begin transaction")
    try:
        yield
    finally:
        # Nothing was written, and a lost connection ends the transaction anyway.
        with suppress(pymssql.Error):
            run(connection, "if @@trancount > 0 rollback transaction")


def run(connection: Any, statement: str) -> None:
    """Run a statement that returns no rows."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)


def fetch_all(connection: Any, query: str) -> list[dict[str, Any]]:
    """Return all rows of a small result, by column."""
    with closing(connection.cursor(as_dict=True)) as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


@contextmanager
def _tls_configured(address: SqlServerAddress) -> Iterator[None]:
    with _configuring, tempfile.NamedTemporaryFile("w", prefix="adventureworks-tls-", suffix=".conf") as file:
        file.write(_driver_settings(address))
        file.flush()
        before = os.environ.get("FREETDSCONF")
        os.environ["FREETDSCONF"] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["FREETDSCONF"]
            else:
                os.environ["FREETDSCONF"] = before


def _driver_settings(address: SqlServerAddress) -> str:
    """Return driver settings that enforce the security required by the address, whatever the machine's defaults."""
    lines = ["[global]", f"encryption = {'off' if address.tls == 'off' else 'require'}", "client charset = UTF-8"]
    if address.tls == "verify":
        lines += [f"ca file = {address.tls_ca or trusted_certificates()}", "check certificate hostname = yes"]
    return "\n".join(lines) + "\n"


def trusted_certificates() -> Path:
    """Return the file of certificates that this machine trusts."""
    import certifi

    configured = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    candidates = [Path(path) for path in (configured, *_BUNDLES) if path]
    return next((path for path in candidates if path.is_file()), Path(certifi.where()))
