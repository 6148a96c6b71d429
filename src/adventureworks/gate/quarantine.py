"""Rows in quarantine: list, find and discard them, and take decisions back.

`contract`, `load` and `judge` decide which rows are set aside; `warehouse/quarantine.py` has their life cycle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adventureworks.catalog import INGESTION, table_named
from adventureworks.errors import PlatformError, Step
from adventureworks.gate.row_text import row_key, shown_key
from adventureworks.warehouse import decisions, publication, quarantine
from adventureworks.warehouse.session import Data, Session


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that was set aside; values are text, secret columns are masked as the catalogue demands."""

    asset: str
    key: Mapping[str, str | None]
    rule: str
    message: str
    values: Mapping[str, str | None]
    run_id: str
    first_seen: datetime
    last_seen: datetime

    def is_named(self, key: str) -> bool:
        """Return whether `key` is this row's key: see `is_key`."""
        return is_key(self.key, key)


@dataclass(frozen=True)
class QuarantineCount:
    """The number of rows of a table that one rule sets aside."""

    asset: str
    rule: str
    message: str
    rows: int
    first_seen: datetime
    last_seen: datetime
    examples: tuple[str, ...]
    """The keys of some of the rows, without personal data."""


def rows(data: Data, asset: str, rule: str = "", limit: int | None = None) -> list[QuarantinedRow]:
    """Return the rows of a table that are set aside, newest first; only those that break `rule`, if given.

    They include the rows of a blocked reading, which replace the open rows with the same keys. Raises `PlatformError`
    for an unknown table.
    """
    table_named(asset)
    found = data.execute(
        "select q.asset, q.row_key, q.rule, q.message, q.row_data, q.run_id, q.first_seen, q.last_seen"
        " from ops.quarantined_row as q where q.asset = %(asset)s and (%(rule)s = '' or q.rule = %(rule)s)"
        f" and {quarantine.SET_ASIDE}"
        f" order by q.last_seen desc, q.rule, q.row_key{'' if limit is None else f' limit {int(limit)}'}",
        {"asset": asset, "rule": rule},
    ).fetchall()
    return [_row(*row) for row in found]


def named(found: Sequence[QuarantinedRow], asset: str, key: str) -> dict[int, QuarantinedRow]:
    """Return the rows with this key, or else the row with this number, by number (1, 2, 3 …).

    Raises `PlatformError` if there is none.
    """
    chosen = {number: row for number, row in enumerate(found, 1) if row.is_named(key)}
    if not chosen and key.isdecimal() and 0 < int(key) <= len(found):
        chosen = {int(key): found[int(key) - 1]}
    if not chosen:
        raise PlatformError(
            f"{asset}: no row with the key {key} is in quarantine.",
            Step("See them:", f"adventureworks quarantine show {asset}"),
        )
    return chosen


def summary(data: Data, asset: str = "", rule: str = "") -> list[QuarantineCount]:
    """Count the rows that are set aside, including those of blocked readings, by table and rule.

    `asset`, `rule`: only these, if given. Sorted by table, then by number of rows, largest first.
    """
    found = data.execute(
        "select asset, rule, min(message) as message, count(*) as rows, min(first_seen) as first_seen,"
        f" max(last_seen) as last_seen from ops.quarantined_row as q where {quarantine.SET_ASIDE}"
        " and (%(asset)s = '' or asset = %(asset)s) and (%(rule)s = '' or rule = %(rule)s)"
        " group by asset, rule order by asset, rows desc, rule",
        {"asset": asset, "rule": rule},
    ).fetchall()
    return [QuarantineCount(*(*row, _examples(data, row[0], row[1]))) for row in found]


def _examples(data: Data, asset: str, rule: str) -> tuple[str, ...]:
    return quarantine.example_keys(data, asset, "open", rule) or quarantine.example_keys(data, asset, "blocked", rule)


def discard(session: Session, asset: str, *, key: str, rule: str, by: str, reason: str) -> int:
    """Discard rows in quarantine: those with this key, with this rule, or all if both are empty. Return how many.

    The last good version of a discarded row, if there is one, stays published. The row stays discarded for as long as
    the source delivers it with the same values. The next ingestion reads the table again, which resolves the incidents.
    Raises `PlatformError` if there is no such row, or if an ingestion publishes the table at the same time.
    """
    found = [row for row in rows(session.data, asset, rule) if not key or row.is_named(key)]
    if not found:
        what = f" with the key {key}" if key else f" that break {rule}" if rule else ""
        raise PlatformError(
            f"{asset}: there are no rows{what} in quarantine.", Step("List:", "adventureworks quarantine list")
        )
    keys = sorted({row_key(row.key) for row in found})
    discarded = sum(quarantine.discard(session.data, asset, one, rule) for one in (keys if key else [""]))
    if discarded != len(found):
        raise PlatformError(f"{asset}: an ingestion is publishing this table.", "Try again.")
    decisions.discard(session.records, asset, keys, by, reason)
    decisions.request_replay(session.records, asset, by)
    if session.commits_twice:
        # A record of a row that was not discarded ends with the next version. The reverse would leave no record.
        session.records.commit()
    return discarded


def undo(session: Session, asset: str, *, key: str, by: str, reason: str) -> tuple[int, int]:
    """Take back the corrections and discards of a table: those of the row with this key, or all if it is empty.

    Return their numbers. The next ingestion judges the rows again, as the source delivers them. If a corrected row then
    breaks a rule, its corrected values are no longer published. The last good version of a discarded row stays
    published. Raises `PlatformError` if nothing can be taken back.
    """
    publication.lock(session.records, INGESTION)
    corrected, discarded = (
        {one for one in decisions.keys(session.records, asset, kind) if not key or is_key(json.loads(one), key)}
        for kind in (decisions.CORRECTED, decisions.DISCARDED)
    )
    if not corrected and not discarded:
        what = f" of the row with the key {key}" if key else ""
        raise PlatformError(
            f"{asset}: there is no correction or discard{what} in force.",
            Step("List:", f"adventureworks quarantine list {asset}"),
        )
    for one in sorted(discarded) if key else [""]:
        quarantine.reopen(session.data, asset, one)
    decisions.withdraw(session.records, asset, sorted(corrected), by, reason)
    decisions.reopen(session.records, asset, sorted(discarded), by, reason)
    # A row with a correction is published, so only a whole reading finds it again.
    decisions.request_replay(session.records, asset, by, whole=bool(corrected))
    return len(corrected), len(discarded)


def is_key(key: Mapping[str, str | None], text: str) -> bool:
    """Return whether a text is this key: its values, or `column=value`, separated by commas."""
    values = [str(value) for value in key.values()]
    return text.replace(", ", ",") in {",".join(values), shown_key(key).replace(", ", ",")}


def _row(
    asset: str, key: str, rule: str, message: str, data: str, run_id: str, first_seen: datetime, last_seen: datetime
) -> QuarantinedRow:
    return QuarantinedRow(asset, json.loads(key), rule, message, json.loads(data), run_id, first_seen, last_seen)
