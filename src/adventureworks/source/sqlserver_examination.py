"""Whether a SQL Server source gives what the platform needs, and the statement that mends what it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.source import sqlserver_queries as queries
from adventureworks.source.sqlserver_columns import Columns, columns_from, quoted, relation
from adventureworks.source.sqlserver_connection import answer, connected
from adventureworks.source.sqlserver_errors import Address, mend_snapshots, translated

_ANSWER_SECONDS = 60
_NAMED = 5
_SNAPSHOTS_ALLOWED = 1


@dataclass(frozen=True)
class Examination:
    """`summary` says what is there, `faults` what keeps tables from being read, each with what mends it.

    `advice` is about what works, and could work better.
    """

    summary: str
    faults: tuple[str, ...]
    advice: tuple[str, ...]


def examine(url: SecretStr, password: SecretStr | None = None) -> Examination:
    """Asks the source's catalogue; reads no table.

    Raises PlatformError where the login or the URL is refused, ServiceUnavailable where nothing answers.
    """
    address = Address.of(url, password)
    wanted = tuple(SOURCE_TABLES.values())
    with connected(address, _ANSWER_SECONDS) as connection, translated(address):
        (database,) = answer(connection, queries.DATABASE)
        tables = {
            f"{row['schema_name']}_{row['table_name']}": row for row in answer(connection, queries.tables_query(wanted))
        }
        columns = columns_from(answer(connection, queries.columns_query(wanted)))
    user = quoted(str(database["user_name"]))
    present = [table for table in wanted if table.asset in tables]
    tracked = [table for table in present if tables[table.asset]["oldest_version"] is not None]
    snapshots = address.isolation == "snapshot"
    faults = [
        *_missing(wanted, tables, columns, user),
        *_unreadable([table for table in present if not tables[table.asset]["readable"]], user),
    ]
    if snapshots and database["snapshot_state"] != _SNAPSHOTS_ALLOWED:
        faults.append(f"It does not allow snapshots. {mend_snapshots(address.database)}")
    return Examination(
        f"SQL Server database {address.name}, which answers: {len(present)} of {len(wanted)} tables,"
        f" {len(tracked)} with tracked changes, {'snapshots' if snapshots else 'no snapshots'},"
        f" {'not encrypted' if address.tls == 'off' else 'encrypted'}.",
        tuple(faults),
        tuple(_tracking(address, present, tables, user)),
    )


def _missing(wanted: Iterable[SourceTable], tables: Mapping[str, Any], columns: Columns, user: str) -> Iterable[str]:
    absent = [table for table in wanted if table.asset not in tables]
    if absent:
        yield (
            f"{_named(absent)} {_are(absent)} missing, or this login may not see {_them(absent)}."
            f" {_granted('SELECT', absent, user)}"
        )
    for table in wanted:
        present = columns.get(table.asset)
        lost = [column.name for column in source_columns_of(table) if present and column.name not in present]
        if lost:
            yield f"{relation(table)} has no column {', '.join(lost)}. Restore it in the source."


def _unreadable(tables: list[SourceTable], user: str) -> Iterable[str]:
    if tables:
        yield f"{_named(tables)} may not be read. {_granted('SELECT', tables, user)}"


def _tracking(address: Address, present: list[SourceTable], tables: Mapping[str, Any], user: str) -> Iterable[str]:
    """What finds changes more cheaply, and those that leave their dates alone."""
    if not present:
        return
    if all(tables[table.asset]["current_version"] is None for table in present):
        yield (
            f"Changes are found by dates. To track them: ALTER DATABASE {quoted(address.database)} SET CHANGE_TRACKING"
            " = ON (CHANGE_RETENTION = 14 DAYS, AUTO_CLEANUP = ON); then each table: docs/operate/sql-server.md"
        )
        return
    unknown = [table for table in present if tables[table.asset]["oldest_version"] is None]
    hidden = [table for table in unknown if not tables[table.asset]["tracking_visible"]]
    untracked = [table for table in unknown if tables[table.asset]["tracking_visible"]]
    if hidden:
        yield f"Tracked changes of {_named(hidden)} are hidden. {_granted('VIEW CHANGE TRACKING', hidden, user)}"
    if untracked:
        statements = " ".join(f"ALTER TABLE {relation(table)} ENABLE CHANGE_TRACKING;" for table in untracked[:_NAMED])
        yield f"Changes of {_named(untracked)} are found by dates. To track them: {statements}"


def _granted(permission: str, tables: Iterable[SourceTable], user: str) -> str:
    schemas = sorted({table.schema for table in tables})
    return " ".join(f"GRANT {permission} ON SCHEMA::{quoted(schema)} TO {user};" for schema in schemas)


def _named(tables: list[SourceTable]) -> str:
    names = ", ".join(relation(table) for table in tables[:_NAMED])
    return f"{names} and {len(tables) - _NAMED} more" if len(tables) > _NAMED else names


def _are(tables: list[SourceTable]) -> str:
    return "is" if len(tables) == 1 else "are"


def _them(tables: list[SourceTable]) -> str:
    return "it" if len(tables) == 1 else "them"
