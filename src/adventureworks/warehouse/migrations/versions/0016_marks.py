"""What the counters of a source say about the recorded state of a table, and how many of its rows were compared."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the columns, empty: the next ingestion scans all tables once more."""
    for table in ("change", "watermark"):
        op.execute(f"alter table ops.{table} add column mark varchar")
    op.execute("alter table ops.change add column compared_rows bigint")  # NULL if the table was read whole


def downgrade() -> None:
    """Remove them."""
    op.drop_column("change", "compared_rows", schema="ops")
    for table in ("change", "watermark"):
        op.drop_column(table, "mark", schema="ops")
