"""The life cycle of a row in quarantine, in `ops.quarantined_row`.

A run sets rows aside as `staged`. When the run publishes their table they become `open`, and rows that were open before
may become `repaired` (a good row with their key arrived) or `gone` (their key vanished at the source). Until then they
affect nothing that readers see. If the table is blocked, they are kept as `blocked` for inspection. A row that a person
discarded is `discarded`, and so is the same row whenever it is set aside again with the same values. A discarded row of
a blocked table is `blocked_discarded` until its table is published, because readers must not be affected before.
"""

from __future__ import annotations

import json

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import key_of
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import table

# The row is at the source, and belongs to the published version of its table.
_HELD = "q.status in ('open', 'discarded')"
# Conditions on a row that is held, once the current run publishes its table.
_STAYS = "q.status = 'open' and q.next_status is null"
_SEEN_AGAIN = (
    "exists (select 1 from ops.quarantined_row as s where s.asset = q.asset and s.status = 'staged'"
    " and s.row_key = q.row_key)"
)
# A person has discarded the same row with the same values.
_DISCARDED = (
    "exists (select 1 from ops.quarantined_row as d where d.asset = q.asset"
    " and d.status in ('discarded', 'blocked_discarded') and d.row_key = q.row_key and d.row_data = q.row_data)"
)
# The rows that are open once the current run publishes their table.
_EXPECTED = (
    "(select q.message from ops.quarantined_row as q"
    f" where q.asset = %(asset)s and q.status = 'staged' and not {_DISCARDED} union all"
    " select q.message from ops.quarantined_row as q"
    f" where q.asset = %(asset)s and {_STAYS} and not {_SEEN_AGAIN})"
)
# An open row that no row of a blocked reading replaces.
_STILL_OPEN = (
    "q.status = 'open' and not exists (select 1 from ops.quarantined_row as b where b.asset = q.asset"
    " and b.status in ('blocked', 'blocked_discarded') and b.row_key = q.row_key)"
)
SET_ASIDE = f"(q.status = 'blocked' or {_STILL_OPEN})"
"""The SQL condition that a row `q` is set aside now. A row of a blocked reading replaces the open row with its key."""


def keys(entry: SourceTable, *statuses: str) -> str:
    """Return a subquery for the keys of the rows with one of these statuses, as text; join it with `matches_key`."""
    among = ", ".join(f"'{status}'" for status in statuses)
    texts = ", ".join(f"row_key::jsonb ->> '{name}' as {quoted(name)}" for name in key_of(entry))
    return f"(select distinct {texts} from ops.quarantined_row where asset = '{entry.asset}' and status in ({among}))"


def matches_key(entry: SourceTable, kept: str, row: str) -> str:
    """Return the SQL condition that a row of `keys` has the key of a row of the table; `kept`, `row`: their aliases."""
    return " and ".join(f"{kept}.{quoted(name)} = {row}.{quoted(name)}::varchar" for name in key_of(entry))


def held_keys(data: Data, entry: SourceTable, most: int) -> list[tuple[str | None, ...]]:
    """Return the keys of open and discarded rows as text, in the order of `key_of`; at most one more than `most`."""
    return data.execute(f"select * from {keys(entry, 'open', 'discarded')} as q limit {int(most) + 1}").fetchall()


def discard_unpublished(data: Data, asset: str, keep_days: int) -> None:
    """Delete the rows that an unfinished or blocked run set aside, because their table is read again.

    Also deletes repaired and vanished rows that were last seen more than `keep_days` ago.
    """
    data.execute(
        "delete from ops.quarantined_row where asset = %s and (status in ('staged', 'blocked')"
        f" or status in ('repaired', 'gone') and last_seen < current_timestamp - interval '{keep_days} days')",
        (asset,),
    )
    data.execute("update ops.quarantined_row set next_status = null where asset = %s", (asset,))


def blocked_rules(data: Data, asset: str) -> set[str]:
    """Return the rules that rows of the newest, blocked delivery of a table break."""
    rows = data.execute(
        "select distinct rule from ops.quarantined_row where asset = %s and status = 'blocked'", (asset,)
    ).fetchall()
    return {str(rule) for (rule,) in rows}


