"""What follows when databases were restored: they are of an earlier moment than the world that was told of them.

Back-up and restore of the embedded databases are in `adventureworks.embedded.backup`; a company's own are its
administrators' business. Either way, this comes after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from adventureworks.catalog import SOURCE_TABLES

HELD = "It waited when the back-up was made, and may have been sent since."


@dataclass(frozen=True)
class Reconciled:
    """What was done: messages that are not sent any more, and tables whose events are sent once more."""

    held: int
    announced_again: int


def reconcile(warehouse: psycopg.Connection[Any], send_waiting: bool = False) -> Reconciled:
    """Makes a restored warehouse fit to go on, in the caller's transaction. Done twice, it does no harm.

    What waited in the outbox is held back unless `send_waiting`: nobody can tell whether it was sent after the back-up
    was made. And every source table is announced again, for Airflow's database may be of another moment: events only
    wake, so where nothing is new they cost a skipped run.
    """
    held = 0
    if not send_waiting:
        held = warehouse.execute(
            "update ops.outbox set given_up_at = current_timestamp, last_error = %s"
            " where sent_at is null and given_up_at is null",
            (HELD,),
        ).rowcount
    announced = warehouse.execute(
        "update ops.publication as p set announced = false where p.asset = any(%s)"
        " and p.version = (select max(n.version) from ops.publication as n where n.asset = p.asset)",
        (list(SOURCE_TABLES),),
    ).rowcount
    return Reconciled(held, announced)
