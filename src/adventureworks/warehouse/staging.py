"""A change on its way: staged rows, vanished keys, and the candidate view that shows the table with the change.

For a table T the schema `staging` holds `T__rows` (new and changed rows; `__same` marks those equal to the published
ones), `T__keys` (every key at the source, where only changed rows were read), `T__gone` (keys to delete), and the
candidate view `T` itself. One ingestion runs at a time, and so does one run of each analysis, so names need no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl
import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.columns import Column, columns_of, key_of
from adventureworks.errors import ServiceUnavailable
from adventureworks.warehouse import quarantine
from adventureworks.warehouse.layout import show_published
from adventureworks.warehouse.postgres import Connection, column_type
from adventureworks.warehouse.sql import equal, in_order, names, quoted, same, table

SAME = "__same"
"""The column of staged rows that says whether they change nothing."""


def rows_table(name: str) -> str:
    """The name of the table of staged rows."""
    return f"{name}__rows"


def keys_table(name: str) -> str:
    """The name of the table of all keys at the source."""
    return f"{name}__keys"


def gone_table(name: str) -> str:
    """The name of the table of keys to delete."""
    return f"{name}__gone"


def key_columns(entry: SourceTable) -> tuple[Column, ...]:
    """The key's columns, typed."""
    key = key_of(entry)
    return tuple(column for column in columns_of(entry) if column.name in key)


def start(connection: Connection, entry: SourceTable) -> None:
    """Empty staging tables for one table; what an earlier run left there is dropped."""
    show_published(connection, entry)
    columns = columns_of(entry)
    modified = Column("__modified", next(c.dtype for c in columns if c.name == entry.modified), True)
    _scratch(connection, rows_table(entry.asset), columns, f"{quoted(SAME)} boolean not null")
    _scratch(connection, keys_table(entry.asset), (*key_columns(entry), modified))
    _scratch(connection, gone_table(entry.asset), key_columns(entry))


def _scratch(connection: Connection, name: str, columns: tuple[Column, ...], extra: str = "") -> None:
    # Unlogged, which halves the writing: a crash empties these tables, and `candidate` notices that.
    definitions = [f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns]
    connection.execute(f"drop table if exists {table('staging', name)} cascade")
    connection.execute(
        f"create unlogged table {table('staging', name)} ({', '.join([*definitions, extra] if extra else definitions)})"
    )


def keys_to_read(connection: Connection, entry: SourceTable, before: str, most: int) -> pa.Table | None:
    """Keys of rows that are new, dated otherwise than the published ones, or in quarantine, and lie before `before`
    (rows from there on, and rows without a date, are read anyway). None if there are more than `most`.

    Needs `T__keys`.
    """
    key = key_of(entry)
    keys, published = table("staging", keys_table(entry.asset)), table("raw", entry.asset)
    rows = connection.execute(
        f"select {names(key, 'k')} from {keys} as k left join {published} as p on {equal(key, 'k', 'p')}"
        f" left join {quarantine.keys(entry, 'open')} as q on {quarantine.is_key(entry, 'q', 'k')}"
        f' where (p.{quoted(key[0])} is null or p.{quoted(entry.modified)} is distinct from k."__modified"'
        f" or q.{quoted(key[0])} is not null)"
        f' and k."__modified" < %(before)s::timestamp limit {int(most) + 1}',
        {"before": before},
    ).fetchall()
    if len(rows) > most:
        return None
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(key)})


def require(connection: Connection, staged: Mapping[str, int]) -> None:
    """Raises ServiceUnavailable unless each of these staging tables holds so many rows: a crash empties them."""
    for name, rows in staged.items():
        found = connection.execute(f"select count(*) from {table('staging', name)}").fetchone()
        if found is None or found[0] != rows:
            raise ServiceUnavailable(f"Rows staged in {name} were lost: the warehouse was restarted.", "Try again.")


def settle(connection: Connection, entry: SourceTable, *, whole: bool, find_gone: bool) -> None:
    """Marks staged rows that change nothing, and finds the keys that vanished.

    `whole`: the staged rows and those set aside are all that the source has; else `T__keys` says so.
    """
    key = key_of(entry)
    columns = [column.name for column in columns_of(entry)]
    rows, published = table("staging", rows_table(entry.asset)), table("raw", entry.asset)
    connection.execute(f"analyze {rows}")
    connection.execute(
        f"update {rows} as r set {quoted(SAME)} = true from {published} as p"
        f" where {equal(key, 'r', 'p')} and {same([c for c in columns if c not in key], 'r', 'p')}"
    )
    if not find_gone:
        return
    present = rows if whole else table("staging", keys_table(entry.asset))
    # A row that was set aside still exists: its last good version is not to be deleted.
    connection.execute(
        f"insert into {table('staging', gone_table(entry.asset))} ({names(key)}) select {names(key, 'p')}"
        f" from {published} as p where not exists (select 1 from {present} as s where {equal(key, 's', 'p')})"
        f" and not exists (select 1 from {quarantine.keys(entry, 'staged')} as q"
        f" where {quarantine.is_key(entry, 'q', 'p')})"
    )


