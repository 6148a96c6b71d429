"""Rules that the published rows keep, so that only the rows of a change must be checked."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the table, empty: every rule is evaluated once more."""
    op.execute(
        "create table ops.proof ("
        "asset varchar not null,"
        " rule varchar not null,"
        " digest varchar not null,"  # of the rule and of the columns of the tables that it reads
        " versions varchar not null,"  # JSON map table -> its version; until the run has published: the one before
        " run_id varchar not null,"  # the run that evaluated the rule
        " published boolean not null default false,"
        " primary key (asset, rule))"
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("proof", schema="ops")
