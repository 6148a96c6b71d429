-- Rows that were set aside. They count as data: on every engine they are stored with the published tables.
create table if not exists ops.quarantined_row (
    asset      varchar not null,
    row_key    varchar not null,      -- JSON map key column -> value as text
    rule       varchar not null,
    message    varchar not null,
    row_data   varchar not null,      -- JSON map column -> value as text; secret columns are masked
    run_id     varchar not null,      -- the run that last saw it
    -- 'staged' (by a run in progress), 'open', 'blocked' (its table could not be published), 'discarded' (by a person),
    -- 'blocked_discarded' (both), 'repaired' (a good version arrived) or 'gone' (deleted at the source)
    status     varchar not null default 'open',
    next_status varchar,              -- of a row, once the current run publishes its table
    first_seen timestamptz not null default current_timestamp,
    last_seen  timestamptz not null default current_timestamp
);
