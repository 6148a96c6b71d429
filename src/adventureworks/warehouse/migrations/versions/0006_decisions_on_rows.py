"""What people decide about rows in quarantine: corrections, discarded rows, and requests to read rows again."""

from alembic import context, op

from adventureworks.warehouse.migrations import HAS_QUARANTINE

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables."""
    op.execute(
        "create table ops.row_decision ("
        " asset varchar not null,"
        " row_key varchar not null,"  # as in ops.quarantined_row
        " kind varchar not null,"  # 'corrected' or 'discarded'
        " decided_by varchar not null,"
        " decided_at timestamptz not null default current_timestamp,"
        " reason varchar not null default '',"
        " replaces varchar,"  # digest of the source row that a correction replaces
        " row_data varchar,"  # the corrected row: JSON map column -> value as text
        " ended_at timestamptz,"
        " ended_because varchar)"
    )
    op.execute(
        "create unique index one_decision_per_row on ops.row_decision (asset, row_key, kind) where ended_at is null"
    )
    op.execute(
        "create table ops.replay ("
        " asset varchar not null primary key,"
        " requested_by varchar not null,"
        " requested_at timestamptz not null default current_timestamp,"
        " run_id varchar)"  # the ingestion that reads the rows; null: none has started
    )


def downgrade() -> None:
    """Drop the tables. Rows that were corrected or discarded are judged as the source delivers them.

    Discarded rows are open again, if the rows in quarantine are in this database.
    """
    if context.config.attributes[HAS_QUARANTINE]:
        op.execute("update ops.quarantined_row set status = 'open', next_status = null where status = 'discarded'")
        op.execute("update ops.quarantined_row set status = 'blocked' where status = 'blocked_discarded'")
    op.execute("drop table ops.replay")
    op.execute("drop table ops.row_decision")
