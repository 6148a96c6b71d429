"""Checks that a SQL Server source provides what the platform needs, with the statements that fix what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, SourceTable, needed_tables
from adventureworks.errors import TableBlocked
from adventureworks.source import sqlserver_queries as queries
from adventureworks.source.addresses import SqlServerAddress
from adventureworks.source.sqlserver_columns import (
    Columns,
    by_asset,
    columns_from,
    contract_columns,
)
from adventureworks.source.sqlserver_connection import connected, fetch_all
from adventureworks.source.sqlserver_errors import how_to_allow_snapshots, translated
from adventureworks.source.sqlserver_sql import quoted, relation
from adventureworks.texts.plain import listed

_QUERY_TIMEOUT_S = 60
_MAX_NAMES = 5
_SNAPSHOT_ISOLATION_ON = 1
_READ_ONLY = "It is a read-only replica, on which changes are detected by date."


@dataclass(frozen=True)
class Examination:
    """The result: `summary` says what is available, `faults` what prevents tables from being read and how to fix it.

    `advice` lists what works but could work better.
    """

    summary: str
    faults: tuple[str, ...]
    advice: tuple[str, ...]


def examine(url: SecretStr, password: SecretStr | None = None, *, allow_missing: bool = False) -> Examination:
    """Return the findings from the source's catalogue, without reading a table.

    `allow_missing`: a missing table is not a fault, even if marts need it.

    Raises `PlatformError` if the login or the URL is rejected, `ServiceUnavailable` if the source does not answer.
    """
    address = SqlServerAddress.of(url, password)
    wanted = tuple(SOURCE_TABLES.values())
    with connected(address, _QUERY_TIMEOUT_S) as connection, translated(address):
        (database,) = fetch_all(connection, queries.DATABASE)
        tracks = database["updateability"] != "READ_ONLY"
        tables = by_asset(fetch_all(connection, queries.tables_query(tracks=tracks)))
        columns = columns_from(fetch_all(connection, queries.columns_query()), wanted)
    user = quoted(str(database["user_name"]))
    present = [table for table in wanted if table.asset in tables]
    absent = [table for table in wanted if table.asset not in columns]
    tracked = [table for table in present if tables[table.asset]["oldest_version"] is not None]
    needed = frozenset() if allow_missing else needed_tables()
    snapshots = address.isolation == "snapshot"
    faults = [
        *_missing([table for table in absent if table.asset in needed], user),
        *_incomplete(wanted, columns),
        *_unreadable([table for table in present if not tables[table.asset]["readable"]], user),
    ]
    if snapshots and database["snapshot_state"] != _SNAPSHOT_ISOLATION_ON:
        faults.append(f"It does not allow snapshot isolation. {how_to_allow_snapshots(address.database)}")
    return Examination(
        f"SQL Server database {address.name} is reachable: {len(present)} of {len(wanted)} tables,"
        f" {len(tracked)} with change tracking, {'snapshots' if snapshots else 'no snapshots'},"
        f" {'not encrypted' if address.tls == 'off' else 'encrypted'}.",
        tuple(faults),
        (
            *(_tracking(address, present, tables, user) if tracks else (_READ_ONLY,)),
            *_missing([table for table in absent if table.asset not in needed], user),
        ),
    )


def _missing(absent: list[SourceTable], user: str) -> Iterable[str]:
    if absent:
        yield (
            f"{_named(absent)} {_are(absent)} missing, or the login cannot see {_them(absent)}."
            f" {_grants('SELECT', absent, user)}"
        )


def _incomplete(wanted: Iterable[SourceTable], columns: Columns) -> Iterable[str]:
    for table in wanted:
        if table.asset not in columns:
            continue
        try:
            contract_columns(table, columns)
        except TableBlocked as blocked:
            yield f"{relation(table)}: {blocked.detail} {blocked.next_step}".strip()


def _unreadable(tables: list[SourceTable], user: str) -> Iterable[str]:
    if tables:
        yield f"The login has no permission to read {_named(tables)}. {_grants('SELECT', tables, user)}"


def _tracking(
    address: SqlServerAddress, present: list[SourceTable], tables: Mapping[str, Any], user: str
) -> Iterable[str]:
    """Yield advice on change tracking, which is cheaper and also finds changes that leave the dates unchanged."""
    if not present:
        return
    if all(tables[table.asset]["current_version"] is None for table in present):
        yield (
            f"Changes are detected by date. To track them: ALTER DATABASE {quoted(address.database)} SET"
            " CHANGE_TRACKING = ON (CHANGE_RETENTION = 14 DAYS, AUTO_CLEANUP = ON);"
            " then each table as in docs/operate/sql-server.md"
        )
        return
    unknown = [table for table in present if tables[table.asset]["oldest_version"] is None]
    hidden = [table for table in unknown if not tables[table.asset]["tracking_visible"]]
    untracked = [table for table in unknown if tables[table.asset]["tracking_visible"]]
    if hidden:
        grants = _grants("VIEW CHANGE TRACKING", hidden, user)
        yield f"The login cannot see the tracked changes of {_named(hidden)}. {grants}"
    if untracked:
        statements = " ".join(
            f"ALTER TABLE {relation(table)} ENABLE CHANGE_TRACKING;" for table in untracked[:_MAX_NAMES]
        )
        yield f"Changes to {_named(untracked)} are detected by date. To track them: {statements}"


def _grants(permission: str, tables: Iterable[SourceTable], user: str) -> str:
    schemas = sorted({table.schema for table in tables})
    return " ".join(f"GRANT {permission} ON SCHEMA::{quoted(schema)} TO {user};" for schema in schemas)


def _named(tables: list[SourceTable]) -> str:
    return listed([relation(table) for table in tables], _MAX_NAMES)


def _are(tables: list[SourceTable]) -> str:
    return "is" if len(tables) == 1 else "are"


def _them(tables: list[SourceTable]) -> str:
    return "it" if len(tables) == 1 else "them"
