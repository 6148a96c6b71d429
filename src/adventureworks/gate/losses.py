"""Detection of rows that vanished from a dated table since it was published: whole months, or many rows at once.

The comparison is with the published rows, whatever source they came from and whatever its address is.
"""

from __future__ import annotations

from adventureworks.catalog import SourceTable
from adventureworks.columns import key_of, keys_as_text, shown_key_of
from adventureworks.gate.checks import CheckOutcome
from adventureworks.gate.contract import EXAMPLES
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse import staging
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import equal, names, table

RULES = frozenset({"keeps_its_months", "keeps_most_of_its_rows", "is_fresh"})
"""The rules that a deliberate deletion of rows may break."""

FEW_ROWS = 20
"""Number of rows that may vanish at once, however small the table is."""

LEAST_OF_A_MONTH = 0.1
"""Share of a published month's rows that must remain."""

ROWS_OF_A_MONTH = 3
"""A month with fewer rows may vanish, such as the latest month when its only order is cancelled."""


def find_loss(data: Data, entry: SourceTable, limit: float) -> CheckOutcome | None:
    """Return the loss of a staged table that has months, or None if it is within limits.

    Needs `T__gone` and the candidate view. `limit` is the largest share by which the number of published rows may drop
    at once. New rows under other keys offset those that vanish, since a source that is refilled may renumber its rows.
    """
    if entry.month is None:
        return None
    if not _changes(data, entry):
        return None
    months = _lost_months(data, entry) if entry.month.parent is None else []
    if months:
        rows = sum(count for _, count in months)
        named = ", ".join(f"{month} ({count:,} rows)" for month, count in months[:EXAMPLES])
        more = f" and {len(months) - EXAMPLES} more" if len(months) > EXAMPLES else ""
        message = f"{len(months)} published {_months(len(months))} of {entry.month.column} would vanish: {named}{more}."
        return CheckOutcome(entry.asset, "keeps_its_months", "fail", rows, message, _gone(data, entry), "volume")
    published, candidate = _count(data, entry.asset, "raw"), _count(data, entry.asset)
    candidate += archived(data, entry)
    lost = published - candidate
    if lost > max(FEW_ROWS, limit * published):
        message = f"{candidate:,} rows instead of {published:,}: more than {limit:.1%} would vanish."
        examples = _gone(data, entry)
        return CheckOutcome(entry.asset, "keeps_most_of_its_rows", "fail", lost, message, examples, "volume")
    return None


def archived(data: Data, entry: SourceTable) -> int:
    """Return how many published rows move to the table's archive; 0 if it has no archive."""
    if not entry.archive:
        return 0
    row = data.execute(f"select count(*) from ({_archived(entry)}) as moved").fetchone()
    return int(row[0]) if row else 0


def _months(count: int) -> str:
    return "month" if count == 1 else "months"


def _lost_months(data: Data, entry: SourceTable) -> list[tuple[str, int]]:
    """Return the published months that keep less than a tenth of their rows, each with the number of rows lost."""
    assert entry.month is not None  # noqa: S101 - only called for tables that have months
    month = f"to_char(t.{quoted(entry.month.column)}, 'YYYY-MM')"

    def counted(relation: str) -> dict[str, int]:
        query = f"select {month}, count(*) from {relation} as t group by {month}"
        return {name: int(count) for name, count in data.execute(query).fetchall() if name}

    published, candidate = counted(table("raw", entry.asset)), counted(table("staging", entry.asset))
    moved = counted(f"({_archived(entry)})") if entry.archive else {}
    found = []
    for name, rows in sorted(published.items()):
        kept = candidate.get(name, 0) + moved.get(name, 0)
        if rows - kept >= ROWS_OF_A_MONTH and kept < LEAST_OF_A_MONTH * rows:
            found.append((name, rows - kept))
    return found


def _archived(entry: SourceTable) -> str:
    """Return a SELECT of the published rows that vanish here and are in the candidate of the table's archive."""
    key = key_of(entry)
    gone, archive = table("staging", staging.gone_table(entry.asset)), table("staging", str(entry.archive))
    return (
        f"select p.* from {table('raw', entry.asset)} as p where exists (select 1 from {gone} as g where"
        f" {equal(key, 'g', 'p')}) and exists (select 1 from {archive} as a where {equal(key, 'a', 'p')})"
    )


def _gone(data: Data, entry: SourceTable) -> tuple[str, ...]:
    key = shown_key_of(entry)
    rows = data.execute(
        f"select {names(key)} from {table('staging', staging.gone_table(entry.asset))}"
        f" order by {names(key)} limit {EXAMPLES}"
    ).fetchall()
    return keys_as_text(key, rows)


def _changes(data: Data, entry: SourceTable) -> bool:
    """Return whether rows vanish or published rows change, possibly to another month."""
    rows, published = table("staging", staging.rows_table(entry.asset)), table("raw", entry.asset)
    updated = data.execute(
        f"select 1 from {rows} as r join {published} as p on {equal(key_of(entry), 'r', 'p')}"
        f" where not r.{quoted(staging.SAME)} limit 1"
    ).fetchone()
    return updated is not None or bool(_count(data, staging.gone_table(entry.asset)))


def _count(data: Data, name: str, schema: str = "staging") -> int:
    row = data.execute(f"select count(*) from {table(schema, name)}").fetchone()
    return int(row[0]) if row else 0
