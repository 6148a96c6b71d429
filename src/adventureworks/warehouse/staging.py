"""Staging of a change: new rows, vanished keys, and the candidate view that shows the table with the change applied.

For a table T the schema `staging` holds `T__rows` (new and changed rows; `__same` marks those equal to the published
ones), `T__keys` (every key at the source, if only changed rows were read), `T__gone` (keys to delete), and the
candidate view `T` itself. Only one ingestion, and only one run of each analysis, runs at a time, so the names do not
contain the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.columns import Column, columns_of, key_of
from adventureworks.errors import ServiceUnavailable
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse import quarantine
from adventureworks.warehouse.layout import show_published
from adventureworks.warehouse.postgres import column_type
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import equal, in_order, names, same, table

SAME = "__same"
"""The column of staged rows that says whether a row equals the published one."""


def rows_table(name: str) -> str:
    """Return the name of the table of staged rows."""
    return f"{name}__rows"


def keys_table(name: str) -> str:
    """Return the name of the table of all keys at the source."""
    return f"{name}__keys"


def gone_table(name: str) -> str:
    """Return the name of the table of keys to delete."""
    return f"{name}__gone"


def key_columns(entry: SourceTable) -> tuple[Column, ...]:
    """Return the key's columns with their types."""
    key = key_of(entry)
    return tuple(column for column in columns_of(entry) if column.name in key)


def start(data: Data, entry: SourceTable) -> None:
    """Create empty staging tables for one table, dropping those of an earlier run."""
    show_published(data, entry)
    columns = columns_of(entry)
    modified = Column("__modified", next(c.dtype for c in columns if c.name == entry.modified), True)
    _recreate(data, rows_table(entry.asset), columns, f"{quoted(SAME)} boolean not null")
    _recreate(data, keys_table(entry.asset), (*key_columns(entry), modified))
    _recreate(data, gone_table(entry.asset), key_columns(entry))


def _recreate(data: Data, name: str, columns: tuple[Column, ...], extra: str = "") -> None:
    # Unlogged, which halves the writes. A crash empties these tables, which `candidate` detects.
    definitions = [f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns]
    data.execute(f"drop table if exists {table('staging', name)} cascade")
    data.execute(
        f"create unlogged table {table('staging', name)} ({', '.join([*definitions, extra] if extra else definitions)})"
    )


def keys_to_read(data: Data, entry: SourceTable, before: str, most: int) -> pa.Table | None:
    """Return the keys of rows modified before `before` that are new, in quarantine, or dated unlike the published row.

    Rows modified from `before` on, and rows without a date, are read in any case. None if there are more than `most`
    keys. Needs `T__keys`.
    """
    key = key_of(entry)
    keys, published = table("staging", keys_table(entry.asset)), table("raw", entry.asset)
    rows = data.execute(
        f"select {names(key, 'k')} from {keys} as k left join {published} as p on {equal(key, 'k', 'p')}"
        f" left join {quarantine.keys(entry, 'open', 'discarded')} as q on {quarantine.matches_key(entry, 'q', 'k')}"
        f' where (p.{quoted(key[0])} is null or p.{quoted(entry.modified)} is distinct from k."__modified"'
        f" or q.{quoted(key[0])} is not null)"
        f' and k."__modified" < %(before)s::timestamp limit {int(most) + 1}',
        {"before": before},
    ).fetchall()
    if len(rows) > most:
        return None
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(key)})


def require_rows(data: Data, staged: Mapping[str, int]) -> None:
    """Raise `ServiceUnavailable` unless each of these staging tables has this many rows: a crash empties them."""
    for name, rows in staged.items():
        found = data.execute(f"select count(*) from {table('staging', name)}").fetchone()
        if found is None or found[0] != rows:
            raise ServiceUnavailable(f"Rows staged in {name} were lost: the warehouse was restarted.", "Try again.")


def settle(data: Data, entry: SourceTable, *, whole: bool, find_gone: bool) -> None:
    """Mark the staged rows that equal the published ones, and find the keys that vanished.

    `whole`: the staged rows and those set aside are all rows of the source; otherwise `T__keys` lists its keys.
    """
    key = key_of(entry)
    columns = [column.name for column in columns_of(entry)]
    rows, published = table("staging", rows_table(entry.asset)), table("raw", entry.asset)
    data.update_statistics("staging", rows_table(entry.asset))
    data.execute(
        f"update {rows} as r set {quoted(SAME)} = true from {published} as p"
        f" where {equal(key, 'r', 'p')} and {same([c for c in columns if c not in key], 'r', 'p')}"
    )
    if not find_gone:
        return
    present = rows if whole else table("staging", keys_table(entry.asset))
    # A row that was set aside still exists, so its last good version must not be deleted.
    data.execute(
        f"insert into {table('staging', gone_table(entry.asset))} ({names(key)}) select {names(key, 'p')}"
        f" from {published} as p where not exists (select 1 from {present} as s where {equal(key, 's', 'p')})"
        f" and not exists (select 1 from {quarantine.keys(entry, 'staged')} as q"
        f" where {quarantine.matches_key(entry, 'q', 'p')})"
    )


