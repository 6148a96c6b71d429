-- What the platform remembers of itself. Lists and maps are JSON text, so that every engine keeps them alike.

create table if not exists ops.publication (
    asset        varchar   not null,
    version      bigint    not null,  -- 1, 2, 3 … per asset
    published_at timestamptz not null default current_timestamp,
    rows         bigint    not null,  -- of the whole table, after the change
    changed_rows bigint    not null,  -- inserted, updated and deleted
    months       varchar,             -- JSON list of 'YYYY-MM'; null: any month may have changed
    inputs       varchar,             -- JSON map asset -> version that a mart was computed from; null for source tables
    set_aside    bigint    not null default 0,  -- rows of the table in quarantine; of a mart, orders that are withheld
    verdict      varchar   not null,  -- 'passed' or 'passed with warnings'
    model        varchar,             -- digest of the models that computed a mart; null for source tables
    as_of        date,                -- business date of a mart; of the orders, the day of the newest one
    run_id       varchar   not null,
    announced    boolean   not null default false,  -- its asset event was sent
    primary key (asset, version)
);
alter table ops.publication add column if not exists confirmed_by varchar;  -- the run that last computed the same rows again

create table if not exists ops.watermark (
    asset         varchar not null primary key,
    -- of the source when it was last read, whether or not it could be published; then a digest of the contract's columns
    fingerprint   varchar not null,
    newest_change timestamp,          -- up to which modification date the published rows go; null: read it whole
    blocked       boolean not null,   -- the last reading could not be published
    source        varchar not null,   -- which source was read
    read_at       timestamptz not null default current_timestamp
);

create table if not exists ops.check_result (
    run_id     varchar not null,
    asset      varchar not null,
    rule       varchar not null,
    -- 'contract', 'reference', 'source', 'check' (with all of its table) or 'between' (alone: another of its tables changed)
    kind       varchar not null,
    outcome    varchar not null,      -- 'pass', 'warn', 'fail' or 'error'
    failed     bigint,                -- rows, where the rule counts rows
    message    varchar not null,
    examples   varchar not null default '[]',  -- JSON list of keys
    checked_at timestamptz not null default current_timestamp
);
alter table ops.check_result add column if not exists dimension varchar not null default 'validity';
create index if not exists check_result_by_run on ops.check_result (asset, run_id);
create index if not exists check_result_by_time on ops.check_result (asset, checked_at desc);
create index if not exists check_result_by_age on ops.check_result (checked_at);

-- The shape of the last versions of source tables, and of a candidate until it is published (`gate/profiling.py`).
create table if not exists ops.column_profile (
    asset           varchar not null,
    run_id          varchar not null,
    version         bigint,           -- null: measured by a run that has not published the table
    column_name     varchar not null,
    rows            bigint  not null,
    nulls           bigint  not null,
    blanks          bigint  not null, -- NULL, empty text or zero
    distinct_values bigint,           -- null: not counted
    least           varchar,          -- null for personal columns, as is all that follows
    most            varchar,
    mean            double precision,
    spread          double precision, -- standard deviation
    shares          varchar not null default '{}',  -- JSON map value -> share of the rows, where there are few values
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
    run_id      varchar not null,     -- that saw it last, or saw its end
    first_seen  timestamptz not null default current_timestamp,
    last_seen   timestamptz not null default current_timestamp,
    resolved_at timestamptz,
    seen_count  bigint not null default 1,
    notified    varchar not null default '{}'  -- JSON map channel/recipient -> severity told last, 'held' or 'resolved'
);
alter table ops.incident add column if not exists acknowledged_by varchar;
alter table ops.incident add column if not exists acknowledged_at timestamptz;
alter table ops.incident add column if not exists reminded_at timestamptz;  -- before each recipient had a time in `heard`
alter table ops.incident add column if not exists heard varchar not null default '{}';  -- JSON map channel/recipient -> when
alter table ops.incident add column if not exists times_worse bigint not null default 0;  -- a warning that became an error
drop index if exists ops.one_open_incident_per_cause;
create unique index if not exists one_live_incident_per_cause on ops.incident (fingerprint) where status <> 'resolved';

create table if not exists ops.notice (
    notice_id varchar not null primary key,
    kind      varchar not null,       -- what it is about, e.g. 'stock'
    asset     varchar not null,
    owner     varchar not null,
    subject   varchar not null,
    payload   varchar not null,       -- JSON: the listings, and the next command
    run_id    varchar not null,       -- that left it
    created   timestamptz not null default current_timestamp,
    told      varchar not null default '{}'  -- JSON map channel -> when it took the message
);
create unique index if not exists one_notice_per_run on ops.notice (asset, run_id);

