-- Validates: profit against the same booking month a year before, split into effects in whole millionths of a dollar, so that rounding is exact
-- Fault of effects_are_those_of_the_lines: update candidate set volume_effect = volume_effect + mix_effect, mix_effect = 0
with product as (
    select
        booking_month as month, territory_id, channel, product_id, sum(quantity)::hugeint as q,
        (sum(revenue) * 1000000)::hugeint as r, (sum(cogs) * 1000000)::hugeint as c
    from sold group by all
),
whole as (
    select distinct booking_month as month, channel from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month)
),
compared as (
    select n.month, n.channel from whole as n join whole as o
    on o.channel = n.channel and o.month = n.month - interval 1 year
),
earlier as (
    select (o.month + interval 1 year)::date as month, territory_id, o.channel, product_id, q, r, c
    from product as o join compared as k on k.channel = o.channel and k.month = o.month + interval 1 year
),
pair as (
    select
        month, territory_id, channel, category, coalesce(n.q, 0) as q1, coalesce(n.r, 0) as r1, coalesce(n.c, 0) as c1,
        coalesce(o.q, 0) as q0, coalesce(o.r, 0) as r0, coalesce(o.c, 0) as c0
    from product as n full join earlier as o using (month, territory_id, channel, product_id)
    join product_place using (product_id)
),
-- Halves are rounded up, as numbers are positive here.
valued as (
    select
        *, q1 > 0 and q0 > 0 as kept, if(kept, (2 * q1 * r0 + q0) // (2 * q0), 0) as r01,
        if(kept, (2 * q1 * c0 + q0) // (2 * q0), 0) as c01
    from pair
),
cell as (
    select
        month, territory_id, channel, category, sum(r1 - c1) as p1, sum(r0 - c0) as p0,
        coalesce(sum(q1) filter (kept), 0) as units, coalesce(sum(q0) filter (kept), 0) as old_units,
        coalesce(sum(r0 - c0) filter (kept), 0) as base, sum(r01 - c01) as at_old,
        coalesce(sum(r1 - r01) filter (kept), 0) as price, coalesce(sum(c01 - c1) filter (kept), 0) as cost,
        coalesce(sum(r1 - c1) filter (q0 = 0), 0) as fresh, coalesce(sum(c0 - r0) filter (q1 = 0), 0) as gone
    from valued group by all
),
average as (
    select
        *, exists(from compared as k where k.month = cell.month and k.channel = cell.channel) as known,
        -- Halves are rounded away from zero, since the cell may have lost money.
        if(old_units = 0, 0, sign(base) * ((2 * units * abs(base) + old_units) // (2 * old_units))) as at_average
    from cell
)
select
    month, territory_id, channel, category, (p1::decimal(32, 0) * 0.000001)::decimal(38, 6) as profit,
    if(known, p0::decimal(32, 0) * 0.000001, null)::decimal(38, 6) as profit_year_before,
    if(known, (at_average - base)::decimal(32, 0) * 0.000001, null)::decimal(38, 6) as volume_effect,
    if(known, (at_old - at_average)::decimal(32, 0) * 0.000001, null)::decimal(38, 6) as mix_effect,
    if(known, price::decimal(32, 0) * 0.000001, null)::decimal(38, 6) as price_effect,
    if(known, cost::decimal(32, 0) * 0.000001, null)::decimal(38, 6) as cost_effect,
    if(known, fresh::decimal(32, 0) * 0.000001, null)::decimal(38, 6) as new_products,
    if(known, gone::decimal(32, 0) * 0.000001, null)::decimal(38, 6) as gone_products
from average