def show_candidate(data: Data, entry: SourceTable) -> None:
    """Point the candidate view at the table with the staged change applied."""
    key = key_of(entry)
    columns = [column.name for column in columns_of(entry)]
    rows, gone = table("staging", rows_table(entry.asset)), table("staging", gone_table(entry.asset))
    data.execute(
        f"create or replace view {table('staging', entry.asset)} as"
        f" select {names(columns, 'p')} from {table('raw', entry.asset)} as p"
        f" where not exists (select 1 from {rows} as r where {equal(key, 'r', 'p')})"
        f" and not exists (select 1 from {gone} as g where {equal(key, 'g', 'p')})"
        f" union all select {names(columns, 'r')} from {rows} as r"
    )


def share_set_aside(data: Data, entry: SourceTable) -> tuple[int, int]:
    """Return how many rows of a staged table are set aside, and the number of rows of which they are a share.

    That number counts the rows that were read or, if only changed rows were read, all keys at the source.
    """
    keys = _count(data, keys_table(entry.asset))
    if keys:
        bad = quarantine.expected(data, entry.asset)
        return bad, max(keys, bad)
    bad = quarantine.staged(data, entry.asset)
    return bad, _count(data, rows_table(entry.asset)) + bad


def _count(data: Data, name: str) -> int:
    row = data.execute(f"select count(*) from {table('staging', name)}").fetchone()
    return int(row[0]) if row else 0


def set_aside_duplicates(data: Data, entry: SourceTable, run_id: str) -> None:
    """Move staged rows with a duplicated key into quarantine, because there is no telling which of them is right.

    Rows already set aside for another reason count too. Text is compared as in the AdventureWorks database, which
    ignores case and trailing blanks.
    """
    key = key_of(entry)
    rows = table("staging", rows_table(entry.asset))
    message = f"{', '.join(key)} is unique"
    folded = ", ".join(f"{_folded(column, 'x')} as {quoted(column.name)}" for column in key_columns(entry))
    twice = f"select {names(key, 'f')} from (select {folded} from {rows} as x) as f group by {names(key, 'f')}"
    same_key = " and ".join(f"t.{quoted(column.name)} = {_folded(column, 'r')}" for column in key_columns(entry))
    condition = f"exists (select 1 from ({twice} having count(*) > 1) as t where {same_key})"
    set_aside(data, entry, condition, "key_is_unique", message, run_id)
    if quarantine.staged(data, entry.asset):
        same_key = " and ".join(
            f"lower(rtrim(q.{quoted(name)})) = lower(rtrim(r.{quoted(name)}::varchar))" for name in key
        )
        contested = f"exists (select 1 from {quarantine.keys(entry, 'staged')} as q where {same_key})"
        set_aside(data, entry, contested, "key_is_unique", message, run_id)


def _folded(column: Column, alias: str) -> str:
    """Return the SQL for a key column in the form in which it is compared."""
    name = f"{alias}.{quoted(column.name)}"
    return f"lower(rtrim({name}))" if column.dtype == pl.String else name


def set_aside_modified_later(data: Data, entry: SourceTable, latest: datetime | None, run_id: str) -> int:
    """Move staged rows modified after `latest` into quarantine; return how many."""
    if latest is None:
        return 0
    condition = f"r.{quoted(entry.modified)} > timestamp '{latest.isoformat(sep=' ')}'"
    message = f"{entry.modified} is at most one day after the row was read"
    return set_aside(data, entry, condition, "is_modified_by_tomorrow", message, run_id)


def set_aside(data: Data, entry: SourceTable, condition: str, rule: str, message: str, run_id: str) -> int:
    """Move the staged rows (alias `r`) that meet a condition into quarantine; return how many."""
    key = key_of(entry)
    columns = [column.name for column in columns_of(entry)]
    rows = table("staging", rows_table(entry.asset))
    moved = data.execute(
        "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id, status)"
        f" select %s, {_key_as_json(key)}, %s, %s, {_as_json(columns)}, %s, 'staged' from {rows} as r"
        f" where {condition}",
        (entry.asset, rule, message, run_id),
    ).rowcount
    if moved:
        data.execute(f"delete from {rows} as r where {condition}")
    return moved


def published_keys(data: Data, entry: SourceTable, keys: Sequence[str]) -> set[str]:
    """Return those of these keys, in the form in which quarantine stores them, that are in the published table."""
    key, places = _key_as_json(key_of(entry)), ", ".join(["%s"] * len(keys))
    rows = data.execute(
        f"select {key} from {table('raw', entry.asset)} as r where {key} in ({places})", tuple(keys)
    ).fetchall()
    return {found for (found,) in rows}


def _as_json(columns: list[str]) -> str:
    fields = ", ".join(f"'{name}', r.{quoted(name)}::varchar" for name in columns)
    return f"jsonb_build_object({fields})::varchar"


def _key_as_json(key: tuple[str, ...]) -> str:
    """Return the SQL for a key exactly as `gate.load` writes it, because keys in quarantine are compared as text."""
    fields = (f"'\"{name}\": ' || to_json(r.{quoted(name)}::varchar)::varchar" for name in in_order(key))
    return "'{' || " + " || ', ' || ".join(fields) + " || '}'"
