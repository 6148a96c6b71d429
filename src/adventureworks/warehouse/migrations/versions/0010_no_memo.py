"""No cache of fitted models: fitting all forecasts takes less time than reading the cache."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Remove the table; its rows can be computed again."""
    op.drop_table("memo", schema="ops")


def downgrade() -> None:
    """Add the table, empty."""
    op.execute(
        "create table ops.memo ("
        "key varchar not null primary key,"  # digest of the function and its arguments
        " result varchar not null,"  # JSON list of numbers
        " used_at timestamptz not null default current_timestamp)"
    )
