"""Rules about a candidate as a whole: how many rows it has, and how new the newest one is.

The candidate differs from the newest version by the staged change, so the number of rows follows from that of the
version. A single staged row shows that the candidate is fresh. A rule that this does not show to be kept, or that is
declared in another way, is left to Soda, which reads the whole candidate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from adventureworks.gate import proofs
from adventureworks.gate.check_files import DeclaredCheck, with_values
from adventureworks.gate.checks import CheckOutcome, passed
from adventureworks.postgres_sql import literal, quoted
from adventureworks.warehouse import publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import names
from adventureworks.warehouse.staging import StagedTable, count


def published_rows(session: Session, staged: StagedTable) -> int:
    """Return the number of published rows: that of the newest version where it says for certain what is published."""
    newest = publication.newest(session.records, staged.asset) if proofs.are_possible(session) else None
    return newest.rows if newest else count(session.data, staged.published)


def kept(
    session: Session, staged: StagedTable, checks: Iterable[DeclaredCheck], variables: Mapping[str, str]
) -> dict[DeclaredCheck, CheckOutcome]:
    """Return the outcomes of those of a table's checks that its staged change shows to be kept.

    `variables`: the values that the checks use.
    """
    least = {check: limit for check in checks if (limit := _least_rows(check, variables)) is not None}
    since = {check: moment for check in checks if (moment := _stale_before(check, variables)) is not None}
    if not (least or since) or not proofs.are_possible(session):
        return {}
    key = names(staged.key)
    replaced = (
        f"select count(*) from {staged.published} as p where ({names(staged.key, 'p')}) in"
        f" (select {key} from {staged.rows} union all select {key} from {staged.gone})"
    )
    fresh = [
        f"exists (select 1 from {staged.rows} where {quoted(check.columns[0])} >= timestamp {literal(moment)})"
        for check, moment in since.items()
    ]
    row = session.data.execute(
        f"select {', '.join([f'(select count(*) from {staged.rows}) - ({replaced})', *fresh])}"
    ).fetchone()
    more, *are_fresh = row or (0,)
    rows = published_rows(session, staged) + int(more)
    found = {check: passed(check, rows, variables) for check, limit in least.items() if rows >= limit}
    return found | {
        check: passed(check, rows, variables) for check, is_fresh in zip(since, are_fresh, strict=True) if is_fresh
    }


def _least_rows(check: DeclaredCheck, variables: Mapping[str, str]) -> int | None:
    """Return the number of rows that a check demands, or None if it is of another kind or may also warn."""
    if check.kind != "volume" or _settings(check).keys() != {"name"}:
        return None
    if check.line == "row_count > 0":
        return 1
    limit = variables.get(f"least_rows_{check.table}", "")
    return int(limit) if limit and with_values(check.line, variables) == f"row_count >= {limit}" else None


def _stale_before(check: DeclaredCheck, variables: Mapping[str, str]) -> str | None:
    """Return the moment that a check demands of the newest row, or None if it is of another kind or may also warn."""
    settings = _settings(check)
    if check.kind != "freshness" or settings.keys() != {"name", "stale expression"}:
        return None
    since = variables.get(f"stale_before_{check.table}", "")
    usual = f"case when max({quoted(check.columns[0])}) < timestamp '{since}' then 1 else 0 end"
    return since if since and with_values(settings["stale expression"], variables).strip() == usual else None


def _settings(check: DeclaredCheck) -> Mapping[str, str]:
    ((_, settings),) = json.loads(check.text).items()
    found: Mapping[str, str] = settings
    return found
