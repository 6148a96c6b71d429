-- Grain: one rule of a table, with the result of the previous run.
with runs as (
    select
        d.table_name,
        d.rule,
        d.pass_rate,
        row_number() over (partition by d.table_name, d.rule order by d.run_number desc) as place
    from marts.data_quality as d
    where d.run_id <> :run_id
)
select
    r.table_name,
    r.rule,
    r.pass_rate as previous_pass_rate
from runs as r
where r.place = 1
