"""No cache of fitted models: fitting all forecasts takes less time than reading the cache.

Earlier versions of `customer_demographics` have exact counts, and more cells: a rollback must not show them again.
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Remove the table, whose rows can be computed again, and forbid rollbacks to exact counts."""
    op.drop_table("memo", schema="ops")
    op.execute("update ops.publication set kept = false where kept and asset = 'customer_demographics'")


def downgrade() -> None:
    """Add the table, empty."""
    op.execute(
        "create table ops.memo ("
        "key varchar not null primary key,"  # digest of the function and its arguments
        " result varchar not null,"  # JSON list of numbers
        " used_at timestamptz not null default current_timestamp)"
    )
