"""Plain names for messages and for what has been sent to whom."""

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = {"letter": "message_content", "enclosure": "attachment", "flight": "in_transit"}
_COLUMNS = {
    ("message_content", "letter_id"): "content_id",
    ("attachment", "letter_id"): "content_id",
    ("outbox", "letter_id"): "content_id",
    ("outbox", "told"): "dedup_key",
    ("outbox", "doubtful_at"): "maybe_sent_at",
    ("notice", "told"): "queued_at",
    ("incident", "heard"): "notified_at",
    ("monthly_report", "told"): "announced_figures",
}


def upgrade() -> None:
    """Rename tables and columns; no row changes."""
    for old, new in _TABLES.items():
        op.rename_table(old, new, schema="ops")
    for (table, old), new in _COLUMNS.items():
        op.alter_column(table, old, new_column_name=new, schema="ops")


def downgrade() -> None:
    """Give tables and columns their old names."""
    for (table, old), new in _COLUMNS.items():
        op.alter_column(table, new, new_column_name=old, schema="ops")
    for old, new in _TABLES.items():
        op.rename_table(new, old, schema="ops")
