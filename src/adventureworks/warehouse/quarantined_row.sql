-- Rows that were set aside. They are data: on every engine they live where the tables do.
create table if not exists ops.quarantined_row (
    asset      varchar not null,
    row_key    varchar not null,      -- JSON map key column -> value as text
    rule       varchar not null,
    message    varchar not null,
    row_data   varchar not null,      -- JSON map column -> value as text; secret columns protected
    run_id     varchar not null,      -- that saw it last
    -- 'staged' (by a run that is not over), 'open', 'blocked' (its table could not be published), 'repaired' (a good
    -- version came) or 'gone' (deleted at the source)
    status     varchar not null default 'open',
    next_status varchar,              -- of an open row, once the run at hand publishes its table
    first_seen timestamptz not null default current_timestamp,
    last_seen  timestamptz not null default current_timestamp
);
