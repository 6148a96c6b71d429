"""Connections to a SQL Server source: TLS, a session that answers alike everywhere, and one view of the data."""

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

from adventureworks.source.sqlserver_errors import Address, translated

_LOGIN_SECONDS = 15
_LOCK_MS = 30_000

_SESSION = (
    "set nocount on",
    # One table that cannot be read does not end the view of the others.
    "set xact_abort off",
    "set ansi_nulls on",
    "set ansi_padding on",
    "set ansi_warnings on",
    "set arithabort on",
    "set concat_null_yields_null on",
    "set quoted_identifier on",
    "set textsize 2147483647",
    # Where a lock has to be given up, it is the reader that does.
    "set deadlock_priority low",
    f"set lock_timeout {_LOCK_MS}",
)
"""What makes a session's answers independent of the server's and the login's own settings."""

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
"""Where systems keep the certificates that they trust."""

_configuring = threading.Lock()
"""The driver reads its settings for TLS from a file that a variable of the process names."""


@contextmanager
def connected(address: Address, answer_seconds: int) -> Iterator[Any]:
    """A connection outside of any transaction; one that leaves an answer due for too long is broken off."""
    with translated(address), _tls_configured(address):
        connection = pymssql.connect(
            server=address.host,
            port=str(address.port),
            user=address.user,
            password=address.password.get_secret_value(),
            database=address.database,
            appname="adventureworks",
            login_timeout=_LOGIN_SECONDS,
            timeout=answer_seconds,
            tds_version="7.4",
            encryption="off" if address.tls == "off" else "require",
            conn_properties=list(_SESSION),
            autocommit=True,
        )
    with closing(connection):
        yield connection


@contextmanager
def one_view(address: Address, connection: Any) -> Iterator[None]:
    """A transaction in which all tables are as they are at one moment, as far as the address asks for that."""
    with translated(address):
        run(connection, f"set transaction isolation level {address.isolation.replace('_', ' ')}")
        run(connection, "begin transaction")
    try:
        yield
    finally:
        # Nothing was written; where the connection is lost, so is the transaction.
        with suppress(pymssql.Error):
            run(connection, "if @@trancount > 0 rollback transaction")


def run(connection: Any, statement: str) -> None:
    """Runs a statement that has no answer."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)


def answer(connection: Any, question: str) -> list[dict[str, Any]]:
    """All rows of a short answer, by column."""
    with closing(connection.cursor(as_dict=True)) as cursor:
        cursor.execute(question)
        return list(cursor.fetchall())


@contextmanager
def _tls_configured(address: Address) -> Iterator[None]:
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


def _driver_settings(address: Address) -> str:
    """The driver's settings: never less than what the address asks for, whatever the machine's own files say."""
    lines = ["[global]", f"encryption = {'off' if address.tls == 'off' else 'require'}", "client charset = UTF-8"]
    if address.tls == "verify":
        lines += [f"ca file = {address.tls_ca or trusted_certificates()}", "check certificate hostname = yes"]
    return "\n".join(lines) + "\n"


def trusted_certificates() -> Path:
    """The file of the certificates that this machine trusts."""
    import certifi

    own = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return next((Path(path) for path in (own, *_BUNDLES) if path and Path(path).is_file()), Path(certifi.where()))
