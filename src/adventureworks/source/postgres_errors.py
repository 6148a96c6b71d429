"""What a failing PostgreSQL source means: worth another try, a thing to mend, or a table that is blocked.

Messages name host, port and database; a password never gets into one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import adbc_driver_manager
import psycopg
from pydantic import SecretStr

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.postgres_address import PASSING_CLASSES, conninfo, parts_of

CHECK = "Check ADVENTUREWORKS_SOURCE_URL: adventureworks doctor"

_REFUSALS = {
    "password authentication failed": "refuses the login",
    "no password supplied": "wants a password",
    "no pg_hba.conf entry": "does not let this login in from here",
    "role ": "does not know the login",
    "database ": "does not have the database",
    "permission denied": "does not let this login connect",
}
"""Parts of the server's answer, and what they mean; none of these gets better by waiting."""

_UNSAFE = {
    "does not support SSL": "does not offer the encryption that the URL asks for",
    "certificate verify failed": "shows a certificate that is not trusted",
    "does not match host name": "shows a certificate of another host",
    "root certificate file": "cannot be proven genuine: sslrootcert names no file of certificates",
}
"""Parts of what the client library says of TLS; none of these gets better by waiting either."""

_SQLSTATE = re.compile(r"\bSQLSTATE:? ([0-9A-Z]{5})\b")

_RULES = {
    "42P01": ("table_is_there", "the source no longer has this table."),
    "3F000": ("table_is_there", "the source no longer has this table's schema."),
    "42703": ("columns_are_there", "a column vanished from the source while it was read."),
    "42501": ("table_is_readable", "the login may not read this table."),
    "55P03": ("table_answers", "it is locked at the source."),
    "57014": ("table_answers", "the source needed too long for it, and ended the statement."),
    "XX001": ("table_is_readable", "the source says that this table is damaged."),
    "XX002": ("table_is_readable", "the source says that an index of this table is damaged."),
}
"""SQLSTATEs that block one table."""

_ROW_SECURITY = "row-level security"
"""Part of the server's answer where a policy would hide rows from the login."""


@dataclass(frozen=True)
class Address:
    """Where the source is, and how to connect. Holds the password, and never shows it."""

    conninfo: SecretStr
    name: str
    login: str

    @classmethod
    def of(cls, url: SecretStr) -> Address:
        """Reads a URL or a libpq connection string. Raises PlatformError where it is neither."""
        given = parts_of(url, "source", "ADVENTUREWORKS_SOURCE_URL")
        host = given.get("host") or given.get("hostaddr") or "localhost"
        name = f"{given.get('dbname') or 'postgres'} on {host}:{given.get('port') or 5432}"
        login = given.get("user") or "the login"
        return cls(conninfo({"client_encoding": "UTF8", **given}, "adventureworks"), name, login)


@contextmanager
def translated(address: Address, table: SourceTable | None = None) -> Iterator[None]:
    """Turns the drivers' errors into the platform's; `table` is the one that is being read."""
    try:
        yield
    # Arrow tells of a stream that breaks off as of a file.
    except (psycopg.Error, adbc_driver_manager.Error, OSError) as error:
        raise _meaning(error, address, table) from None


def _meaning(error: Exception, address: Address, table: SourceTable | None) -> PlatformError:
    # A stream that breaks off is told of as of a file; why, only its text says.
    told = _SQLSTATE.search(str(error))
    code = getattr(error, "sqlstate", None) or (told[1] if told else "")
    if table is not None and _ROW_SECURITY in str(error):
        return TableBlocked(
            table.asset,
            "table_is_seen_whole",
            "row-level security hides rows of it from the login. Let an administrator run:"
            f" ALTER ROLE {address.login} BYPASSRLS;",
        )
    if table is not None and code in _RULES:
        rule, cause = _RULES[code]
        return TableBlocked(table.asset, rule, cause)
    if code and not code.startswith(PASSING_CLASSES):
        place = f"{table.asset}: the" if table else "The"
        return PlatformError(f"{place} source {address.name} refuses the question (SQLSTATE {code}).", CHECK)
    text = str(error)
    meanings = _UNSAFE | (_REFUSALS if "FATAL" in text else {})
    for part, meaning in meanings.items():
        if part in text and not code:
            return PlatformError(f"The source {address.name} {meaning}.", CHECK)
    return ServiceUnavailable(f"The source {address.name} does not answer: {_reason(text, code)}.", CHECK)


def _reason(text: str, code: str) -> str:
    """Why, in the few words that are safe to show: never the driver's text, which may quote the connection string."""
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
