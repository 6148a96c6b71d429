-- The platform's own records. Lists and maps are JSON text. Every statement can run on a home that has these tables already:
-- homes older than the migrations start here, too.

create table if not exists ops.publication (
    asset        varchar   not null,
    version      bigint    not null,  -- 1, 2, 3 … per asset
    published_at timestamptz not null default current_timestamp,
    rows         bigint    not null,  -- in the whole table, after the change
    changed_rows bigint    not null,  -- inserted, updated and deleted
    months       varchar,             -- JSON list of 'YYYY-MM'; null: any month may have changed
    inputs       varchar,             -- JSON map asset -> version that a mart was computed from; null for source tables
    set_aside    bigint    not null default 0,  -- rows of the table in quarantine; for a mart, withheld orders
    verdict      varchar   not null,  -- 'passed' or 'passed with warnings'
    model        varchar,             -- digest of the models that computed a mart; null for source tables
    as_of        date,                -- business date of a mart; for the orders, the day of the newest one
    run_id       varchar   not null,
    announced    boolean   not null default false,  -- its asset event was sent
    primary key (asset, version)
);
alter table ops.publication add column if not exists confirmed_by varchar;  -- the last run that recomputed the same rows

create table if not exists ops.watermark (
    asset         varchar not null primary key,
    -- of the source when it was last read, even if the table was blocked; then a digest of the contract's columns
    fingerprint   varchar not null,
    newest_change timestamp,          -- newest modification date of the published rows; null: read the table in full
    blocked       boolean not null,   -- the last run could not publish the table
    source        varchar not null,   -- which source was read
    read_at       timestamptz not null default current_timestamp
);

create table if not exists ops.check_result (
    run_id     varchar not null,
    asset      varchar not null,
    rule       varchar not null,
    -- 'contract', 'reference', 'source', 'check' (with all checks of its table), or 'between' (run alone, because another
    -- table that it reads changed)
    kind       varchar not null,
    outcome    varchar not null,      -- 'pass', 'warn', 'fail' or 'error'
    failed     bigint,                -- number of rows; null if the rule does not count rows
    message    varchar not null,
    examples   varchar not null default '[]',  -- JSON list of keys
    checked_at timestamptz not null default current_timestamp
);
alter table ops.check_result add column if not exists dimension varchar not null default 'validity';
create index if not exists check_result_by_run on ops.check_result (asset, run_id);
create index if not exists check_result_by_time on ops.check_result (asset, checked_at desc);
create index if not exists check_result_by_age on ops.check_result (checked_at);

-- Column profiles of the last versions of source tables, and of a candidate until it is published (`gate/profiling.py`).
create table if not exists ops.column_profile (
    asset           varchar not null,
    run_id          varchar not null,
    version         bigint,           -- null: measured by a run that has not published the table yet
    column_name     varchar not null,
    rows            bigint  not null,
    nulls           bigint  not null,
    blanks          bigint  not null, -- NULL, empty text or zero
    distinct_values bigint,           -- null: not counted
    least           varchar,          -- null for personal columns, like all following columns
    most            varchar,
    mean            double precision,
    spread          double precision, -- standard deviation
    shares          varchar not null default '{}',  -- JSON map value -> share of the rows, if there are few values
    measured_at     timestamptz not null default current_timestamp
);
create index if not exists column_profile_by_version on ops.column_profile (asset, version desc);

