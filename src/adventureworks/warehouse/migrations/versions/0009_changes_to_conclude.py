"""Which decided changes of source tables still lack their incidents, in case a batch ends before it records them.

Incidents also hold the command of their next step apart from its sentence, which earlier releases expect in one text.
"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the mark. What was recorded before is concluded."""
    op.execute("alter table ops.change add column to_conclude boolean not null default false")
    op.execute("create index change_to_conclude on ops.change (asset) where to_conclude")


def downgrade() -> None:
    """Remove the mark, and join the commands of incidents with their sentences."""
    op.execute(
        "update ops.incident set parameters = (parameters::jsonb - 'command' || jsonb_build_object('next_step',"
        " concat_ws(' ', nullif(parameters::jsonb ->> 'next_step', ''), parameters::jsonb ->> 'command')))::varchar"
        " where nullif(parameters::jsonb ->> 'command', '') is not null"
    )
    op.drop_column("change", "to_conclude", schema="ops")
