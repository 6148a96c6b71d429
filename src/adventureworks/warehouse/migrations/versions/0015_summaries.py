"""What is known of the published rows: summaries of large tables, and the outcomes of rules that some rows break."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the table and the column, empty: each table is read, and each rule evaluated, once more."""
    op.execute("alter table ops.proof add column outcome varchar")  # JSON; NULL if no row breaks the rule
    op.execute(
        "create table ops.table_summary ("
        "asset varchar not null,"
        " run_id varchar not null,"  # the run that staged the rows
        " version bigint not null,"  # until the run has published: the one before
        " published boolean not null default false,"
        " digest varchar not null,"  # of what is summarized: the segments, and the columns of the table
        " groups varchar not null,"  # JSON
        " primary key (asset, published))"
    )


def downgrade() -> None:
    """Remove them; without the column, a proof says that no row breaks the rule."""
    op.drop_table("table_summary", schema="ops")
    op.execute("delete from ops.proof where outcome is not null")
    op.execute("alter table ops.proof drop column outcome")
