"""What follows when databases were restored: they are of an earlier moment than the world that was told of them.

Back-up and restore of the embedded databases are in `adventureworks.embedded.backup`; a company's own are its
administrators' business. Either way, this comes after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.warehouse import publication

HELD = "It waited when the back-up was made, and may have been sent since."


@dataclass(frozen=True)
class Reconciled:
    """What was done: messages that are not sent any more, or are sent after all; tables whose events are sent again."""

    held: int
    released: int
    announced_again: int

    def __add__(self, other: Reconciled) -> Reconciled:
        return Reconciled(
            self.held + other.held, self.released + other.released, self.announced_again + other.announced_again
        )


NOTHING = Reconciled(0, 0, 0)


def reconcile(
    warehouse: psycopg.Connection[Any], send_waiting: bool = False, *, data_elsewhere: bool = False
) -> Reconciled:
    """Makes restored records fit to go on, in the caller's transaction. Done twice, it does no harm.

    What waited in the outbox is held back unless `send_waiting`: nobody can tell whether it was sent after the back-up
    was made. And every source table is announced again, for Airflow's database may be of another moment: events only
    start runs, so where nothing is new they cost a skipped run.

    `data_elsewhere`: the tables are in another database than the records, of another moment. No record tells what was
    published after the back-up, or none of what was lost; so the next ingestion reads every table whole, and every mart
    is computed anew.
    """
    held = released = 0
    if send_waiting:
        released = warehouse.execute(
            "update ops.outbox set given_up_at = null, last_error = null where sent_at is null and last_error = %s",
            (HELD,),
        ).rowcount
    else:
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
    if data_elsewhere:
        # As after a process that died between the commit of data and that of records.
        warehouse.execute(
            "update ops.change as c set publishing = true where (c.asset, c.detected_at) in"
            " (select n.asset, max(n.detected_at) from ops.change as n group by n.asset)"
        )
        publication.doubt(warehouse, [*MARTS])
        # Tables and views may be gone: they are laid out again where they are missing.
        warehouse.execute("delete from ops.layout")
    return Reconciled(held, released, announced)
