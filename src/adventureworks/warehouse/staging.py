"""Staging of a change: new rows, vanished keys, and the candidate view that shows the table with the change applied.

For a table T the schema `staging` holds `T__rows` (new and changed rows; `__same` marks those equal to the published
ones), `T__keys` (if only changed rows were read, every key at the source, or those in the ranges of keys that differ
from the published ones), `T__gone` (keys to delete), and the candidate view `T` itself. Only one ingestion, and only
one run of each analysis, runs at a time, so the names do not contain the run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa

from adventureworks import key_ranges
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
_KEYS_AT_A_TIME = 10_000
"""Databases limit the number of values in a statement."""


def rows_table(asset: str) -> str:
    """Return the name of the table of staged rows of a source table or mart."""
    return f"{asset}__rows"


def count(data: Data, relation: str) -> int:
    """Return the number of rows of a table, a view or a subquery."""
    row = data.execute(f"select count(*) from {relation}").fetchone()
    return int(row[0]) if row else 0


class StagedTable:
    """A source table in staging: its columns, the tables that hold its change, and the statements on them.

    `published`, `candidate`, `rows`, `keys` and `gone` are full names for statements; `changed` is a subquery for the
    staged rows that differ from the published ones, and `replaced` the condition for the published rows (`p`) that they
    replace or that vanished. `rows_table`, `keys_table` and `gone_table` are names within the
    schema `staging`.
    The candidate consists of `rows` and of those published rows for which `stays` holds.
    """

    def __init__(self, entry: SourceTable) -> None:
        self.entry = entry
        self.asset = entry.asset
        self.columns = columns_of(entry)
        self.column_names = [column.name for column in self.columns]
        self.key = key_of(entry)
        self.key_columns = tuple(column for column in self.columns if column.name in self.key)
        hidden = {*entry.personal, *entry.protected}
        self.shown_key = tuple(name for name in self.key if name not in hidden)
        """The key columns that messages may show, which excludes personal and protected ones."""
        self.rows_table = rows_table(self.asset)
        self.keys_table = f"{self.asset}__keys"
        self.gone_table = f"{self.asset}__gone"
        self.rows = table("staging", self.rows_table)
        self.keys = table("staging", self.keys_table)
        self.gone = table("staging", self.gone_table)
        self.changed = f"(select * from {self.rows} where not {quoted(SAME)})"
        self.replaced = self.replaced_as("p")
        self.candidate = table("staging", self.asset)
        self.published = table("raw", self.asset)

    def replaced_as(self, alias: str) -> str:
        """Return the condition that a published row is replaced or deleted."""
        return (
            f"({names(self.key, alias)}) in (select {names(self.key)} from {self.rows} where not {quoted(SAME)}"
            f" union all select {names(self.key)} from {self.gone})"
        )

    def start(self, data: Data) -> None:
        """Create empty staging tables, dropping those of an earlier run."""
        show_published(data, self.entry)
        modified = Column("__modified", next(c.dtype for c in self.columns if c.name == self.entry.modified), True)
        _recreate(data, self.rows, self.columns, f"{quoted(SAME)} boolean not null")
        _recreate(data, self.keys, (*self.key_columns, modified))
        _recreate(data, self.gone, self.key_columns)

    def ranges_query(self, since: str) -> str | None:
        """Return the query for a summary of the published keys by range, or None if they cannot be compared by range.

        `since`: what counts as recent.
        """
        by_name = {column.name: column for column in self.key_columns}
        first, *others = columns = [by_name[name] for name in self.key]
        if not first.dtype.is_integer() or not all(
            column.dtype.is_integer() or isinstance(column.dtype, pl.Datetime) for column in others
        ):
            return None
        key = [
            (key_ranges.as_number if column.dtype.is_integer() else key_ranges.as_time)(quoted(column.name))
            for column in columns
        ]
        return key_ranges.query(self.published, key, key_ranges.as_time(quoted(self.entry.modified)), since)

    def keys_to_read(
        self, data: Data, before: str, most: int, within: Collection[int] | None = None
    ) -> pa.Table | None:
        """Return keys of rows modified before `before` that are new, in quarantine, or published with another date.

        Rows modified from `before` on, and rows without a date, are read in any case. None if there are more than
        `most` keys. Needs `T__keys`. `within`: the ranges of keys whose keys it holds, if not all.
        """
        rows = data.execute(
            f"select {names(self.key, 'k')} from {self.keys} as k"
            f" left join {self.published} as p on {equal(self.key, 'k', 'p')} and {self._within('p', within)}"
            f" left join {quarantine.keys(self.entry, 'open', 'discarded')} as q"
            f" on {quarantine.matches_key(self.entry, 'q', 'k')}"
            f" where (p.{quoted(self.key[0])} is null"
            f' or p.{quoted(self.entry.modified)} is distinct from k."__modified"'
            f" or q.{quoted(self.key[0])} is not null)"
            f' and k."__modified" < %(before)s::timestamp limit {int(most) + 1}',
            {"before": before},
        ).fetchall()
        if len(rows) > most:
            return None
        return pa.table({name: [row[place] for row in rows] for place, name in enumerate(self.key)})

    def _within(self, alias: str, ranges: Collection[int] | None) -> str:
        """Return the condition that a row's key is in one of these ranges; true if they are None."""
        return "true" if ranges is None else key_ranges.within(f"{alias}.{quoted(self.key[0])}", ranges)

    def add_unchanged_keys(self, data: Data) -> int:
        """Complete `T__keys` with the keys of the published rows that did not change, so that it holds every key.

        Return how many were added.
        `T__keys` must hold the changed rows that exist, and `T__gone`, which is emptied, those that were deleted. Text
        is compared as in the AdventureWorks database: a key that now differs in case replaces the published one.
        """
        folded = " and ".join(f"{_folded(column, 'c')} = {_folded(column, 'p')}" for column in self.key_columns)
        added = data.execute(
            f'insert into {self.keys} ({names(self.key)}, "__modified")'
            f" select {names(self.key, 'p')}, p.{quoted(self.entry.modified)} from {self.published} as p"
            f" where not exists (select 1 from {self.keys} as c where {folded})"
            f" and not exists (select 1 from {self.gone} as c where {folded})"
        ).rowcount
        data.execute(f"delete from {self.gone}")
        return added

    def settle(self, data: Data, *, whole: bool, find_gone: bool, within: Collection[int] | None = None) -> None:
        """Mark the staged rows that equal the published ones, and find the keys that vanished.

        `whole`: the staged rows and those set aside are all rows of the source; otherwise `T__keys` lists its keys.
        `within`: the ranges of keys whose keys it lists, if not all. In the others, the source has the published keys.
        """
        values = [name for name in self.column_names if name not in self.key]
        data.update_statistics("staging", self.rows_table)
        data.execute(
            f"update {self.rows} as r set {quoted(SAME)} = true from {self.published} as p"
            f" where {equal(self.key, 'r', 'p')} and {same(values, 'r', 'p')}"
        )
        if not find_gone:
            return
        present = self.rows if whole else self.keys
        # A row that was set aside still exists, so its last good version must not be deleted.
        data.execute(
            f"insert into {self.gone} ({names(self.key)}) select {names(self.key, 'p')} from {self.published} as p"
            f" where {self._within('p', within)}"
            f" and not exists (select 1 from {present} as s where {equal(self.key, 's', 'p')})"
            f" and not exists (select 1 from {quarantine.keys(self.entry, 'staged')} as q"
            f" where {quarantine.matches_key(self.entry, 'q', 'p')})"
        )

    def show_candidate(self, data: Data) -> None:
        """Point the candidate view at the table with the staged change applied."""
        data.execute(
            f"create or replace view {self.candidate} as"
            f" select {names(self.column_names, 'p')} from {self.published} as p where {self.stays('p')}"
            f" union all select {names(self.column_names, 'r')} from {self.rows} as r"
        )

    def stays(self, alias: str) -> str:
        """Return the condition that a published row is in the candidate: neither read again nor vanished."""
        newer = '"__newer"'
        match = equal(self.key, newer, alias)
        return " and ".join(
            f"not exists (select 1 from {one} as {newer} where {match})" for one in (self.rows, self.gone)
        )

    def candidate_with(self, columns: Sequence[str], values: str) -> str:
        """Return a subquery for the candidate's rows whose `columns` have one of `values`, a SELECT of few rows.

        The published rows are looked up by these values. In a join with `candidate`, PostgreSQL reads all of them.
        """
        shown, chosen = names(self.column_names, "c"), f"({names(columns, 'c')}) in ({values})"
        return (
            f"(select {shown} from {self.rows} as c where {chosen}"
            f" union all select {shown} from {self.published} as c where {chosen} and {self.stays('c')})"
        )

    def candidate_of(self, column: str, relation: str) -> str:
        """Return a subquery for the candidate's rows to which rows of a relation refer by a column of the same name."""
        return self.candidate_with([column], f"select t.{quoted(column)} from {relation} as t")

    def share_set_aside(self, data: Data, source_rows: int | None) -> tuple[int, int]:
        """Return how many rows are set aside, and the number of rows of which they are a share; zeros if none is.

        `source_rows`: the number of all rows at the source, if only changed rows were read; otherwise the share is one
        of the rows that were read.
        """
        few = source_rows is not None
        bad = quarantine.expected(data, self.asset) if few else quarantine.staged(data, self.asset)
        if not bad:
            return 0, 0
        return bad, max(source_rows, bad) if source_rows is not None else count(data, self.rows) + bad

    def set_aside_duplicates(self, data: Data, run_id: str) -> None:
        """Move staged rows with a duplicated key into quarantine, because it is not known which of them is right.

        Rows already set aside for another reason count too. Text is compared as in the AdventureWorks database, which
        ignores case and trailing blanks.
        """
        message = f"{', '.join(self.key)} is unique"
        folded = ", ".join(f"{_folded(column, 'x')} as {quoted(column.name)}" for column in self.key_columns)
        twice = (
            f"select {names(self.key, 'f')} from (select {folded} from {self.rows} as x) as f"
            f" group by {names(self.key, 'f')}"
        )
        same_key = " and ".join(f"t.{quoted(column.name)} = {_folded(column, 'r')}" for column in self.key_columns)
        condition = f"exists (select 1 from ({twice} having count(*) > 1) as t where {same_key})"
        self.set_aside(data, condition, "key_is_unique", message, run_id)
        if quarantine.staged(data, self.asset):
            same_key = " and ".join(
                f"lower(rtrim(q.{quoted(name)})) = lower(rtrim(r.{quoted(name)}::varchar))" for name in self.key
            )
            contested = f"exists (select 1 from {quarantine.keys(self.entry, 'staged')} as q where {same_key})"
            self.set_aside(data, contested, "key_is_unique", message, run_id)

    def set_aside_modified_later(self, data: Data, latest: datetime | None, run_id: str) -> int:
        """Move staged rows modified after `latest` into quarantine; return how many."""
        if latest is None:
            return 0
        modified = self.entry.modified
        condition = f"r.{quoted(modified)} > timestamp '{latest.isoformat(sep=' ')}'"
        message = f"{modified} is at most one day after the row was read"
        return self.set_aside(data, condition, "is_modified_by_tomorrow", message, run_id)

    def set_aside(self, data: Data, condition: str, rule: str, message: str, run_id: str) -> int:
        """Move the staged rows (alias `r`) that meet a condition into quarantine; return how many."""
        moved = data.execute(
            "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id, status)"
            f" select %s, {_key_as_json(self.key)}, %s, %s, {_as_json(self.columns)}, %s, 'staged'"
            f" from {self.rows} as r where {condition}",
            (self.asset, rule, message, run_id),
        ).rowcount
        if moved:
            data.execute(f"delete from {self.rows} as r where {condition}")
        return moved

    def take_back(self, data: Data, keys: Collection[str]) -> int:
        """Delete the published rows with these keys; return how many. Needs the settled `T__gone`.

        `keys` are in the form in which quarantine stores them.
        """
        if not keys:
            return 0
        places = ", ".join(["%s"] * len(keys))
        return data.execute(
            f"insert into {self.gone} ({names(self.key)}) select {names(self.key, 'r')} from {self.published} as r"
            f" where {_key_as_json(self.key)} in ({places})"
            f" and not exists (select 1 from {self.gone} as g where {equal(self.key, 'g', 'r')})",
            tuple(sorted(keys)),
        ).rowcount

    def published_versions(self, data: Data, keys: Collection[str], *, only_set_aside: bool = False) -> dict[str, str]:
        """Return the published rows with these keys as JSON, by key; keys and rows are in quarantine's form.

        `only_set_aside`: only those whose rows at the source are set aside.
        """
        condition = "true"
        if only_set_aside:
            condition = (
                f"exists (select 1 from {quarantine.keys(self.entry, 'staged')} as q"
                f" where {quarantine.matches_key(self.entry, 'q', 'r')})"
            )
        wanted = sorted(keys)
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _KEYS_AT_A_TIME):
            some = wanted[start : start + _KEYS_AT_A_TIME]
            rows = data.execute(
                f"select {_key_as_json(self.key)}, {_as_json(self.columns)} from {self.published} as r"
                f" where {_key_as_json(self.key)} in ({', '.join(['%s'] * len(some))}) and {condition}",
                tuple(some),
            ).fetchall()
            found.update(rows)
        return found

    def published_keys(self, data: Data, keys: Sequence[str]) -> set[str]:
        """Return those of these keys, in the form in which quarantine stores them, that are in the published table."""
        key, places = _key_as_json(self.key), ", ".join(["%s"] * len(keys))
        rows = data.execute(
            f"select {key} from {self.published} as r where {key} in ({places})", tuple(keys)
        ).fetchall()
        return {found for (found,) in rows}


