"""Numbers that order changes, check results and versions, because a clock may step back."""

from alembic import op

revision = "0011"
down_revision = "0010"

_WRITTEN = {
    "change": "detected_at, run_id, asset",
    "check_result": "checked_at, run_id, asset, rule, kind, message",
    "publication": "published_at, run_id, asset, version",
}
"""The order of the rows that are there already, by table."""


def upgrade() -> None:
    """Number all rows: those that are there already up to 0, those to come from 1."""
    op.execute("drop index ops.change_by_time")
    op.execute("drop index ops.check_result_by_time")
    for table, order in _WRITTEN.items():
        op.execute(f"alter table ops.{table} add column number bigint")
        op.execute(
            f"update ops.{table} as t set number = n.number from (select ctid as place,"
            f" row_number() over (order by {order}) - count(*) over () as number from ops.{table}) as n"
            " where n.place = t.ctid"
        )
        op.execute(
            f"alter table ops.{table} alter column number set not null,"
            " alter column number add generated always as identity"
        )
    op.execute("create index change_by_number on ops.change (asset, number desc)")
    op.execute("create index check_result_by_number on ops.check_result (asset, number desc)")
    # The ingestion that judges the row of a withdrawn or reopened decision again; null: none has started.
    op.execute("alter table ops.row_decision add column run_id varchar")
    # How often the state of a table was recorded.
    op.execute("alter table ops.watermark add column reads bigint not null default 1")
    for table in ("build", "publication"):
        # JSON map asset -> mark of the last reading and check (`due.Check`) that a tolerant mart takes account of.
        op.execute(f"alter table ops.{table} add column checks varchar")


def downgrade() -> None:
    """Remove the numbers, and order by time again."""
    for table in ("build", "publication"):
        op.drop_column(table, "checks", schema="ops")
    op.drop_column("watermark", "reads", schema="ops")
    op.drop_column("row_decision", "run_id", schema="ops")
    for table in _WRITTEN:
        op.drop_column(table, "number", schema="ops")
    op.execute("create index change_by_time on ops.change (asset, detected_at desc)")
    op.execute("create index check_result_by_time on ops.check_result (asset, checked_at desc)")
