-- Grain: one table, with the number of its rows that are set aside because they break the contract.
select
    q.asset as table_name,
    count(*) as failed,
    min(q.row_key) as first_key,
    max(q.row_key) as last_key
from ops.quarantined_row as q
where q.status in ('open', 'blocked')
group by q.asset
