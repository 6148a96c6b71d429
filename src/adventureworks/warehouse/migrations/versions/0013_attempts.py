"""Numbers of the attempts to stage an asset, so that one that was overtaken by another can be told; gates passed."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add them. What was staged before counts as staged by attempt 0, and its marts pass the gate again."""
    # Null: nothing that the run may publish is staged.
    op.execute("alter table ops.candidate alter column contents drop not null")
    op.execute("alter table ops.candidate add column attempt bigint not null default 0")
    op.execute("alter table ops.build add column passed boolean not null default false")


def downgrade() -> None:
    """Remove them. The run in progress stages again what is not staged."""
    op.drop_column("build", "passed", schema="ops")
    op.drop_column("candidate", "attempt", schema="ops")
    op.execute("delete from ops.candidate where contents is null")
    op.execute("alter table ops.candidate alter column contents set not null")
