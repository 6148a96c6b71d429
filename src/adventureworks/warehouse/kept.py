"""Rows of earlier versions of the marts, kept so that a mart can be rolled back.

`staging."X__kept"` holds, for each version of mart X, the previous content of each row that it changed or removed, and
only the key of each row that it added. It therefore grows with the changes, not with the mart. Version N can be
restored if each later version has its rows here (`ops.publication.kept`).

Only PostgreSQL keeps rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adventureworks.catalog import Mart
from adventureworks.columns import columns_of, key_of
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.postgres import Connection, column_type
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import equal, names, table

VERSION = "__version"
"""Column with the version whose publication changed the row."""
EXISTED = "__existed"
"""Column that says whether the row existed before."""


def has_versions(mart: Mart) -> bool:
    """Return whether earlier versions of a mart are kept: not those of a report on the current state."""
    return not mart.tolerant


def make_table(session: Session, mart: Mart, present: Mapping[str, Collection[str]]) -> None:
    """Create the table of kept rows; if it has other columns than the contract, replace it with an empty one.

    `present`: the columns of each table in `staging`. Rows with other columns cannot be restored.
    """
    columns, name = columns_of(mart), _name(mart)
    wanted = {VERSION, EXISTED, *(column.name for column in columns)}
    found = set(present.get(name, ()))
    if found == wanted:
        return
    if found:
        session.data.execute(f"drop table {table('staging', name)}")
    # A restored backup may lack the table, too.
    session.records.execute("update ops.publication set kept = false where kept and asset = %s", (mart.name,))
    definitions = ", ".join(f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns)
    session.data.execute(
        f"create table {table('staging', name)} ({quoted(VERSION)} bigint not null,"
        f" {quoted(EXISTED)} boolean not null, {definitions})"
    )


def keep(session: Session, mart: Mart, version: int, rows: str, replaced: str, most: int) -> None:
    """Keep what publishing `version` is about to change, and drop what the versions before the last `most` changed.

    `rows`: the table with the new rows. `replaced`: the condition for the published rows that they replace.
    """
    data = session.data
    columns, key = [column.name for column in columns_of(mart)], key_of(mart)
    kept, published = table("staging", _name(mart)), table("marts", mart.name)
    data.execute(
        f"insert into {kept} ({names([VERSION, EXISTED, *columns])}) select {version}, true, {names(columns, 'p')}"
        f" from (select * from {published} where {replaced}) as p left join {rows} as r on {equal(key, 'p', 'r')}"
        f" where ({names(columns, 'p')}) is distinct from ({names(columns, 'r')})"
    )
    _keep_added(data, mart, version, rows)
    drop(session, mart, version - most)


def restore(session: Session, mart: Mart, target: int, version: int, most: int) -> tuple[int, tuple[str, ...]]:
    """Replace the published rows with those of an earlier version, and keep them as what `version` changed.

    Return the number of changed rows and their months. `most`: see `keep`.
    """
    data = session.data
    columns, key = [column.name for column in columns_of(mart)], key_of(mart)
    kept, published = table("staging", _name(mart)), table("marts", mart.name)
    # The first change after the target version kept the row as it was then.
    earlier = (
        f"(select distinct on ({names(key)}) * from {kept}"
        f" where {quoted(VERSION)} > {target} and {quoted(VERSION)} < {version}"
        f" order by {names(key)}, {quoted(VERSION)})"
    )
    touched = f"exists (select 1 from {earlier} as e where {equal(key, 'e', 'p')})"
    returning = f"(select * from {earlier} as e where {quoted(EXISTED)})"
    data.execute(
        f"insert into {kept} ({names([VERSION, EXISTED, *columns])})"
        f" select {version}, true, {names(columns, 'p')} from {published} as p where {touched}"
    )
    _keep_added(data, mart, version, returning)
    found = data.execute(
        f"select distinct to_char(d.day, 'YYYY-MM') from (select {quoted(mart.dated)} as day from {published} as p"
        f" where {touched} union all select {quoted(mart.dated)} from {returning} as e) as d order by 1"
    ).fetchall()
    removed = data.execute(f"delete from {published} as p where {touched}").rowcount
    added = data.execute(
        f"insert into {published} ({names(columns)}) select {names(columns)} from {returning} as e"
    ).rowcount
    drop(session, mart, version - most)
    return max(removed, added), tuple(month for (month,) in found)


def _keep_added(data: Data, mart: Mart, version: int, rows: str) -> None:
    """Keep the keys of the rows that `version` adds."""
    key = key_of(mart)
    data.execute(
        f"insert into {table('staging', _name(mart))} ({names([VERSION, EXISTED, *key])})"
        f" select {version}, false, {names(key, 'r')} from {rows} as r"
        f" where not exists (select 1 from {table('marts', mart.name)} as p where {equal(key, 'p', 'r')})"
    )


def oldest(records: Connection, asset: str) -> int:
    """Return the oldest version that readers can be given; the newest one if no earlier version is kept."""
    row = records.execute(
        "select coalesce(greatest(max(version) filter (where not kept), min(version)), 0) from ops.publication"
        " where asset = %s",
        (asset,),
    ).fetchone()
    return int(row[0]) if row else 0


def drop(session: Session, mart: Mart, version: int) -> None:
    """Delete the rows that were kept for this version and earlier ones."""
    session.data.execute(f"delete from {table('staging', _name(mart))} where {quoted(VERSION)} <= {version}")
    session.records.execute(
        "update ops.publication set kept = false where kept and asset = %s and version <= %s", (mart.name, version)
    )


def _name(mart: Mart) -> str:
    return f"{mart.name}__kept"
