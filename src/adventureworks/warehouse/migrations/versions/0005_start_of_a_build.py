"""When a build started, so that a plan can say how long the last run took."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the time. It stays unknown for builds before this revision."""
    op.execute("alter table ops.build add column started_at timestamptz")
    op.execute("alter table ops.build alter column started_at set default current_timestamp")


def downgrade() -> None:
    """Remove the time."""
    op.drop_column("build", "started_at", schema="ops")
