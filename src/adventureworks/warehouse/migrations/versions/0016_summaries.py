"""Summaries of the published rows of large tables, kept up from the rows that change."""

from alembic import op

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    """Add the table, empty: each table is read once more."""
    op.execute(
        "create table ops.table_summary ("
        "asset varchar not null,"
        " run_id varchar not null,"  # the run that staged the rows
        " version bigint,"  # NULL until the run has published
        " digest varchar not null,"  # of what is summarized: the segments, and the columns of the table
        " groups varchar not null,"  # JSON
        " primary key (asset, run_id))"
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("table_summary", schema="ops")
