"""Numbers that order changes, check results and versions, because a clock may step back; plain names of rules."""

from collections.abc import Mapping

from alembic import op

revision = "0011"
down_revision = "0010"

_WRITTEN = {
    "change": "detected_at, run_id, asset",
    "check_result": "checked_at, run_id, asset, rule, kind, message",
    "publication": "published_at, run_id, asset, version",
}
"""The order of the rows that are there already, by table."""
_RULES = {
    "file_is_at_rest": "file_is_stable",
    "file_is_of_its_kind": "file_has_the_expected_format",
    "table_is_seen_whole": "all_rows_are_visible",
    "columns_keep_their_places": "columns_are_not_swapped",
    "rows_come_once": "rows_are_unique",
    "rows_stay": "few_rows_are_deleted",
    "segments_go_on": "segments_keep_occurring",
    "values_keep_their_form": "values_keep_their_format",
    "verdict_is_told": "verdict_is_known",
    "incidents_are_told": "incident_messages_are_created",
    "readers_are_told": "reader_messages_are_created",
    "routes_are_right": "routes_are_valid",
    "sweep_is_whole": "sweep_is_complete",
    "known_defects_are_looked_for": "known_defects_are_checked",
    "plain_models_come_out_again": "simple_models_are_reproducible",
}
"""The new names of rules. None of them sets rows aside, so the rows in quarantine keep the names of theirs."""


def upgrade() -> None:
    """Number all rows: those that are there already up to 0, those to come from 1. Rename the rules."""
    op.execute("lock table ops.check_result, ops.change, ops.publication")
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
    # An ingestion in progress does so if it began after the decision.
    op.execute(
        "update ops.row_decision as d set run_id = (select c.run_id from ops.change as c where c.asset = d.asset"
        " and c.detected_at > d.decided_at order by c.number desc limit 1)"
        " where d.kind in ('withdrawn', 'reopened') and d.ended_at is null"
    )
    for table in ("build", "publication"):
        # JSON map asset -> mark of the last reading and check (`due.Check`) that a tolerant mart takes account of.
        op.execute(f"alter table ops.{table} add column checks varchar")
    _rename(_RULES)


def downgrade() -> None:
    """Give the rules their old names, remove the numbers, and order by time again."""
    _rename({new: old for old, new in _RULES.items()})
    for table in ("build", "publication"):
        op.drop_column(table, "checks", schema="ops")
    op.drop_column("row_decision", "run_id", schema="ops")
    for table in _WRITTEN:
        op.drop_column(table, "number", schema="ops")
    op.execute("create index change_by_time on ops.change (asset, detected_at desc)")
    op.execute("create index check_result_by_time on ops.check_result (asset, checked_at desc)")


def _rename(rules: Mapping[str, str]) -> None:
    """Rename rules in histories, open incidents, blocked tables and approvals, so that all of them go on."""
    pairs = ", ".join(f"('{old}', '{new}')" for old, new in rules.items())
    names = f"(values {pairs}) as n (old, new)"
    op.execute(f"update ops.check_result as t set rule = n.new from {names} where t.rule = n.old")
    op.execute(
        "update ops.incident as t set rule = n.new, fingerprint = concat(t.asset, ':', n.new)"
        f" from {names} where t.rule = n.old"
    )
    op.execute(f"update ops.change as t set blocked_rule = n.new from {names} where t.blocked_rule = n.old")
    for table in ("change", "watermark"):
        # Of a table that cannot be read: a new fingerprint would be a change.
        op.execute(
            f"update ops.{table} as t set fingerprint ="
            " replace(t.fingerprint, concat('unreadable: ', n.old, ':'), concat('unreadable: ', n.new, ':'))"
            f" from {names} where starts_with(t.fingerprint, concat('unreadable: ', n.old, ':'))"
        )
    for old, new in rules.items():
        # One text may name several rules.
        op.execute(
            f"update ops.intervention set detail = regexp_replace(detail, '\\m{old}\\M', '{new}', 'g')"
            f" where strpos(detail, '{old}') > 0"
        )
