"""Rows of earlier versions of tables and marts, kept so that they can be rolled back.

`staging."X__kept"` holds, for each version of X, the previous content of each row that it changed or removed, and only
the key of each row that it added. It therefore grows with the changes, not with X. Version N can be restored if each
later version has its rows here (`ops.publication.kept`).

With Snowflake, a process may die after the commit of the rows and before that of the records. So the record that a
version is not kept any more is committed before its rows are deleted, and rows may be kept for a version that has no
record yet. The publication that gives the version its record leaves them as they are.

Only environments that have tables of their own keep rows.
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
    """Return whether this environment keeps earlier versions."""
    return base_of(session.records) is None


def name_of(asset: str) -> str:
    """Return the name of the table of kept rows of an asset, in the schema `staging`."""
    return f"{asset}__kept"


def usable(present: Mapping[str, Collection[str]], entry: SourceTable | Mart) -> bool:
    """Return whether the table of kept rows of an asset exists, with the columns of the contract.

    `present`: the columns of each table in `staging`. Rows with other columns cannot be restored.
    """
    return set(present.get(name_of(entry.asset), ())) == {VERSION, EXISTED, *(one.name for one in columns_of(entry))}


def make_table(data: Data, entry: SourceTable | Mart) -> None:
    """Create the table of kept rows; replace one with other columns."""
    definitions = ", ".join(f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns_of(entry))
    data.replace(
        "table",
        _table(entry),
        f"({quoted(VERSION)} bigint not null, {quoted(EXISTED)} boolean not null, {definitions})",
    )


def keep(
    session: Session,
    entry: SourceTable | Mart,
    version: int,
    rows: str,
    replaced: str,
    *,
    interrupted: bool = False,
    differ: bool = False,
) -> bool:
    """Keep what publishing `version` is about to change, and return whether the version before it can be restored.

    `rows`: the table or subquery with the new rows. `replaced`: the condition for the published rows (`p`) that they
    replace. `interrupted`: rows may have been published since the last record of a version. `differ`: no new row
    is the same as the published one with its key, so they need not be compared. Rows that are not needed any more are
    deleted.
    """
    columns, key = [column.name for column in columns_of(entry)], key_of(entry)
    first = oldest(session.records, entry.asset)
    is_first = first == version - 1
    if is_first:
        # Whatever there is belongs to no version that can be restored.
        session.data.execute(f"delete from {_table(entry)}")
    else:
        _delete(session.data, entry, first)
    unknown = "true"
    if session.commits_twice:
        # Rows that a process kept before it died are older than what it published.
        earlier = f"select {names(key)} from {_table(entry)} where {quoted(VERSION)} = {version}"
        unknown = f"({names(key, 'c')}) not in ({earlier})"
    others = [name for name in columns if name not in key]
    changed = "true" if differ else f"not ({same(columns, 'p', 'r')})"
    before = [f"coalesce({names([name], 'p')}, {names([name], 'r')}) as {quoted(name)}" for name in key]
    before += [names([name], "p") for name in others]
    session.data.execute(
        f"insert into {_table(entry)} ({names([VERSION, EXISTED, *key, *others])})"
        f" select {version}, {names([EXISTED, *key, *others], 'c')}"
        f" from (select p.{quoted(key[0])} is not null as {quoted(EXISTED)}, {', '.join(before)}"
        f" from (select * from {published(entry)} as p where {replaced}) as p"
        f" full join {rows} as r on {equal(key, 'p', 'r')} where {changed}) as c"
        f" where {unknown}"
    )
    # Rows that were kept for this version before have then been deleted.
    return not (is_first and interrupted)


def restore(session: Session, entry: SourceTable | Mart, target: int, version: int) -> tuple[int, set[str]]:
    """Replace the published rows with those of an earlier version, and keep them as what `version` changed.

    Return the number of changed rows and their months. May be repeated if the process dies.
    """
    data, columns, key = session.data, [column.name for column in columns_of(entry)], key_of(entry)
    earlier = _first_changes(entry, target)
    touched = f"({names(key, 'p')}) in (select {names(key, 'e')} from {earlier} as e)"
    returning = f"(select * from {earlier} as e where {quoted(EXISTED)})"
    keep(session, entry, version, returning, touched)
    # Not what is published: after a process that died, these are the restored rows.
    changed = f"(select * from {_table(entry)} where {quoted(VERSION)} = {version})"
    queries = [
        query
        for relation in (f"select * from {changed} as k where {quoted(EXISTED)}", f"select * from {returning} as r")
        for query in month_queries(entry, relation)
    ]
    months = _months(data, queries) if queries else set()
    data.execute(f"delete from {published(entry)} as p where {touched}")
    data.execute(f"insert into {published(entry)} ({names(columns)}) select {names(columns)} from {returning} as e")
    row = data.execute(f"select count(*) from {changed} as k").fetchone()
    return int(row[0]) if row else 0, months


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


def _first_changes(entry: SourceTable | Mart, version: int) -> str:
    """Return a subquery of the first change of each row after a version, which kept the row as it was then."""
    key = names(key_of(entry))
    return (
        f"(select distinct on ({key}) * from {_table(entry)}"
        f" where {quoted(VERSION)} > {version} order by {key}, {quoted(VERSION)})"
    )


def _months(data: Data, queries: list[str]) -> set[str]:
    found = data.execute(
        f"select distinct to_char(m.month, 'YYYY-MM') from ({' union all '.join(queries)}) as m"
        " where m.month is not null"
    ).fetchall()
    return {month for (month,) in found}


def oldest(records: Connection, asset: str) -> int:
    """Return the oldest version that readers can be given; the newest one if no earlier version is kept."""
    row = records.execute(
        "select coalesce(greatest(max(version) filter (where not kept), min(version)), 0) from ops.publication"
        " where asset = %s",
        (asset,),
    ).fetchone()
    return int(row[0]) if row else 0


def give_up(records: Connection, assets: Collection[str], version: int | None = None) -> int:
    """Record that these assets cannot be given back what was replaced by this version, or an earlier one.

    By default by any version. Return the number of versions. The next publication deletes their rows.
    """
    return records.execute(
        "update ops.publication set kept = false where kept and asset = any(%s) and version <= coalesce(%s, version)",
        (list(assets), version),
    ).rowcount


def drop(session: Session, entry: SourceTable | Mart) -> None:
    """Delete the rows of versions that were given up in an earlier transaction."""
    _delete(session.data, entry, oldest(session.records, entry.asset))


def _delete(data: Data, entry: SourceTable | Mart, version: int) -> None:
    # The first version keeps nothing.
    if version > 1:
        data.execute(f"delete from {_table(entry)} where {quoted(VERSION)} <= {version}")


def _table(entry: SourceTable | Mart) -> str:
    return table("staging", name_of(entry.asset))