def show_candidate(connection: Connection, entry: SourceTable) -> None:
    """Lets the candidate view show the table with the staged change applied."""
    key = key_of(entry)
    columns = [column.name for column in columns_of(entry)]
    rows, gone = table("staging", rows_table(entry.asset)), table("staging", gone_table(entry.asset))
    connection.execute(
        f"create or replace view {table('staging', entry.asset)} as"
        f" select {names(columns, 'p')} from {table('raw', entry.asset)} as p"
        f" where not exists (select 1 from {rows} as r where {equal(key, 'r', 'p')})"
        f" and not exists (select 1 from {gone} as g where {equal(key, 'g', 'p')})"
        f" union all select {names(columns, 'r')} from {rows} as r"
    )


def share_set_aside(connection: Connection, entry: SourceTable) -> tuple[int, int]:
    """How many rows of a staged table are set aside, and out of how many rows of the table at the source.

    Rows that were read, or, where only changed ones were, all whose keys the source told.
    """
    keys = _count(connection, keys_table(entry.asset))
    if keys:
        bad = quarantine.expected(connection, entry.asset)
        return bad, max(keys, bad)
    bad = quarantine.staged(connection, entry.asset)
    return bad, _count(connection, rows_table(entry.asset)) + bad


def _count(connection: Connection, name: str) -> int:
    row = connection.execute(f"select count(*) from {table('staging', name)}").fetchone()
    return int(row[0]) if row else 0


def set_aside_duplicates(connection: Connection, entry: SourceTable, run_id: str) -> None:
    """Moves staged rows whose key comes more than once into quarantine: which of them is right, nobody can know.

    A row that was set aside before, for another reason, counts too. Texts are the same where the database of
    AdventureWorks takes them for the same: it ignores case and trailing blanks.
    """
    key = key_of(entry)
    rows = table("staging", rows_table(entry.asset))
    message = f"{', '.join(key)} is unique"
    folded = ", ".join(f"{_folded(column, 'x')} as {quoted(column.name)}" for column in key_columns(entry))
    twice = f"select {names(key, 'f')} from (select {folded} from {rows} as x) as f group by {names(key, 'f')}"
    same_key = " and ".join(f"t.{quoted(column.name)} = {_folded(column, 'r')}" for column in key_columns(entry))
    condition = f"exists (select 1 from ({twice} having count(*) > 1) as t where {same_key})"
    set_aside(connection, entry, condition, "key_is_unique", message, run_id)
    if quarantine.staged(connection, entry.asset):
        same_key = " and ".join(
            f"lower(rtrim(q.{quoted(name)})) = lower(rtrim(r.{quoted(name)}::varchar))" for name in key
        )
        contested = f"exists (select 1 from {quarantine.keys(entry, 'staged')} as q where {same_key})"
        set_aside(connection, entry, contested, "key_is_unique", message, run_id)


def _folded(column: Column, alias: str) -> str:
    """A key column as it is compared."""
    name = f"{alias}.{quoted(column.name)}"
    return f"lower(rtrim({name}))" if column.dtype == pl.String else name


def set_aside_modified_later(connection: Connection, entry: SourceTable, latest: datetime | None, run_id: str) -> int:
    """Moves staged rows whose modification date lies after `latest` into quarantine, and returns how many."""
    if latest is None:
        return 0
    condition = f"r.{quoted(entry.modified)} > timestamp '{latest.isoformat(sep=' ')}'"
    message = f"{entry.modified} lies at most a day after the row was read"
    return set_aside(connection, entry, condition, "is_modified_by_tomorrow", message, run_id)


def set_aside(connection: Connection, entry: SourceTable, condition: str, rule: str, message: str, run_id: str) -> int:
    """Moves the staged rows (alias `r`) that meet a condition into quarantine; returns how many."""
    key = key_of(entry)
    columns = [column.name for column in columns_of(entry)]
    rows = table("staging", rows_table(entry.asset))
    moved = connection.execute(
        "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id, status)"
        f" select %s, {_key_as_json(key)}, %s, %s, {_as_json(columns)}, %s, 'staged' from {rows} as r"
        f" where {condition}",
        (entry.asset, rule, message, run_id),
    ).rowcount
    if moved:
        connection.execute(f"delete from {rows} as r where {condition}")
    return moved


def _as_json(columns: list[str]) -> str:
    fields = ", ".join(f"'{name}', r.{quoted(name)}::varchar" for name in columns)
    return f"jsonb_build_object({fields})::varchar"


def _key_as_json(key: tuple[str, ...]) -> str:
    """The key as `gate.load` writes it, letter by letter: keys in quarantine are compared as text."""
    fields = (f"'\"{name}\": ' || to_json(r.{quoted(name)}::varchar)::varchar" for name in in_order(key))
    return "'{' || " + " || ', ' || ".join(fields) + " || '}'"