def staged_rules(data: Data) -> set[tuple[str, str]]:
    """Return by table the rules that rows set aside by the current run break."""
    rows = data.execute("select distinct asset, rule from ops.quarantined_row where status = 'staged'").fetchall()
    return {(str(asset), str(rule)) for asset, rule in rows}


def set_next_status(data: Data, entry: SourceTable, *, whole: bool, keys_unknown: bool) -> None:
    """Record the status that each open row will have once the staged rows are published.

    Needs `T__rows`, and `T__keys` if not `whole`.
    `keys_unknown`: the key of some bad row cannot be read, so no key can be declared gone.
    """
    if is_empty(data, entry.asset):
        return
    rows = table("staging", f"{entry.asset}__rows")
    _set_next(data, entry, "repaired", f"exists (select 1 from {rows} as s where {_same_key(entry)})")
    if keys_unknown:
        return
    known = table("staging", f"{entry.asset}__keys")
    present = "false" if whole else f"exists (select 1 from {known} as s where {_same_key(entry)})"
    _set_next(data, entry, "gone", f"q.next_status is null and not {present}")


def is_empty(data: Data, asset: str) -> bool:
    """Return whether no row of a table is in quarantine, so that some statements need not be sent."""
    return data.execute("select 1 from ops.quarantined_row where asset = %s limit 1", (asset,)).fetchone() is None


def _set_next(data: Data, entry: SourceTable, status: str, condition: str) -> None:
    data.execute(
        f"update ops.quarantined_row as q set next_status = '{status}'"
        f" where q.asset = %s and {_HELD} and not {_SEEN_AGAIN} and {condition}",
        (entry.asset,),
    )


def _same_key(entry: SourceTable) -> str:
    return " and ".join(f"q.row_key::jsonb ->> '{name}' = s.{quoted(name)}::varchar" for name in key_of(entry))


def expected(data: Data, asset: str) -> int:
    """Return the number of rows that will be open if the table is published now."""
    row = data.execute(f"select count(*) from {_EXPECTED} as e", {"asset": asset}).fetchone()
    return int(row[0]) if row else 0


def expected_messages(data: Data, asset: str, most: int) -> list[tuple[str, int]]:
    """Return the most frequent messages of the rows that `expected` counts, with their numbers of rows."""
    return data.execute(
        f"select message, count(*) as n from {_EXPECTED} as e group by message order by n desc, message"
        f" limit {int(most)}",
        {"asset": asset},
    ).fetchall()


def staged(data: Data, asset: str) -> int:
    """Return the number of rows that the current run set aside, without those that a person has discarded."""
    row = data.execute(
        "select count(*) from ops.quarantined_row as q"
        f" where q.asset = %s and q.status = 'staged' and not {_DISCARDED}",
        (asset,),
    ).fetchone()
    return int(row[0]) if row else 0


def example_keys(data: Data, asset: str, status: str, rule: str = "", most: int = 3) -> tuple[str, ...]:
    """Return keys of some rows with this status, such as `SalesOrderID=43659`; only rows that broke `rule`, if given.

    Discarded rows, and personal data in the keys, are left out.
    """
    rows = data.execute(
        "select q.row_key from ops.quarantined_row as q where q.asset = %(asset)s and q.status = %(status)s"
        f" and not {_DISCARDED} and (%(rule)s = '' or q.rule = %(rule)s) order by q.row_key limit {int(most)}",
        {"asset": asset, "status": status, "rule": rule},
    ).fetchall()
    hidden = SOURCE_TABLES[asset].personal
    keys = ({name: value for name, value in json.loads(key).items() if name not in hidden} for (key,) in rows)
    return tuple(", ".join(f"{name}={value}" for name, value in key.items()) for key in keys)


