-- Validates: sales, cost and profit of each offer; the uplift is tested by its properties, not by a second computation
with offer as (select SpecialOfferID as id from Sales_SpecialOffer where StartDate::date <= $as_of)
select
    id as special_offer_id, coalesce(category, 'Unassigned') as category, count(s.sales_order_id) as lines,
    sum(quantity)::bigint as units, sum(revenue) as revenue, sum(discount_amount) as discount_cost,
    sum(revenue) - sum(cogs) as profit
from offer left join (select * from sold join product_place using (product_id)) as s on s.special_offer_id = id
group by all
