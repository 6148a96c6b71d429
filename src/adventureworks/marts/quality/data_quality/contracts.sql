-- Grain: one published table or mart, with its number of rows.
with versions as (
    select
        p.asset,
        p.rows as published_rows,
        row_number() over (partition by p.asset order by p.version desc) as place
    from ops.publication as p
)
select
    v.asset as table_name,
    v.published_rows
from versions as v
where v.place = 1
