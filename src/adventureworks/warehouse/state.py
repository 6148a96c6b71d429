"""What the warehouse says of every table and mart: version, freshness, verdict, incidents. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from adventureworks.catalog import MARTS, SOURCE_TABLES, tables_under
from adventureworks.due import Behind


@dataclass(frozen=True)
class AssetState:
    """A table or mart as readers find it now."""

    asset: str
    kind: str
    """`source` or `mart`."""
    version: int | None
    published_at: datetime | None
    newest_change: datetime | None
    """Up to which modification date the rows go; source tables only."""
    rows: int | None
    set_aside: int
    """Rows of a table in quarantine; of a mart, orders that are withheld."""
    verdict: str
    """`passed`, `passed with warnings`, `blocked`, or `never published`."""
    fresh: bool
    """A mart that is not behind; a source table that is not blocked."""
    behind: str
    """Why a mart has to be computed again; empty if it is fresh."""
    blocked_since: datetime | None
    """None where it is not blocked."""
    reads_blocked: tuple[str, ...]
    """The blocked source tables that a mart is made of: readers see what it made of their last good versions."""
    broken_rules: tuple[str, ...]
    """Why it is blocked, else the rules that its last check failed, with the number of rows."""


def is_laid_out(connection: psycopg.Connection) -> bool:
    """Whether anything was ever ingested into this warehouse."""
    row = connection.execute("select to_regclass('ops.publication') is not null").fetchone()
    return bool(row and row[0])


def asset_states(connection: psycopg.Connection, behind: Mapping[str, Behind]) -> list[AssetState]:
    """Every table and mart of the catalogue, in its order. `behind`: as `due` decides."""
    published = _newest_publications(connection)
    marks = dict(_pairs(connection, "select asset, newest_change from ops.watermark"))
    blocked = _blocked(connection)
    broken = {**_broken_rules(connection), **_blocking_rules(connection)}
    states = []
    for asset in (*SOURCE_TABLES, *MARTS):
        version, at, rows, set_aside, verdict = published.get(asset, (None, None, None, 0, "never published"))
        is_mart = asset in MARTS
        fresh = version is not None and asset not in (behind if is_mart else blocked)
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
                behind=behind[asset].reason if asset in behind else "",
                blocked_since=blocked.get(asset),
                reads_blocked=tuple(sorted(tables_under(asset) & blocked.keys())) if is_mart else (),
                broken_rules=broken.get(asset, ()),
            )
        )
    return states


def summary_of_marts(states: list[AssetState]) -> str:
    """How many marts are fresh, and which blocked tables they read, in a sentence without its stop."""
    marts = [state for state in states if state.kind == "mart"]
    fresh = sum(state.fresh for state in marts)
    reading = [state for state in marts if state.reads_blocked]
    if not reading:
        return f"{fresh} of {len(MARTS)} marts are fresh"
    since = {state.asset: state.blocked_since for state in states}
    tables = sorted({name for state in reading for name in state.reads_blocked})
    named = ", ".join(f"{name} (since {since[name]:%Y-%m-%d %H:%M})" for name in tables)
    one = len(tables) == 1
    blocked = f"{tables[0]}, which is blocked since {since[tables[0]]:%Y-%m-%d %H:%M}" if one else f"blocked: {named}"
    return (
        f"{fresh} of {len(MARTS)} marts are computed from the newest published data;"
        f" {len(reading)} {'reads' if len(reading) == 1 else 'read'} {blocked}"
    )


def _blocked(connection: psycopg.Connection) -> dict[str, datetime]:
    """Assets whose newest data was refused, and since when: readers still see the version before."""
    rows = connection.execute(
        """
        select asset, min(since) from (
            select w.asset, coalesce(
                (select min(c.detected_at) from ops.change as c
                where c.asset = w.asset and c.status = 'blocked' and c.detected_at > coalesce(
                    (select max(good.detected_at) from ops.change as good
                    where good.asset = w.asset and good.status in ('published', 'unchanged')), '-infinity')),
                w.read_at
            ) as since
            from ops.watermark as w where w.blocked
            union all
            select asset, first_seen from ops.incident where status <> 'resolved' and severity = 'error'
        ) as found group by asset
        """
    )
    return dict(rows.fetchall())


def _newest_publications(connection: psycopg.Connection) -> dict[str, tuple[int, datetime, int, int, str]]:
    rows = connection.execute(
        """
        select distinct on (asset) asset, version, published_at, rows, set_aside, verdict
        from ops.publication order by asset, version desc
        """
    ).fetchall()
    return {asset: (version, at, count, set_aside, verdict) for asset, version, at, count, set_aside, verdict in rows}


def _broken_rules(connection: psycopg.Connection) -> dict[str, tuple[str, ...]]:
    """What failed in the last run that checked an asset."""
    rows = connection.execute(
        """
        select c.asset, c.rule, c.outcome, c.failed, c.message
        from unnest(%s::varchar[]) as known (asset)
        cross join lateral (
            select run_id from ops.check_result as r where r.asset = known.asset and r.kind <> 'between'
            order by r.checked_at desc limit 1
        ) as newest
        join ops.check_result as c on c.asset = known.asset and c.run_id = newest.run_id
        where c.outcome <> 'pass'
        order by c.asset, c.outcome, c.rule
        """,
        ([*SOURCE_TABLES, *MARTS],),
    ).fetchall()
    broken: dict[str, tuple[str, ...]] = {}
    for asset, rule, outcome, failed, message in rows:
        count = f", {failed:,} rows" if failed else ""
        broken[asset] = (*broken.get(asset, ()), f"{rule} ({outcome}{count}): {message}")
    return broken


def _blocking_rules(connection: psycopg.Connection) -> dict[str, tuple[str, ...]]:
    """Why the last reading of a table could not be published."""
    rows = connection.execute(
        """
        select asset, blocked_rule, blocked_cause from (
            select distinct on (asset) asset, status, blocked_rule, blocked_cause
            from ops.change order by asset, detected_at desc
        ) as last where status = 'blocked'
        """
    )
    return {asset: (f"{rule}: {cause}",) for asset, rule, cause in rows}


def _pairs(connection: psycopg.Connection, question: str) -> list[tuple[str, Any]]:
    return [(row[0], row[1]) for row in connection.execute(question.encode())]
