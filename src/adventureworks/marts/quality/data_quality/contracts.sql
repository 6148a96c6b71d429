-- Grain: one published table or mart, and how many rows of it its contract keeps out.
with sizes as (
    select
        p.asset,
        p.rows as published_rows,
        row_number() over (partition by p.asset order by p.version desc) as place
    from ops.publication as p
),
set_aside as (
    select
        q.asset,
        count(*) as failed,
        min(q.row_key) as first_key,
        max(q.row_key) as last_key
    from ops.quarantined_row as q
    where q.status in ('open', 'blocked')
    group by q.asset
)
select
    s.asset as table_name,
    s.published_rows,
    coalesce(a.failed, 0) as failed,
    a.first_key,
    a.last_key
from sizes as s
left join set_aside as a
    on s.asset = a.asset
where s.place = 1
