"""The life of a row in quarantine, in `ops.quarantined_row`.

A run sets rows aside as `staged`. They count when the run publishes their table: then they are `open`, and rows that
were open before may turn out `repaired` (their key came in a good version) or `gone` (it vanished at the source). Until
then nothing that readers see depends on them; if the table is blocked, they stay as `blocked`, for people to look at.
"""

from __future__ import annotations

import json

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import key_of
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.sql import quoted, table

# What becomes of a row that is open, once the run at hand publishes its table.
_STAYS = "q.status = 'open' and q.next_status is null"
_SEEN_AGAIN = (
    "exists (select 1 from ops.quarantined_row as s where s.asset = q.asset and s.status = 'staged'"
    " and s.row_key = q.row_key)"
)


def keys(entry: SourceTable, status: str) -> str:
    """The keys of the rows with this status, as texts: something to join with, or to look into by `is_key`."""
    texts = ", ".join(f"row_key::jsonb ->> '{name}' as {quoted(name)}" for name in key_of(entry))
    return f"(select distinct {texts} from ops.quarantined_row where asset = '{entry.asset}' and status = '{status}')"


def is_key(entry: SourceTable, kept: str, row: str) -> str:
    """The condition that one of `keys` (by its alias) is the key of a row of the table (by its alias)."""
    return " and ".join(f"{kept}.{quoted(name)} = {row}.{quoted(name)}::varchar" for name in key_of(entry))


def begin(connection: Connection, asset: str, keep_days: int) -> None:
    """Forgets what an unfinished or blocked reading of a table set aside: it is read again.

    Rows that are over and were last seen more than `keep_days` ago are forgotten, too.
    """
    connection.execute(
        "delete from ops.quarantined_row where asset = %s and (status in ('staged', 'blocked')"
        f" or status in ('repaired', 'gone') and last_seen < current_timestamp - interval '{keep_days} days')",
        (asset,),
    )
    connection.execute("update ops.quarantined_row set next_status = null where asset = %s", (asset,))


def foresee(connection: Connection, entry: SourceTable, *, whole: bool, keys_unknown: bool) -> None:
    """Notes what becomes of the open rows if the staged ones are published.

    Needs `T__rows`, and `T__keys` if not `whole`.
    `keys_unknown`: a bad row hides which key it has, so none can be said to be gone.
    """
    rows = table("staging", f"{entry.asset}__rows")
    _expect(connection, entry, "repaired", f"exists (select 1 from {rows} as s where {_same_key(entry)})")
    if keys_unknown:
        return
    known = table("staging", f"{entry.asset}__keys")
    present = "false" if whole else f"exists (select 1 from {known} as s where {_same_key(entry)})"
    _expect(connection, entry, "gone", f"q.next_status is null and not {present}")


def _expect(connection: Connection, entry: SourceTable, status: str, condition: str) -> None:
    connection.execute(
        f"update ops.quarantined_row as q set next_status = '{status}'"
        f" where q.asset = %s and q.status = 'open' and not {_SEEN_AGAIN} and {condition}",
        (entry.asset,),
    )


def _same_key(entry: SourceTable) -> str:
    return " and ".join(f"q.row_key::jsonb ->> '{name}' = s.{quoted(name)}::varchar" for name in key_of(entry))


def expected(connection: Connection, asset: str) -> int:
    """Rows that will be in quarantine if the table is published now."""
    counts = connection.execute(
        "select count(*) from ops.quarantined_row as q where q.asset = %(asset)s and q.status = 'staged' union all"
        f" select count(*) from ops.quarantined_row as q where q.asset = %(asset)s and {_STAYS} and not {_SEEN_AGAIN}",
        {"asset": asset},
    ).fetchall()
    return sum(int(count) for (count,) in counts)


def staged(connection: Connection, asset: str) -> int:
    """Rows that this reading of a table set aside."""
    row = connection.execute(
        "select count(*) from ops.quarantined_row where asset = %s and status = 'staged'", (asset,)
    ).fetchone()
    return int(row[0]) if row else 0


def example_keys(connection: Connection, asset: str, status: str, rule: str = "", most: int = 3) -> tuple[str, ...]:
    """Keys of some rows with this status, such as `SalesOrderID=43659`; of those that broke `rule`, if one is given.

    Personal data in keys is left out.
    """
    rows = connection.execute(
        "select row_key from ops.quarantined_row where asset = %(asset)s and status = %(status)s"
        f" and (%(rule)s = '' or rule = %(rule)s) order by row_key limit {int(most)}",
        {"asset": asset, "status": status, "rule": rule},
    ).fetchall()
    hidden = SOURCE_TABLES[asset].personal
    keys = ({name: value for name, value in json.loads(key).items() if name not in hidden} for (key,) in rows)
    return tuple(", ".join(f"{name}={value}" for name, value in key.items()) for key in keys)


def take_effect(connection: Connection, asset: str) -> tuple[int, int]:
    """The table is published: staged rows are open, others are over. Returns how many are new, how many are over."""
    over = connection.execute(
        "update ops.quarantined_row as q set status = next_status, next_status = null"
        f" where q.asset = %s and q.status = 'open' and q.next_status is not null and not {_SEEN_AGAIN}",
        (asset,),
    ).rowcount
    connection.execute(
        "update ops.quarantined_row as s set first_seen = q.first_seen from ops.quarantined_row as q"
        " where s.asset = %s and s.status = 'staged' and q.asset = s.asset and q.status = 'open'"
        " and q.row_key = s.row_key",
        (asset,),
    )
    again = connection.execute(
        f"delete from ops.quarantined_row as q where q.asset = %s and q.status = 'open' and {_SEEN_AGAIN}", (asset,)
    ).rowcount
    opened = connection.execute(
        "update ops.quarantined_row set status = 'open', last_seen = current_timestamp"
        " where asset = %s and status = 'staged'",
        (asset,),
    ).rowcount
    return max(opened - again, 0), over


def hold(connection: Connection, asset: str) -> None:
    """The table is blocked: what it set aside is for people to look at, and what was open stays so."""
    connection.execute(
        "update ops.quarantined_row set status = 'blocked' where asset = %s and status = 'staged'", (asset,)
    )
    connection.execute("update ops.quarantined_row set next_status = null where asset = %s", (asset,))


def open_rows(connection: Connection, asset: str, run_id: str = "") -> int:
    """Rows of a published table that are in quarantine; those that a run saw, if one is given."""
    row = connection.execute(
        "select count(*) from ops.quarantined_row where asset = %(asset)s and status = 'open'"
        " and (%(run)s = '' or run_id = %(run)s)",
        {"asset": asset, "run": run_id},
    ).fetchone()
    return int(row[0]) if row else 0
