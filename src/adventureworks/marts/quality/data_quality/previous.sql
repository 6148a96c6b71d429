-- Grain: one rule of a table, with the result of the previous run that had it.
with runs as (
    select
        d.table_name,
        d.rule,
        max(d.run_number) as run_number
    from marts.data_quality as d
    where d.run_id <> :run_id
    group by d.table_name, d.rule
)
select
    d.table_name,
    d.rule,
    d.pass_rate as previous_pass_rate
from marts.data_quality as d
inner join runs as r
    on d.table_name = r.table_name
    and d.rule = r.rule
    and d.run_number = r.run_number
where d.run_id <> :run_id
