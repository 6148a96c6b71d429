-- Validates: profit per product, category and territory, and the revenue whose cost is a fallback
-- Fault of sums_are_those_of_the_lines: update candidate set fallback_cost_revenue = 0
-- Fault of category_and_margin_are_those_of_the_product_and_the_sums: update candidate set category = 'Bikes'
select
    month, territory_id, category, product_id, sum(revenue) as revenue, sum(discount_amount) as discount_amount,
    sum(cogs) as cogs, sum(revenue) - sum(cogs) as profit,
    (sum(revenue) - sum(cogs))::double / nullif(sum(revenue)::double, 0) as margin,
    coalesce(sum(revenue) filter (cost_source = 'fallback'), 0) as fallback_cost_revenue,
    month in (from partial_month) as is_partial
from sold join product_place using (product_id)
group by all
