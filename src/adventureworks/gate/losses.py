"""Detection of rows that vanished from a dated table since it was published: whole months, or many rows at once.

The comparison is with the published rows, whatever source they came from and whatever its address is.
"""

from __future__ import annotations

from adventureworks.columns import keys_as_text
from adventureworks.gate.checks import CheckOutcome
from adventureworks.gate.contract import EXAMPLES
from adventureworks.postgres_sql import quoted
from adventureworks.texts.plain import listed
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import equal, names, table
from adventureworks.warehouse.staging import SAME, StagedTable, count

FEW_ROWS = 20
"""Number of rows that may vanish at once, however small the table is."""

LEAST_OF_A_MONTH = 0.1
"""Share of a published month's rows that must remain."""

ROWS_OF_A_MONTH = 3
"""A month with fewer rows may vanish, such as the latest month when its only order is cancelled."""


def find_loss(data: Data, staged: StagedTable, limit: float) -> CheckOutcome | None:
    """Return the loss of a staged table that has months, or None if it is within limits.

    Needs `T__gone` and the candidate view. `limit` is the largest share by which the number of published rows may drop
    at once. New rows under other keys offset those that vanish, since a source that is refilled may renumber its rows.
    """
    month = staged.entry.month
    if month is None or not _changes(data, staged):
        return None
    months = _lost_months(data, staged, month.column) if month.parent is None else []
    if months:
        rows = sum(lost for _, lost in months)
        named = listed([f"{name} ({lost:,} rows)" for name, lost in months], EXAMPLES)
        message = f"{len(months)} published {_months(len(months))} of {month.column} would vanish: {named}."
        return CheckOutcome(staged.asset, "keeps_its_months", "fail", rows, message, _gone(data, staged), "volume")
    published, candidate = count(data, staged.published), count(data, staged.candidate)
    candidate += archived(data, staged)
    lost = published - candidate
    if lost > max(FEW_ROWS, limit * published):
        message = f"{candidate:,} rows instead of {published:,}: more than {limit:.1%} would vanish."
        examples = _gone(data, staged)
        return CheckOutcome(staged.asset, "keeps_most_of_its_rows", "fail", lost, message, examples, "volume")
    return None


def archived(data: Data, staged: StagedTable) -> int:
    """Return how many published rows move to the table's archive; 0 if it has no archive."""
    return count(data, f"({_archived(staged)}) as moved") if staged.entry.archive else 0


def _months(count: int) -> str:
    return "month" if count == 1 else "months"


def _lost_months(data: Data, staged: StagedTable, column: str) -> list[tuple[str, int]]:
    """Return the published months that keep less than a tenth of their rows, each with the number of rows lost.

    `column` is the date of a row.
    """
    month = f"to_char(t.{quoted(column)}, 'YYYY-MM')"

    def by_month(relation: str) -> dict[str, int]:
        query = f"select {month}, count(*) from {relation} as t group by {month}"
        return {name: int(rows) for name, rows in data.execute(query).fetchall() if name}

    published, candidate = by_month(staged.published), by_month(staged.candidate)
    moved = by_month(f"({_archived(staged)})") if staged.entry.archive else {}
    found = []
    for name, rows in sorted(published.items()):
        kept = candidate.get(name, 0) + moved.get(name, 0)
        if rows - kept >= ROWS_OF_A_MONTH and kept < LEAST_OF_A_MONTH * rows:
            found.append((name, rows - kept))
    return found


def _archived(staged: StagedTable) -> str:
    """Return a SELECT of the published rows that vanish here and are in the candidate of the table's archive."""
    archive = table("staging", str(staged.entry.archive))
    return (
        f"select p.* from {staged.published} as p where exists (select 1 from {staged.gone} as g where"
        f" {equal(staged.key, 'g', 'p')}) and exists (select 1 from {archive} as a where {equal(staged.key, 'a', 'p')})"
    )


def _gone(data: Data, staged: StagedTable) -> tuple[str, ...]:
    key = staged.shown_key
    rows = data.execute(f"select {names(key)} from {staged.gone} order by {names(key)} limit {EXAMPLES}").fetchall()
    return keys_as_text(key, rows)


def _changes(data: Data, staged: StagedTable) -> bool:
    """Return whether rows vanish or published rows change, possibly to another month."""
    updated = data.execute(
        f"select 1 from {staged.rows} as r join {staged.published} as p on {equal(staged.key, 'r', 'p')}"
        f" where not r.{quoted(SAME)} limit 1"
    ).fetchone()
    return updated is not None or bool(count(data, staged.gone))