def publish(data: Data, asset: str) -> tuple[int, int]:
    """Open the staged rows of a table that is published unless they are discarded; close repaired and vanished ones.

    Returns the number of rows newly set aside, and the number of rows closed.
    """
    if is_empty(data, asset):
        return 0, 0
    closed = data.execute(
        "update ops.quarantined_row as q set status = next_status, next_status = null"
        f" where q.asset = %s and {_HELD} and q.next_status is not null and not {_SEEN_AGAIN}",
        (asset,),
    ).rowcount
    data.execute(
        "update ops.quarantined_row as s set first_seen = q.first_seen from ops.quarantined_row as q"
        f" where s.asset = %s and s.status = 'staged' and q.asset = s.asset and {_HELD} and q.row_key = s.row_key",
        (asset,),
    )
    data.execute(
        "update ops.quarantined_row as q set next_status = 'discarded'"
        f" where q.asset = %s and q.status = 'staged' and {_DISCARDED}",
        (asset,),
    )
    again = data.execute(
        f"delete from ops.quarantined_row as q where q.asset = %s and q.status = 'open' and {_SEEN_AGAIN}", (asset,)
    ).rowcount
    data.execute(
        f"delete from ops.quarantined_row as q where q.asset = %s and q.status = 'discarded' and {_SEEN_AGAIN}",
        (asset,),
    )
    data.execute("delete from ops.quarantined_row where asset = %s and status = 'blocked_discarded'", (asset,))
    data.execute(
        "update ops.quarantined_row set status = 'discarded', next_status = null, last_seen = current_timestamp"
        " where asset = %s and status = 'staged' and next_status = 'discarded'",
        (asset,),
    )
    opened = data.execute(
        "update ops.quarantined_row set status = 'open', last_seen = current_timestamp"
        " where asset = %s and status = 'staged'",
        (asset,),
    ).rowcount
    return max(opened - again, 0), closed


def block(data: Data, asset: str) -> None:
    """Keep the staged rows of a blocked table for inspection, and leave its open and discarded rows as they are."""
    data.execute(
        f"delete from ops.quarantined_row as q where q.asset = %s and q.status = 'staged' and {_DISCARDED}", (asset,)
    )
    data.execute("update ops.quarantined_row set status = 'blocked' where asset = %s and status = 'staged'", (asset,))
    data.execute("update ops.quarantined_row set next_status = null where asset = %s", (asset,))


def open_rows(data: Data, asset: str, run_id: str = "") -> int:
    """Return the number of a published table's rows in quarantine; only of those that `run_id` saw, if given."""
    row = data.execute(
        "select count(*) from ops.quarantined_row where asset = %(asset)s and status = 'open'"
        " and (%(run)s = '' or run_id = %(run)s)",
        {"asset": asset, "run": run_id},
    ).fetchone()
    return int(row[0]) if row else 0


def row_keys(data: Data, asset: str, *statuses: str) -> set[str]:
    """Return the keys of a table's rows with one of these statuses, as quarantine stores them."""
    among = ", ".join(f"'{status}'" for status in statuses)
    rows = data.execute(
        f"select distinct row_key from ops.quarantined_row where asset = %s and status in ({among})", (asset,)
    ).fetchall()
    return {key for (key,) in rows}


def reopen(data: Data, asset: str, row_key: str) -> int:
    """Reopen a table's discarded rows with this key, or all of them if the key is empty; return how many."""
    return sum(
        data.execute(
            f"update ops.quarantined_row set status = '{after}', next_status = null where asset = %(asset)s"
            f" and status = '{before}' and (%(key)s = '' or row_key = %(key)s)",
            {"asset": asset, "key": row_key},
        ).rowcount
        for before, after in (("discarded", "open"), ("blocked_discarded", "blocked"))
    )


def discard(data: Data, asset: str, row_key: str, rule: str) -> int:
    """Discard a table's rows in quarantine with this key or this rule, or all of them if both are empty.

    Returns how many.
    """
    return sum(
        data.execute(
            f"update ops.quarantined_row as q set status = '{status}', next_status = null where q.asset = %(asset)s"
            f" and {condition} and (%(key)s = '' or q.row_key = %(key)s) and (%(rule)s = '' or q.rule = %(rule)s)",
            {"asset": asset, "key": row_key, "rule": rule},
        ).rowcount
        for status, condition in (("discarded", _STILL_OPEN), ("blocked_discarded", "q.status = 'blocked'"))
    )
