"""Translates errors of a SQL Server source: retry later, a fault to fix, or a blocked table.

Messages name host, port and database, and never contain a password or the driver's own text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pymssql

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, ServiceUnavailable, Step, TableBlocked
from adventureworks.source.addresses import CHECK, SqlServerAddress
from adventureworks.source.sqlserver_sql import quoted, relation

_RULES = {
    207: ("columns_are_there", "a column was dropped from the source while the table was being read."),
    208: ("table_is_there", "the source no longer has this table."),
    229: ("table_is_readable", "the login has no permission to read this table."),
    230: ("table_is_readable", "the login has no permission to read a column of this table."),
}
"""Server messages that block one table."""

_REFUSALS = {
    4060: "has no database of this name, or the login has no access to it",
    18452: "does not accept this login from this host",
    18456: "rejected the login",
    18470: "has disabled the login",
    18486: "has locked the login",
    18487: "reports that the login's password has expired",
    18488: "reports that the login's password must be changed",
    40532: "rejected the login",
    40615: "blocks this IP address in its firewall",
}
"""Server messages at login; retrying does not help with any of them."""

SNAPSHOT_FORBIDDEN = 3952
READ_ONLY_INTENT_REQUIRED = 978

_TRANSIENT = {
    596: "the session was killed",
    701: "it is out of memory",
    845: "its storage is too slow",
    927: "the database is being restored",
    942: "the database is offline",
    952: "the database is in transition",
    976: "it is not a readable replica",
    983: "its availability group is starting",
    1105: "a file group or disk is full",
    1204: "it is out of locks",
    1205: "the query was the victim of a deadlock",
    1222: "it timed out waiting for a lock",
    3953: "snapshot isolation is being switched on or off",
    3956: "snapshot isolation is being switched on or off",
    3957: "a table was altered while it was being read",
    3959: "its version store is full",
    3960: "the query conflicted with another transaction",
    3961: "a table was altered while it was being read",
    3966: "its version store is full",
    3958: "its version store is full",
    6005: "it is shutting down",
    6006: "it is shutting down",
    8645: "it is out of memory",
    9001: "its log is not available",
    10928: "it is busy",
    10929: "it is busy",
    17142: "it is paused",
    17197: "the login took too long",
    18401: "it is being upgraded",
    22105: "change tracking was switched off meanwhile",
    22117: "it has become a read-only replica, which does not track changes",
    40197: "it is busy",
    40501: "it is busy",
    40613: "the database is not available at the moment",
    49918: "it is busy",
    49919: "it is busy",
    49920: "it is busy",
}
"""Server messages that may go away on a retry."""

_FROM_SERVER = "20018"
"""The driver's number that marks a server message. Without it, the number may be left over from an earlier error."""

_UNREACHABLE = "20009"
_TOO_LONG = "20003"


@contextmanager
def translated(address: SqlServerAddress, table: SourceTable | None = None) -> Iterator[None]:
    """Turn the driver's errors into the platform's; `table` is the one being read."""
    try:
        yield
    except pymssql.Error as error:
        raise translate(error, address, table) from None


def translate(error: pymssql.Error, address: SqlServerAddress, table: SourceTable | None = None) -> PlatformError:
    """Return the platform's error for an error of the driver."""
    number, text = _number_and_text(error)
    if table is not None and number in _RULES:
        rule, cause = _RULES[number]
        return TableBlocked(table.asset, rule, cause, _next_step(table, rule))
    if number in _REFUSALS:
        return PlatformError(f"The source {address.name} {_REFUSALS[number]}.", CHECK)
    if number == SNAPSHOT_FORBIDDEN:
        return PlatformError(
            f"The source {address.name} does not allow snapshot isolation.", how_to_allow_snapshots(address.database)
        )
    if number == READ_ONLY_INTENT_REQUIRED:
        return PlatformError(
            f"The source {address.name} is a read-only replica that accepts only read-intent connections.",
            "Add intent=readonly to the source's URL: docs/operate/sql-server.md",
        )
    if number in _TRANSIENT:
        return ServiceUnavailable(
            f"The source {address.name} cannot answer at the moment: {_TRANSIENT[number]}.", CHECK
        )
    if number:
        subject = f"{table.asset}: the" if table else "The"
        return PlatformError(f"{subject} source {address.name} rejected the query (message {number}).", CHECK)
    return ServiceUnavailable(f"The source {address.name} does not answer: {_reason(text, address)}.", CHECK)


def how_to_allow_snapshots(database: str) -> Step:
    """Return the statement that allows snapshot isolation, after the alternative without it."""
    return Step(
        "Add isolation=read_committed to the URL (docs/operate/sql-server.md), or have an administrator run:",
        f"ALTER DATABASE {quoted(database)} SET ALLOW_SNAPSHOT_ISOLATION ON;",
    )


def _next_step(table: SourceTable, rule: str) -> Step:
    if rule == "table_is_readable":
        return Step("Have an administrator run:", f"GRANT SELECT ON {relation(table)} TO the login's user;")
    return Step()


def _number_and_text(error: pymssql.Error) -> tuple[int, str]:
    """Return the server's message number (0 if the error is not from the server) and the driver's text."""
    args = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], tuple) else error.args
    number = args[0] if args and isinstance(args[0], int) else 0
    raw = args[-1] if args else ""
    text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else str(raw)
    # If connecting fails, the driver may keep the number of an earlier error, so its text decides.
    return (number if _FROM_SERVER in text and not 20_000 <= number < 21_000 else 0), text


def _reason(text: str, address: SqlServerAddress) -> str:
    """Return the reason in words that are safe to show."""
    if "refused" in text:
        return "connection refused"
    if _TOO_LONG in text or "timed out" in text:
        return "it took too long"
    if _UNREACHABLE in text or "Unknown error" in text:
        return "its host name is unknown, or the host is unreachable"
    if address.tls == "verify" and "20002" in text:
        return (
            "the connection ended during login, perhaps because its certificate is not trusted"
            " (tls_ca=FILE names the certificates to trust, tls=encrypt trusts any)"
        )
    return "the connection was lost"
