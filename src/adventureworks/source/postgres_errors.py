"""Translates errors of a PostgreSQL source: retry later, a fault to fix, or a blocked table.

Messages name host, port and database, and never contain a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager
import psycopg

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.postgres_address import TRANSIENT_CLASSES
from adventureworks.source.addresses import CHECK, PostgresAddress

_REFUSALS = {
    "password authentication failed": "rejected the user name or password",
    "no password supplied": "requires a password",
    "no pg_hba.conf entry": "does not accept this login from this host (pg_hba.conf)",
    "role ": "has no such login",
    "database ": "has no database of this name",
    "permission denied": "does not allow this login to connect",
}
"""Parts of the server's response, and what they mean; retrying does not help with any of them."""

_UNSAFE = {
    "does not support SSL": "does not support the encryption that the URL requires",
    "certificate verify failed": "has a certificate that is not trusted",
    "does not match host name": "has a certificate for another host",
    "root certificate file": "cannot be authenticated: sslrootcert is not a certificate file",
}
"""Parts of the client library's TLS errors, and what they mean; retrying does not help with these either."""

_SQLSTATE = re.compile(r"\bSQLSTATE:? ([0-9A-Z]{5})\b")

_RULES = {
    "42P01": ("table_is_there", "the source no longer has this table."),
    "3F000": ("table_is_there", "the source no longer has this table's schema."),
    "42703": ("columns_are_there", "a column was dropped from the source while the table was being read."),
    "42501": ("table_is_readable", "the login has no permission to read this table."),
    "55P03": ("table_answers", "the table is locked in the source."),
    "57014": ("table_answers", "the query took too long, and the source cancelled it."),
    "XX001": ("table_is_readable", "the source reports that this table is damaged."),
    "XX002": ("table_is_readable", "the source reports that an index of this table is damaged."),
}
"""SQLSTATEs that block one table."""

_ROW_SECURITY = "row-level security"
"""Part of the server's response if a policy would hide rows from the login."""


@contextmanager
def translated(address: PostgresAddress, table: SourceTable | None = None) -> Iterator[None]:
    """Turn the drivers' errors into the platform's; `table` is the one being read."""
    try:
        yield
    # Arrow reports a broken stream as an OSError.
    except (psycopg.Error, adbc_driver_manager.Error, OSError) as error:
        raise _translate(error, address, table) from None


def _translate(error: Exception, address: PostgresAddress, table: SourceTable | None) -> PlatformError:
    # The OSError for a broken stream has the SQLSTATE only in its text.
    found = _SQLSTATE.search(str(error))
    code = getattr(error, "sqlstate", None) or (found[1] if found else "")
    if table is not None and _ROW_SECURITY in str(error):
        return TableBlocked(
            table.asset,
            "all_rows_are_visible",
            "row-level security hides some of this table's rows from the login. Have an administrator run:"
            f" ALTER ROLE {address.login} BYPASSRLS;",
        )
    if table is not None and code in _RULES:
        rule, cause = _RULES[code]
        return TableBlocked(table.asset, rule, cause)
    if code and not code.startswith(TRANSIENT_CLASSES):
        subject = f"{table.asset}: the" if table else "The"
        return PlatformError(f"{subject} source {address.name} rejected the query (SQLSTATE {code}).", CHECK)
    text = str(error)
    meanings = _UNSAFE | (_REFUSALS if "FATAL" in text else {})
    for part, meaning in meanings.items():
        if part in text and not code:
            return PlatformError(f"The source {address.name} {meaning}.", CHECK)
    return ServiceUnavailable(f"The source {address.name} does not answer: {_reason(text, code)}.", CHECK)


def _reason(text: str, code: str) -> str:
    """Return the reason in words that are safe to show: the driver's text may quote the connection string."""
    known = {
        "Connection refused": "connection refused",
        "timeout": "it took too long",
        "could not translate host name": "its host name is unknown",
        "starting up": "it is starting up",
        "shutting down": "it is shutting down",
        "too many clients": "it has too many connections",
        "Network is unreachable": "the network is unreachable",
    }
    reason = next((meaning for part, meaning in known.items() if part in text), "the connection was lost")
    return f"{reason} (SQLSTATE {code})" if code else reason
