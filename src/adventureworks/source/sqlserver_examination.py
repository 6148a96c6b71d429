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
from adventureworks.source.editions import edition_in, feeds_of
from adventureworks.source.sqlserver_columns import (
    Columns,
    by_asset,
    columns_from,
    contract_columns,
)
from adventureworks.source.sqlserver_connection import connected, fetch_all
from adventureworks.source.sqlserver_errors import how_to_allow_snapshots, translated
from adventureworks.source.sqlserver_sql import quoted
from adventureworks.texts.plain import listed
from contracts.editions import Feed

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
    with connected(address, _QUERY_TIMEOUT_S) as connection, translated(address):
        (database,) = fetch_all(connection, queries.DATABASE)
        tracks = database["updateability"] != "READ_ONLY"
        listed_tables = fetch_all(connection, queries.tables_query(tracks=tracks))
        described = fetch_all(connection, queries.columns_query())
    feeds = feeds_of(edition_in([f"{row['schema_name']}.{row['table_name']}" for row in listed_tables]))
    # Another edition has its own tables, and no grant would add the others.
    wanted = {asset: SOURCE_TABLES[asset] for asset in feeds}
    tables, columns = by_asset(listed_tables), columns_from(described, wanted.values())
    user = quoted(str(database["user_name"]))

    def named(assets: Iterable[str]) -> list[str]:
        """Return the tables of the source that fill these tables, each once."""
        return list(dict.fromkeys(feeds[asset].table for asset in assets))

    present = [asset for asset in wanted if asset in tables]
    absent = [asset for asset in wanted if asset not in columns]
    tracked = [asset for asset in present if tables[asset]["oldest_version"] is not None]
    needed = frozenset() if allow_missing else needed_tables()
    snapshots = address.isolation == "snapshot"
    faults = [
        *_missing(named(asset for asset in absent if asset in needed), user),
        *_incomplete(wanted, feeds, columns),
        *_unreadable(named(asset for asset in present if not tables[asset]["readable"]), user),
    ]
    if snapshots and database["snapshot_state"] != _SNAPSHOT_ISOLATION_ON:
        faults.append(f"It does not allow snapshot isolation. {how_to_allow_snapshots(address.database)}")
    trackable = {feeds[asset].table: tables[asset] for asset in present if not feeds[asset].is_partial}
    return Examination(
        f"SQL Server database {address.name} is reachable: {len(present)} of {len(wanted)} tables,"
        f" {len(tracked)} with change tracking, {'snapshots' if snapshots else 'no snapshots'},"
        f" {'not encrypted' if address.tls == 'off' else 'encrypted'}.",
        tuple(faults),
        (
            *(_tracking(address, trackable, user) if tracks else (_READ_ONLY,)),
            *_missing(named(asset for asset in absent if asset not in needed), user),
        ),
    )


def _missing(absent: list[str], user: str) -> Iterable[str]:
    if absent:
        yield (
            f"{_shown(absent)} {_are(absent)} missing, or the login cannot see {_them(absent)}."
            f" {_grants('SELECT', absent, user)}"
        )


def _incomplete(wanted: Mapping[str, SourceTable], feeds: Mapping[str, Feed], columns: Columns) -> Iterable[str]:
    for asset, table in wanted.items():
        if asset not in columns:
            continue
        try:
            contract_columns(table, columns)
        except TableBlocked as blocked:
            yield f"{_relation(feeds[asset].table)}: {blocked.detail} {blocked.next_step}".strip()


def _unreadable(tables: list[str], user: str) -> Iterable[str]:
    if tables:
        yield f"The login has no permission to read {_shown(tables)}. {_grants('SELECT', tables, user)}"


def _tracking(address: SqlServerAddress, tables: Mapping[str, Any], user: str) -> Iterable[str]:
    """Yield advice on change tracking, which is cheaper and also finds changes that leave the dates unchanged.

    `tables`: what the catalogue says about each table of the source that can be tracked.
    """
    if not tables:
        return
    if all(table["current_version"] is None for table in tables.values()):
        yield (
            f"Changes are detected by date. To track them: ALTER DATABASE {quoted(address.database)} SET"
            " CHANGE_TRACKING = ON (CHANGE_RETENTION = 14 DAYS, AUTO_CLEANUP = ON);"
            " then each table as in docs/operate/sql-server.md"
        )
        return
    unknown = [name for name, table in tables.items() if table["oldest_version"] is None]
    hidden = [name for name in unknown if not tables[name]["tracking_visible"]]
    untracked = [name for name in unknown if tables[name]["tracking_visible"]]
    if hidden:
        grants = _grants("VIEW CHANGE TRACKING", hidden, user)
        yield f"The login cannot see the tracked changes of {_shown(hidden)}. {grants}"
    if untracked:
        statements = " ".join(
            f"ALTER TABLE {_relation(name)} ENABLE CHANGE_TRACKING;" for name in untracked[:_MAX_NAMES]
        )
        yield f"Changes to {_shown(untracked)} are detected by date. To track them: {statements}"


def _grants(permission: str, tables: Iterable[str], user: str) -> str:
    schemas = sorted({name.partition(".")[0] for name in tables})
    return " ".join(f"GRANT {permission} ON SCHEMA::{quoted(schema)} TO {user};" for schema in schemas)


def _relation(name: str) -> str:
    """Return the quoted form of `schema.name`."""
    return ".".join(map(quoted, name.split(".")))


def _shown(tables: list[str]) -> str:
    return listed([_relation(name) for name in tables], _MAX_NAMES)


def _are(tables: list[str]) -> str:
    return "is" if len(tables) == 1 else "are"


def _them(tables: list[str]) -> str:
    return "it" if len(tables) == 1 else "them"