def require_rows(data: Data, staged: Mapping[str, int]) -> None:
    """Raise `ServiceUnavailable` unless each of these staging tables has this many rows: a crash empties them."""
    for name, rows in staged.items():
        if count(data, table("staging", name)) != rows:
            raise ServiceUnavailable(f"Rows staged in {name} were lost: the warehouse was restarted.", "Try again.")


def _recreate(data: Data, relation: str, columns: tuple[Column, ...], extra: str = "") -> None:
    # Unlogged, which halves the writes. A crash empties these tables, which `candidate` detects.
    definitions = [f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns]
    data.replace("unlogged table", relation, f"({', '.join([*definitions, extra] if extra else definitions)})")


def _folded(column: Column, alias: str) -> str:
    """Return the SQL for a key column in the form in which it is compared."""
    name = f"{alias}.{quoted(column.name)}"
    return f"lower(rtrim({name}))" if column.dtype == pl.String else name


def _as_json(columns: Sequence[Column]) -> str:
    fields = ", ".join(f"'{column.name}', {_as_text(column)}" for column in columns)
    return f"jsonb_build_object({fields})::varchar"


def _as_text(column: Column) -> str:
    """Return the SQL for a value of a staged row as `gate.row_text` writes it."""
    value = f"r.{quoted(column.name)}"
    if column.dtype == pl.Datetime:
        # Snowflake's cast to text drops the fraction of a second, and the format alone would write trailing zeros.
        return f"regexp_replace(to_char({value}::timestamp, 'YYYY-MM-DD HH24:MI:SS.US'), '[.]?0+$', '')"
    return f"{value}::varchar"


def _key_as_json(key: tuple[str, ...]) -> str:
    """Return the SQL for a key as `gate.row_text` writes it, because keys in quarantine are compared as text."""
    fields = (f"'\"{name}\": ' || to_json(r.{quoted(name)}::varchar)::varchar" for name in in_order(key))
    return "'{' || " + " || ', ' || ".join(fields) + " || '}'"
