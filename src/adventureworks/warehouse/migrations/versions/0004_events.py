"""Events instead of sentences: incidents and notices keep a code and its parameters, in no language.

Sentences that are already stored become parameters of the code `recorded`, which shows them as they are. The columns
for them are removed: a second, English copy of each event would be wrong as soon as the wording changes, and SQL users
can read the code and the parameters.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

_HELD = "It waited when the {} was made, and may have been sent since."


def upgrade() -> None:
    """Move sentences into parameters, and end the incident of a task that was renamed."""
    op.execute(
        "alter table ops.incident add column code varchar not null default 'recorded',"
        " add column parameters varchar not null default '{}'"
    )
    op.execute(
        "update ops.incident set code = coalesce(detail::jsonb ->> 'code', 'recorded'),"
        " parameters = coalesce(detail::jsonb ->> 'parameters',"
        " jsonb_build_object('summary', summary, 'next_step', detail::jsonb -> 'next_step')::varchar),"
        " detail = (detail::jsonb - '{next_step,cause,since,code,parameters}'::text[])::varchar"
    )
    op.execute(
        "alter table ops.incident drop column summary, alter column code drop default,"
        " alter column parameters drop default"
    )
    # Only listings whose headings are codes can be worded in any language.
    op.execute(
        "update ops.notice set kind = 'recorded',"
        " payload = (payload::jsonb || jsonb_build_object('subject', subject))::varchar"
        " where payload::jsonb #>> '{listings,0,heading}' not in ('worse', 'recovered')"
    )
    op.drop_column("notice", "subject", schema="ops")
    # The task is called `notify` now, so no success of the old one can end its incident.
    op.execute(
        "update ops.incident set status = 'resolved', resolved_at = current_timestamp"
        " where fingerprint = 'ingest_source:task_tell' and status <> 'resolved'"
    )
    _reword("back-up", "backup")


def downgrade() -> None:
    """Give the previous release its columns back, with codes and causes in place of sentences.

    It ignores the event in `detail`, which makes the next upgrade complete.
    """
    op.execute("alter table ops.incident add column summary varchar not null default ''")
    op.execute(
        "update ops.incident set summary = coalesce(parameters::jsonb ->> 'summary',"
        " concat_ws(': ', asset, code, parameters::jsonb ->> 'cause')),"
        " detail = (detail::jsonb || jsonb_build_object('code', code, 'parameters', parameters,"
        " 'cause', coalesce(parameters::jsonb ->> 'cause', ''), 'since', parameters::jsonb -> 'since',"
        " 'next_step', coalesce(nullif(parameters::jsonb ->> 'next_step', ''), 'adventureworks status ' || asset)"
        "))::varchar"
    )
    op.execute("alter table ops.incident drop column code, drop column parameters, alter column summary drop default")
    op.execute("alter table ops.notice add column subject varchar not null default 'Stock'")
    op.execute(
        "update ops.notice set kind = 'stock', subject = payload::jsonb ->> 'subject',"
        " payload = (payload::jsonb - 'subject')::varchar where kind = 'recorded'"
    )
    op.execute("alter table ops.notice alter column subject drop default")
    _reword("backup", "back-up")


def _reword(old: str, new: str) -> None:
    op.execute(f"update ops.outbox set last_error = '{_HELD.format(new)}' where last_error = '{_HELD.format(old)}'")
