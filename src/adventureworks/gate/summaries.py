"""Summaries of published rows by segment, which the next change updates instead of reading the whole table again.

A summary belongs to a version, and holds while that is the newest one. Like a proof (`gate.proofs`), it is only used
where a version says for certain which rows are published.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable

from adventureworks.gate.profile import Group, Groups, Order, Values
from adventureworks.warehouse.postgres import Connection


def stored(records: Connection, asset: str, version: int, digest: str) -> Groups | None:
    """Return the summary of a version of a table; None if there is none of what `digest` identifies."""
    row = records.execute(
        "select groups from ops.table_summary where asset = %s and version = %s and digest = %s and published",
        (asset, version, digest),
    ).fetchone()
    return _parsed(row[0]) if row else None


def store(records: Connection, asset: str, run_id: str, version: int, digest: str, groups: Groups) -> None:
    """Store the summary of a candidate, which changes the rows of `version`, until `publish` completes it."""
    records.execute(
        "insert into ops.table_summary (asset, run_id, version, digest, groups) values (%s, %s, %s, %s, %s)",
        (asset, run_id, version, digest, _written(groups)),
    )


def discard(records: Connection, assets: Collection[str]) -> None:
    """Delete the summaries of candidates of these tables."""
    records.execute("delete from ops.table_summary where asset = any(%s) and not published", (sorted(assets),))


def publish(records: Connection, asset: str, run_id: str) -> None:
    """Assign the summary of a run's candidate to the version that it published, in place of the last one.

    If anything else published a version in the meantime, the table has no summary.
    """
    records.execute("delete from ops.table_summary where asset = %s and published", (asset,))
    records.execute(
        "update ops.table_summary set version = version + 1, published = true where asset = %(asset)s"
        " and run_id = %(run)s"
        " and version + 1 = (select max(version) from ops.publication where asset = %(asset)s)",
        {"asset": asset, "run": run_id},
    )


def changed(before: Groups, removed: Groups, added: Groups) -> Groups | None:
    """Return the summary after rows were removed and others added.

    None if the smallest or largest value of a group was removed: only the remaining rows show the next one. None, too,
    if more rows were removed than the summary has.
    """
    found = dict(before)
    for key in {**removed, **added}:
        empty = Group(*key, rows=0, values={})
        old, less, new = (groups.get(key, empty) for groups in (before, removed, added))
        if old.rows < less.rows:
            return None
        rows = old.rows - less.rows + new.rows
        if not rows:
            found.pop(key, None)
            continue
        values: dict[str, Values] = {}
        for column in {**old.values, **new.values}:
            was, lost, now = (one.values.get(column, Values(0)) for one in (old, less, new))
            filled = was.filled - lost.filled + now.filled
            values[column] = Values(filled, _best(min, was.least, now.least), _best(max, was.most, now.most))
            # If a row with the same value was added, the value is still there.
            if _is_lost(lost.least, values[column].least, now.least) or _is_lost(
                lost.most, values[column].most, now.most
            ):
                return None
        orders: dict[tuple[str, str], Order] = {}
        for pair in {**old.orders, **new.orders}:
            was_so, lost_so, now_so = (one.orders.get(pair, Order(0, 0)) for one in (old, less, new))
            orders[pair] = Order(
                was_so.larger - lost_so.larger + now_so.larger, was_so.smaller - lost_so.smaller + now_so.smaller
            )
        found[key] = Group(*key, rows, values, orders)
    return found


def _best(choose: Callable[[Iterable[float]], float], *values: float | None) -> float | None:
    given = [value for value in values if value is not None]
    return choose(given) if given else None


def _is_lost(removed: float | None, best: float | None, added: float | None) -> bool:
    return removed is not None and removed == best and added != best


def _written(groups: Groups) -> str:
    return json.dumps(
        [
            [
                *key,
                one.rows,
                [[name, values.filled, values.least, values.most] for name, values in one.values.items()],
                [[*pair, order.larger, order.smaller] for pair, order in one.orders.items()],
            ]
            for key, one in groups.items()
        ]
    )


def _parsed(text: str) -> Groups:
    groups = {}
    for segment, value, rows, values, orders in json.loads(text):
        groups[segment, value] = Group(
            segment,
            value,
            rows,
            {name: Values(*measured) for name, *measured in values},
            {(one, other): Order(*compared) for one, other, *compared in orders},
        )
    return groups
