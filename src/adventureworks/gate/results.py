"""Check results, stored in `ops.check_result` for status, incidents and the UI."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from adventureworks.gate.checks import CheckOutcome
from adventureworks.gate.verdict import FAILED
from adventureworks.warehouse.postgres import Connection


def delete(records: Connection, run_id: str, keep: Collection[str] = ()) -> None:
    """Delete the results of an earlier attempt of this run, except those of the assets in `keep`."""
    records.execute("delete from ops.check_result where run_id = %s and not asset = any(%s)", (run_id, list(keep)))


def delete_kind(records: Connection, run_id: str, asset: str, kind: str) -> None:
    """Delete the results of one kind that an earlier pass of this run recorded for an asset."""
    records.execute(
        "delete from ops.check_result where run_id = %s and asset = %s and kind = %s", (run_id, asset, kind)
    )


def clear(records: Connection, before: datetime) -> None:
    """Delete results from before a moment, except the newest of each rule whose asset had no complete check since."""
    records.execute(
        "delete from ops.check_result as c using ("
        "select asset, rule, kind, max(number) as newest,"
        " max(max(number) filter (where kind = 'check' and checked_at >= %(before)s))"
        " over (partition by asset) as last_check"
        " from ops.check_result group by asset, rule, kind"
        ") as n where n.asset = c.asset and n.rule = c.rule and n.kind = c.kind"
        " and c.checked_at < %(before)s and (c.number < n.newest or c.number < n.last_check)",
        {"before": before},
    )


def record(records: Connection, run_id: str, outcomes: Sequence[CheckOutcome], kind: str = "check") -> None:
    """Record outcomes of a run."""
    if not outcomes:
        return
    records.execute(
        "insert into ops.check_result (run_id, kind, asset, rule, outcome, failed, message, examples, dimension)"
        " select %s, %s, o.asset, o.rule, o.outcome, o.failed, o.message, o.examples, o.dimension"
        " from unnest(%s::varchar[], %s::varchar[], %s::varchar[], %s::bigint[], %s::varchar[], %s::varchar[],"
        " %s::varchar[]) with ordinality"
        " as o (asset, rule, outcome, failed, message, examples, dimension, place) order by o.place",
        (
            run_id,
            kind,
            [outcome.table for outcome in outcomes],
            [outcome.rule for outcome in outcomes],
            [outcome.outcome for outcome in outcomes],
            [outcome.failed for outcome in outcomes],
            [outcome.message for outcome in outcomes],
            [json.dumps(list(outcome.examples)) for outcome in outcomes],
            [outcome.dimension for outcome in outcomes],
        ),
    )


def warned(records: Connection, run_id: str) -> frozenset[str]:
    """Return the tables and marts of which a run broke a rule that only warns."""
    return _with_outcome(records, run_id, {"warn"})


def imperfect(records: Connection, run_id: str) -> frozenset[str]:
    """Return the tables and marts of which a run broke a rule, of any kind."""
    return _with_outcome(records, run_id, {"warn", *FAILED})


def _with_outcome(records: Connection, run_id: str, outcomes: Collection[str]) -> frozenset[str]:
    rows = records.execute(
        "select distinct asset from ops.check_result where run_id = %s and outcome = any(%s)",
        (run_id, sorted(outcomes)),
    ).fetchall()
    return frozenset(asset for (asset,) in rows)