create table if not exists ops.incident (
    incident_id varchar not null primary key,
    fingerprint varchar not null,     -- asset and rule: one open incident per cause
    asset       varchar not null,
    rule        varchar not null,
    owner       varchar not null,
    severity    varchar not null,     -- 'error' (nothing new is published) or 'warning' (rows set aside)
    status      varchar not null,     -- 'open', 'acknowledged' or 'resolved'
    summary     varchar not null,
    detail      varchar not null,     -- JSON: counts, example keys, next command
    run_id      varchar not null,     -- the run that last saw it, or resolved it
    first_seen  timestamptz not null default current_timestamp,
    last_seen   timestamptz not null default current_timestamp,
    resolved_at timestamptz,
    seen_count  bigint not null default 1,
    notified    varchar not null default '{}'  -- JSON map channel/recipient -> last severity sent, 'held' or 'resolved'
);
alter table ops.incident add column if not exists acknowledged_by varchar;
alter table ops.incident add column if not exists acknowledged_at timestamptz;
alter table ops.incident add column if not exists reminded_at timestamptz;  -- used before `heard` held a time for each recipient
alter table ops.incident add column if not exists heard varchar not null default '{}';  -- JSON map channel/recipient -> time of the last message
alter table ops.incident add column if not exists times_worse bigint not null default 0;  -- how often a warning became an error
drop index if exists ops.one_open_incident_per_cause;
create unique index if not exists one_live_incident_per_cause on ops.incident (fingerprint) where status <> 'resolved';

create table if not exists ops.notice (
    notice_id varchar not null primary key,
    kind      varchar not null,       -- its subject matter, e.g. 'stock'
    asset     varchar not null,
    owner     varchar not null,
    subject   varchar not null,
    payload   varchar not null,       -- JSON: the listings, and the next command
    run_id    varchar not null,       -- the run that wrote it
    created   timestamptz not null default current_timestamp,
    told      varchar not null default '{}'  -- JSON map channel -> when the message was queued for it
);
create unique index if not exists one_notice_per_run on ops.notice (asset, run_id);

create table if not exists ops.change (
    run_id        varchar not null,   -- one ingestion
    asset         varchar not null,
    fingerprint   varchar not null,   -- of source and columns, when the change was detected
    newest_change timestamp,
    source_rows   bigint,             -- rows at the source, if it reports them
    status        varchar not null,   -- 'detected', 'staged', 'blocked', 'published' or 'unchanged'
    rows_read     bigint not null default 0,
    set_aside     bigint not null default 0,   -- rows put in quarantine by this run
    source        varchar not null,   -- which source
    whole         boolean not null,   -- read in full, not only the changed rows
    judged        boolean not null default false,  -- by the verdict on the batch, which may be reached again
    blocked_rule  varchar,
    blocked_cause varchar,
    detected_at   timestamptz not null default current_timestamp,
    primary key (run_id, asset)
);
create index if not exists change_by_time on ops.change (asset, detected_at desc);
alter table ops.change add column if not exists publishing boolean not null default false;  -- publishing began, and may not have finished
alter table ops.change add column if not exists times_lost bigint not null default 0;  -- how often reading it ended with a lost connection
alter table ops.change add column if not exists latest_change timestamp;  -- latest possible modification time of a row that was read
alter table ops.change add column if not exists resumes boolean not null default false;  -- an earlier run may have published it
alter table ops.change add column if not exists is_accepted boolean not null default false;  -- the owner accepted the change

create table if not exists ops.build (
    run_id  varchar not null,
    dag     varchar not null,
    inputs  varchar not null,         -- JSON map asset -> version that was read
    months  varchar not null,         -- JSON map mart -> list of 'YYYY-MM' that were computed; null: all months
    model   varchar not null,         -- digests of the models, one for each mart of the DAG
    as_of   date    not null,
    primary key (run_id, dag)
);
alter table ops.build add column if not exists changed varchar;  -- like months, but only those with rows that differ from the published ones
alter table ops.build add column if not exists replaces varchar;  -- JSON map mart -> version published at that time
alter table ops.build add column if not exists refused boolean not null default false;  -- by the gate

-- What the last run staged for an asset. No other run may publish it.
create table if not exists ops.candidate (
    asset    varchar not null primary key,
    run_id   varchar not null,
    contents varchar not null         -- JSON map part -> [rows, digest]; parts: months, or 'rows' and 'gone'
);

-- Results of slow pure functions (`warehouse/memo.py`).
create table if not exists ops.memo (
    key     varchar not null primary key,  -- digest of the function and its arguments
    result  varchar not null,              -- JSON list of numbers
    used_at timestamptz not null default current_timestamp
);