create table if not exists ops.change (
    run_id        varchar not null,   -- one ingestion
    asset         varchar not null,
    fingerprint   varchar not null,   -- of source and columns, as detected
    newest_change timestamp,
    source_rows   bigint,             -- rows at the source, where it tells
    status        varchar not null,   -- 'detected', 'staged', 'blocked', 'published' or 'unchanged'
    rows_read     bigint not null default 0,
    set_aside     bigint not null default 0,   -- rows put in quarantine by this run
    source        varchar not null,   -- which source
    whole         boolean not null,   -- to be read whole, not only what changed
    judged        boolean not null default false,  -- blocked by the check task, which may judge again
    blocked_rule  varchar,
    blocked_cause varchar,
    detected_at   timestamptz not null default current_timestamp,
    primary key (run_id, asset)
);
create index if not exists change_by_time on ops.change (asset, detected_at desc);
alter table ops.change add column if not exists publishing boolean not null default false;  -- begun, and not known to be done
alter table ops.change add column if not exists times_lost bigint not null default 0;  -- readings that ended with a lost connection
alter table ops.change add column if not exists latest_change timestamp;  -- no row that was read can have been modified later
alter table ops.change add column if not exists resumes boolean not null default false;  -- an earlier run may have published it
alter table ops.change add column if not exists is_accepted boolean not null default false;  -- its owner said so

create table if not exists ops.build (
    run_id  varchar not null,
    dag     varchar not null,
    inputs  varchar not null,         -- JSON map asset -> version, as read
    months  varchar not null,         -- JSON map mart -> list of 'YYYY-MM' that were computed, or null: all
    model   varchar not null,         -- digests of the models, one for each mart of the DAG
    as_of   date    not null,
    primary key (run_id, dag)
);
alter table ops.build add column if not exists changed varchar;  -- like months: those of which rows differ from the published
alter table ops.build add column if not exists replaces varchar;  -- JSON map of mart to the version published at that time
alter table ops.build add column if not exists refused boolean not null default false;  -- by the gate

-- What the last run staged for an asset, and no other run may publish.
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
    run_id     varchar not null,       -- <DAG>/<run>, or empty: by hand
    purpose    varchar not null,
    statements bigint  not null,       -- that Snowflake was sent in one session
    noted      timestamptz not null default current_timestamp
);
alter table ops.warehouse_use add column if not exists task varchar not null default '';
create index if not exists warehouse_use_by_time on ops.warehouse_use (noted);

create table if not exists ops.layout (
    digest     varchar not null primary key,  -- of everything the tables' columns come from
    applied_at timestamptz not null default current_timestamp
);

create table if not exists ops.letter (
    letter_id varchar not null primary key,  -- digest of all that follows, and of its enclosures
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
    is_image   boolean not null,      -- shown in the text, else attached
    content    bytea   not null,
    primary key (letter_id, position)
);

create table if not exists ops.outbox (
    message_id varchar not null primary key,
    number     bigint  not null generated always as identity,
    told       varchar not null,      -- what is told, to whom, over which channel: no message has it twice
    thread     varchar not null,      -- messages of one thread reach a recipient in their order; empty: none
    channel    varchar not null,      -- 'email' or 'slack'
    recipient  varchar not null,      -- an address, or an Airflow connection
    letter_id  varchar not null,
    created    timestamptz not null default current_timestamp,
    not_before timestamptz not null default current_timestamp,  -- of the next try
    attempts   bigint  not null default 0,
    last_error varchar,
    sent_at    timestamptz,
    given_up_at timestamptz
);
alter table ops.outbox add column if not exists doubtful_at timestamptz;  -- when a try ended without an answer: it may be there
create unique index if not exists told_once on ops.outbox (told);
create index if not exists outbox_waiting on ops.outbox (number) where sent_at is null and given_up_at is null;

-- Messages that are being handed to a server just now; one whose row in the outbox nobody holds was interrupted.
create table if not exists ops.flight (
    message_id varchar not null primary key,
    since      timestamptz not null default clock_timestamp()
);

create table if not exists ops.monthly_report (
    month        varchar not null primary key,  -- 'YYYY-MM'
    revision     bigint  not null,     -- 1, 2, 3 …: grows when the figures change
    digest       varchar not null,     -- of the figures
    figures      varchar not null,     -- JSON: revenue and profit in all, by region and by category
    changes      varchar not null,     -- JSON list: what the figures in `told` say otherwise
    -- 'new', 'closed' (was partial before), 'restated', 'refreshed' (only what it is compared with changed) or
    -- 'withdrawn' (no order of it counts any more)
    status       varchar not null,
    is_partial   boolean not null,
    mart_version bigint  not null,     -- of monthly_profit
    run_id       varchar not null,
    delivered_at timestamptz not null default current_timestamp,
    announced    boolean not null      -- its mail is in the outbox, or there is nothing to announce
);
alter table ops.monthly_report add column if not exists told varchar;  -- JSON: the figures that readers know of; null: none yet
alter table ops.monthly_report add column if not exists has_control boolean not null default true;  -- what is filed says it
update ops.monthly_report set told = figures
where told is null and announced and not is_partial and status <> 'withdrawn';

create table if not exists ops.report_file (
    month    varchar not null,
    language varchar not null,
    kind     varchar not null,         -- 'workbook' or 'document'
    path     varchar not null,         -- below the folder of reports
    bytes    bigint  not null,
    digest   varchar not null,         -- of the file
    revision bigint  not null,
    primary key (month, language, kind)
);
