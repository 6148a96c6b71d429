"""Which changes of the source tables are concluded, so that a batch makes up for one that ended before it was."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the mark. What was recorded before counts as concluded."""
    op.execute("alter table ops.change add column concluded boolean not null default true")
    op.execute("alter table ops.change alter column concluded set default false")
    op.execute("create index change_not_concluded on ops.change (asset) where not concluded")


def downgrade() -> None:
    """Remove the mark."""
    op.drop_column("change", "concluded", schema="ops")
