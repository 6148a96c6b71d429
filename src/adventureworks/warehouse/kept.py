"""Rows of earlier versions of tables and marts, kept so that they can be rolled back.

`staging."X__kept"` holds, for each version of X, the previous content of each row that it changed or removed, and only
the key of each row that it added. It therefore grows with the changes, not with X. Version N can be restored if each
later version has its rows here (`ops.publication.kept`).

Only PostgreSQL keeps rows, and only where an environment has tables of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adventureworks.catalog import Mart, SourceTable
from adventureworks.columns import columns_of, key_of
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.environments import base_of
from adventureworks.warehouse.postgres import Connection, column_type
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import equal, month_queries, names, published, same, table

VERSION = "__version"
"""Column with the version whose publication changed the row."""
EXISTED = "__existed"
"""Column that says whether the row existed before."""


def has_versions(entry: SourceTable | Mart) -> bool:
    """Return whether earlier versions of an asset are kept: not those of a report on the current state."""
    return isinstance(entry, SourceTable) or not entry.tolerant


def are_kept(session: Session) -> bool:
    """Return whether this warehouse and environment keep earlier versions."""
    return not session.commits_twice and base_of(session.records) is None


def name_of(asset: str) -> str:
    """Return the name of the table of kept rows of an asset, in the schema `staging`."""
    return f"{asset}__kept"


def make_table(session: Session, entry: SourceTable | Mart, present: Mapping[str, Collection[str]]) -> None:
    """Create the table of kept rows; if it has other columns than the contract, replace it with an empty one.

    `present`: the columns of each table in `staging`. Rows with other columns cannot be restored.
    """
    columns, name = columns_of(entry), name_of(entry.asset)
    wanted = {VERSION, EXISTED, *(column.name for column in columns)}
    found = set(present.get(name, ()))
    if found == wanted:
        return
    if found:
        session.data.execute(f"drop table {table('staging', name)}")
    # A restored backup may lack the table, too.
    session.records.execute("update ops.publication set kept = false where kept and asset = %s", (entry.asset,))
    definitions = ", ".join(f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns)
    session.data.execute(
        f"create table {table('staging', name)} ({quoted(VERSION)} bigint not null,"
        f" {quoted(EXISTED)} boolean not null, {definitions})"
    )


def keep(data: Data, entry: SourceTable | Mart, version: int, rows: str, replaced: str) -> None:
    """Keep what publishing `version` is about to change.

    `rows`: the table or subquery with the new rows. `replaced`: the condition for the published rows (`p`) that they
    replace.
    """
    columns, key = [column.name for column in columns_of(entry)], key_of(entry)
    data.execute(
        f"insert into {_table(entry)} ({names([VERSION, EXISTED, *columns])}) select {version}, true,"
        f" {names(columns, 'p')} from (select * from {published(entry)} as p where {replaced}) as p"
        f" left join {rows} as r on {equal(key, 'p', 'r')} where not ({same(columns, 'p', 'r')})"
    )
    _keep_added(data, entry, version, rows)


def restore(data: Data, entry: SourceTable | Mart, target: int, version: int) -> tuple[int, set[str]]:
    """Replace the published rows with those of an earlier version, and keep them as what `version` changed.

    Return the number of changed rows and their months.
    """
    columns, key = [column.name for column in columns_of(entry)], key_of(entry)
    earlier = _first_changes(entry, target, f"{quoted(VERSION)} < {version}")
    touched = f"exists (select 1 from {earlier} as e where {equal(key, 'e', 'p')})"
    returning = f"(select * from {earlier} as e where {quoted(EXISTED)})"
    data.execute(
        f"insert into {_table(entry)} ({names([VERSION, EXISTED, *columns])})"
        f" select {version}, true, {names(columns, 'p')} from {published(entry)} as p where {touched}"
    )
    _keep_added(data, entry, version, returning)
    queries = [
        query
        for relation in (f"select p.* from {published(entry)} as p where {touched}", f"select * from {returning} as r")
        for query in month_queries(entry, relation)
    ]
    months = _months(data, queries) if queries else set()
    removed = data.execute(f"delete from {published(entry)} as p where {touched}").rowcount
    added = data.execute(
        f"insert into {published(entry)} ({names(columns)}) select {names(columns)} from {returning} as e"
    ).rowcount
    return max(removed, added), months


def has_changes_since(session: Session, entry: SourceTable | Mart, version: int) -> bool:
    """Return whether everything that later versions than this one changed is kept.

    It is not if one of them changed rows without keeping any, as the erasure of a person does.
    """
    if oldest(session.records, entry.asset) > version:
        return False
    changing = session.records.execute(
        "select version from ops.publication where asset = %s and version > %s and changed_rows > 0",
        (entry.asset, version),
    ).fetchall()
    found = session.data.execute(
        f"select distinct {quoted(VERSION)} from {_table(entry)} where {quoted(VERSION)} > {version}"
    ).fetchall()
    return {number for (number,) in changing} <= {number for (number,) in found}


def values_since(entry: SourceTable | Mart, version: int, column: str) -> str:
    """Return a SELECT of the values that a column has, or had, in rows that were changed after a version."""
    changed = f"select * from {_table(entry)} where {quoted(VERSION)} > {version}"
    if column in key_of(entry):
        # The key is always kept, and never changes.
        return f"select distinct {quoted(column)} from ({changed}) as c"
    return (
        f"select {quoted(column)} from ({changed}) as c where {quoted(EXISTED)} union"
        f" select p.{quoted(column)} from {published(entry)} as p join ({changed}) as c"
        f" on {equal(key_of(entry), 'c', 'p')}"
    )


def rows_as_of(entry: SourceTable | Mart, version: int, condition: str) -> str:
    """Return a SELECT of the rows of a version that meet a condition on their columns."""
    columns, earlier = names(column.name for column in columns_of(entry)), _first_changes(entry, version)
    return (
        f"select {columns} from {published(entry)} as p where {condition}"
        f" and not exists (select 1 from {earlier} as e where {equal(key_of(entry), 'e', 'p')})"
        f" union all select {columns} from {earlier} as e where {quoted(EXISTED)} and {condition}"
    )


def _first_changes(entry: SourceTable | Mart, version: int, condition: str = "true") -> str:
    """Return a subquery of the first change of each row after a version, which kept the row as it was then."""
    key = names(key_of(entry))
    return (
        f"(select distinct on ({key}) * from {_table(entry)}"
        f" where {quoted(VERSION)} > {version} and {condition} order by {key}, {quoted(VERSION)})"
    )


def _months(data: Data, queries: list[str]) -> set[str]:
    found = data.execute(
        f"select distinct to_char(m.month, 'YYYY-MM') from ({' union all '.join(queries)}) as m"
        " where m.month is not null"
    ).fetchall()
    return {month for (month,) in found}


def _keep_added(data: Data, entry: SourceTable | Mart, version: int, rows: str) -> None:
    """Keep the keys of the rows that `version` adds."""
    key = key_of(entry)
    data.execute(
        f"insert into {_table(entry)} ({names([VERSION, EXISTED, *key])})"
        f" select {version}, false, {names(key, 'r')} from {rows} as r"
        f" where not exists (select 1 from {published(entry)} as p where {equal(key, 'p', 'r')})"
    )


def oldest(records: Connection, asset: str) -> int:
    """Return the oldest version that readers can be given; the newest one if no earlier version is kept."""
    row = records.execute(
        "select coalesce(greatest(max(version) filter (where not kept), min(version)), 0) from ops.publication"
        " where asset = %s",
        (asset,),
    ).fetchone()
    return int(row[0]) if row else 0


def drop(session: Session, entry: SourceTable | Mart, version: int) -> None:
    """Delete the rows that were kept for this version and earlier ones."""
    session.data.execute(f"delete from {_table(entry)} where {quoted(VERSION)} <= {version}")
    session.records.execute(
        "update ops.publication set kept = false where kept and asset = %s and version <= %s", (entry.asset, version)
    )


def _table(entry: SourceTable | Mart) -> str:
    return table("staging", name_of(entry.asset))
