"""People who are forgotten, and decisions on rows in quarantine that are taken back."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables and columns. The tables may be there: a downgrade keeps them."""
    op.execute(
        "create table if not exists ops.forgotten_person ("
        "person_id bigint not null primary key,"
        " forgotten_by varchar not null,"
        " reason varchar not null,"
        " forgotten_at timestamptz not null default current_timestamp,"
        " places varchar not null)"  # JSON map place -> number of rows
    )
    # What every reading of the source consults.
    op.execute(
        "create table if not exists ops.forgotten_row ("
        "asset varchar not null,"
        " row_id bigint not null,"  # value of the column that `person` names in the catalogue
        " primary key (asset, row_id))"
    )
    # How many of the rows that were read belong to forgotten people.
    op.execute("alter table ops.change add column forgotten bigint not null default 0")
    op.execute("alter table ops.replay add column whole boolean not null default false")


def downgrade() -> None:
    """Remove the columns. The tables stay, so that a later upgrade still knows who is forgotten."""
    # An older version would list these decisions forever.
    op.execute("delete from ops.row_decision where kind in ('withdrawn', 'reopened') and ended_at is null")
    op.drop_column("replay", "whole", schema="ops")
    op.drop_column("change", "forgotten", schema="ops")
