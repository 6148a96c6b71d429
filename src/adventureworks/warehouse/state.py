"""The state of every table and mart: version, freshness, verdict, broken rules. This module only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adventureworks.catalog import MARTS, SOURCE_TABLES, upstream_tables
from adventureworks.due import NO_REASON, Decisions
from adventureworks.texts import Phrases
from adventureworks.texts.plain import listed
from adventureworks.warehouse import intervention
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.numbers import order_of
from adventureworks.warehouse.postgres import Connection, WarehouseConnection
from adventureworks.warehouse.publication import HELD, NOT_OFFERED, offer
from adventureworks.warehouse.subject import NOT_OF_TASK

NOTHING_DECIDED = Decisions({}, {})
_MOST_TABLES, _MOST_REASONS = 8, 3
"""Number of names that a summary lists."""


@dataclass(frozen=True)
class AssetState:
    """The current state of a table or mart, as readers see it."""

    asset: str
    kind: str
    """`source` or `mart`."""
    version: int | None
    published_at: datetime | None
    newest_change: datetime | None
    """The newest modification date of the rows; source tables only."""
    rows: int | None
    set_aside: int
    """The number of rows in quarantine; for a mart, the number of withheld orders."""
    verdict: str
    """`passed`, `passed with warnings`, `blocked`, `never published`, or `not offered`.

    A mart is not offered if it was never published and needs something that the source does not offer.
    """
    fresh: bool
    """Whether a mart is up to date, or a source table is not blocked."""
    behind: Phrases
    """Why a mart has to be recomputed; empty if it is fresh."""
    blocked_since: datetime | None
    """None if it is not blocked."""
    reads_blocked: tuple[str, ...]
    """The blocked source tables upstream of a mart, which was computed from their last good versions."""
    lacks: tuple[str, ...]
    """The tables and columns (`table.column`) that a mart needs and the source does not offer."""
    broken_rules: tuple[str, ...]
    """Why it is blocked; otherwise the rules that failed in its last check, with the number of rows."""
    absent_columns: tuple[str, ...] = ()
    """The columns of a source table that the source does not offer; they are NULL."""
    rolled_back: Intervention | None = None
    """The rollback in force of the asset, or of another one that is published with it."""
    withheld_since: datetime | None = None
    """When the newest change of a source table was detected that is not published because of a rollback."""

    @property
    def is_obtainable(self) -> bool:
        """Whether the source offers the table, or everything without which the mart cannot be computed."""
        return self.verdict != NOT_OFFERED and not self.lacks


def is_laid_out(records: WarehouseConnection) -> bool:
    """Return whether the platform's tables exist in this warehouse."""
    return records.has_table("ops", "publication")


def asset_states(records: WarehouseConnection, decided: Decisions = NOTHING_DECIDED) -> list[AssetState]:
    """Return the state of every table and mart, in the catalogue's order.

    `decided`: what `due` says about the marts; without it, only the state of tables and what is published are known.
    """
    behind = decided.behind
    published = _newest_publications(records)
    marks = dict(_pairs(records, "select asset, newest_change from ops.watermark"))
    blocked = blocked_since(records)
    changes = _newest_changes(records)
    blocking = {change.asset: (f"{change.rule}: {change.cause}",) for change in changes if change.status == "blocked"}
    broken = {**_broken_rules(records), **blocking}
    withheld = {change.asset: change.detected_at for change in changes if change.is_withheld}
    offered = offer(records)
    absent, lacking = offered.not_offered, offered.lacking
    rolled_back = intervention.rolled_back(records)
    states = []
    for asset in (*SOURCE_TABLES, *MARTS):
        version, at, rows, set_aside, verdict = published.get(asset, (None, None, None, 0, "never published"))
        is_mart = asset in MARTS
        lacks = decided.lacks.get(MARTS[asset].dag, ()) if is_mart else ()
        if asset in absent or (lacks and version is None):
            verdict = NOT_OFFERED
        fresh = version is not None and asset not in (behind if is_mart else blocked) and asset not in rolled_back
        states.append(
            AssetState(
                asset=asset,
                kind="mart" if is_mart else "source",
                version=version,
                published_at=at,
                newest_change=marks.get(asset),
                rows=rows,
                set_aside=set_aside,
                verdict="blocked" if asset in blocked else verdict,
                fresh=fresh,
                behind=behind[asset].reason if asset in behind else NO_REASON,
                blocked_since=blocked.get(asset),
                reads_blocked=tuple(sorted(upstream_tables(asset) & blocked.keys())) if is_mart else (),
                lacks=lacks,
                broken_rules=broken.get(asset, ()),
                absent_columns=tuple(sorted(lacking.get(asset, ()))),
                rolled_back=rolled_back.get(asset),
                withheld_since=withheld.get(asset) if asset in rolled_back else None,
            )
        )
    return states


def summary_of_marts(states: list[AssetState]) -> str:
    """Return how many marts are fresh and which blocked tables they read, as a sentence without a full stop."""
    marts = [state for state in states if state.kind == "mart"]
    fresh = sum(state.fresh for state in marts)
    reading = [state for state in marts if state.reads_blocked]
    if not reading:
        return f"{fresh} of {len(MARTS)} marts are fresh"
    since = {state.asset: state.blocked_since for state in states}
    tables = sorted({name for state in reading for name in state.reads_blocked})
    named = ", ".join(f"{name} (since {since[name]:%Y-%m-%d %H:%M})" for name in tables)
    one = len(tables) == 1
    at = f"{since[tables[0]]:%Y-%m-%d %H:%M}"
    blocked = f"{tables[0]}, which has been blocked since {at}" if one else f"blocked tables: {named}"
    return (
        f"{fresh} of {len(MARTS)} marts are computed from the newest published data;"
        f" {len(reading)} {'reads' if len(reading) == 1 else 'read'} {blocked}"
    )


