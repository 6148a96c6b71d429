"""Several corrections of a row may be taken back before the row is judged again: any of them may be published."""

from alembic import op

revision = "0014"
down_revision = "0013"

_INDEX = "create unique index one_decision_per_row on ops.row_decision (asset, row_key, kind) where ended_at is null"


def upgrade() -> None:
    """Allow them."""
    op.execute("drop index ops.one_decision_per_row")
    op.execute(f"{_INDEX} and kind <> 'withdrawn'")


def downgrade() -> None:
    """Keep the last one of each row in force."""
    op.execute(
        "update ops.row_decision as d set ended_at = current_timestamp, ended_because = 'replaced'"
        " where kind = 'withdrawn' and ended_at is null and exists (select 1 from ops.row_decision as n"
        " where n.asset = d.asset and n.row_key = d.row_key and n.kind = d.kind and n.ended_at is null"
        " and (n.decided_at, n.ctid) > (d.decided_at, d.ctid))"
    )
    op.execute("drop index ops.one_decision_per_row")
    op.execute(_INDEX)
