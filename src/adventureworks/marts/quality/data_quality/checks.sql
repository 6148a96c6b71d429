-- Grain: one rule of a table or mart, with its latest result. Rules that are only recorded when broken (kinds
-- 'reference' and 'profile') count until a later run checks the table.
with newest as (
    select
        c.asset,
        c.rule,
        c.dimension,
        c.outcome,
        c.failed,
        c.examples,
        c.kind,
        c.number,
        max(case when c.kind = 'check' then c.number end) over (partition by c.asset) as last_check,
        max(case when c.kind = 'check' then c.number end) over (partition by c.asset, c.run_id) as last_check_of_run,
        row_number() over (partition by c.asset, c.rule order by c.number desc, c.run_id desc) as place
    from ops.check_result as c
    where c.kind <> 'contract'
),
sizes as (
    select
        p.asset,
        p.rows as published_rows,
        row_number() over (partition by p.asset order by p.version desc) as place
    from ops.publication as p
)
select
    n.asset as table_name,
    n.rule,
    n.dimension,
    n.outcome,
    n.failed,
    n.examples,
    coalesce(s.published_rows, 0) as published_rows
from newest as n
left join sizes as s
    on n.asset = s.asset
    and s.place = 1
where
    n.place = 1
    and n.outcome <> 'skipped'
    and (
        n.kind not in ('reference', 'profile')
        or n.last_check is null
        or n.number > n.last_check
        or n.last_check_of_run = n.last_check
    )