create table if not exists ops.warehouse_use (
    run_id     varchar not null,       -- <DAG>/<run>; empty for manual work
    purpose    varchar not null,
    statements bigint  not null,       -- number sent to Snowflake in one session
    noted      timestamptz not null default current_timestamp
);
alter table ops.warehouse_use add column if not exists task varchar not null default '';
create index if not exists warehouse_use_by_time on ops.warehouse_use (noted);

create table if not exists ops.layout (
    digest     varchar not null primary key,  -- of all files that define the tables
    applied_at timestamptz not null default current_timestamp
);

create table if not exists ops.letter (
    letter_id varchar not null primary key,  -- digest of the following columns and of the enclosures
    subject   varchar not null,
    html      varchar not null,
    text      varchar not null,
    summary   varchar not null,
    blocks    varchar not null,       -- JSON list: Slack's Block Kit
    created   timestamptz not null default current_timestamp
);

create table if not exists ops.enclosure (
    letter_id  varchar not null,
    position   bigint  not null,
    name       varchar not null,
    media_type varchar not null,
    is_image   boolean not null,      -- shown in the text; otherwise attached
    content    bytea   not null,
    primary key (letter_id, position)
);

create table if not exists ops.outbox (
    message_id varchar not null primary key,
    number     bigint  not null generated always as identity,
    told       varchar not null,      -- subject, recipient and channel: unique, so that nothing is sent twice
    thread     varchar not null,      -- messages of one thread reach a recipient in order; empty: no thread
    channel    varchar not null,      -- 'email' or 'slack'
    recipient  varchar not null,      -- an address, or an Airflow connection
    letter_id  varchar not null,
    created    timestamptz not null default current_timestamp,
    not_before timestamptz not null default current_timestamp,  -- time of the next attempt
    attempts   bigint  not null default 0,
    last_error varchar,
    sent_at    timestamptz,
    given_up_at timestamptz
);
alter table ops.outbox add column if not exists doubtful_at timestamptz;  -- when an attempt ended without an answer, so that it may have arrived
create unique index if not exists told_once on ops.outbox (told);
create index if not exists outbox_waiting on ops.outbox (number) where sent_at is null and given_up_at is null;

-- Messages that are being sent right now; if no session has locked a message's row in the outbox, it was interrupted.
create table if not exists ops.flight (
    message_id varchar not null primary key,
    since      timestamptz not null default clock_timestamp()
);

create table if not exists ops.monthly_report (
    month        varchar not null primary key,  -- 'YYYY-MM'
    revision     bigint  not null,     -- 1, 2, 3 …: grows when the figures change
    digest       varchar not null,     -- of the figures
    figures      varchar not null,     -- JSON: revenue and profit in total, by region and by category
    changes      varchar not null,     -- JSON list: how the figures differ from those in `told`
    -- 'new', 'closed' (was partial before), 'restated', 'refreshed' (only the figures it is compared with changed) or
    -- 'withdrawn' (none of its orders counts any more)
    status       varchar not null,
    is_partial   boolean not null,
    mart_version bigint  not null,     -- of monthly_profit
    run_id       varchar not null,
    delivered_at timestamptz not null default current_timestamp,
    announced    boolean not null      -- its mail is in the outbox, or there is nothing to announce
);
alter table ops.monthly_report add column if not exists told varchar;  -- JSON: the last figures sent to readers; null: none yet
alter table ops.monthly_report add column if not exists has_control boolean not null default true;  -- whether the filed report contains the control totals
update ops.monthly_report set told = figures
where told is null and announced and not is_partial and status <> 'withdrawn';

create table if not exists ops.report_file (
    month    varchar not null,
    language varchar not null,
    kind     varchar not null,         -- 'workbook' or 'document'
    path     varchar not null,         -- relative to the reports folder
    bytes    bigint  not null,
    digest   varchar not null,         -- of the file
    revision bigint  not null,
    primary key (month, language, kind)
);
