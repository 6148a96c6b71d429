"""What checks found, kept in `ops.check_result` for status, incidents and the UI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from adventureworks.gate.checks import CheckOutcome
from adventureworks.warehouse.postgres import Connection


def forget(connection: Connection, run_id: str) -> None:
    """Removes what an earlier try of this run found."""
    connection.execute("delete from ops.check_result where run_id = %s", (run_id,))


def forget_kind(connection: Connection, run_id: str, asset: str, kind: str) -> None:
    """Removes what an earlier pass of this run found of an asset."""
    connection.execute(
        "delete from ops.check_result where run_id = %s and asset = %s and kind = %s", (run_id, asset, kind)
    )


def clear(connection: Connection, before: datetime) -> None:
    """Drops what was found before a moment, unless its asset was not checked as a whole since."""
    connection.execute(
        "delete from ops.check_result as c where c.checked_at < %(before)s and exists ("
        "select 1 from ops.check_result as n"
        " where n.asset = c.asset and n.kind = 'check' and n.checked_at >= %(before)s)",
        {"before": before},
    )


def remember(connection: Connection, run_id: str, outcomes: Sequence[CheckOutcome], kind: str = "check") -> None:
    """Writes outcomes of a run."""
    for outcome in outcomes:
        connection.execute(
            "insert into ops.check_result (run_id, asset, rule, kind, outcome, failed, message, examples, dimension)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                run_id,
                outcome.table,
                outcome.rule,
                kind,
                outcome.outcome,
                outcome.failed,
                outcome.message,
                json.dumps(list(outcome.examples)),
                outcome.dimension,
            ),
        )