def summary_of_missing_tables(states: list[AssetState]) -> str:
    """Return what the source does not offer, and a line per analysis that this stops; empty if it offers everything."""
    missing = [state.asset for state in states if state.kind == "source" and state.verdict == NOT_OFFERED]
    partly = [state.asset for state in states if state.absent_columns]
    if not missing and not partly:
        return ""
    tables = f"{len(missing)} {'table' if len(missing) == 1 else 'tables'}: {listed(missing, _MOST_TABLES)}"
    columns = f"columns of {len(partly)}{' others' if missing else ''}: {listed(partly, _MOST_TABLES)}"
    offers = f"The source does not offer {'; and '.join([tables] * bool(missing) + [columns] * bool(partly))}."
    marts = [state for state in states if state.kind == "mart"]
    stopped: dict[str, list[AssetState]] = {}
    for state in marts:
        if state.lacks:
            stopped.setdefault(MARTS[state.asset].dag, []).append(state)
    if not stopped:
        return offers
    others = listed([state.asset for state in marts if not state.lacks], _MOST_TABLES) or "none"
    return "\n".join(
        [
            f"{offers} Marts that can be computed: {others}. The others need what is not offered:",
            *(
                f"  {', '.join(one.asset for one in together)}: {listed(together[0].lacks, _MOST_REASONS)}"
                for together in stopped.values()
            ),
        ]
    )


_REFUSED = """
    select w.asset, coalesce(
        (select min(c.detected_at) from ops.change as c
        where c.asset = w.asset and c.status = 'blocked' and not exists
            (select 1 from ops.change as good where good.asset = w.asset
            and good.status in ('published', 'unchanged', 'held') and good.{order} > c.{order})),
        w.read_at
    ) as since
    from ops.watermark as w where w.blocked
"""
"""The source tables whose newest change was refused, and when the first change after the last good one was detected."""


def refused_since(records: Connection) -> dict[str, datetime]:
    """Return the source tables whose newest data was refused, and since when."""
    return dict(records.execute(_REFUSED.format(order=order_of(records, "change"))).fetchall())


def blocked_since(records: Connection) -> dict[str, datetime]:
    """Return the assets whose newest data was refused, and since when; readers still see the previous version."""
    rows = records.execute(
        f"""
        select asset, min(since) from (
            {_REFUSED.format(order=order_of(records, "change"))}
            union all
            select asset, first_seen from ops.incident
            where status <> 'resolved' and severity = 'error' and {NOT_OF_TASK}
        ) as found group by asset
        """
    )
    return dict(rows.fetchall())


def _newest_publications(records: Connection) -> dict[str, tuple[int, datetime, int, int, str]]:
    rows = records.execute(
        """
        select distinct on (asset) asset, version, published_at, rows, set_aside, verdict
        from ops.publication order by asset, version desc
        """
    ).fetchall()
    return {asset: (version, at, count, set_aside, verdict) for asset, version, at, count, set_aside, verdict in rows}


def _broken_rules(records: Connection) -> dict[str, tuple[str, ...]]:
    """Return the rules that failed in the last run that checked each asset."""
    rows = records.execute(
        f"""
        select c.asset, c.rule, c.outcome, c.failed, c.message
        from unnest(%s::varchar[]) as known (asset)
        cross join lateral (
            select run_id from ops.check_result as r where r.asset = known.asset and r.kind <> 'between'
            order by r.{order_of(records, "check_result")} desc limit 1
        ) as newest
        join ops.check_result as c on c.asset = known.asset and c.run_id = newest.run_id
        where c.outcome not in ('pass', 'skipped')
        order by c.asset, c.outcome, c.rule
        """,
        ([*SOURCE_TABLES, *MARTS],),
    ).fetchall()
    broken: dict[str, tuple[str, ...]] = {}
    for asset, rule, outcome, failed, message in rows:
        count = f", {failed:,} rows" if failed else ""
        broken[asset] = (*broken.get(asset, ()), f"{rule} ({outcome}{count}): {message}")
    return broken


def blocked_by(records: Connection, run_id: str) -> list[tuple[str, str, str]]:
    """Return the tables that a run could not publish, by name, each with the rule and the cause."""
    rows = records.execute(
        "select asset, blocked_rule, blocked_cause from ops.change where run_id = %s and status = 'blocked'"
        " order by asset",
        (run_id,),
    ).fetchall()
    return [(asset, rule, cause) for asset, rule, cause in rows]


@dataclass(frozen=True)
class _Change:
    """The newest change of a source table that was detected."""

    asset: str
    status: str
    rule: str | None
    cause: str | None
    detected_at: datetime
    is_withheld: bool
    """Whether it is not published because of a rollback. A table may also be recorded as held without a change."""


def _newest_changes(records: Connection) -> list[_Change]:
    order = order_of(records, "change")
    rows = records.execute(
        f"""
        select distinct on (c.asset) c.asset, c.status, c.blocked_rule, c.blocked_cause, c.detected_at,
            c.status = '{HELD}' and c.fingerprint is distinct from (
                select r.fingerprint from ops.change as r
                where r.asset = c.asset and r.status in ('published', 'unchanged')
                order by r.{order} desc limit 1)
        from ops.change as c order by c.asset, c.{order} desc
        """
    )
    return [_Change(*row) for row in rows]


def _pairs(records: Connection, query: str) -> list[tuple[str, Any]]:
    return [(row[0], row[1]) for row in records.execute(query.encode())]
