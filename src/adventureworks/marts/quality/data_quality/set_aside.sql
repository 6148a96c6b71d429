-- Grain: one table, and how many rows of it its contract keeps out.
select
    q.asset as table_name,
    count(*) as failed,
    min(q.row_key) as first_key,
    max(q.row_key) as last_key
from ops.quarantined_row as q
where q.status in ('open', 'blocked')
group by q.asset
