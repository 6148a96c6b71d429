-- Grain: the current run, in one row.
select
    cast(:run_id as varchar) as run_id,
    coalesce(max(d.run_number), 0) + 1 as run_number
from marts.data_quality as d
where d.run_id <> :run_id
