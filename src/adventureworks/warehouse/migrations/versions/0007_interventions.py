"""What people did to published data (backfills, rollbacks, approvals), and which versions are kept for that."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the table, and the mark of versions whose changes are kept. Those published before have none."""
    op.execute("alter table ops.publication add column kept boolean not null default false")
    op.execute(
        "create table ops.intervention ("
        "number bigint not null generated always as identity primary key,"
        " kind varchar not null,"  # 'backfill', 'rollback' or 'approval'
        " asset varchar not null,"
        " who varchar not null,"
        " reason varchar not null,"
        " run_id varchar not null default '',"  # of an approval: the last run that used it
        " detail varchar not null,"  # JSON: the months, versions or rules that it is about
        " begun_at timestamptz not null default current_timestamp,"
        " ended_at timestamptz)"  # null: it is in force
    )


def downgrade() -> None:
    """Remove both. What was rolled back becomes due again, and approvals that were not used are lost."""
    op.drop_table("intervention", schema="ops")
    op.drop_column("publication", "kept", schema="ops")
