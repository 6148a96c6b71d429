"""What the counters of a source say about the recorded state of a table."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the columns, empty: the next ingestion scans all tables once more."""
    for table in ("change", "watermark"):
        op.execute(f"alter table ops.{table} add column mark varchar")


def downgrade() -> None:
    """Remove them."""
    for table in ("change", "watermark"):
        op.drop_column(table, "mark", schema="ops")
