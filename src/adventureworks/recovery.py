"""Recovery after a restore: the restored records are older than the messages and events already sent.

Backup and restore of the embedded databases are in `adventureworks.embedded.backup`; the administrators of other
databases restore them by their own means. In both cases, this is run afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.warehouse import kept, publication

HELD = "It waited when the backup was made, and may have been sent since."


@dataclass(frozen=True)
class Reconciled:
    """The result: messages that are held back or sent after all, and tables whose events are sent again."""

    held: int
    released: int
    announced_again: int

    def __add__(self, other: Reconciled) -> Reconciled:
        return Reconciled(
            self.held + other.held, self.released + other.released, self.announced_again + other.announced_again
        )


NOTHING = Reconciled(0, 0, 0)


def reconcile(
    records: psycopg.Connection[Any], send_waiting: bool = False, *, data_elsewhere: bool = False
) -> Reconciled:
    """Reconcile restored records in the caller's transaction, so that the platform can continue. Safe to repeat.

    Messages waiting in the outbox are held back unless `send_waiting`, because it is unknown whether they were sent
    after the backup was made. Every source table is announced again, because Airflow's database may be from another
    moment: events only start runs, so where nothing is new they cost a skipped run.

    `data_elsewhere`: the tables are in another database than the records, from another moment. The records say neither
    what was published after the backup nor what was lost, so the next ingestion reads every table completely, and every
    mart is recomputed.
    """
    held = released = 0
    if send_waiting:
        released = records.execute(
            "update ops.outbox set given_up_at = null, last_error = null where sent_at is null and last_error = %s",
            (HELD,),
        ).rowcount
    else:
        held = records.execute(
            "update ops.outbox set given_up_at = current_timestamp, last_error = %s"
            " where sent_at is null and given_up_at is null",
            (HELD,),
        ).rowcount
    announced = records.execute(
        "update ops.publication as p set announced = false where p.asset = any(%s)"
        " and p.version = (select max(n.version) from ops.publication as n where n.asset = p.asset)",
        (list(SOURCE_TABLES),),
    ).rowcount
    if data_elsewhere:
        # As after a process that died between the commit of the data and that of the records.
        publication.interrupt(records, [*SOURCE_TABLES])
        publication.invalidate(records, [*MARTS])
        # The rows that are kept may be those of other versions.
        kept.give_up(records, [*SOURCE_TABLES, *MARTS])
        # Tables and views may be gone: without this record, those that are missing are created again.
        records.execute("delete from ops.layout")
    return Reconciled(held, released, announced)
